//! Values in a row that processes share.
//!
//! Up to eight bytes lie in one atomic word ([`small`](crate::value::small)); more are written
//! beside the old value and swapped in, by the state machine in
//! [`large`](crate::value::large).

use crate::value::elements::{Elements, WriteError, sweep};
use crate::value::integer::Integer;
use ipc_core::{Deadline, Kind, Payload, Result, Segment, Wait};
use std::sync::Arc;
use std::time::Duration;

static KIND: Kind = Kind {
    name: "array",
    sweep,
};
ipc_core::register_at_start!(KIND);

/// A fixed number of values in shared memory, like `multiprocessing.Array`, but no lock: readers
/// never wait, and each element is changed in one step. See [`Value`](crate::Value) for what happens
/// when a process is killed or stopped in the middle of a change.
///
/// ```
/// use ipc_core::{Place, Segment};
/// use ipc_sync::Array;
///
/// let segment = Segment::create(Place::memfd("votes"), 4096)?;
/// let votes = Array::<u32>::create_in(&segment, "votes", 3, |_| 0)?;
/// votes.fetch_add(2, 1)?;
/// assert_eq!(votes.to_vec()?, [0, 0, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cloning is cheap; clones and threads can share a handle or open their own.
#[derive(Clone, Debug)]
pub struct Array<T: Payload> {
    elements: Arc<Elements<T>>,
    wait: Wait,
}

impl<T: Payload> Array<T> {
    /// Creates an array of `len` elements, at least one, in a segment; `value` gives the first value
    /// of each.
    ///
    /// # Errors
    /// See [`Segment::create_object`]; [`Error::HandlesFull`](ipc_core::Error::HandlesFull);
    /// [`Error::OutOfRange`](ipc_core::Error::OutOfRange) for no elements.
    pub fn create_in(
        segment: &Segment,
        name: &str,
        len: usize,
        value: impl Fn(usize) -> T,
    ) -> Result<Self> {
        if len == 0 {
            return Err(ipc_core::Error::OutOfRange {
                what: "the length of an array",
                asked: 0,
                least: 1,
                most: usize::MAX as u128,
            });
        }
        Elements::create(segment, name, &KIND, len, value).map(Self::new)
    }

    /// Opens an array of a segment. It is as long as it was created.
    ///
    /// # Errors
    /// See [`Segment::open_object`]; [`Error::HandlesFull`](ipc_core::Error::HandlesFull).
    pub fn open_in(segment: &Segment, name: &str) -> Result<Self> {
        Elements::open(segment, name, &KIND).map(Self::new)
    }

    /// Bytes that an array takes of a segment.
    pub fn size_for(len: usize) -> usize {
        let bytes = Elements::<T>::bytes(len).unwrap_or(usize::MAX);
        bytes.checked_next_multiple_of(128).unwrap_or(usize::MAX)
    }

    fn new(elements: Elements<T>) -> Self {
        Self {
            elements: Arc::new(elements),
            wait: Wait::default(),
        }
    }

    /// How many elements there are.
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// A copy of all elements: each one whole, but others may change some while the rest is read.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked).
    pub fn to_vec(&self) -> Result<Vec<T>> {
        (0..self.len()).map(|at| self.get(at)).collect()
    }

    /// How this handle waits for room to write. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// A copy of the element: one that somebody has set, whole. Never blocks, whatever writers do.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked); [`Error::OutOfRange`](ipc_core::Error::OutOfRange).
    #[inline]
    pub fn get(&self, at: usize) -> Result<T> {
        self.elements.get(at)
    }

    /// Changes the element. Up to eight bytes: never blocks. More: blocks while as many others as there is
    /// room for (seven) are in the middle of writing, dead ones not among them.
    ///
    /// # Errors
    /// [`WriteError::Segment`].
    #[inline]
    pub fn set(&self, at: usize, value: T) -> Result<(), WriteError> {
        self.elements.set(at, &value, self.wait, || Deadline::NEVER)
    }

