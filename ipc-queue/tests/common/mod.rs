//! What several tests need. Each test program uses a part of it.
#![allow(dead_code, reason = "each test program uses some of it")]

pub mod bytes;
pub mod forked;
pub mod hand;
pub mod kills;
pub mod line;
pub mod raw;
pub mod stepped;
#[cfg(target_arch = "x86_64")]
pub mod stepper;

use ipc_core::Place;
use ipc_queue::spsc::Ring;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A ring without a name.
pub fn unnamed<T: ipc_core::Payload>(capacity: usize) -> Ring<T> {
    Ring::create(Place::memfd("test"), capacity).unwrap()
}

/// Polls for what another process does without telling anybody.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// A number for a loop, from a variable of the environment: larger in a soak.
pub fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} must be a number"))
    })
}

/// A name in `/dev/shm` that nobody else uses, removed when dropped.
pub struct ShmName(pub String);

impl ShmName {
    pub fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        Self(format!("ipc-queue-test-{}-{count}", std::process::id()))
    }

    pub fn exists(&self) -> bool {
        Path::new("/dev/shm").join(&self.0).exists()
    }
}

impl Drop for ShmName {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(Path::new("/dev/shm").join(&self.0));
    }
}

/// Numbers without a pattern, the same in every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % limit
    }
}
