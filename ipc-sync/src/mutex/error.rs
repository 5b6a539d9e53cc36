//! What can go wrong with a mutex.

use super::guard::RepairGuard;
use ipc_core::Payload;

/// Why a mutex was not locked, or was locked in a condition that has to be looked at first.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError<'a, T: Payload> {
    /// The mutex is locked now, and the process that held it before died: what it protects may be
    /// half changed. Repair it through the guard and say so ([`RepairGuard::repaired`]); dropping
    /// the guard makes the mutex unrecoverable.
    #[error(
        "a process died while it held the mutex {}; repair what it protects and say so (RepairGuard::repaired), or it becomes unrecoverable",
        .0.name()
    )]
    OwnerDied(RepairGuard<'a, T>),
    /// The mutex is locked now, and a thread that held it before panicked. As
    /// [`OwnerDied`](Self::OwnerDied).
    #[error(
        "a thread panicked while it held the mutex {}; repair what it protects and say so (RepairGuard::repaired), or it becomes unrecoverable",
        .0.name()
    )]
    Panicked(RepairGuard<'a, T>),
    /// Somebody found what the mutex protects half changed and did not repair it. Nobody can lock
    /// it any more.
    #[error(
        "the mutex {mutex} is unrecoverable: what it protects was left half changed and not repaired; create a new one"
    )]
    Unrecoverable {
        /// The mutex.
        mutex: String,
    },
    /// The calling thread holds the mutex already, and would wait for itself.
    #[error("the mutex {mutex} is held by this very thread; drop its guard first")]
    Relocked {
        /// The mutex.
        mutex: String,
    },
    /// Another thread or process holds the mutex at this moment.
    #[error("the mutex is held; wait for it with lock, or try again")]
    Held,
    /// The mutex was held until the time was up.
    #[error("the mutex was held until the time was up")]
    TimedOut,
    /// In-place access to a segment that other users can write to.
    #[error(
        "in-place access is refused: other users can write to this segment; use get, set and update, which copy"
    )]
    NotPrivate,
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
}

/// Why the copying forms of a mutex did not read or change its value; and a [`LockError`] without a
/// guard, which can be sent and kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// A process died while it held the mutex, and the value may be half changed.
    #[error(
        "a process died while it held the mutex {mutex}; repair its value first (Mutex::repair)"
    )]
    OwnerDied {
        /// The mutex.
        mutex: String,
    },
    /// A thread panicked while it held a guard, and the value may be half changed.
    #[error(
        "a thread panicked while it held the mutex {mutex}; repair its value first (Mutex::repair)"
    )]
    Panicked {
        /// The mutex.
        mutex: String,
    },
    /// As [`LockError::Unrecoverable`].
    #[error(
        "the mutex {mutex} is unrecoverable: what it protects was left half changed and not repaired; create a new one"
    )]
    Unrecoverable {
        /// The mutex.
        mutex: String,
    },
    /// As [`LockError::Relocked`].
    #[error("the mutex {mutex} is held by this very thread; drop its guard first")]
    Relocked {
        /// The mutex.
        mutex: String,
    },
    /// As [`LockError::Held`].
    #[error("the mutex is held; wait for it with update, or try again")]
    Held,
    /// As [`LockError::TimedOut`].
    #[error("the mutex was held until the time was up")]
    TimedOut,
    /// As [`LockError::NotPrivate`], which the copying forms never meet.
    #[error(
        "in-place access is refused: other users can write to this segment; use get, set and update, which copy"
    )]
    NotPrivate,
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
}

/// For errors that travel on: they have no guard, so the mutex is unlocked, and what was found half
/// changed is left to the next one who locks it ([`RepairGuard::leave`]).
impl<T: Payload> From<LockError<'_, T>> for UpdateError {
    fn from(error: LockError<'_, T>) -> Self {
        match error {
            LockError::OwnerDied(guard) => {
                let mutex = guard.name();
                guard.leave();
                UpdateError::OwnerDied { mutex }
            }
            LockError::Panicked(guard) => {
                let mutex = guard.name();
                guard.leave();
                UpdateError::Panicked { mutex }
            }
            LockError::Unrecoverable { mutex } => UpdateError::Unrecoverable { mutex },
            LockError::Relocked { mutex } => UpdateError::Relocked { mutex },
            LockError::Held => UpdateError::Held,
            LockError::TimedOut => UpdateError::TimedOut,
            LockError::NotPrivate => UpdateError::NotPrivate,
            LockError::Segment(error) => UpdateError::Segment(error),
        }
    }
}
