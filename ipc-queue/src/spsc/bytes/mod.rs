//! A wait-free ring for byte records of any length, written and read in place.
//!
//! ```
//! use ipc_core::Place;
//! use ipc_queue::spsc::bytes::ByteRing;
//!
//! // 64 KiB, for records of at most 4000 bytes.
//! let ring = ByteRing::create(Place::memfd("lines"), 1 << 16, 4000)?;
//! let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
//!
//! tx.push(b"copied in")?;
//! let mut record = tx.reserve(100)?;
//! record[..8].copy_from_slice(b"in place");
//! record.commit(8)?;
//!
//! let mut line = Vec::new();
//! assert_eq!(rx.pop_into(&mut line)?, Some(9));
//! assert_eq!(line, b"copied in");
//! let record = rx.take()?.expect("the stream has not ended");
//! assert_eq!(&*record, b"in place");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What the [typed ring](super) promises holds here too: a record is visible as a whole or not at
//! all, the roles have owners and successors, [`close`](ByteProducer::close) ends the stream, and a
//! dead peer is told of once.
//!
//! * A record has 0 to [`max_record`](ByteRing::max_record) bytes, a limit chosen at creation. A
//!   longer one is [`PushError::TooLong`](super::PushError::TooLong). A record of length 0 is a
//!   record.
//! * A record takes its length rounded up to a multiple of 8, and 8 bytes more, out of the ring's
//!   capacity. It begins at a multiple of 8 in memory, and is always in one piece.
//! * [`reserve`](ByteProducer::reserve) gives the bytes of the ring to write to, and
//!   [`take`](ByteConsumer::take) those to read. [`batch`](ByteProducer::batch) and
//!   [`take_batch`](ByteConsumer::take_batch) do so for several records with one publication.
//! * Bytes that exist already are best pushed: of 4 KiB or more, [`push`](ByteProducer::push) writes past
//!   this core's caches, since another core reads them next, and is faster than the same copy into what
//!   was reserved. Reserving is for bytes that are made there.
//!
//! # Memory that others write
//!
//! Every length is read once and checked before it is used: damaged memory gives
//! [`Error::Corrupted`](ipc_core::Error::Corrupted) or records of wrong contents or of another length
//! within the limits, never an access outside the ring, a panic or a hang. [`push`](ByteProducer::push) and [`pop_into`](ByteConsumer::pop_into) copy, and
//! are safe whatever others do meanwhile. The references of the in-place forms are valid as long as
//! the other participants follow the protocol: a program of the same user that writes to a record
//! while it is borrowed makes them racy. Segments that other users can write to are refused there
//! ([`PushError::NotPrivate`](super::PushError::NotPrivate)).
//!
//! # How the bytes lie
//!
//! The cursors are those of the typed ring and count units of 8 bytes. A record is a unit with its
//! length and then its bytes, at its position modulo a power of two. One that begins near the end of
//! those units goes on beyond them, into room for one record that is there for this: then the
//! first units of the next round stay unused. So no record wraps, none needs padding before it, and
//! the longest possible one may be as long as the ring.

mod batch;
mod buffer;
mod consumer;
mod guard;
mod pace;
mod producer;
mod ring;
mod shape;

#[cfg(all(loom, test))]
mod loom_tests;

pub use batch::{ReadBatch, WriteBatch};
pub use buffer::Buffer;
pub use consumer::ByteConsumer;
pub use guard::{ReadGuard, WriteGuard};
pub use producer::ByteProducer;
pub(crate) use producer::OppositeStream;
pub use ring::ByteRing;
