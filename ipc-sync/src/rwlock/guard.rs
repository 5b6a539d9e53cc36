//! In-place access to what a readers-writer lock protects.
//!
//! The references that these guards give point into shared memory. They are valid as long as the
//! other participants follow the protocol: nobody writes while a reader is counted, and only the
//! owner that the writer's word names. A program of the same user that writes there regardless makes
//! them racy; segments that other users can write to are refused.

use super::RwLock;
use super::word::Condition;
use ipc_core::Payload;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

/// The value of an [`RwLock`], in place, for reading. Others may read too; nobody writes.
///
/// It lets writers in when it is dropped, and when its process dies. (A forgotten one when the last
/// clone of its handle goes.) In a forked child it is worth nothing: dropping it there does nothing,
/// and its value must not be touched.
#[derive(Debug)]
#[must_use = "dropping the guard lets writers in"]
pub struct RwLockReadGuard<'a, T: Payload> {
    lock: &'a RwLock<T>,
}

impl<'a, T: Payload> RwLockReadGuard<'a, T> {
    /// The caller has counted itself.
    #[inline(always)]
    pub(super) fn new(lock: &'a RwLock<T>) -> Self {
        Self { lock }
    }
}

impl<T: Payload> Drop for RwLockReadGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.lock.handle.end_read();
    }
}

impl<T: Payload> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the value is in the mapping and aligned (`SharedSlots::slot`); any bytes are a
        // `T`; nobody writes to it while this reader is counted.
        unsafe { self.lock.handle.slots.slot(0).as_ref() }
    }
}

/// The value of an [`RwLock`], in place, for writing. Nobody else reads or writes.
///
/// If it is dropped by a panic that began after the lock was acquired, the next writer gets
/// [`WriteLockError::Panicked`](super::WriteLockError); if the process dies before,
/// [`WriteLockError::OwnerDied`](super::WriteLockError). (A forgotten guard counts as dead when the
/// last clone of its handle goes.) In a forked child it is worth nothing: dropping it there does
/// nothing, and its value must not be touched.
#[derive(Debug)]
#[must_use = "dropping the guard lets others in"]
pub struct RwLockWriteGuard<'a, T: Payload> {
    lock: &'a RwLock<T>,
    at_start: Thread,
}

/// The state of the thread when it began to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thread {
    Calm,
    Panicking,
}

impl<'a, T: Payload> RwLockWriteGuard<'a, T> {
    /// The caller is the writer.
    #[inline(always)]
    pub(super) fn new(lock: &'a RwLock<T>) -> Self {
        let at_start = if std::thread::panicking() {
            Thread::Panicking
        } else {
            Thread::Calm
        };
        Self { lock, at_start }
    }
}

impl<T: Payload> Drop for RwLockWriteGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        let condition = if self.at_start == Thread::Calm && std::thread::panicking() {
            Condition::Panicked
        } else {
            Condition::Sound
        };
        self.lock.handle.end_write(condition);
    }
}

impl<T: Payload> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: as below.
        unsafe { self.lock.handle.slots.slot(0).as_ref() }
    }
}

impl<T: Payload> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the value is in the mapping and aligned (`SharedSlots::slot`); any bytes are a
        // `T`; it belongs to this writer alone, and the guard is borrowed mutably.
        unsafe { self.lock.handle.slots.slot(0).as_mut() }
    }
}

/// The value of an [`RwLock`] whose last writer died or panicked, in place. Nobody else reads or
/// writes.
///
/// Look at the value, put it right, and call [`repaired`](Self::repaired). Dropping the guard
/// instead says that it cannot be put right: the lock is unrecoverable then, for all. (A panic, or
/// the death of this process too, leaves the repair to the next writer.)
#[derive(Debug)]
#[must_use = "dropping the guard makes the lock unrecoverable; call repaired"]
pub struct RwLockRepairGuard<'a, T: Payload> {
    held: ManuallyDrop<RwLockWriteGuard<'a, T>>,
    found: Condition,
}

impl<'a, T: Payload> RwLockRepairGuard<'a, T> {
    pub(super) fn new(held: RwLockWriteGuard<'a, T>, found: Condition) -> Self {
        Self {
            held: ManuallyDrop::new(held),
            found,
        }
    }

    /// Says that the value is whole again: the lock is as good as new, and held for writing.
    pub fn repaired(self) -> RwLockWriteGuard<'a, T> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never used or dropped after this.
        unsafe { ManuallyDrop::take(&mut this.held) }
    }

    pub(super) fn name(&self) -> String {
        self.held.lock.handle.name()
    }
}

impl<T: Payload> Drop for RwLockRepairGuard<'_, T> {
    fn drop(&mut self) {
        let condition = if std::thread::panicking() {
            self.found
        } else {
            Condition::Unrecoverable
        };
        self.held.lock.handle.end_write(condition);
    }
}

impl<T: Payload> Deref for RwLockRepairGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T: Payload> DerefMut for RwLockRepairGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}
