//! A forked child that dies with its parent.

use std::fs;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

use crate::failure::Failure;

/// Forks; the child runs `child` and exits with the status it returns, running no destructor and
/// flushing no inherited buffer; the parent gets the child's process number. The child is killed
/// when its parent ends.
///
/// # Errors
/// [`Failure::Threads`] if this process has more than one thread: a child of such a process could
/// hang on a lock that another thread held. [`Failure::System`] if no process can be made.
pub fn spawn(child: impl FnOnce() -> i32) -> Result<Pid, Failure> {
    let threads = fs::read_dir("/proc/self/task")
        .map_err(Failure::system("count the threads of this process"))?
        .count();
    if threads != 1 {
        return Err(Failure::Threads { threads });
    }
    let parent = getpid();
    // SAFETY: this process has a single thread, as just counted, so that no lock of the allocator
    // or of the standard library can be held by a thread that the child lacks.
    match unsafe { fork() }.map_err(Failure::errno("fork"))? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let bound = set_pdeathsig(Signal::SIGKILL);
            // The parent may have ended before the line above: then nobody would end this child.
            let status = if bound.is_ok() && getppid() == parent {
                child()
            } else {
                1
            };
            // SAFETY: _exit ends the process and touches no memory of it.
            unsafe { libc::_exit(status) }
        }
    }
}
