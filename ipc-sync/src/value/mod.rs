//! A value that processes share.
//!
//! Up to eight bytes lie in one atomic word ([`small`]); more are written beside the old value and
//! swapped in, by the state machine in [`large`].

mod array;
mod elements;
mod integer;
mod large;
mod small;

pub use array::Array;
pub use elements::WriteError;
pub use integer::Integer;

use crate::value::elements::{Elements, sweep};
use ipc_core::{Deadline, Kind, Payload, Result, Segment, Wait};
use std::sync::Arc;
use std::time::Duration;

static KIND: Kind = Kind {
    name: "value",
    sweep,
};
ipc_core::register_at_start!(KIND);

/// A value in shared memory, like `multiprocessing.Value`, but no lock: readers never wait.
///
/// ```
/// use ipc_core::{Place, Segment};
/// use ipc_sync::Value;
///
/// let segment = Segment::create(Place::memfd("score"), 4096)?;
/// let score = Value::<u64>::create_in(&segment, "score", 5)?;
/// score.fetch_add(2)?;
///
/// let position = Value::<[f64; 3]>::create_in(&segment, "position", [0.0; 3])?;
/// position.update(|[x, y, z]| [x + 1.0, y, z])?;
/// assert_eq!((score.get()?, position.get()?), (7, [1.0, 0.0, 0.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A change is one step: a process that is killed in the middle of one has changed nothing, or all.
/// One that is stopped there keeps neither readers nor writers waiting (of values of more than
/// eight bytes, seven can be stopped there until the eighth writer waits). Copies only: a peer that
/// does not follow the protocol can make a value wrong, and nothing else.
///
/// Cloning is cheap; clones and threads can share a handle or open their own.
#[derive(Clone, Debug)]
pub struct Value<T: Payload> {
    elements: Arc<Elements<T>>,
    wait: Wait,
}

impl<T: Payload> Value<T> {
    /// Creates a value in a segment.
    ///
    /// # Errors
    /// See [`Segment::create_object`]; [`Error::HandlesFull`](ipc_core::Error::HandlesFull).
    pub fn create_in(segment: &Segment, name: &str, value: T) -> Result<Self> {
        Elements::create(segment, name, &KIND, 1, |_| value).map(Self::new)
    }

    /// Opens a value of a segment.
    ///
    /// # Errors
    /// See [`Segment::open_object`]; [`Error::HandlesFull`](ipc_core::Error::HandlesFull).
    pub fn open_in(segment: &Segment, name: &str) -> Result<Self> {
        Elements::open(segment, name, &KIND).map(Self::new)
    }

    /// Bytes that a value takes of a segment.
    pub fn size() -> usize {
        Elements::<T>::bytes(1).map_or(usize::MAX, |bytes| bytes.next_multiple_of(128))
    }

    fn new(elements: Elements<T>) -> Self {
        Self {
            elements: Arc::new(elements),
            wait: Wait::default(),
        }
    }

    /// How this handle waits for room to write. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// A copy of the value: one that somebody has set, whole. Never blocks, whatever writers do.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked).
    #[inline]
    pub fn get(&self) -> Result<T> {
        self.elements.get(0)
    }

    /// Changes the value. Up to eight bytes: never blocks. More: blocks while as many others as there is
    /// room for (seven) are in the middle of writing, dead ones not among them.
    ///
    /// # Errors
    /// [`WriteError::Segment`].
    #[inline]
    pub fn set(&self, value: T) -> Result<(), WriteError> {
        self.elements.set(0, &value, self.wait, || Deadline::NEVER)
    }

    /// As [`set`](Self::set), but never blocks.
    ///
    /// # Errors
    /// [`WriteError::Busy`]; [`WriteError::Segment`].
    pub fn try_set(&self, value: T) -> Result<(), WriteError> {
        self.elements.set(0, &value, self.wait, || Deadline::PAST)
    }

    /// As [`set`](Self::set), for at most this long. Zero looks once; [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`WriteError::TimedOut`]; [`WriteError::Segment`].
    pub fn set_timeout(&self, value: T, timeout: Duration) -> Result<(), WriteError> {
        self.timed(
            self.elements
                .set(0, &value, self.wait, || Deadline::after(timeout)),
        )
    }

    /// Changes the value to what `change` makes of it, and returns the old one. Nobody else's change
    /// comes between; `change` is called again if one does, and holds nothing up. Blocks as
    /// [`set`](Self::set).
    ///
    /// # Errors
    /// [`WriteError::Segment`].
    #[inline]
    pub fn update(&self, mut change: impl FnMut(T) -> T) -> Result<T, WriteError> {
        let changed =
            self.elements
                .change(0, self.wait, || Deadline::NEVER, |old| Some(change(old)))?;
        let (Ok(old) | Err(old)) = changed;
        Ok(old)
    }

    /// As [`update`](Self::update), unless `change` gives `None`. The old value is in `Ok` if it was
    /// changed, else in `Err`. Blocks for at most `timeout`.
    ///
    /// # Errors
    /// The outer one: [`WriteError::TimedOut`]; [`WriteError::Segment`].
    pub fn try_update(
        &self,
        timeout: Duration,
        change: impl FnMut(T) -> Option<T>,
    ) -> Result<std::result::Result<T, T>, WriteError> {
        self.timed(
            self.elements
                .change(0, self.wait, || Deadline::after(timeout), change),
        )
    }

    fn timed<R>(&self, result: Result<R, WriteError>) -> Result<R, WriteError> {
        result.map_err(|error| match error {
            WriteError::Busy => WriteError::TimedOut,
            other => other,
        })
    }
}

impl<T: Integer> Value<T> {
    /// Adds; goes round at the ends of the range. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked).
    #[inline]
    pub fn fetch_add(&self, by: T) -> Result<T> {
        self.calculate(|old| T::wrapping_add(old, by))
    }

    /// Subtracts; goes round at the ends of the range. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked).
    #[inline]
    pub fn fetch_sub(&self, by: T) -> Result<T> {
        self.calculate(|old| T::wrapping_sub(old, by))
    }

    /// Bitwise and. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked).
    #[inline]
    pub fn fetch_and(&self, with: T) -> Result<T> {
        self.calculate(|old| T::and(old, with))
    }

    /// Bitwise or. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked).
    #[inline]
    pub fn fetch_or(&self, with: T) -> Result<T> {
        self.calculate(|old| T::or(old, with))
    }

    /// Bitwise exclusive or. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked).
    #[inline]
    pub fn fetch_xor(&self, with: T) -> Result<T> {
        self.calculate(|old| T::xor(old, with))
    }

    /// The larger of the two. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked).
    #[inline]
    pub fn fetch_max(&self, with: T) -> Result<T> {
        self.calculate(|old| T::max(old, with))
    }

    /// The smaller of the two. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked).
    #[inline]
    pub fn fetch_min(&self, with: T) -> Result<T> {
        self.calculate(|old| T::min(old, with))
    }

    #[inline]
    fn calculate(&self, change: impl Fn(T) -> T) -> Result<T> {
        let changed =
            self.elements
                .change(0, self.wait, || Deadline::NEVER, |old| Some(change(old)));
        match changed {
            Ok(Ok(old) | Err(old)) => Ok(old),
            Err(WriteError::Segment(error)) => Err(error),
            Err(WriteError::Busy | WriteError::TimedOut) => {
                unreachable!("integers lie in atomic words")
            }
        }
    }
}
