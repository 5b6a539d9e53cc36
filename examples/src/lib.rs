//! The text side of the pipeline example: a [`Corpus`] is gathered from files, cut into
//! [`pieces`] of whole lines, and its words are counted piece by piece.
//!
//! ```
//! use examples::{WordCounter, pieces};
//!
//! let text = "the ring and the reader of the ring\n".repeat(500);
//!
//! let mut counter = WordCounter::new();
//! for piece in pieces(text.as_bytes()) {
//!     counter.feed_whole(piece);
//! }
//! let counts = counter.finish();
//!
//! assert_eq!(counts.total(), 8 * 500);
//! assert_eq!(counts.top(2), [(b"the".as_slice(), 1500), (b"ring", 1000)]);
//! ```
//!
//! The short examples have their own common part: a [`Lesson`] tells what happens and judges it, and
//! [`spawn_all`] and [`join_all`] are their worker processes. All examples [`print()`] for those who
//! may stop reading.
//!
//! | program | what it teaches |
//! |---|---|
//! | `pipeline` | the main job: real text, through shared memory and through the naive ways |
//! | `processes` | worker processes: start, join, ends of every kind, what is shared |
//! | `printing` | no lock, a lock, and join |
//! | `tickets` | a race for the last tickets, in a file and in shared memory |
//! | `bank` | a shared balance, and transfers whose teller is killed |
//! | `karaoke` | a semaphore whose permits come back |
//! | `traffic_light` | an event that turns, and what it does not promise |
//! | `buns` | producers, consumers, and the end of a stream |
//! | `messages` | questions and answers; a server with many clients |
//! | `queue_tour` | Python's `multiprocessing.Queue`, call by call |
//! | `chat` | a TCP server with a process for each client |
//!
//! Nothing in here knows of shared memory: the example programs bring the two together.

#![deny(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]

mod corpus;
mod crew;
mod lesson;
mod output;
mod pieces;
mod time;
mod words;

pub use corpus::{Corpus, CorpusError, Summary};
pub use crew::{join_all, spawn_all};
pub use lesson::{Failure, Lesson};
pub use output::{complain, print};
pub use pieces::{PIECE_LEN, Pieces, pieces};
pub use time::{patience, time_limit};
pub use words::{WordCounter, WordCounts, WordCountsError};

/// README's programs, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The cookbook's programs, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/cookbook.md")]
pub struct Cookbook;

/// The programs for those who come from Python.
#[cfg(doctest)]
#[doc = include_str!("../../docs/python.md")]
pub struct Python;

/// The program that shows how a kind of object is made.
#[cfg(doctest)]
#[doc = include_str!("../../CONTRIBUTING.md")]
pub struct Contributing;
