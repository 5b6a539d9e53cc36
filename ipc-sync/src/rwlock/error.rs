//! What can go wrong with a readers-writer lock.

use super::guard::RwLockRepairGuard;
use ipc_core::Payload;

/// Why a lock was not acquired, or its value not read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RwLockError {
    /// A process died while it wrote: the value may be half changed.
    #[error(
        "a process died while it wrote to what {lock} protects; repair it first (RwLock::write or RwLock::repair)"
    )]
    OwnerDied {
        /// The lock.
        lock: String,
    },
    /// A thread panicked while it wrote: the value may be half changed.
    #[error(
        "a thread panicked while it wrote to what {lock} protects; repair it first (RwLock::write or RwLock::repair)"
    )]
    Panicked {
        /// The lock.
        lock: String,
    },
    /// Somebody found the value half changed and did not repair it. Nobody gets in any more.
    #[error(
        "the lock {lock} is unrecoverable: what it protects was left half changed and not repaired; create a new one"
    )]
    Unrecoverable {
        /// The lock.
        lock: String,
    },
    /// A writer, or for writers a reader, has it at this moment, or waits for it.
    #[error("the lock is held; wait for it, or try again")]
    Held,
    /// It was held until the time was up.
    #[error("the lock was held until the time was up")]
    TimedOut,
    /// One handle reads more than 61,440 times at once.
    #[error(
        "this handle of {lock} has as many readers as it can count; drop some guards, or open another handle"
    )]
    Crowded {
        /// The lock.
        lock: String,
    },
    /// In-place access to a segment that other users can write to.
    #[error(
        "in-place access is refused: other users can write to this segment; use get, set and update, which copy"
    )]
    NotPrivate,
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
}

/// Why a lock was not acquired for writing, or was acquired in a condition that has to be looked at
/// first.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteLockError<'a, T: Payload> {
    /// The lock is held for writing now, and the process that wrote before died: the value may be
    /// half changed. Repair it through the guard and say so ([`RwLockRepairGuard::repaired`]);
    /// dropping the guard makes the lock unrecoverable.
    #[error(
        "a process died while it wrote to what {} protects; repair it and say so (RwLockRepairGuard::repaired), or the lock becomes unrecoverable",
        .0.name()
    )]
    OwnerDied(RwLockRepairGuard<'a, T>),
    /// The lock is held for writing now, and a thread that wrote before panicked. As
    /// [`OwnerDied`](Self::OwnerDied).
    #[error(
        "a thread panicked while it wrote to what {} protects; repair it and say so (RwLockRepairGuard::repaired), or the lock becomes unrecoverable",
        .0.name()
    )]
    Panicked(RwLockRepairGuard<'a, T>),
    /// The lock was not acquired.
    #[error(transparent)]
    Refused(#[from] RwLockError),
}
