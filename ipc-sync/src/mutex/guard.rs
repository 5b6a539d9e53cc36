//! In-place access to what a mutex protects.
//!
//! The references that these guards give point into shared memory. They are valid as long as the
//! other participants follow the protocol: the value belongs to the holder that the mutex's word
//! names. A program of the same user that writes there regardless makes them racy; segments that
//! other users can write to are refused.

use super::Mutex;
use crate::lock::{Condition, Holder, Leave};
use ipc_core::Payload;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

/// The value of a locked [`Mutex`], in place. Dropping it unlocks the mutex.
///
/// If it is dropped by a panic that began after it was locked, the next one who locks gets
/// [`LockError::Panicked`](super::LockError); if the process dies before, the next one gets
/// [`LockError::OwnerDied`](super::LockError). A forgotten guard keeps the mutex locked until the
/// process ends, or drops the last clone of its handle: then it counts as dead.
///
/// In a forked child the guard is worth nothing: dropping it there does nothing, and its value must
/// not be touched.
#[derive(Debug)]
#[must_use = "dropping the guard unlocks the mutex"]
pub struct MutexGuard<'a, T: Payload> {
    mutex: &'a Mutex<T>,
    me: Holder,
    panicking: AtLock,
    /// The holder is this thread.
    _not_send: PhantomData<*const ()>,
}

// SAFETY: through a shared guard there is a shared reference to a `T`, which is `Sync`, and nothing
// that unlocks.
unsafe impl<T: Payload> Sync for MutexGuard<'_, T> {}

/// Whether the thread was panicking when it locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtLock {
    Calm,
    Panicking,
}

impl<'a, T: Payload> MutexGuard<'a, T> {
    #[inline(always)]
    pub(super) fn new(mutex: &'a Mutex<T>, me: Holder) -> Self {
        Self {
            mutex,
            me,
            panicking: if std::thread::panicking() {
                AtLock::Panicking
            } else {
                AtLock::Calm
            },
            _not_send: PhantomData,
        }
    }

    /// Unlocks the mutex in order, and returns it.
    pub(crate) fn unlock(self) -> &'a Mutex<T> {
        let this = ManuallyDrop::new(self);
        this.mutex.handle.give_up(this.me);
        this.mutex
    }

    /// The mutex that is locked.
    pub fn mutex(&self) -> &'a Mutex<T> {
        self.mutex
    }
}

impl<T: Payload> Drop for MutexGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        if std::thread::panicking() && self.panicking == AtLock::Calm {
            let leave = Leave::In(Condition::Panicked);
            self.mutex.handle.give_up_as(self.me, leave);
        } else {
            self.mutex.handle.give_up(self.me);
        }
    }
}

impl<T: Payload> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the value is in the mapping and aligned (`SharedCells::payload`); any bytes are a
        // `T`; it belongs to this guard as long as the word names its holder.
        unsafe { self.mutex.handle.cells().payload(0).as_ref() }
    }
}

impl<T: Payload> DerefMut for MutexGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; the guard is borrowed mutably.
        unsafe { self.mutex.handle.cells().payload(0).as_mut() }
    }
}

/// The value of a mutex whose last holder died or panicked, in place. The mutex is locked.
///
/// Look at the value, put it right, and call [`repaired`](Self::repaired). Dropping the guard
/// instead says that it cannot be put right: the mutex is unrecoverable then, for all.
/// [`leave`](Self::leave), a panic, or the death of this process too, leave the repair to the next
/// one.
#[derive(Debug)]
#[must_use = "dropping the guard makes the mutex unrecoverable; call repaired"]
pub struct RepairGuard<'a, T: Payload> {
    held: ManuallyDrop<MutexGuard<'a, T>>,
    found: Condition,
}

impl<'a, T: Payload> RepairGuard<'a, T> {
    pub(super) fn new(held: MutexGuard<'a, T>, found: Condition) -> Self {
        Self {
            held: ManuallyDrop::new(held),
            found,
        }
    }

    /// Says that the value is whole again: the mutex is as good as new, and locked.
    pub fn repaired(self) -> MutexGuard<'a, T> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never used or dropped after this.
        unsafe { ManuallyDrop::take(&mut this.held) }
    }

    /// Unlocks the mutex and leaves the repair to the next one who locks it.
    pub fn leave(self) {
        let this = ManuallyDrop::new(self);
        let leave = Leave::In(this.found);
        this.held.mutex.handle.give_up_as(this.held.me, leave);
    }

    pub(super) fn name(&self) -> String {
        self.held.mutex.name()
    }
}

impl<T: Payload> Drop for RepairGuard<'_, T> {
    fn drop(&mut self) {
        let leave = if std::thread::panicking() {
            Leave::In(self.found)
        } else {
            Leave::Final
        };
        self.held.mutex.handle.give_up_as(self.held.me, leave);
    }
}

impl<T: Payload> Deref for RepairGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T: Payload> DerefMut for RepairGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}
