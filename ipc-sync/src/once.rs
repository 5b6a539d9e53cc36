//! Something that is done once for all processes.
//!
//! | state | meaning | who leaves it, and how |
//! |---|---|---|
//! | free | not done, and nobody is at it | anybody, by taking it |
//! | free, owner died | not done; one began and died | as before |
//! | held | a thread is at it | the holder, when it has done it (final), or fails or panics (free); after its death anybody who waits (free, owner died) |
//! | final | done | nobody |
//!
//! It is the word of a robust lock (`lock/word.rs`), which is taken for good.

use crate::lock::handle::{Handle, Held};
use crate::lock::{Condition, Leave, Refusal};
use ipc_core::{Deadline, Kind, Payload, Result, Segment, Wait};
use std::time::Duration;

static KIND: Kind = Kind {
    name: "once",
    sweep: crate::lock::handle::sweep,
};

ipc_core::register_at_start!(KIND);

/// Why something that is done once is not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnceError {
    /// Another was at it until the time was up.
    #[error("the initialisation by another was not done in time")]
    TimedOut,
    /// The calling thread is at it already, and would wait for itself.
    #[error(
        "the once {once} is being initialised by this very thread; do not use it in its own initialisation"
    )]
    Relocked {
        /// The object.
        once: String,
    },
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
}

/// A value in shared memory that is computed once, by whichever process needs it first, and never
/// changes after that.
///
/// ```
/// use ipc_core::{Place, Segment};
/// use ipc_sync::OnceCell;
///
/// let segment = Segment::create(Place::memfd("settings"), 4096)?;
/// let seed = OnceCell::<u64>::create_in(&segment, "seed")?;
/// assert_eq!(seed.get()?, None);
///
/// // In any number of processes at once:
/// assert_eq!(seed.get_or_init(|| 42)?, 42);
/// assert_eq!(seed.get_or_init(|| unreachable!("it is there"))?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// If the process that computes the value dies half way, or panics, another of those who need it
/// takes its place; whoever waits notices a death within two slices (20 ms). If it is stopped, the
/// others wait for it, and their time-outs work. Reading the value once it is there costs one load
/// besides the copy.
///
/// A handle, with all its clones, takes one of the segment's owner ids
/// ([`SegmentBuilder::handles`](ipc_core::SegmentBuilder::handles)).
#[derive(Clone, Debug)]
pub struct OnceCell<T: Payload> {
    handle: Handle<T>,
}

impl<T: Payload> OnceCell<T> {
    /// Bytes that it takes of a segment.
    pub const SIZE: usize = Handle::<T>::SIZE;

    /// Creates one without a value.
    ///
    /// # Errors
    /// See [`Segment::create_object`] and [`Segment::owner`].
    pub fn create_in(segment: &Segment, name: &str) -> Result<Self> {
        Ok(Self {
            handle: Handle::create(segment, name, &KIND, &T::zeroed())?,
        })
    }

    /// Opens one of a segment.
    ///
    /// # Errors
    /// See [`Segment::open_object`] and [`Segment::owner`].
    pub fn open_in(segment: &Segment, name: &str) -> Result<Self> {
        Ok(Self {
            handle: Handle::open(segment, name, &KIND)?,
        })
    }

