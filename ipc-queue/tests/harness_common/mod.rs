//! What the tests of the harness share.
#![allow(dead_code, reason = "each test program uses some of it")]

pub mod driver;
pub mod worker;

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// A run that takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Fails if `run` takes longer than a hang would; a worker's failure must not stop the others.
pub fn promptly<R>(limit: Duration, run: impl FnOnce() -> R) -> R {
    let since = Instant::now();
    let result = run();
    let took = since.elapsed();
    assert!(took < limit, "took {took:?}, more than {limit:?}");
    result
}

/// Waits for what no descriptor tells; looks every millisecond.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A handle of a process that need not be a child of this one.
pub fn pidfd(pid: u32) -> OwnedFd {
    // SAFETY: a system call on plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    assert!(fd >= 0, "process {pid}: {}", io::Error::last_os_error());
    // SAFETY: the kernel has just made this descriptor for this call.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
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