    /// As [`set`](Self::set), but never blocks.
    ///
    /// # Errors
    /// [`WriteError::Busy`]; [`WriteError::Segment`].
    pub fn try_set(&self, at: usize, value: T) -> Result<(), WriteError> {
        self.elements.set(at, &value, self.wait, || Deadline::PAST)
    }

    /// As [`set`](Self::set), for at most this long. Zero looks once; [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`WriteError::TimedOut`]; [`WriteError::Segment`].
    pub fn set_timeout(&self, at: usize, value: T, timeout: Duration) -> Result<(), WriteError> {
        self.timed(
            self.elements
                .set(at, &value, self.wait, || Deadline::after(timeout)),
        )
    }

    /// Changes the element to what `change` makes of it, and returns the old one. Nobody else's change
    /// comes between; `change` is called again if one does, and holds nothing up. Blocks as
    /// [`set`](Self::set).
    ///
    /// # Errors
    /// [`WriteError::Segment`].
    #[inline]
    pub fn update(&self, at: usize, mut change: impl FnMut(T) -> T) -> Result<T, WriteError> {
        let changed =
            self.elements
                .change(at, self.wait, || Deadline::NEVER, |old| Some(change(old)))?;
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
        at: usize,
        timeout: Duration,
        change: impl FnMut(T) -> Option<T>,
    ) -> Result<std::result::Result<T, T>, WriteError> {
        self.timed(
            self.elements
                .change(at, self.wait, || Deadline::after(timeout), change),
        )
    }

    fn timed<R>(&self, result: Result<R, WriteError>) -> Result<R, WriteError> {
        result.map_err(|error| match error {
            WriteError::Busy => WriteError::TimedOut,
            other => other,
        })
    }
}

impl<T: Integer> Array<T> {
    /// Adds; goes round at the ends of the range. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked); [`Error::OutOfRange`](ipc_core::Error::OutOfRange).
    #[inline]
    pub fn fetch_add(&self, at: usize, by: T) -> Result<T> {
        self.calculate(at, |old| T::wrapping_add(old, by))
    }

    /// Subtracts; goes round at the ends of the range. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked); [`Error::OutOfRange`](ipc_core::Error::OutOfRange).
    #[inline]
    pub fn fetch_sub(&self, at: usize, by: T) -> Result<T> {
        self.calculate(at, |old| T::wrapping_sub(old, by))
    }

    /// Bitwise and. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked); [`Error::OutOfRange`](ipc_core::Error::OutOfRange).
    #[inline]
    pub fn fetch_and(&self, at: usize, with: T) -> Result<T> {
        self.calculate(at, |old| T::and(old, with))
    }

    /// Bitwise or. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked); [`Error::OutOfRange`](ipc_core::Error::OutOfRange).
    #[inline]
    pub fn fetch_or(&self, at: usize, with: T) -> Result<T> {
        self.calculate(at, |old| T::or(old, with))
    }

    /// Bitwise exclusive or. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked); [`Error::OutOfRange`](ipc_core::Error::OutOfRange).
    #[inline]
    pub fn fetch_xor(&self, at: usize, with: T) -> Result<T> {
        self.calculate(at, |old| T::xor(old, with))
    }

    /// The larger of the two. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked); [`Error::OutOfRange`](ipc_core::Error::OutOfRange).
    #[inline]
    pub fn fetch_max(&self, at: usize, with: T) -> Result<T> {
        self.calculate(at, |old| T::max(old, with))
    }

    /// The smaller of the two. Returns the old value. Lock-free.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked); [`Error::OutOfRange`](ipc_core::Error::OutOfRange).
    #[inline]
    pub fn fetch_min(&self, at: usize, with: T) -> Result<T> {
        self.calculate(at, |old| T::min(old, with))
    }

    #[inline]
    fn calculate(&self, at: usize, change: impl Fn(T) -> T) -> Result<T> {
        let changed =
            self.elements
                .change(at, self.wait, || Deadline::NEVER, |old| Some(change(old)));
        match changed {
            Ok(Ok(old) | Err(old)) => Ok(old),
            Err(WriteError::Segment(error)) => Err(error),
            Err(WriteError::Busy | WriteError::TimedOut) => {
                unreachable!("integers lie in atomic words")
            }
        }
    }
}
