//! A process that stands still in the middle of something, while others are killed.

use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A child that has stopped itself. Killed and reaped when dropped.
#[derive(Debug)]
pub struct Peer {
    pid: Option<Pid>,
}

impl Peer {
    /// Forks. The child runs `body` and ends; when `body` calls its argument, the child stops
    /// itself. Returns once it has.
    ///
    /// # Panics
    /// If it comes to something else.
    pub fn start(body: impl FnOnce(&dyn Fn())) -> Self {
        // SAFETY: the process has one thread, so the child may do everything.
        match unsafe { fork() }.expect("fork") {
            ForkResult::Child => {
                // SAFETY: an integer option of the calling process.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let stand_still = || raise(Signal::SIGSTOP).expect("a signal to itself");
                let done = catch_unwind(AssertUnwindSafe(|| body(&stand_still)));
                // SAFETY: ends the process without running anything of the parent's.
                unsafe { libc::_exit(i32::from(done.is_err()) * 101) }
            }
            ForkResult::Parent { child } => {
                let peer = Self { pid: Some(child) };
                peer.wait_until_it_stands();
                peer
            }
        }
    }

    fn pid(&self) -> Pid {
        self.pid.expect("not reaped yet")
    }

    fn wait_until_it_stands(&self) {
        match waitpid(self.pid(), Some(WaitPidFlag::WUNTRACED)).expect("a child") {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
            other => panic!("the peer was to stop and came to {other:?}"),
        }
    }

    /// Lets it go on to its end.
    ///
    /// # Panics
    /// If the end is not in order.
    pub fn go_on(mut self) {
        self.let_go();
        let pid = self.pid.take().expect("not reaped yet");
        let end = waitpid(pid, None).expect("a child");
        assert_eq!(end, WaitStatus::Exited(pid, 0), "the peer's end");
    }

    /// Lets it go on, and does not wait.
    pub fn let_go(&self) {
        kill(self.pid(), Signal::SIGCONT).expect("a child");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(pid) = self.pid.take() {
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
    }
}