    /// How this handle waits. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.handle.wait = wait;
    }

    /// A copy of the value, if it is there. Never blocks.
    ///
    /// # Errors
    /// [`ipc_core::Error::Forked`].
    #[inline]
    pub fn get(&self) -> Result<Option<T>> {
        self.handle.check_fork()?;
        Ok(self.handle.lock().is_final().then(|| self.value()))
    }

    /// The value; computes it if nobody has, and waits for whoever is computing it.
    ///
    /// # Errors
    /// [`OnceError::Relocked`], [`OnceError::Segment`].
    pub fn get_or_init(&self, init: impl FnOnce() -> T) -> Result<T, OnceError> {
        self.get_until(Deadline::NEVER, init)
    }

    /// As [`get_or_init`](Self::get_or_init), but waits for another's computation at most this long.
    /// Zero looks once; [`Duration::MAX`] is for ever. (The own computation takes its time.)
    ///
    /// # Errors
    /// [`OnceError::TimedOut`]; those of [`get_or_init`](Self::get_or_init).
    pub fn get_or_init_timeout(
        &self,
        timeout: Duration,
        init: impl FnOnce() -> T,
    ) -> Result<T, OnceError> {
        self.get_until(Deadline::after(timeout), init)
    }

    /// As [`get_or_init`](Self::get_or_init), with a computation that can fail: then it is as if it
    /// had not begun, and the next one who needs the value tries.
    ///
    /// # Errors
    /// What `init` returns; those of [`get_or_init`](Self::get_or_init).
    pub fn get_or_try_init<E: From<OnceError>>(
        &self,
        init: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.try_get_until(Deadline::NEVER, init)
    }

    fn get_until(&self, deadline: Deadline, init: impl FnOnce() -> T) -> Result<T, OnceError> {
        self.try_get_until(deadline, || Ok(init()))
    }

    fn try_get_until<E: From<OnceError>>(
        &self,
        deadline: Deadline,
        init: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if let Some(value) = self.get().map_err(OnceError::from)? {
            return Ok(value);
        }
        let once = || self.handle.object().to_string();
        match self.handle.take(deadline).map_err(OnceError::from)? {
            Ok((me, _)) => {
                // Given up as not done when `init` fails or panics.
                let mut held = Held {
                    handle: &self.handle,
                    me,
                    leave: Leave::In(Condition::Sound),
                };
                let value = init()?;
                if ipc_core::planted!(DoneBeforeValue) {
                    held.leave = Leave::Final;
                    drop(held);
                    self.handle.cells().write(0, &value);
                    return Ok(value);
                }
                self.handle.cells().write(0, &value);
                held.leave = Leave::Final;
                Ok(value)
            }
            Err(Refusal::Final) => Ok(self.value()),
            Err(Refusal::Held) => Err(OnceError::TimedOut.into()),
            Err(Refusal::Relocked) => Err(OnceError::Relocked { once: once() }.into()),
        }
    }

    /// The value of one that is final.
    #[inline]
    fn value(&self) -> T {
        self.handle.cells().read(0)
    }
}

/// An action that is done once, by whichever process comes first: a [`OnceCell`] without a value.
///
/// ```
/// use ipc_core::{Place, Segment};
/// use ipc_sync::Once;
///
/// let segment = Segment::create(Place::memfd("hall"), 4096)?;
/// let opening = Once::create_in(&segment, "opening")?;
/// opening.call_once(|| println!("the doors are open"))?;
/// opening.call_once(|| unreachable!("done"))?;
/// assert!(opening.is_completed()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// After [`call_once`](Self::call_once) has returned, in whatever process, the action was done
/// completely, by a process that did not die meanwhile; those who died may have done a part of it
/// before.
#[derive(Clone, Debug)]
pub struct Once {
    cell: OnceCell<()>,
}

impl Once {
    /// Creates one that is not done.
    ///
    /// # Errors
    /// See [`Segment::create_object`] and [`Segment::owner`].
    pub fn create_in(segment: &Segment, name: &str) -> Result<Self> {
        let cell = OnceCell::create_in(segment, name)?;
        Ok(Self { cell })
    }

    /// Opens one of a segment.
    ///
    /// # Errors
    /// See [`Segment::open_object`] and [`Segment::owner`].
    pub fn open_in(segment: &Segment, name: &str) -> Result<Self> {
        let cell = OnceCell::open_in(segment, name)?;
        Ok(Self { cell })
    }

    /// How this handle waits. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.cell.set_wait(wait);
    }

    /// Whether it is done. Never blocks.
    ///
    /// # Errors
    /// [`ipc_core::Error::Forked`].
    pub fn is_completed(&self) -> Result<bool> {
        Ok(self.cell.get()?.is_some())
    }

    /// Does it, if nobody has done it; waits for whoever is at it.
    ///
    /// # Errors
    /// As [`OnceCell::get_or_init`].
    pub fn call_once(&self, action: impl FnOnce()) -> Result<(), OnceError> {
        self.cell.get_or_init(action)
    }

    /// As [`call_once`](Self::call_once), but waits for another at most this long.
    ///
    /// # Errors
    /// As [`OnceCell::get_or_init_timeout`].
    pub fn call_once_timeout(
        &self,
        timeout: Duration,
        action: impl FnOnce(),
    ) -> Result<(), OnceError> {
        self.cell.get_or_init_timeout(timeout, action)
    }
}
