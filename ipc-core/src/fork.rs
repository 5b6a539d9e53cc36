//! What a `fork` must not do to a participant.
//!
//! A forked child has copies of its parent's handles, but it is not the participant: two processes
//! would act under one name. The data mapping and the lock that proves the parent's life are not
//! inherited (`MADV_DONTFORK`), and a page that the kernel empties in the child
//! (`MADV_WIPEONFORK`) tells it so at the price of one load.

use crate::liveness::{Identity, identity};
use std::cell::UnsafeCell;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

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
static CLOSE_IN_CHILD: Mutex<Vec<Listed>> = Mutex::new(Vec::new());

/// A descriptor, and which file it is: its number may be another's by now (closefrom).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listed {
    number: RawFd,
    identity: Identity,
}

impl Listed {
    fn is_still_open(self) -> bool {
        // SAFETY: only asked about, and valid or not for the duration of the call.
        let descriptor = unsafe { BorrowedFd::borrow_raw(self.number) };
        identity(descriptor).ok() == Some(self.identity)
    }
}

struct Slot(UnsafeCell<Option<MutexGuard<'static, Vec<Listed>>>>);
// SAFETY: the cell is touched by the fork handlers alone, and only by the thread that holds
// CLOSE_IN_CHILD: `prepare` fills it after locking, `parent` and `child` empty it to unlock.
unsafe impl Sync for Slot {}
static HELD_ACROSS_FORK: Slot = Slot(UnsafeCell::new(None));

/// What registering the fork handlers returned.
static REGISTERED: OnceLock<libc::c_int> = OnceLock::new();

/// Registers while the program has one thread. The first attachment would be too late: a fork by
/// another thread that has passed the handlers known until then would run none of ours, and its
/// child could inherit the mutex locked for ever.
#[used]
#[unsafe(link_section = ".init_array")]
static REGISTER_AT_START: extern "C" fn() = {
    extern "C" fn at_start() {
        REGISTERED.get_or_init(register);
    }
    at_start
};

fn register() -> libc::c_int {
    // SAFETY: the three handlers have the required signature and live as long as the program.
    unsafe { libc::pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) }
}

/// Keeps every `fork` of this process (through libc) out while it lives.
pub(crate) struct NoFork {
    list: MutexGuard<'static, Vec<Listed>>,
}

impl NoFork {
    pub(crate) fn begin() -> io::Result<Self> {
        match REGISTERED.get_or_init(register) {
            0 => Ok(Self { list: lock() }),
            &error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// A descriptor whose copy a forked child closes before anything else runs there.
#[derive(Debug)]
pub(crate) struct ParentOnly {
    descriptor: ManuallyDrop<OwnedFd>,
    listed: Listed,
}

impl ParentOnly {
    /// `no_fork` has been held since before the descriptor was opened.
    pub(crate) fn new(no_fork: &mut NoFork, descriptor: OwnedFd) -> io::Result<Self> {
        let listed = Listed {
            number: descriptor.as_raw_fd(),
            identity: identity(&descriptor)?,
        };
        no_fork.list.push(listed);
        Ok(Self {
            descriptor: ManuallyDrop::new(descriptor),
            listed,
        })
    }
}

impl AsFd for ParentOnly {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for ParentOnly {
    fn drop(&mut self) {
        let mut list = lock();
        if let Some(at) = list.iter().position(|&it| it == self.listed) {
            list.swap_remove(at);
        }
        // Closed by others (closefrom), the number is not ours to close.
        if self.listed.is_still_open() {
            // SAFETY: not used again.
            unsafe { ManuallyDrop::drop(&mut self.descriptor) };
        }
    }
}

fn lock() -> MutexGuard<'static, Vec<Listed>> {
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
        for listed in list.iter().filter(|it| it.is_still_open()) {
            // SAFETY: the descriptor is the child's copy of one that the parent keeps open; in the
            // child nobody uses it, since the parent's handles refuse to work here.
            unsafe { libc::close(listed.number) };
        }
        // `clear` frees nothing: no allocator call between fork and exec.
        list.clear();
    }
}
