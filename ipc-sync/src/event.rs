//! A flag that processes wait for.
//!
//! | `state` | meaning | who leaves it, and how |
//! |---|---|---|
//! | 0 | not set | anybody, by a store of 1 |
//! | 1 | set | anybody who resets it; with automatic reset, the one waiter that gets it, by CAS |

use ipc_core::atomic::{AtomicU32, Ordering};
use ipc_core::{
    Bell, Deadline, Departed, Fences, Kind, Object, ObjectSpec, Segment, SharedLayout, SharedRef,
    TypeTag, Wait,
};
use std::time::Duration;

#[cfg(all(test, loom))]
mod loom_tests;

const UNSET: u32 = 0;
const SET: u32 = 1;

/// The event itself: a structure that is valid if it is all zeros.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Words {
    state: AtomicU32,
    bell: Bell,
}

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Words {}

impl Words {
    pub(crate) fn set(&self, fences: Fences) {
        // Release: pairs with the Acquire in `take`: who passes sees what was done before.
        self.state.store(SET, Ordering::Release);
        self.bell.ring(fences);
    }

    pub(crate) fn reset(&self) {
        // Relaxed: nothing is passed on by this.
        self.state.store(UNSET, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        // Acquire: pairs with the Release in `set`.
        self.state.load(Ordering::Acquire) == SET
    }

    /// Passes through a set event.
    fn take(&self, reset: Reset) -> Option<()> {
        let passed = match reset {
            Reset::Manual => self.is_set(),
            Reset::Auto => {
                // A load first: waiters poll here, and a failed CAS would take the line away.
                self.state.load(Ordering::Relaxed) == SET
                    // Acquire: as in `is_set`.
                    && self
                        .state
                        .compare_exchange(SET, UNSET, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok()
            }
        };
        passed.then_some(())
    }

    pub(crate) fn wait(
        &self,
        reset: Reset,
        policy: Wait,
        fences: Fences,
        deadline: Deadline,
    ) -> Result<(), EventError> {
        if self.take(reset).is_some() {
            return Ok(());
        }
        if deadline == Deadline::PAST {
            return Err(EventError::TimedOut);
        }
        self.bell
            .wait(policy, fences, deadline, || self.take(reset), || Ok(()))
            .and_then(|passed| passed.ok_or(EventError::TimedOut))
    }
}

static KIND: Kind = Kind {
    name: "event",
    sweep: nothing_is_owned,
};

ipc_core::register_at_start!(KIND);

fn nothing_is_owned(_: &Object, _: &Departed<'_>) -> ipc_core::Result<()> {
    Ok(())
}

/// What ends the set state of an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// A call of [`Event::reset`]; until then everybody passes.
    Manual,
    /// The first waiter that passes: each [`Event::set`] lets at most one pass.
    Auto,
}

/// Why a wait did not pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// [`Event::try_wait`] found the event not set.
    #[error("the event is not set; wait for it, or try again")]
    NotSet,
    /// The time was up before the event was set.
    #[error("the event was not set in time")]
    TimedOut,
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
}

/// A flag in shared memory that any number of processes and threads wait for, like
/// `multiprocessing.Event`.
///
/// Setting wakes whoever waits; it costs a store and a load if nobody does. Nobody owns an event:
/// the death of a setter or a waiter changes nothing for the others. A waiter that died after an
/// automatic event let it pass has consumed that set.
#[derive(Clone, Debug)]
pub struct Event {
    object: Object,
    words: SharedRef<Words>,
    reset: Reset,
    wait: Wait,
}

impl Event {
    /// Creates an event, not set, in a segment.
    ///
    /// # Errors
    /// See [`Segment::create_object`].
    pub fn create_in(segment: &Segment, name: &str, reset: Reset) -> ipc_core::Result<Self> {
        let spec = ObjectSpec {
            kind: &KIND,
            element: TypeTag::of::<()>(),
            config: [u64::from(reset == Reset::Auto), 0, 0, 0],
            len: size_of::<Words>() as u64,
        };
        Self::new(segment.create_object(name, &spec, |_| Ok(()))?)
    }

    /// Opens an event of a segment.
    ///
    /// # Errors
    /// See [`Segment::open_object`].
    pub fn open_in(segment: &Segment, name: &str) -> ipc_core::Result<Self> {
        Self::new(segment.open_object(name, &KIND, &TypeTag::of::<()>())?)
    }

    fn new(object: Object) -> ipc_core::Result<Self> {
        let reset = match object.info().config[0] {
            0 => Reset::Manual,
            1 => Reset::Auto,
            _ => return Err(object.corrupted("its kind of reset is none that exists")),
        };
        Ok(Self {
            words: object.structure(0)?,
            object,
            reset,
            wait: Wait::default(),
        })
    }

    /// How this handle waits. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// What ends the set state.
    pub fn kind_of_reset(&self) -> Reset {
        self.reset
    }

    /// Sets the event and wakes whoever waits. Does nothing if it is set already. Never blocks.
    ///
    /// # Errors
    /// [`ipc_core::Error::Forked`].
    pub fn set(&self) -> ipc_core::Result<()> {
        self.check_fork()?;
        self.words.set(self.fences());
        Ok(())
    }

    /// Takes the set state back. Never blocks.
    ///
    /// # Errors
    /// [`ipc_core::Error::Forked`].
    pub fn reset(&self) -> ipc_core::Result<()> {
        self.check_fork()?;
        self.words.reset();
        Ok(())
    }

    /// Whether the event is set at this moment. Does not take the set state of an automatic one.
    ///
    /// # Errors
    /// [`ipc_core::Error::Forked`].
    pub fn is_set(&self) -> ipc_core::Result<bool> {
        self.check_fork()?;
        Ok(self.words.is_set())
    }

    /// Waits until the event is set.
    ///
    /// # Errors
    /// [`EventError::Segment`].
    pub fn wait(&self) -> Result<(), EventError> {
        self.wait_until(Deadline::NEVER)
    }

    /// Passes if the event is set; never blocks.
    ///
    /// # Errors
    /// [`EventError::NotSet`]; [`EventError::Segment`].
    pub fn try_wait(&self) -> Result<(), EventError> {
        self.check_fork()?;
        self.words.take(self.reset).ok_or(EventError::NotSet)
    }

    /// Waits at most this long. Zero looks once; [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`EventError::TimedOut`]; [`EventError::Segment`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), EventError> {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> Result<(), EventError> {
        self.check_fork()?;
        self.words
            .wait(self.reset, self.wait, self.fences(), deadline)
    }

    fn fences(&self) -> Fences {
        self.object.segment().attachment().fences()
    }

    fn check_fork(&self) -> ipc_core::Result<()> {
        self.object.segment().attachment().check_fork()
    }
}
