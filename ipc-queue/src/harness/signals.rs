//! SIGINT and SIGTERM as something to wait for, while a run lasts.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

const WATCHED: [Signal; 2] = [Signal::SIGINT, Signal::SIGTERM];
/// How long this process's handler may take to run, in milliseconds, after a signal that went to
/// several processes has ended another.
const HANDLER_DELAY: u8 = 200;
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
/// one to go puts back the handlers that were there, and leaves them a signal that nobody asked
/// for.
#[derive(Debug)]
pub(crate) struct Interrupts {
    slot: usize,
    /// Whether [`Self::arrived`] has told of a signal.
    told: Cell<bool>,
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
        let interrupts = Self {
            slot,
            told: Cell::new(false),
        };
        // What came while the descriptor was nobody's.
        interrupts.take_ring();
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
        let signal = self.take_ring();
        self.told.set(self.told.get() || signal.is_some());
        signal
    }

    /// The same after another process was ended by `signal`. Ctrl-C comes to the whole process
    /// group: the others may be gone before the handler of this process has run.
    pub(crate) fn arrived_with(&self, signal: i32) -> Option<i32> {
        if WATCHED.iter().any(|&watched| watched as i32 == signal) {
            let mut bell = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            // Cut short by the very signal, or late: the look below tells.
            let _ = poll(&mut bell, PollTimeout::from(HANDLER_DELAY));
        }
        self.arrived()
    }

    /// An eventfd is emptied by one read.
    fn take_ring(&self) -> Option<i32> {
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
        if installed.in_use.contains(&true) {
            return;
        }
        for (signal, action) in std::mem::take(&mut installed.before) {
            // SAFETY: the action is the one that was in force before ours.
            let _ = unsafe { sigaction(signal, &action) };
        }
        drop(installed);
        if !self.told.get()
            && let Some(signal) = self.take_ring()
        {
            // To the process, as it came: this thread may block it.
            // SAFETY: a system call on plain numbers; the handler that runs is not ours.
            unsafe { libc::kill(libc::getpid(), signal) };
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use ipc_process::{Process, run_if_worker, test_name};
    use std::time::Duration;

    /// In a process of its own, as a signal is for all runs of a process.
    #[test]
    fn a_handler_that_runs_late_is_waited_for() {
        let alone = |_: &mut ipc_process::Worker| {
            // Ignored in what a script runs in the background.
            // SAFETY: the default action runs no code of ours.
            unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
            let interrupts = Interrupts::watch()?;
            assert_eq!(interrupts.arrived(), None);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(20));
                    // SAFETY: a call on a plain number, with our handler in force.
                    unsafe { libc::raise(libc::SIGINT) };
                });
                assert_eq!(interrupts.arrived_with(libc::SIGINT), Some(libc::SIGINT));
            });
            assert_eq!(interrupts.arrived(), None);
            Ok(())
        };
        run_if_worker(test_name!(), &[("alone", &alone)]);
        let mut process = Process::builder(test_name!(), "alone")
            .under_test(test_name!())
            .spawn()
            .unwrap();
        process.join().unwrap().into_result().unwrap();
    }
}
