//! The receiving handle.

use super::block::Tenancy;
use super::guard::ReadGuard;
use super::layout::Cell;
use super::queue::Queue;
use super::store::{Extent, Store};
use crate::mpmc::pop::Taken;
use crate::mpmc::{OpenError, PopError, receiver};
use ipc_core::{Deadline, Wait};
use std::time::Duration;

/// A handle that pops messages of bytes. It can be sent to another thread; for a second one at the
/// same time, see [`try_clone`](Self::try_clone).
///
/// In all calls `Ok(None)` is the end of the stream, as in [`Receiver`](crate::mpmc::Receiver).
#[derive(Debug)]
pub struct Receiver {
    pub(super) slots: receiver::Receiver<Cell>,
    pub(super) store: Store,
    queue: Queue,
}

/// A message that was taken, and where it lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub taken: Taken,
    pub extent: Extent,
}

impl Receiver {
    pub(super) fn new(queue: &Queue) -> Result<Self, OpenError> {
        Ok(Self {
            slots: queue.slots().receiver()?,
            store: queue.store()?,
            queue: queue.clone(),
        })
    }

    /// Another receiver of the same queue, for another thread.
    ///
    /// # Errors
    /// As [`Queue::receiver`].
    pub fn try_clone(&self) -> Result<Self, OpenError> {
        Ok(Self {
            slots: self.slots.try_clone()?,
            store: self.queue.store()?,
            queue: self.queue.clone(),
        })
    }

    /// How the blocking calls of this handle wait. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.slots.set_wait(wait);
    }

    /// Pops a message, a copy of it, if there is one, and returns its length. `into` holds the
    /// message and nothing else then; else it is as it was. Lock-free.
    ///
    /// # Errors
    /// [`PopError::Empty`]; [`PopError::ProducersDied`], once; [`PopError::Segment`].
    #[inline]
    pub fn try_pop_into(&mut self, into: &mut Vec<u8>) -> Result<Option<usize>, PopError> {
        self.pop_until(into, Deadline::PAST, PopError::Empty)
    }

    /// Pops a message, a copy of it, and returns its length; waits while the queue is empty, also
    /// for a first sender to come. `into` holds the message and nothing else then; else it is as it
    /// was.
    ///
    /// # Errors
    /// [`PopError::ProducersDied`], once; [`PopError::Segment`].
    ///
    /// ```
    /// # use ipc_core::Place;
    /// # use ipc_queue::mpmc::bytes::Queue;
    /// let queue = Queue::create(Place::memfd("lines"), 4, 1000)?;
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// tx.push(b"one")?;
    /// tx.push(b"")?;
    /// let mut line = Vec::new();
    /// assert_eq!(rx.pop_into(&mut line)?, Some(3));
    /// assert_eq!(line, b"one");
    /// assert_eq!(rx.pop_into(&mut line)?, Some(0));
    /// assert!(line.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn pop_into(&mut self, into: &mut Vec<u8>) -> Result<Option<usize>, PopError> {
        self.pop_until(into, Deadline::NEVER, PopError::Empty)
    }

    /// As [`pop_into`](Self::pop_into), but waits at most this long. Zero looks once,
    /// [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`PopError::TimedOut`]; otherwise as [`pop_into`](Self::pop_into).
    pub fn pop_into_timeout(
        &mut self,
        into: &mut Vec<u8>,
        timeout: Duration,
    ) -> Result<Option<usize>, PopError> {
        self.pop_until(into, Deadline::after(timeout), PopError::TimedOut)
    }

    #[inline(always)]
    fn pop_until(
        &mut self,
        into: &mut Vec<u8>,
        deadline: Deadline,
        otherwise: PopError,
    ) -> Result<Option<usize>, PopError> {
        let Some(held) = self.next(deadline, otherwise)? else {
            return Ok(None);
        };
        into.clear();
        self.store.append_to(into, &held.extent);
        self.finish(&held);
        self.slots.head.publish(&self.slots.memory);
        Ok(Some(held.extent.len))
    }

    /// Takes the next message in place, if there is one. It is finished when the guard is dropped;
    /// if this process dies before, another receiver gets it. Lock-free.
    ///
    /// # Errors
    /// As [`try_pop_into`](Self::try_pop_into); [`PopError::NotPrivate`] if other users can write
    /// to the segment.
    #[inline]
    pub fn try_take(&mut self) -> Result<Option<ReadGuard<'_>>, PopError> {
        self.take_until(Deadline::PAST, PopError::Empty)
    }

    /// As [`try_take`](Self::try_take), but waits while the queue is empty.
    ///
    /// # Errors
    /// As [`pop_into`](Self::pop_into); [`PopError::NotPrivate`].
    #[inline]
    pub fn take(&mut self) -> Result<Option<ReadGuard<'_>>, PopError> {
        self.take_until(Deadline::NEVER, PopError::Empty)
    }

    /// As [`take`](Self::take), but waits at most this long.
    ///
    /// # Errors
    /// As [`take`](Self::take); [`PopError::TimedOut`].
    pub fn take_timeout(&mut self, timeout: Duration) -> Result<Option<ReadGuard<'_>>, PopError> {
        self.take_until(Deadline::after(timeout), PopError::TimedOut)
    }

    #[inline(always)]
    fn take_until(
        &mut self,
        deadline: Deadline,
        otherwise: PopError,
    ) -> Result<Option<ReadGuard<'_>>, PopError> {
        if !self.slots.attachment.is_private() {
            return Err(PopError::NotPrivate);
        }
        let Some(held) = self.next(deadline, otherwise)? else {
            return Ok(None);
        };
        // Now, since the guard may live long.
        self.slots.head.publish(&self.slots.memory);
        Ok(Some(ReadGuard::new(self, held)))
    }

    /// The longest message in bytes.
    pub fn longest(&self) -> usize {
        self.store.longest
    }

    /// The queue it receives from.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    #[inline(always)]
    fn next(&mut self, deadline: Deadline, otherwise: PopError) -> Result<Option<Held>, PopError> {
        let Some(taken) = self.slots.next(deadline, otherwise)? else {
            return Ok(None);
        };
        let tenancy = Tenancy::new(taken.index, taken.lap());
        match self.store.locate(taken.index, tenancy) {
            Ok(extent) => Ok(Some(Held { taken, extent })),
            Err(what) => Err(self.damaged(taken, what)),
        }
    }

    /// Nobody can read such a message: it is finished, so that not all receivers are told of it for
    /// ever.
    #[cold]
    fn damaged(&mut self, taken: Taken, what: &'static str) -> PopError {
        self.slots.finish(taken);
        self.slots.head.publish(&self.slots.memory);
        self.queue.corrupted(what).into()
    }

    /// Frees the slot of a message that has been read, and then its block.
    #[inline(always)]
    pub(super) fn finish(&mut self, held: &Held) {
        self.slots
            .finish_and(held.taken, || self.store.release(&held.extent));
    }
}
