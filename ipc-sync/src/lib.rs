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

mod event;
mod rwlock;
mod semaphore;
mod value;
mod waiting;

pub use event::{Event, EventError, Reset};
pub use rwlock::{
    RwLock, RwLockError, RwLockReadGuard, RwLockRepairGuard, RwLockWriteGuard, WriteLockError,
};
pub use semaphore::{AcquireError, Permits, Semaphore};
pub use value::{Array, Integer, Value, WriteError};
