//! Queues between processes that lose nothing when a process is killed.
//!
//! ```
//! use ipc_core::Place;
//! use ipc_queue::spsc::Ring;
//!
//! let ring = Ring::<u64>::create(Place::memfd("numbers"), 1024)?;
//! let mut tx = ring.producer()?;
//!
//! // Usually in another process, which opens the ring by name or by descriptor.
//! let same = Ring::<u64>::open(ring.segment().descriptor()?)?;
//! let mut rx = same.consumer()?;
//!
//! tx.push(7)?;
//! tx.push(8)?;
//! tx.close()?;
//! let mut sum = 0;
//! while let Some(number) = rx.pop()? {
//!     sum += number;
//! }
//! assert_eq!(sum, 15);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * [`spsc`]: a wait-free ring for one producer and one consumer, and [`spsc::bytes`], the same for
//!   byte records of any length.
//! * [`mpmc`]: a lock-free queue for any number of producers and consumers, and [`mpmc::bytes`], the
//!   same for byte messages.
//! * [`channel`]: a pipe in both directions, for byte messages, requests and replies.
//! * With the feature `serde`, values of any serde type go through the byte forms of all of them:
//!   `values`.
//! * [`harness`]: starts producer and consumer processes and accounts for every message.

pub mod channel;
pub mod harness;
pub mod mpmc;
pub mod spsc;
#[cfg(feature = "serde")]
pub mod values;
