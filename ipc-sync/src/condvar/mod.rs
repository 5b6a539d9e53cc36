//! Waiting, with a mutex unlocked meanwhile, for others to change what it protects.
//!
//! | `sequence` | meaning | who leaves it, and how |
//! |---|---|---|
//! | even | nobody waits | a waiter that holds the mutex, by making it odd |
//! | odd | somebody may be asleep on this value | a notifier: for one, it adds 2 and wakes one; if nobody slept, or for all, it makes it the even number above and wakes all |
//!
//! Who waits has announced it before it unlocks the mutex, so whoever changes something under the
//! mutex and notifies after that meets the announcement: there is no moment between unlocking and
//! sleeping in which a notification is lost. Each notification changes the number, so a waiter that
//! is not asleep yet does not fall asleep.
//!
//! A notifier may be killed between its change and its notification, and a wake for one may go to a
//! waiter that is killed before it acts. So the sweep of any dead participant wakes all who wait,
//! as for no reason: whatever a death swallows is made up for as soon as it is noticed, which
//! waiters do, within two slices. And as every waiter looks at the number at the end of each slice,
//! a wake that went to a *stopped* waiter reaches the others too. Nothing else is left by a killed
//! waiter but an odd number, which costs one wake too many, once.

#[cfg(all(test, loom))]
mod loom_tests;
mod sequence;

use crate::mutex::{LockError, Mutex, MutexGuard};
use crate::park::Kernel;
use ipc_core::atomic::AtomicU64;
use ipc_core::{
    Deadline, Departed, Kind, Object, ObjectSpec, Payload, Result, SLICE, Segment, SharedLayout,
    SharedRef, TypeTag,
};
use sequence::Sequence;
use std::time::Duration;

static KIND: Kind = Kind {
    name: "condvar",
    sweep: look_again,
};

ipc_core::register_at_start!(KIND);

/// A condvar has no owner. But what the dead did not get to notify of, others wait for. (The dead had
/// an owner id, or they would not be swept: that of the mutex.)
fn look_again(object: &Object, _: &Departed<'_>) -> Result<()> {
    let words = object.structure::<Words>(0)?;
    words.sequence().notify_all();
    Ok(())
}

#[repr(C)]
struct Words {
    sequence: AtomicU64,
}

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Words {}

impl Words {
    fn sequence(&self) -> Sequence<'_, Kernel> {
        Sequence {
            word: &self.sequence,
            park: &Kernel,
        }
    }
}

/// How long a waiter whose time is up waits for its mutex: who holds it longer is stopped.
const RELOCK: Duration = Duration::from_secs(1);

/// Why a wait with a time-out came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Somebody notified, or nobody did and the wait came back for no reason: look whether what
    /// was waited for is there.
    Notified,
    /// The time was up.
    TimedOut,
}

/// A condition in shared memory that threads of any number of processes wait for, with a [`Mutex`]
/// unlocked meanwhile.
///
/// ```
/// use ipc_core::{Place, Segment};
/// use ipc_sync::{Condvar, Mutex};
///
/// let segment = Segment::create(Place::memfd("hall"), 4096)?;
/// let ready = Mutex::create_in(&segment, "ready", 0u64)?;
/// let changed = Condvar::create_in(&segment, "changed")?;
///
/// let (other_ready, other_changed) = (ready.clone(), changed.clone());
/// let other = std::thread::spawn(move || {
///     *other_ready.lock().unwrap() += 1;
///     other_changed.notify_one().unwrap();
/// });
/// let guard = ready.lock().unwrap();
/// let guard = changed.wait_while(guard, |ready| *ready == 0).unwrap();
/// assert_eq!(*guard, 1);
/// # drop(guard);
/// # other.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A wait may come back for no reason, so it belongs into a loop that looks for what is waited for,
/// or use the forms with a condition. It needs not always be the same mutex, but whoever waits and
/// whoever notifies about one thing use one mutex.
///
/// Nobody owns a condvar: waiters and notifiers may be killed at any moment. A notification for one
/// that went to a waiter which died or was stopped then reaches the others within 10 ms, and what a
/// notifier changed before it died they find within 20 ms.
#[derive(Clone, Debug)]
pub struct Condvar {
    object: Object,
    words: SharedRef<Words>,
}

