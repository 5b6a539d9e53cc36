//! SIGINT and SIGTERM as something to wait for, while a run lasts.

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

const WATCHED: [Signal; 2] = [Signal::SIGINT, Signal::SIGTERM];
/// Runs at the same time in one process (tests have several).
const MOST_RUNS: usize = 64;
const NONE: i32 = -1;

/// The descriptors that the handler writes to. Once made they are kept for the life of the
/// process, so that the handler never writes to a number that has become another file's.
static BELLS: [AtomicI32; MOST_RUNS] = [const { AtomicI32::new(NONE) }; MOST_RUNS];
/// The signal that arrived last.
static LAST: AtomicI32 = AtomicI32::new(0);

struct Installed {
    in_use: [bool; MOST_RUNS],
    before: Vec<(Signal, SigAction)>,
}

static INSTALLED: Mutex<Installed> = Mutex::new(Installed {
    in_use: [false; MOST_RUNS],
    before: Vec::new(),
});

/// While it lives, the signals do not end this process but make the descriptor readable. The last
/// one to go puts back the handlers that were there.
#[derive(Debug)]
pub(crate) struct Interrupts {
    slot: usize,
}

impl Interrupts {
    pub(crate) fn watch() -> io::Result<Self> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = (installed.in_use.iter().position(|in_use| !in_use))
            .ok_or_else(|| io::Error::other("more than 64 runs at once in one process"))?;
        if BELLS[slot].load(Ordering::Relaxed) == NONE {
            let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
            let bell = EventFd::from_value_and_flags(0, flags)?;
            BELLS[slot].store(bell.as_fd().as_raw_fd(), Ordering::Relaxed);
            std::mem::forget(bell);
        }
        let is_first = !installed.in_use.contains(&true);
        installed.in_use[slot] = true;
        let interrupts = Self { slot };
        // What came while the descriptor was nobody's.
        while interrupts.arrived().is_some() {}
        if is_first {
            for signal in WATCHED {
                if let Err(error) = install(signal, &mut installed.before) {
                    drop(installed);
                    return Err(error);
                }
            }
        }
        Ok(interrupts)
    }

    /// The signal, if one has arrived since the last call.
    pub(crate) fn arrived(&self) -> Option<i32> {
        let mut count = [0; size_of::<u64>()];
        nix::unistd::read(self.as_fd(), &mut count)
            .is_ok()
            .then(|| LAST.load(Ordering::Relaxed))
    }
}

impl AsFd for Interrupts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: made by `watch` and never closed.
        unsafe { BorrowedFd::borrow_raw(BELLS[self.slot].load(Ordering::Relaxed)) }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        installed.in_use[self.slot] = false;
        if !installed.in_use.contains(&true) {
            for (signal, action) in std::mem::take(&mut installed.before) {
                // SAFETY: the action is the one that was in force before ours.
                let _ = unsafe { sigaction(signal, &action) };
            }
        }
    }
}

fn install(signal: Signal, before: &mut Vec<(Signal, SigAction)>) -> io::Result<()> {
    let ours = SigAction::new(
        SigHandler::Handler(on_signal),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: the handler uses only what is safe in one: atomics and write(2).
    let old = unsafe { sigaction(signal, &ours) }?;
    if matches!(old.handler(), SigHandler::SigIgn) {
        // Ignored on purpose (nohup, a background job): it stays so.
        // SAFETY: the action is the one that was in force before ours.
        unsafe { sigaction(signal, &old) }?;
    } else {
        before.push((signal, old));
    }
    Ok(())
}

extern "C" fn on_signal(signal: libc::c_int) {
    LAST.store(signal, Ordering::Relaxed);
    // SAFETY: `errno` belongs to this thread; the interrupted code must find it unchanged.
    let errno = unsafe { *libc::__errno_location() };
    for bell in &BELLS {
        let number = bell.load(Ordering::Relaxed);
        if number != NONE {
            let one = 1u64;
            // SAFETY: eight readable bytes, to an eventfd that is never closed.
            unsafe { libc::write(number, std::ptr::from_ref(&one).cast(), size_of::<u64>()) };
        }
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}
