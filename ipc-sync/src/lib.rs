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

mod barrier;
mod condvar;
mod counting_semaphore;
mod event;
mod latch;
mod lock;
mod mutex;
mod once;
mod park;
#[cfg(all(feature = "raw-sync", not(loom)))]
mod raw_sync;
mod rwlock;
mod semaphore;
mod value;
mod waiting;

pub use barrier::{Arrival, Barrier, BarrierError, Party};
pub use condvar::{Condvar, Waited};
pub use counting_semaphore::CountingSemaphore;
pub use event::{Event, EventError, Reset};
pub use latch::Latch;
pub use mutex::{LockError, Mutex, MutexGuard, RepairGuard, UpdateError};
pub use once::{Once, OnceCell, OnceError};
#[cfg(all(feature = "raw-sync", not(loom)))]
pub use raw_sync::RawEvent;
pub use rwlock::{
    RwLock, RwLockError, RwLockReadGuard, RwLockRepairGuard, RwLockWriteGuard, WriteLockError,
};
pub use semaphore::{AcquireError, Permits, Semaphore};
pub use value::{Array, Integer, Value, WriteError};
pub use waiting::WaitError;
