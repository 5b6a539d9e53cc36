//! A value that one thread of one process at a time can use, and that outlives any of them.
//!
//! | state | meaning | who leaves it, and how |
//! |---|---|---|
//! | free, sound | nobody holds it | anybody, by locking |
//! | held | a thread uses the value, or repairs it | the holder, by unlocking (free, sound), by a panic (free, panicked; from a repair, as it was), by not repairing (unrecoverable); after its death anybody who waits (free, owner died) |
//! | free, panicked or owner died | the value may be half changed | anybody, by locking, who is told |
//! | unrecoverable | nobody repaired the value | nobody |
//!
//! All of it is one word; see `lock/word.rs`.

mod error;
mod guard;

pub use error::{LockError, UpdateError};
pub use guard::{MutexGuard, RepairGuard};

use crate::lock::handle::{Handle, Held};
use crate::lock::{Condition, Leave, Refusal};
use ipc_core::{Deadline, Kind, Payload, Result, Segment, SharedCells, Wait};
use std::time::Duration;

static KIND: Kind = Kind {
    name: "mutex",
    sweep: crate::lock::handle::sweep,
};

ipc_core::register_at_start!(KIND);

/// A value of type `T` in shared memory that threads of any number of processes use in turn.
///
/// ```
/// use ipc_core::{Place, Segment};
/// use ipc_sync::{LockError, Mutex};
///
/// let segment = Segment::create(Place::memfd("bank"), 4096)?;
/// let balance = Mutex::create_in(&segment, "balance", 100i64)?;
///
/// // In another process: Mutex::<i64>::open_in(&segment, "balance").
/// match balance.lock() {
///     Ok(mut balance) => *balance -= 30,
///     Err(LockError::OwnerDied(mut half_done)) => {
///         *half_done = 0; // Whatever makes it right.
///         *half_done.repaired() += 1;
///     }
///     Err(error) => panic!("{error}"),
/// }
/// assert_eq!(balance.get()?, 70);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// * A process that dies while it holds the mutex makes the next one who locks it get
///   [`LockError::OwnerDied`]; whoever waits notices within two slices (20 ms). Waiters that are
///   killed leave nothing behind. A process that is *stopped* while it holds the mutex keeps it.
/// * Locking it again in the thread that holds it is [`LockError::Relocked`]: at once through the
///   same handle or its clone, within two slices through another handle of the same attachment.
///   (Not noticed are threads after the first million of a process, and a second attachment.)
/// * Whoever has waited for 10 ms is served before those who come later and wait.
///   ([`try_lock`](Self::try_lock) takes what is free.)
/// * Locking and unlocking without contention is one compare-and-swap each, and no system call.
///
/// A handle, with all its clones, takes one of the segment's owner ids
/// ([`SegmentBuilder::handles`](ipc_core::SegmentBuilder::handles)). How many mutexes a thread
/// holds is not limited. The alignment of `T` is 128 at most; the compiler refuses more.
#[derive(Clone, Debug)]
pub struct Mutex<T: Payload> {
    handle: Handle<T>,
    access: Access,
}

/// Whether references into the segment are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    InPlace,
    Copies,
}

impl<T: Payload> Mutex<T> {
    /// Bytes that a mutex takes of a segment.
    pub const SIZE: usize = Handle::<T>::SIZE;

    /// Creates a mutex, not locked, with this value in it.
    ///
    /// # Errors
    /// See [`Segment::create_object`] and [`Segment::owner`].
    pub fn create_in(segment: &Segment, name: &str, value: T) -> Result<Self> {
        Ok(Self::new(Handle::create(segment, name, &KIND, &value)?))
    }

    /// Opens a mutex of a segment.
    ///
    /// # Errors
    /// See [`Segment::open_object`] and [`Segment::owner`].
    pub fn open_in(segment: &Segment, name: &str) -> Result<Self> {
        Ok(Self::new(Handle::open(segment, name, &KIND)?))
    }

    fn new(handle: Handle<T>) -> Self {
        Self {
            access: if handle.object().segment().is_private() {
                Access::InPlace
            } else {
                Access::Copies
            },
            handle,
        }
    }

