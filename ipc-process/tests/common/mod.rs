//! What the tests of several guarantees share.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use ipc_process::{WorkResult, Worker};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, waitid};

/// A limit for what takes milliseconds, so that a failure is no hang.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A role: ends when the test closes its end of the pipe `gate`.
pub fn wait_at_gate(worker: &mut Worker) -> WorkResult {
    File::from(worker.take_fd("gate")?).read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A role: sends back each byte of `requests` through `replies`, until its end.
pub fn echo(worker: &mut Worker) -> WorkResult {
    let mut replies = File::from(worker.take_fd("replies")?);
    let mut requests = File::from(worker.take_fd("requests")?);
    let mut byte = [0];
    while requests.read(&mut byte)? == 1 {
        replies.write_all(&byte)?;
    }
    Ok(())
}

/// The test's ends of the pipes of [`echo`].
pub struct Echo {
    pub requests: io::PipeWriter,
    pub replies: io::PipeReader,
}

impl Echo {
    /// The test's ends and the worker's: `requests`, `replies`.
    pub fn pipes() -> (Self, io::PipeReader, io::PipeWriter) {
        let (their_requests, requests) = io::pipe().unwrap();
        let (replies, their_replies) = io::pipe().unwrap();
        (Self { requests, replies }, their_requests, their_replies)
    }

    /// Whether the worker answers. It does not if it is dead: that closes its
    /// end of the pipe, provided that the test has closed its own copy.
    pub fn answers(&mut self) -> bool {
        let mut reply = [0];
        self.requests.write_all(b"?").is_ok() && self.replies.read_exact(&mut reply).is_ok()
    }
}

/// A handle of a process that need not be a child of this one.
pub fn pidfd(pid: u32) -> OwnedFd {
    // SAFETY: a system call on plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = Errno::result(fd).expect("the process must exist") as i32;
    // SAFETY: the kernel has just made this descriptor for this call.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Whether, within the time, the process of a pidfd ends, or a pipe can be read
/// or has no writer any more.
pub fn ready_within(fd: impl AsFd, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut polled = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::try_from(left).unwrap()) {
            Err(Errno::EINTR) => continue,
            ready => return ready.unwrap() == 1,
        }
    }
}

/// Kills and reaps a process when the test ends; that is, a child of the test, or
/// an orphan that it adopts (see PR_SET_CHILD_SUBREAPER in prctl(2)): not every
/// init process reaps those.
pub struct KillOnDrop(pub OwnedFd);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let fd = self.0.as_raw_fd();
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: an open descriptor, and a null siginfo, which is allowed. It
        // fails only when the process is gone.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, libc::SIGKILL, none, 0) };
        // As above: a failure means that it is gone.
        let _ = waitid(Id::PIDFd(self.0.as_fd()), WaitPidFlag::WEXITED);
    }
}
