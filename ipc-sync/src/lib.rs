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

mod condvar;
mod event;
mod lock;
mod mutex;
mod once;
mod park;
#[cfg(all(feature = "raw-sync", not(loom)))]
mod raw_sync;

pub use condvar::{Condvar, Waited};
pub use event::{Event, EventError, Reset};
pub use mutex::{LockError, Mutex, MutexGuard, RepairGuard, UpdateError};
pub use once::{Once, OnceCell, OnceError};
#[cfg(all(feature = "raw-sync", not(loom)))]
pub use raw_sync::RawEvent;
