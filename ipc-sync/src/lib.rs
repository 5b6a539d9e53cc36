//! Synchronisation between processes that survives the death of any of them.
//!
//! ```
//! use ipc_core::{Place, Segment};
//! use ipc_sync::{LockError, Mutex};
//!
//! let segment = Segment::create(Place::memfd("shop"), 4096)?;
//! let tickets = Mutex::create_in(&segment, "tickets", 10u32)?;
//!
//! // Another process opens the same segment, then:
//! let same = Mutex::<u32>::open_in(&segment, "tickets")?;
//! match same.lock() {
//!     Ok(mut left) => *left -= 1,
//!     // Somebody was killed while it held the lock: here is the guard, to put things right.
//!     Err(LockError::OwnerDied(half_done)) => drop(half_done.repaired()),
//!     Err(error) => return Err(error.to_string().into()),
//! }
//! assert_eq!(tickets.get()?, 9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | type | what it is | when a process dies with it |
//! |---|---|---|
//! | [`Mutex`] | a value that one uses at a time | the next one is told, and repairs the value |
//! | [`RwLock`] | a value that many read or one writes | a reader is counted no longer; a writer as above |
//! | [`Condvar`] | waiting for a change of what a mutex protects | as the mutex; wakes that it owed are made up for |
//! | [`Semaphore`] | permits, owned by whoever acquired them | exactly those it held come back |
//! | [`CountingSemaphore`] | a count to post to and to wait for, with no owner | what it took is gone, as with `sem_t` |
//! | [`Event`] | something that has happened, or not | nothing: nobody owns it |
//! | [`Barrier`] | a point that all parties reach together | the others get an error until somebody resets it |
//! | [`Latch`] | waiting until a count is down to zero | what it had still to count down is counted down by nobody |
//! | [`Once`], [`OnceCell`] | initialisation by whoever comes first | another one initialises |
//! | [`Value`], [`Array`] | values that are read and written whole | a write that was interrupted has not happened |
//!
//! All types are `Send + Sync`; none needs a daemon. A process that is killed while it waits leaves
//! nothing behind that others would have to clear up, and those who wait for a dead one learn of it
//! within two slices of 10 ms. A *stopped* process is alive: what it holds, it keeps, and time-outs
//! work. Times are durations by the monotonic clock; none is stored in shared memory.

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
