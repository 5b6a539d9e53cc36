//! A process executed one instruction after the other, to see everything that a kill could leave.

use super::{Forked, Scratch};
use ipc_core::Segment;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Runs `work` step by step in a process that opens a segment made by `create`, and calls `check`
/// with a copy of that segment as each step that changed it has left it: all who were attached are
/// dead there. Returns how many such states there were; `None` if this process may not trace.
pub fn at_every_instant<C, P>(
    create: impl FnOnce(&Segment) -> C,
    prepare: impl FnOnce(&Segment) -> P,
    work: impl FnOnce(P),
    mut check: impl FnMut(&Segment),
) -> Option<usize> {
    let scratch = Scratch::new();
    let path = scratch.join("segment");
    let segment = Segment::builder(path.as_path())
        .participants(4)
        .handles(16)
        .size(16 << 10)
        .create()
        .unwrap();
    let created = create(&segment);
    let states = contents_after_each_change(&path, prepare, work)?;
    drop((created, segment));
    for contents in &states {
        let dead = scratch.join("dead");
        std::fs::write(&dead, contents).unwrap();
        check(&Segment::open(dead.as_path()).unwrap());
        std::fs::remove_file(&dead).unwrap();
    }
    Some(states.len())
}

fn contents_after_each_change<P>(
    path: &Path,
    prepare: impl FnOnce(&Segment) -> P,
    work: impl FnOnce(P),
) -> Option<Vec<Vec<u8>>> {
    let child = Forked::run(|| {
        let segment = Segment::open(path).unwrap();
        let ready = prepare(&segment);
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
    let file = std::fs::File::open(path).unwrap();
    let mut now = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut now, 0).unwrap();
    let mut states = vec![now.clone()];
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
        if *states.last().unwrap() != now {
            states.push(now.clone());
        }
    }
    child.kill();
    Some(states)
}

fn wait(pid: Pid) -> WaitStatus {
    waitpid(pid, Some(WaitPidFlag::__WALL)).unwrap()
}