    /// How this handle waits. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.handle.wait = wait;
    }

    /// The segment it lives in.
    pub fn segment(&self) -> &Segment {
        self.handle.object().segment()
    }

    /// Its name and segment, for messages.
    fn name(&self) -> String {
        self.handle.object().to_string()
    }

    /// Locks the mutex; waits while another holds it.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] and [`LockError::Panicked`], with the mutex locked;
    /// [`LockError::Unrecoverable`]; [`LockError::Relocked`]; [`LockError::NotPrivate`];
    /// [`LockError::Segment`].
    #[inline]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, LockError<'_, T>> {
        self.lock_until(Deadline::NEVER)
    }

    /// Locks the mutex if nobody holds it; never blocks.
    ///
    /// # Errors
    /// [`LockError::Held`]; those of [`lock`](Self::lock).
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, LockError<'_, T>> {
        match self.lock_until(Deadline::PAST) {
            Err(LockError::TimedOut) => Err(LockError::Held),
            other => other,
        }
    }

    /// Locks the mutex; waits at most this long. Zero looks once; [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`LockError::TimedOut`]; those of [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<MutexGuard<'_, T>, LockError<'_, T>> {
        self.lock_until(Deadline::after(timeout))
    }

    #[inline(always)]
    pub(crate) fn lock_until(
        &self,
        deadline: Deadline,
    ) -> Result<MutexGuard<'_, T>, LockError<'_, T>> {
        if self.access == Access::InPlace
            && let Some(me) = self.handle.take_at_once()
        {
            return Ok(MutexGuard::new(self, me));
        }
        self.lock_slowly(deadline)
    }

    #[cold]
    fn lock_slowly(&self, deadline: Deadline) -> Result<MutexGuard<'_, T>, LockError<'_, T>> {
        if self.access != Access::InPlace {
            return Err(LockError::NotPrivate);
        }
        let mutex = || self.name();
        let taken = self.handle.take(deadline)?;
        Err(
            match taken.map(|(me, it)| (MutexGuard::new(self, me), it)) {
                Ok((guard, Condition::Sound)) => return Ok(guard),
                Ok((guard, found @ Condition::OwnerDied)) => {
                    LockError::OwnerDied(RepairGuard::new(guard, found))
                }
                Ok((guard, found @ Condition::Panicked)) => {
                    LockError::Panicked(RepairGuard::new(guard, found))
                }
                Err(Refusal::Held) => LockError::TimedOut,
                Err(Refusal::Relocked) => LockError::Relocked { mutex: mutex() },
                Err(Refusal::Final) => LockError::Unrecoverable { mutex: mutex() },
            },
        )
    }

    /// A copy of the value, taken under the lock; waits while another holds it. In segments that
    /// other users can write to as well.
    ///
    /// # Errors
    /// [`UpdateError`].
    pub fn get(&self) -> Result<T, UpdateError> {
        self.with_lock(Deadline::NEVER, |cells| cells.read(0))
    }

    /// Replaces the value under the lock; waits while another holds it. In segments that other
    /// users can write to as well.
    ///
    /// # Errors
    /// [`UpdateError`].
    pub fn set(&self, value: T) -> Result<(), UpdateError> {
        self.with_lock(Deadline::NEVER, |cells| cells.write(0, &value))
    }

    /// Changes a copy of the value and puts it back, under the lock; waits while another holds it.
    /// If `change` panics, the value is what it was. In segments that other users can write to as
    /// well.
    ///
    /// # Errors
    /// [`UpdateError`].
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, UpdateError> {
        self.update_until(Deadline::NEVER, change)
    }

    /// As [`update`](Self::update) if nobody holds the mutex; never blocks.
    ///
    /// # Errors
    /// [`UpdateError::Held`]; those of [`update`](Self::update).
    pub fn try_update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, UpdateError> {
        match self.update_until(Deadline::PAST, change) {
            Err(UpdateError::TimedOut) => Err(UpdateError::Held),
            other => other,
        }
    }

    /// As [`update`](Self::update), but waits at most this long. Zero looks once;
    /// [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`UpdateError::TimedOut`]; those of [`update`](Self::update).
    pub fn update_timeout<R>(
        &self,
        timeout: Duration,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, UpdateError> {
        self.update_until(Deadline::after(timeout), change)
    }

    fn update_until<R>(
        &self,
        deadline: Deadline,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, UpdateError> {
        self.with_lock(deadline, |cells| change_copy(cells, change))
    }

    /// As [`update`](Self::update), but also if the last holder died or panicked: `repair` is to
    /// make the value right, whatever it finds, and the mutex is sound again. If `repair` panics,
    /// the repair is left to the next one.
    ///
    /// # Errors
    /// [`UpdateError::Unrecoverable`], [`UpdateError::Relocked`], [`UpdateError::Segment`].
    pub fn repair<R>(&self, repair: impl FnOnce(&mut T) -> R) -> Result<R, UpdateError> {
        let (mut held, _) = self.hold(Deadline::NEVER)?;
        let result = change_copy(self.handle.cells(), repair);
        held.leave = Leave::In(Condition::Sound);
        Ok(result)
    }

    fn with_lock<R>(
        &self,
        deadline: Deadline,
        work: impl FnOnce(&SharedCells<T>) -> R,
    ) -> Result<R, UpdateError> {
        let (_held, found) = self.hold(deadline)?;
        let mutex = || self.name();
        match found {
            Condition::Sound => Ok(work(self.handle.cells())),
            Condition::OwnerDied => Err(UpdateError::OwnerDied { mutex: mutex() }),
            Condition::Panicked => Err(UpdateError::Panicked { mutex: mutex() }),
        }
    }

    fn hold(&self, deadline: Deadline) -> Result<(Held<'_, T>, Condition), UpdateError> {
        let mutex = || self.name();
        match self.handle.take(deadline)? {
            Ok((me, found)) => {
                let held = Held {
                    handle: &self.handle,
                    me,
                    leave: Leave::In(found),
                };
                Ok((held, found))
            }
            Err(Refusal::Held) => Err(UpdateError::TimedOut),
            Err(Refusal::Relocked) => Err(UpdateError::Relocked { mutex: mutex() }),
            Err(Refusal::Final) => Err(UpdateError::Unrecoverable { mutex: mutex() }),
        }
    }
}

fn change_copy<T: Payload, R>(cells: &SharedCells<T>, change: impl FnOnce(&mut T) -> R) -> R {
    let mut copy = cells.read(0);
    let result = change(&mut copy);
    cells.write(0, &copy);
    result
}
