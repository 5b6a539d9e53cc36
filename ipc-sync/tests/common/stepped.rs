//! A process executed one instruction after the other, to see everything that a kill could leave.

use super::forked::Forked;
use ipc_core::Segment;
use ipc_process::{Process, WorkResult, run_if_worker};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

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

/// A directory, removed with all its contents when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ipc-sync-test-{}-{count}", std::process::id());
        let path = Path::new("/dev/shm").join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a test in a process of its own: it forks. The directory is there for it alone.
pub fn alone(test: &str, body: fn(&Path)) {
    run_if_worker(
        test,
        &[("alone", &|worker| -> WorkResult {
            body(Path::new(OsStr::from_bytes(worker.params())));
            Ok(())
        })],
    );
    // This process's, so that it goes too when the other hangs.
    let scratch = Scratch::new();
    let mut process = Process::builder(test, "alone")
        .under_test(test)
        .params(scratch.0.as_os_str().as_bytes())
        .spawn()
        .unwrap();
    let exit = process.join_timeout(8 * super::PATIENCE).unwrap();
    exit.expect("the process hangs").into_result().unwrap();
}

pub fn create(path: &Path) -> Segment {
    Segment::builder(path)
        .objects(2)
        .participants(4)
        .handles(4)
        .size(1024)
        .create()
        .unwrap()
}

/// Opens a segment with these contents, where nobody has a lock: who was attached is dead.
pub fn dead(scratch: &Path, contents: &[u8]) -> Segment {
    let path = scratch.join("dead");
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, contents).unwrap();
    Segment::open(&path).unwrap()
}

pub fn skip() {
    eprintln!("skipped: this process may not trace");
}
