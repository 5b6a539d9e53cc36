//! Synchronisation between processes that survives the death of any of them.
//!
//! ```
//! use ipc_core::{Place, Segment};
//! use ipc_sync::{Event, Reset};
//!
//! let segment = Segment::create(Place::memfd("gate"), 4096)?;
//! let start = Event::create_in(&segment, "start", Reset::Manual)?;
//!
//! // Another process opens the same segment, then:
//! let same = Event::open_in(&segment, "start")?;
//! start.set()?;
//! same.wait()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! All types are `Send + Sync`; none needs a daemon, and a process that is killed while it waits
//! leaves nothing behind that others would have to clear up.

mod array;
mod event;
mod integer;
mod semaphore;
#[cfg(all(test, loom))]
mod semaphore_loom_tests;
mod semaphore_seats;
mod semaphore_word;
mod thread_number;
mod value;
mod value_elements;
mod value_large;
mod value_small;
mod waiting;

pub use array::Array;
pub use event::{Event, EventError, Reset};
pub use integer::Integer;
pub use semaphore::{AcquireError, Permits, Semaphore};
pub use value::Value;
pub use value_elements::WriteError;