impl Condvar {
    /// Creates a condvar in a segment.
    ///
    /// # Errors
    /// See [`Segment::create_object`].
    pub fn create_in(segment: &Segment, name: &str) -> Result<Self> {
        let spec = ObjectSpec {
            kind: &KIND,
            element: TypeTag::of::<()>(),
            config: [0; 4],
            len: size_of::<Words>() as u64,
        };
        Self::new(segment.create_object(name, &spec, |_| Ok(()))?)
    }

    /// Opens a condvar of a segment.
    ///
    /// # Errors
    /// See [`Segment::open_object`].
    pub fn open_in(segment: &Segment, name: &str) -> Result<Self> {
        Self::new(segment.open_object(name, &KIND, &TypeTag::of::<()>())?)
    }

    fn new(object: Object) -> Result<Self> {
        Ok(Self {
            words: object.structure(0)?,
            object,
        })
    }

    /// Unlocks the mutex, waits for a notification, and locks it again.
    ///
    /// # Errors
    /// Those of [`Mutex::lock`], with which the wait ends: also [`LockError::OwnerDied`] if another
    /// died meanwhile while it held the mutex. With [`LockError::Segment`] the mutex is not locked.
    pub fn wait<'a, T: Payload>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> Result<MutexGuard<'a, T>, LockError<'a, T>> {
        let (mutex, _) = self.sleep(guard, Deadline::NEVER)?;
        mutex.lock()
    }

    /// Waits as long as `condition` holds of the value.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_while<'a, T: Payload>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<MutexGuard<'a, T>, LockError<'a, T>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait`](Self::wait), but waits for a notification at most this long, and then at most a
    /// second for the mutex. Zero unlocks and locks; [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// As [`wait`](Self::wait); [`LockError::TimedOut`], with the mutex not locked, if another held
    /// it for a second after the time was up.
    pub fn wait_timeout<'a, T: Payload>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> Result<(MutexGuard<'a, T>, Waited), LockError<'a, T>> {
        self.wait_until(guard, Deadline::after(timeout))
    }

    /// As [`wait_while`](Self::wait_while), but at most this long, as
    /// [`wait_timeout`](Self::wait_timeout). [`Waited::TimedOut`] means that the condition still
    /// holds.
    ///
    /// # Errors
    /// As [`wait_timeout`](Self::wait_timeout).
    pub fn wait_timeout_while<'a, T: Payload>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<(MutexGuard<'a, T>, Waited), LockError<'a, T>> {
        let deadline = Deadline::after(timeout);
        let mut waited = Waited::Notified;
        loop {
            if !condition(&mut guard) {
                return Ok((guard, Waited::Notified));
            }
            if waited == Waited::TimedOut {
                return Ok((guard, waited));
            }
            (guard, waited) = self.wait_until(guard, deadline)?;
        }
    }

    fn wait_until<'a, T: Payload>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Deadline,
    ) -> Result<(MutexGuard<'a, T>, Waited), LockError<'a, T>> {
        let (mutex, waited) = self.sleep(guard, deadline)?;
        let patience = match deadline {
            Deadline::NEVER => Deadline::NEVER,
            // Not the deadline: in order, the mutex is held for short, and is to be had after it.
            _ => Deadline::after(RELOCK).max(deadline),
        };
        Ok((mutex.lock_until(patience)?, waited))
    }

    fn sleep<'a, T: Payload>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Deadline,
    ) -> Result<(&'a Mutex<T>, Waited)> {
        let segment = self.object.segment();
        segment.attachment().check_fork()?;
        let sequence = self.words.sequence();
        let announced = sequence.announce();
        let mutex = guard.unlock();
        let slice = || segment.recover_if_due(SLICE / 2).map(drop);
        Ok((mutex, sequence.sleep(announced, deadline, slice)?))
    }

    /// Wakes one of those who wait at this moment, if there is one. To be called after a change
    /// under the mutex, before or after unlocking it. Costs one load if nobody waits.
    ///
    /// # Errors
    /// [`ipc_core::Error::Forked`].
    pub fn notify_one(&self) -> Result<()> {
        self.object.segment().attachment().check_fork()?;
        self.words.sequence().notify_one();
        Ok(())
    }

    /// Wakes all who wait at this moment. Otherwise as [`notify_one`](Self::notify_one).
    ///
    /// # Errors
    /// [`ipc_core::Error::Forked`].
    pub fn notify_all(&self) -> Result<()> {
        self.object.segment().attachment().check_fork()?;
        self.words.sequence().notify_all();
        Ok(())
    }
}
