//! A process that stands still in the middle of something, while others are killed.

use super::common::SOON;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

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
    pub fn go_on(self) {
        self.let_go();
        assert_eq!(self.end(), 0, "the peer's end");
    }

    /// Waits for its end. Returns what it ends with.
    ///
    /// # Panics
    /// If that is a signal.
    pub fn end(mut self) -> i32 {
        let pid = self.pid.take().expect("not reaped yet");
        match waitpid(pid, None).expect("a child") {
            WaitStatus::Exited(_, code) => code,
            other => panic!("the peer came to {other:?}"),
        }
    }

    /// Whether it ends within this time.
    pub fn has_ended_within(&self, time: Duration) -> bool {
        let start = Instant::now();
        loop {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            match waitid(Id::Pid(self.pid()), flags).expect("a child") {
                WaitStatus::StillAlive if start.elapsed() > time => return false,
                // Between two looks another process may run: what is waited for is its end.
                WaitStatus::StillAlive => std::thread::yield_now(),
                _ => return true,
            }
        }
    }

    /// Returns once it sleeps, which it tells nobody.
    ///
    /// # Panics
    /// If it does not come to that.
    pub fn until_it_sleeps(&self) {
        let start = Instant::now();
        loop {
            let stat =
                std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it lives");
            let state = stat.rsplit(") ").next().and_then(|it| it.chars().next());
            match state {
                Some('S') => return,
                Some('Z') => panic!("the peer has ended"),
                _ => std::thread::yield_now(),
            }
            assert!(start.elapsed() < SOON, "the peer does not sleep");
        }
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
