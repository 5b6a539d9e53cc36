//! A number that is counted down to zero once.
//!
//! | `count` | meaning | who leaves it, and how |
//! |---|---|---|
//! | n | so many are missing; waits block | whoever counts down |
//! | 0 | open; waits pass | nobody |

use crate::waiting::{WaitError, Waiting};
use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{
    Bell, Deadline, Departed, Kind, Object, ObjectSpec, Result, Segment, SharedLayout, SharedRef,
    TypeTag, Wait,
};
use std::time::Duration;

#[repr(C)]
struct Words {
    count: AtomicU64,
    bell: Bell,
}

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Words {}

static KIND: Kind = Kind {
    name: "latch",
    sweep: nothing_is_owned,
};
ipc_core::register_at_start!(KIND);

fn nothing_is_owned(_: &Object, _: &Departed<'_>) -> Result<()> {
    Ok(())
}

/// A gate that opens for good when it was counted down to zero.
///
/// ```
/// use ipc_core::{Place, Segment};
/// use ipc_sync::Latch;
///
/// let segment = Segment::create(Place::memfd("started"), 4096)?;
/// let started = Latch::create_in(&segment, "started", 2)?;
/// started.count_down(1)?;
/// started.count_down(1)?;
/// started.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Nobody owns a count: who dies before counting down is waited for, until somebody counts down in
/// its place. Where the dead must not be waited for, use a [`Barrier`](crate::Barrier).
#[derive(Clone, Debug)]
pub struct Latch {
    object: Object,
    words: SharedRef<Words>,
    wait: Wait,
}

impl Latch {
    /// Creates a latch that opens after so many counts, in a segment.
    ///
    /// # Errors
    /// See [`Segment::create_object`].
    pub fn create_in(segment: &Segment, name: &str, count: u32) -> Result<Self> {
        let spec = ObjectSpec {
            kind: &KIND,
            element: TypeTag::of::<()>(),
            config: [0; 4],
            len: size_of::<Words>() as u64,
        };
        Self::new(segment.create_object(name, &spec, |object| {
            let words: SharedRef<Words> = object.structure(0)?;
            words.count.store(count.into(), Ordering::Relaxed);
            Ok(())
        })?)
    }

    /// Finds the latch of this name in a segment.
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
            wait: Wait::default(),
        })
    }

    /// How this handle waits. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// So many are missing less, down to none. Never blocks.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked).
    pub fn count_down(&self, by: u32) -> Result<()> {
        self.check_fork()?;
        let fewer = |count: u64| Some(count.saturating_sub(by.into()));
        // AcqRel: pairs with the Acquire in `is_open`: who passes sees what all did before.
        let _ = self
            .words
            .count
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, fewer);
        let attachment = self.object.segment().attachment();
        self.words.bell.ring(attachment.fences());
        Ok(())
    }

    /// How many are missing at this moment.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked).
    pub fn count(&self) -> Result<u32> {
        self.check_fork()?;
        let count = self.words.count.load(Ordering::Acquire);
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Waits until none is missing.
    ///
    /// # Errors
    /// [`WaitError::Segment`].
    pub fn wait(&self) -> Result<(), WaitError> {
        self.wait_until(Deadline::NEVER)
    }

    /// Passes if none is missing; never blocks.
    ///
    /// # Errors
    /// [`WaitError::NotYet`]; [`WaitError::Segment`].
    pub fn try_wait(&self) -> Result<(), WaitError> {
        self.wait_until(Deadline::PAST).map_err(WaitError::at_once)
    }

    /// Waits at most this long. Zero looks once; [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`]; [`WaitError::Segment`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> Result<(), WaitError> {
        self.check_fork()?;
        Waiting {
            bell: &self.words.bell,
            object: &self.object,
            policy: self.wait,
            deadline,
        }
        .run::<(), WaitError>(|| self.is_open().then_some(Ok(())))?
        .ok_or(WaitError::TimedOut)
    }

    fn is_open(&self) -> bool {
        self.words.count.load(Ordering::Acquire) == 0
    }

    fn check_fork(&self) -> Result<()> {
        self.object.segment().attachment().check_fork()
    }
}
