//! What several tests need. Each test program uses a part of it.
#![allow(dead_code, reason = "each test program uses some of it")]

pub mod bytes;
pub mod hand;
pub mod kills;
pub mod line;
pub mod raw;

#[allow(unused_imports, reason = "each test program uses some of it")]
pub use test_kit::{
    patience::{PATIENCE, until},
    random::{Random, from_env},
    scratch::ShmName,
};

use ipc_core::Place;
use ipc_queue::spsc::Ring;

/// A ring without a name.
pub fn unnamed<T: ipc_core::Payload>(capacity: usize) -> Ring<T> {
    Ring::create(Place::memfd("test"), capacity).unwrap()
}
