//! Bare forks: children that execute nothing anew.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A child of the calling process. Killed and reaped on drop.
pub struct Forked {
    pid: Option<Pid>,
}

impl Forked {
    /// Runs `body` in a child whose exit code is its result, 101 if it panics. The child dies
    /// with the thread that called this.
    pub fn run(body: impl FnOnce() -> i32) -> Self {
        // SAFETY: the child runs test code only and ends with `_exit`. The C library makes its
        // allocator usable in the child.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => Self { pid: Some(child) },
            ForkResult::Child => {
                // SAFETY: an integer option of the calling process.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                end(body)
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.pid.unwrap()
    }

    /// Waits for its end. `Err` is the signal that killed it.
    pub fn join(mut self) -> Result<i32, Signal> {
        match waitpid(self.pid.take().unwrap(), None).unwrap() {
            WaitStatus::Exited(_, code) => Ok(code),
            WaitStatus::Signaled(_, signal, _) => Err(signal),
            other => panic!("{other:?}"),
        }
    }

    /// Kills it and waits until it is gone.
    pub fn kill(self) {
        kill(self.pid(), Signal::SIGKILL).unwrap();
        let _ = self.join();
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if let Some(pid) = self.pid.take() {
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
    }
}

/// Runs `body` in a child that outlives this process: it has to end by itself, at the latest when
/// a line of the test's breaks.
pub fn orphan(body: impl FnOnce() -> i32) {
    // SAFETY: as above.
    if let ForkResult::Child = unsafe { fork() }.unwrap() {
        end(body);
    }
}

fn end(body: impl FnOnce() -> i32) -> ! {
    let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
    // SAFETY: ends the process without running anything of the parent's.
    unsafe { libc::_exit(code) }
}
