//! A process executed one instruction after the other, to see everything that a kill could leave.

use crate::forked::Forked;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Runs `before` in a child, and then `work` step by step. Returns what the file held after each
/// step that changed it; `None` if this process may not trace.
pub fn contents_after_each_change<T>(
    file: &Path,
    before: impl FnOnce() -> T,
    work: impl FnOnce(T),
) -> Option<Vec<Vec<u8>>> {
    let child = Forked::run(|| {
        let ready = before();
        // SAFETY: makes this process a traced one; no memory is involved.
        if unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } != 0 {
            return 1;
        }
        raise(Signal::SIGSTOP).unwrap();
        work(ready);
        // The end of the interesting part; the parent kills.
        raise(Signal::SIGSTOP).unwrap();
        0
    });
    let pid = child.pid();
    if !matches!(wait(pid), WaitStatus::Stopped(_, Signal::SIGSTOP)) {
        return None;
    }
    let file = std::fs::File::open(file).unwrap();
    let mut now = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut now, 0).unwrap();
    let mut changes = vec![now.clone()];
    loop {
        // SAFETY: lets the stopped child go one instruction further; no memory is involved.
        let stepped = unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, pid.as_raw(), 0, 0) };
        assert_eq!(stepped, 0);
        match wait(pid) {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
            WaitStatus::Stopped(_, Signal::SIGSTOP) => break,
            other => panic!("the stepped child ended: {other:?}"),
        }
        file.read_exact_at(&mut now, 0).unwrap();
        if *changes.last().unwrap() != now {
            changes.push(now.clone());
        }
    }
    child.kill();
    Some(changes)
}

fn wait(pid: Pid) -> WaitStatus {
    waitpid(pid, Some(WaitPidFlag::__WALL)).unwrap()
}
