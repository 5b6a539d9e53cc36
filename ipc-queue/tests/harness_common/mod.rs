//! What the tests of the harness share.
#![allow(dead_code, reason = "each test program uses some of it")]

pub mod driver;
pub mod kind;
pub mod worker;

#[allow(unused_imports, reason = "each test program uses some of it")]
pub use test_kit::patience::{PATIENCE, until};

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// Fails if `run` takes longer than `limit`. What hangs would hang for ever: then this process is
/// ended, and with it its workers.
pub fn promptly<R>(limit: Duration, run: impl FnOnce() -> R) -> R {
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(limit.max(PATIENCE)) {
            // Past the capture of output, which would die with the process.
            let _ = io::stderr().write_all(b"a run hangs\n");
            std::process::abort();
        }
    });
    let since = Instant::now();
    let result = run();
    let took = since.elapsed();
    drop(done);
    watchdog.join().unwrap();
    assert!(took < limit, "took {took:?}, more than {limit:?}");
    result
}

/// A handle of a process that need not be a child of this one; none if it has ended and was
/// reaped.
pub fn pidfd(pid: u32) -> Option<OwnedFd> {
    // SAFETY: a system call on plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        let error = io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH), "{error}");
        return None;
    }
    // SAFETY: the kernel has just made this descriptor for this call.
    Some(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Whether a worker of the harness of this name and role lives, of whichever parent.
pub fn is_anyone(harness: &str, role: &str) -> bool {
    let (variable, who) = ("IPC_PROCESS_WORKER=", format!(";{harness};{role};"));
    pids().any(|pid| {
        // Empty for a zombie.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment);
        (environment.split('\0')).any(|it| it.starts_with(variable) && it.contains(&who))
    })
}

/// Whether the process ends within the time.
pub fn ends_within(process: &OwnedFd, time: Duration) -> bool {
    let mut polled = libc::pollfd {
        fd: process.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry, writable.
    unsafe { libc::poll(&mut polled, 1, time.as_millis() as i32) == 1 }
}

/// Process ids of the children of this process, zombies too.
pub fn children() -> Vec<u32> {
    let me = std::process::id();
    pids().filter(|&pid| parent_of(pid) == Some(me)).collect()
}

pub fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The number of open descriptors. Only meaningful where nothing else runs in this process.
pub fn descriptors() -> usize {
    // Less the one of the listing.
    fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

/// Inodes of the memory files of harnesses that a process has mapped.
pub fn harness_memory_of(pid: u32) -> Vec<String> {
    // Gone, or not ours to see: then it has none of ours.
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mut inodes: Vec<_> = (maps.lines().filter(|line| line.contains("memfd:ipc-queue")))
        .filter_map(|line| line.split_whitespace().nth(4))
        .map(str::to_owned)
        .collect();
    inodes.dedup();
    inodes
}

/// Whether the process has anything mapped or open that has a name in `/dev/shm`.
pub fn uses_dev_shm(pid: u32) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let open = fs::read_dir(format!("/proc/{pid}/fd"));
    maps.contains(" /dev/shm")
        || (open.into_iter().flatten().flatten())
            .filter_map(|fd| fs::read_link(fd.path()).ok())
            .any(|leads_to| leads_to.starts_with("/dev/shm"))
}
