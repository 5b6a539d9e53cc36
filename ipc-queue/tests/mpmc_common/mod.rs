//! What the tests of the MPMC queue need. Each test program uses a part of it.
#![allow(dead_code, reason = "each test program uses some of it")]

pub mod byte_worker;
pub mod kills;
pub mod ledger;
pub mod message;
pub mod peer;
pub mod raw;
pub mod worker;

use ipc_core::{Place, Segment};
use ipc_queue::mpmc::Queue;
use std::time::{Duration, Instant};

/// What takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A queue without a name.
pub fn unnamed<T: ipc_core::Payload>(capacity: usize) -> Queue<T> {
    Queue::create(Place::memfd("test"), capacity).unwrap()
}

/// A segment without a name, with room for several objects.
pub fn segment(bytes: usize) -> Segment {
    segment_for(bytes, 64)
}

/// For so many participants.
pub fn segment_for(bytes: usize, participants: u32) -> Segment {
    Segment::builder(Place::memfd("test"))
        .size(bytes)
        .participants(participants)
        .create()
        .unwrap()
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

/// Numbers without a pattern.
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
