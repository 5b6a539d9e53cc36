//! A number that some count up and others wait to count down.
//!
//! | `count` | meaning | who leaves it, and how |
//! |---|---|---|
//! | 0 | nothing was posted that nobody has taken | whoever posts, up |
//! | n | so many waits pass | whoever posts, up; whoever passes, one down |

use crate::waiting::{WaitError, Waiting};
use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{
    Bell, Deadline, Departed, Error, Kind, Object, ObjectSpec, Result, Segment, SharedLayout,
    SharedRef, TypeTag, Wait,
};
use std::time::Duration;

const MOST: u64 = u32::MAX as u64;

#[repr(C)]
struct Words {
    count: AtomicU64,
    bell: Bell,
}

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Words {}

static KIND: Kind = Kind {
    name: "counting semaphore",
    sweep: nothing_is_owned,
};
ipc_core::register_at_start!(KIND);

fn nothing_is_owned(_: &Object, _: &Departed<'_>) -> Result<()> {
    Ok(())
}

/// A count of signals, like POSIX `sem_t`: `post` adds one, `wait` takes one.
///
/// ```
/// use ipc_core::{Place, Segment};
/// use ipc_sync::CountingSemaphore;
///
/// let segment = Segment::create(Place::memfd("ready"), 4096)?;
/// let ready = CountingSemaphore::create_in(&segment, "ready", 0)?;
/// ready.post(2)?;
/// ready.wait()?;
/// assert_eq!(ready.count()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// For signalling: nobody owns what was posted or taken. A process that dies before its `post` has
/// posted nothing, one that dies after its `wait` has passed keeps what it took, for good. What is
/// held and given back belongs into a [`Semaphore`](crate::Semaphore), which survives that.
#[derive(Clone, Debug)]
pub struct CountingSemaphore {
    object: Object,
    words: SharedRef<Words>,
    wait: Wait,
}

impl CountingSemaphore {
    /// Creates a semaphore with this count in a segment.
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

    /// Opens a semaphore of a segment.
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

    /// Lets so many waits pass. Never blocks.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if the count would be more than 4,294,967,295; [`Error::Forked`].
    pub fn post(&self, signals: u32) -> Result<()> {
        self.check_fork()?;
        let more = |count: u64| {
            let sum = count.saturating_add(signals.into());
            (sum <= MOST).then_some(sum)
        };
        self.words
            .count
            // Release: pairs with the Acquire in `take`: who passes sees what was done before.
            .fetch_update(Ordering::Release, Ordering::Relaxed, more)
            .map_err(|count| Error::OutOfRange {
                what: "the number of signals to post",
                asked: signals.into(),
                least: 0,
                most: MOST.saturating_sub(count).into(),
            })?;
        let attachment = self.object.segment().attachment();
        self.words.bell.ring(attachment.fences());
        Ok(())
    }

    /// How many waits would pass at this moment.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn count(&self) -> Result<u32> {
        self.check_fork()?;
        let count = self.words.count.load(Ordering::Relaxed);
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Waits until something was posted, and takes one.
    ///
    /// # Errors
    /// [`WaitError::Segment`].
    pub fn wait(&self) -> Result<(), WaitError> {
        self.wait_until(Deadline::NEVER)
    }

    /// Takes one if there is one; never blocks.
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
        .run::<(), WaitError>(|| self.take().map(Ok))?
        .ok_or(WaitError::TimedOut)
    }

    fn take(&self) -> Option<()> {
        let one_less = |count: u64| count.checked_sub(1);
        self.words
            .count
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, one_less)
            .ok()
            .map(drop)
    }

    fn check_fork(&self) -> Result<()> {
        self.object.segment().attachment().check_fork()
    }
}
