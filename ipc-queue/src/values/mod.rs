//! Values of any [serde](https://serde.rs) type, through a byte ring, a byte queue or a channel
//! (feature `serde`).
//!
//! ```
//! use ipc_core::Place;
//! use ipc_queue::mpmc::bytes::Queue;
//! use std::collections::BTreeMap;
//!
//! #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
//! enum Job {
//!     Resize { path: String, width: u32 },
//!     Count(BTreeMap<String, u64>),
//! }
//!
//! let jobs = Queue::create(Place::memfd("jobs"), 64, 10_000)?;
//! let (mut tx, mut rx) = (jobs.sender()?, jobs.receiver()?);
//!
//! tx.send_value(&Job::Resize { path: "cat.png".into(), width: 640 })?; // any object, in one line
//!
//! tx.send_value(&Job::Count(BTreeMap::from([("cats".into(), 1)])))?;
//! tx.close()?;
//! let mut done = 0;
//! while let Some(job) = rx.recv_value::<Job>()? {
//!     match job {
//!         Job::Resize { path, width } => assert_eq!((path.as_str(), width), ("cat.png", 640)),
//!         Job::Count(animals) => assert_eq!(animals["cats"], 1),
//!     }
//!     done += 1;
//! }
//! assert_eq!(done, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same three forms (`try_`, waiting, `_timeout`) of `send_value` and `recv_value` are methods of
//! [`ByteProducer`](crate::spsc::bytes::ByteProducer) and
//! [`ByteConsumer`](crate::spsc::bytes::ByteConsumer), of [`Sender`](crate::mpmc::bytes::Sender) and
//! [`Receiver`](crate::mpmc::bytes::Receiver), and of [`End`](crate::channel::End). Values and plain
//! bytes can be mixed as far as both sides agree on which is which.
//!
//! * A value is encoded in place, into exactly as much room as it needs: it is gone through once to
//!   find its length, and once to write it. It is decoded in place, too, and what is returned owns all
//!   it has.
//! * The encoding is [postcard](https://docs.rs/postcard), whose format is stable and documented.
//!   It names no types and no fields, so that both sides must have the same type; and it cannot be
//!   decoded to types that ask what comes next (`serde_json::Value`, `#[serde(untagged)]`,
//!   `#[serde(flatten)]`).
//! * What a peer sent is not believed: bytes that are no value of the type, or more than one, are
//!   [`RecvValueError::Decode`], and are gone from the queue then. A length
//!   within them makes serde's own collections allocate no more than the elements that are there, and
//!   1 MiB. What a type's own
//!   `Deserialize` does is its own: one that nests in itself is nested as deep as the bytes say, and a
//!   sequence of values that take no bytes, like `Vec<()>`, is as long as they say. Do not decode to
//!   such types what others than your own programs can send.
//! * A value is sent as a whole or not at all, also when its `Serialize` fails or panics. If its
//!   `Deserialize` panics, the message is gone. Who dies while it decodes leaves the message as who
//!   dies with a guard does.
//! * In-place access is refused in segments that other users can write to; so are values.

mod channel;
mod codec;
mod error;
mod mpmc;
mod spsc;

pub use error::{RecvValueError, SendValueError};
