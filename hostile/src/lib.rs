//! What the toolkit makes of damaged memory, failing systems and hours of kills.
//!
//! ```no_run
//! use hostile::campaign::Campaign;
//!
//! // Damages the memory of every kind of object, before it is opened and while it is used.
//! let report = Campaign::new(7).operations(100_000).live(1_000).run()?;
//! assert!(report.findings.is_empty(), "{report}");
//! # Ok::<(), hostile::Failure>(())
//! ```
//!
//! Three programs' worth:
//!
//! * [`campaign`]: any bytes of a segment are changed, with an eye to their structure, and whatever
//!   can be called is called. The outcome is an error or correct work; never a panic, a signal, a
//!   call that does not come back, or an access outside the mapping. In one process, where a seed
//!   makes everything again ([`trial`]), and by two at work ([`live`]).
//! * [`chaos`]: all kinds of objects at once, under random kills, stops, joins and leaves, with an
//!   account that must come out exactly.
//! * The tests: faults of the system, each with its outcome.

#![deny(missing_docs)]

mod anatomy;
mod cage;
mod memory;
mod mutation;
mod progress;
mod random;
mod subject;
mod subjects;

pub mod campaign;
pub mod chaos;
pub mod live;
pub mod trial;
pub mod watch;

pub use anatomy::Anatomy;
pub use cage::Cage;
pub use memory::Memory;
pub use mutation::Mutation;
pub use progress::{Count, Progress};
pub use random::Random;
pub use subject::{Failure, Handles, Outcome, Subject};
pub use subjects::SUBJECTS;
