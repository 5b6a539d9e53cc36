//! The atomics that shared structures are made of: the standard ones, or loom's when the state
//! machines are checked under `--cfg loom`. Nothing else in the code knows about loom.

#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
