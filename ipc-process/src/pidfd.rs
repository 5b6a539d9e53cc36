//! System calls on a pidfd: a handle of one process, never of another that got
//! its number later.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;

use crate::ExitStatusKind;

/// Handle of a child of this process.
#[derive(Debug)]
pub(crate) struct PidFd(OwnedFd);

/// Whether to wait for the child.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    Block,
    LookOnce,
}

/// What waiting for the end of a child found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Waited {
    Running,
    /// It is reaped.
    Ended(ExitStatusKind),
    /// It has ended, but there is no status: someone else has reaped it, or
    /// SIGCHLD is ignored.
    Lost,
}

/// What waiting for the halt of a child found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Halt {
    Stopped,
    Ended,
}

impl PidFd {
    /// The child `pid` must not have been reaped yet: until then its number
    /// belongs to no other process.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: a system call on plain numbers.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
        let fd = Errno::result(fd)? as i32;
        // SAFETY: the kernel has just made this descriptor (close-on-exec) for
        // this call; no one else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends a signal; to a process that has ended, this does nothing.
    pub(crate) fn send(&self, signal: Signal) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        let no_info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is open, as `self` owns it; a null siginfo is
        // allowed and means the one of kill(2).
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                fd,
                signal as libc::c_int,
                no_info,
                0,
            )
        };
        match Errno::result(sent) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reaps the child if, or as soon as, it has ended.
    pub(crate) fn wait(&self, patience: Patience) -> io::Result<Waited> {
        let options = match patience {
            Patience::Block => libc::WEXITED,
            Patience::LookOnce => libc::WEXITED | libc::WNOHANG,
        };
        let info = match self.waitid(options) {
            Ok(info) => info,
            Err(Errno::ECHILD) => return Ok(Waited::Lost),
            Err(error) => return Err(error.into()),
        };
        // SAFETY: waitid has filled these fields for a child event, or left them
        // zero when there was none.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        Ok(match info.si_code {
            _ if pid == 0 => Waited::Running,
            libc::CLD_EXITED => Waited::Ended(ExitStatusKind::Code(status)),
            _ => Waited::Ended(ExitStatusKind::Signal(status)),
        })
    }

    /// Waits until every thread of the child is stopped, or the child has ended.
    /// It takes no event: a child that is stopped already is found so again, and
    /// one that has ended is still to be reaped.
    pub(crate) fn wait_halted(&self) -> io::Result<Halt> {
        match self.waitid(libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT) {
            Ok(info) if info.si_code == libc::CLD_STOPPED => Ok(Halt::Stopped),
            Ok(_) | Err(Errno::ECHILD) => Ok(Halt::Ended),
            Err(error) => Err(error.into()),
        }
    }

    fn waitid(&self, options: libc::c_int) -> nix::Result<libc::siginfo_t> {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        loop {
            let id = self.0.as_raw_fd() as libc::id_t;
            // SAFETY: `info` is writable and of the right type, and the
            // descriptor is open, as `self` owns it.
            let waited = unsafe { libc::waitid(libc::P_PIDFD, id, info.as_mut_ptr(), options) };
            match Errno::result(waited) {
                // SAFETY: zeroed, and a plain C struct for which that is a value.
                Ok(_) => return Ok(unsafe { info.assume_init() }),
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Blocks until one of these processes has ended, or the deadline has passed.
/// Gives the index of the first of them that has ended, `None` after the
/// deadline.
pub(crate) fn poll_ended(
    handles: &[BorrowedFd<'_>],
    deadline: Option<Instant>,
) -> io::Result<Option<usize>> {
    let mut polled: Vec<_> = handles
        .iter()
        .map(|&fd| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        match ppoll(&mut polled, left.map(TimeSpec::from_duration), None) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(polled.iter().position(|fd| fd.any().unwrap_or(true))),
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
    }
}
