//! What the tests of the MPMC queue need. Each test program uses a part of it.
#![allow(dead_code, reason = "each test program uses some of it")]

pub mod byte_worker;
pub mod kills;
pub mod ledger;
pub mod message;
pub mod peer;
pub mod raw;
pub mod worker;

#[allow(unused_imports, reason = "each test program uses some of it")]
pub use test_kit::{
    patience::{PATIENCE, until},
    random::{Random, from_env},
};

use ipc_core::{Place, Segment};
use ipc_queue::mpmc::Queue;

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
