//! What a `fork` must not do to a participant.
//!
//! A forked child has copies of its parent's handles, but it is not the participant: two processes
//! would act under one name. The data mapping and the lock that proves the parent's life are not
//! inherited (`MADV_DONTFORK`), and a page that the kernel empties in the child
//! (`MADV_WIPEONFORK`) tells it so at the price of one load.

use std::cell::UnsafeCell;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// One page of private memory that reads zero in every forked child.
#[derive(Debug)]
pub(crate) struct BirthPage {
    page: memmap2::MmapMut,
}

const BORN_HERE: u32 = 1;

impl BirthPage {
    pub(crate) fn new() -> io::Result<Self> {
        let page = memmap2::MmapMut::map_anon(size_of::<AtomicU32>())?;
        // SAFETY: the range is exactly the mapping made above, rounded up to its page.
        let done = unsafe {
            libc::madvise(
                page.as_ptr().cast_mut().cast(),
                page.len(),
                libc::MADV_WIPEONFORK,
            )
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        let born = Self { page };
        born.word().store(BORN_HERE, Ordering::Relaxed);
        Ok(born)
    }

    #[inline(always)]
    fn word(&self) -> &AtomicU32 {
        // SAFETY: the mapping is page-aligned, at least four bytes long, lives as long as `self`,
        // and is only ever accessed through this atomic.
        unsafe { &*self.page.as_ptr().cast::<AtomicU32>() }
    }

    /// Whether this process is the one that made the page.
    #[inline(always)]
    pub(crate) fn is_mine(&self) -> bool {
        // Relaxed: the value changes at fork only, which orders everything.
        self.word().load(Ordering::Relaxed) == BORN_HERE
    }
}

/// Descriptors that a forked child has to close, because they carry a lock which must die with the
/// parent. The mutex is also what keeps a fork out of the moments in which such a descriptor
/// exists but is not listed yet.
static CLOSE_IN_CHILD: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());
static REGISTER: Once = Once::new();

struct Slot(UnsafeCell<Option<MutexGuard<'static, Vec<RawFd>>>>);
// SAFETY: the cell is touched by the fork handlers alone, and only by the thread that holds
// CLOSE_IN_CHILD: `prepare` fills it after locking, `parent` and `child` empty it to unlock.
unsafe impl Sync for Slot {}
static HELD_ACROSS_FORK: Slot = Slot(UnsafeCell::new(None));

/// Keeps every `fork` of this process (through libc) out while it lives.
pub(crate) struct NoFork {
    list: MutexGuard<'static, Vec<RawFd>>,
}

impl NoFork {
    pub(crate) fn begin() -> Self {
        REGISTER.call_once(|| {
            // SAFETY: the three handlers have the required signature and live for ever.
            unsafe { libc::pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
        });
        Self { list: lock() }
    }

    pub(crate) fn close_in_child(&mut self, descriptor: RawFd) {
        self.list.push(descriptor);
    }

    pub(crate) fn forget(&mut self, descriptor: RawFd) {
        self.list.retain(|&listed| listed != descriptor);
    }
}

fn lock() -> MutexGuard<'static, Vec<RawFd>> {
    CLOSE_IN_CHILD
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn prepare() {
    let guard = lock();
    // SAFETY: this thread holds the mutex (see `Slot`).
    unsafe { *HELD_ACROSS_FORK.0.get() = Some(guard) };
}

extern "C" fn in_parent() {
    // SAFETY: this thread holds the mutex since `prepare` (see `Slot`).
    drop(unsafe { (*HELD_ACROSS_FORK.0.get()).take() });
}

extern "C" fn in_child() {
    // SAFETY: the child's only thread is the one that holds the mutex since `prepare`.
    let guard = unsafe { (*HELD_ACROSS_FORK.0.get()).take() };
    if let Some(mut list) = guard {
        for descriptor in list.iter() {
            // SAFETY: the descriptor is the child's copy of one that the parent keeps open; in the
            // child nobody uses it, since the parent's handles refuse to work here.
            unsafe { libc::close(*descriptor) };
        }
        // `clear` frees nothing: no allocator call between fork and exec.
        list.clear();
    }
}
