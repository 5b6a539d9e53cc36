//! The naive ways to pass messages between two processes, as they are taught, for the
//! shared-memory rings to be measured against.
//!
//! ```
//! use baseline::{Ledger, Received, Receiver, Sender, Stamped, pipe};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut sender, mut receiver) = pipe::pair()?;
//! let mut message = Vec::new();
//! for (sequence, payload) in [b"one".as_slice(), b"two"].into_iter().enumerate() {
//!     Stamped { producer: 7, sequence: sequence as u64, payload }.encode(&mut message);
//!     sender.send(&message)?;
//! }
//! sender.finish()?;
//!
//! let mut ledger = Ledger::new(7);
//! while receiver.receive(&mut message)? == Received::Message {
//!     ledger.record(&message);
//! }
//! assert!(ledger.report(2).is_exactly_once());
//! # Ok(())
//! # }
//! ```
//!
//! | module          | one message costs                                      | bounded by          |
//! |-----------------|--------------------------------------------------------|---------------------|
//! | [`json_file`]   | reading and writing the whole queue, under a file lock | a count of messages |
//! | [`append_file`] | one append, and one read and an offset, under locks    | the disk            |
//! | [`pipe`]        | one write, and a share of a buffered read              | the pipe's buffer   |
//!
//! All three implement [`Sender`] and [`Receiver`], for one sender and one receiver. They are
//! simple on purpose, but not slow on purpose: each says in its module what it does and what it
//! leaves out. [`Stamped`] and [`Ledger`] count what was lost, doubled or torn on the way, over
//! any transport.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod accounting;
pub mod append_file;
mod error;
mod file_lock;
mod framing;
mod intervals;
pub mod json_file;
pub mod pipe;
mod polling;
mod transport;

pub use accounting::{Ledger, Report, Stamped, TornError, Verdict};
pub use error::{Error, Result};
pub use framing::MAX_MESSAGE_LEN;
pub use polling::Polling;
pub use transport::{Received, Receiver, Sender};
