//! Shared-memory segments for processes that may be killed at any instruction.
//!
//! ```
//! use ipc_core::{Place, Segment};
//!
//! // One process creates a segment; a string instead of a memfd gives it a name in /dev/shm.
//! let segment = Segment::builder(Place::memfd("demo")).size(4096).create()?;
//!
//! // Another one opens it, by name or, as here, by a descriptor that was handed over.
//! let other = Segment::open(segment.descriptor()?)?;
//! assert_eq!(other.participants()?.len(), 2);
//! # Ok::<(), ipc_core::Error>(())
//! ```
//!
//! This crate has what queues and locks between processes stand on:
//!
//! * [`Segment`]: a named file in `/dev/shm`, a file anywhere, or a sealed memfd, with a directory
//!   of typed objects. Creating it is atomic, opening it believes nothing, and its space is
//!   allocated beforehand.
//! * [`Participant`]s: whether a process that attached still lives is known for certain, by a lock
//!   that the kernel takes away when the process ends, and never by a time-out or a process id.
//!   What the dead held is given back by whoever needs it ([`Kind::sweep`]); there is no daemon.
//! * [`Bell`] and [`Wait`]: waiting across processes, with no cost for the one who is not waited
//!   for.
//!
//! The queues are in `ipc-queue`, the locks in `ipc-sync`.
//!
//! # Safety
//!
//! The API is safe. Payloads are [`Payload`] types, for which every bit pattern is a value; copies
//! in and out are made so that a peer that writes at the same time gives a wrong value and never
//! undefined behaviour; every offset and index is read once and checked.
//!
//! What cannot be had: references into shared memory (the in-place forms of the rings) rest on
//! peers that follow the protocol. They are refused on a segment that other users can write to.
//! And on a named file somebody with write access can truncate the file, which is SIGBUS in whoever
//! touches the lost part; a memfd is sealed against that.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod attachment;
mod backing;
mod builder;
mod bytes;
mod cells;
mod claim;
mod copy;
mod deadline;
mod directory;
mod error;
mod fence;
mod fork;
mod gate;
mod handover;
mod header;
mod leftovers;
mod liveness;
mod object;
mod open;
mod owner;
mod participant;
mod payload;
mod place;
#[doc(hidden)]
pub mod planted;
mod segment;
mod shared;
mod spin;
mod survey;
mod sweep;
mod text;
mod wait;

pub mod atomic;
pub mod futex;

pub use attachment::Attachment;
pub use builder::SegmentBuilder;
pub use bytes::SharedBytes;
pub use cells::{SharedArray, SharedCells, SharedWords};
pub use deadline::Deadline;
pub use error::{Error, Result};
pub use fence::Fences;
pub use leftovers::{Leftover, clean, clean_in, leftovers, leftovers_in};
pub use object::{Kind, Object, ObjectInfo, ObjectSpec, TypeTag};
pub use open::SegmentOptions;
pub use owner::{Holder, Owner, OwnerId};
pub use participant::{Life, Participant};
pub use payload::Payload;
pub use place::{Address, Place};
pub use segment::Segment;
pub use shared::{SharedLayout, SharedRef, SharedSlots};
pub use sweep::{Departed, Recovery};
pub use wait::{Bell, SLICE, Wait};
