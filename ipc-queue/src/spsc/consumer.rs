//! The consuming side.

use super::error::{OpenError, PopError};
use super::guard::ReadGuard;
use super::reader::{Reader, Verdict};
use super::ring::Ring;
use ipc_core::{Deadline, Payload, SharedSlots, Wait};
use std::time::Duration;

/// The consumer of a ring. There is one at a time; it can be sent to another thread.
///
/// In all calls `Ok(None)` is the end of the stream: the producer closed it and everything before
/// has been taken. Dropping the handle leaves the role free, and the next consumer goes on where
/// this one stopped.
#[derive(Debug)]
pub struct Consumer<T: Payload> {
    pub(super) slots: SharedSlots<T>,
    pub(super) reader: Reader,
}

impl<T: Payload> Consumer<T> {
    pub(super) fn new(ring: &Ring<T>) -> Result<Self, OpenError> {
        Ok(Self {
            slots: ring.slots()?,
            reader: Reader::new(ring.object(), 0, ring.capacity() as u64)?,
        })
    }

    /// How the blocking calls of this handle wait. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.reader.wait = wait;
    }

    /// Pops a message if there is one. Wait-free, but for every 64th refusal in a row, which looks
    /// after the dead: who polls learns of a producer's death by then.
    ///
    /// # Errors
    /// [`PopError::Empty`]; [`PopError::ProducerDied`], once, when everything it committed has
    /// been popped; [`PopError::Segment`].
    ///
    /// ```
    /// # use ipc_core::Place;
    /// # use ipc_queue::spsc::{PopError, Ring};
    /// let ring = Ring::<u8>::create(Place::memfd("one"), 1)?;
    /// let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
    /// assert!(matches!(rx.try_pop(), Err(PopError::Empty)));
    /// tx.push(5)?;
    /// tx.close()?;
    /// assert_eq!(rx.try_pop()?, Some(5));
    /// assert_eq!(rx.try_pop()?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_pop(&mut self) -> Result<Option<T>, PopError> {
        if self.reader.find_messages()? == Verdict::Ended {
            return Ok(None);
        }
        Ok(Some(self.take()))
    }

    /// Pops a message; waits while the ring is empty, also for a first producer to come.
    ///
    /// # Errors
    /// [`PopError::ProducerDied`], once, when everything it committed has been popped;
    /// [`PopError::Segment`].
    #[inline]
    pub fn pop(&mut self) -> Result<Option<T>, PopError> {
        if self.reader.await_messages(Deadline::NEVER)? == Verdict::Ended {
            return Ok(None);
        }
        Ok(Some(self.take()))
    }

    /// Pops a message; waits at most this long while the ring is empty. Zero looks once,
    /// [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`PopError::TimedOut`]; otherwise as [`pop`](Self::pop).
    pub fn pop_timeout(&mut self, timeout: Duration) -> Result<Option<T>, PopError> {
        if self.reader.await_messages(Deadline::after(timeout))? == Verdict::Ended {
            return Ok(None);
        }
        Ok(Some(self.take()))
    }

    /// Pops as many messages as there are, up to the length of `into`, and returns how many: at
    /// least one, unless `into` is empty. Wait-free.
    ///
    /// # Errors
    /// As [`try_pop`](Self::try_pop).
    pub fn try_pop_slice(&mut self, into: &mut [T]) -> Result<Option<usize>, PopError> {
        if into.is_empty() {
            return Ok(Some(0));
        }
        if self.reader.find_messages()? == Verdict::Ended {
            return Ok(None);
        }
        Ok(Some(self.take_some(into)))
    }

    /// Pops as many messages as there are, up to the length of `into`, and returns how many: at
    /// least one, unless `into` is empty. Waits while the ring is empty.
    ///
    /// # Errors
    /// As [`pop`](Self::pop).
    pub fn pop_slice(&mut self, into: &mut [T]) -> Result<Option<usize>, PopError> {
        self.pop_slice_until(into, Deadline::NEVER)
    }

    /// As [`pop_slice`](Self::pop_slice), but waits at most this long.
    ///
    /// # Errors
    /// As [`pop_timeout`](Self::pop_timeout).
    pub fn pop_slice_timeout(
        &mut self,
        into: &mut [T],
        timeout: Duration,
    ) -> Result<Option<usize>, PopError> {
        self.pop_slice_until(into, Deadline::after(timeout))
    }

    fn pop_slice_until(
        &mut self,
        into: &mut [T],
        deadline: Deadline,
    ) -> Result<Option<usize>, PopError> {
        if into.is_empty() {
            return Ok(Some(0));
        }
        if self.reader.await_messages(deadline)? == Verdict::Ended {
            return Ok(None);
        }
        Ok(Some(self.take_some(into)))
    }

    /// Borrows the next message in place, if there is one. It stays in the ring until
    /// [`ReadGuard::release`]; dropping the guard leaves it there. Wait-free.
    ///
    /// # Errors
    /// As [`try_pop`](Self::try_pop); [`PopError::NotPrivate`] if other users can write to the
    /// segment.
    pub fn try_peek(&mut self) -> Result<Option<ReadGuard<'_, T>>, PopError> {
        self.reader.check_private()?;
        if self.reader.find_messages()? == Verdict::Ended {
            return Ok(None);
        }
        Ok(Some(ReadGuard::new(self)))
    }

    /// As [`try_peek`](Self::try_peek), but waits while the ring is empty.
    ///
    /// A consumer that dies before [`ReadGuard::release`] leaves the message for the next one.
    ///
    /// # Errors
    /// As [`pop`](Self::pop); [`PopError::NotPrivate`].
    pub fn peek(&mut self) -> Result<Option<ReadGuard<'_, T>>, PopError> {
        self.peek_until(Deadline::NEVER)
    }

    /// As [`peek`](Self::peek), but waits at most this long.
    ///
    /// # Errors
    /// As [`peek`](Self::peek); [`PopError::TimedOut`].
    pub fn peek_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<ReadGuard<'_, T>>, PopError> {
        self.peek_until(Deadline::after(timeout))
    }

    fn peek_until(&mut self, deadline: Deadline) -> Result<Option<ReadGuard<'_, T>>, PopError> {
        self.reader.check_private()?;
        if self.reader.await_messages(deadline)? == Verdict::Ended {
            return Ok(None);
        }
        Ok(Some(ReadGuard::new(self)))
    }

    /// Messages in the ring at this moment. The producer may add some the next.
    ///
    /// # Errors
    /// [`PopError::Segment`].
    pub fn len(&mut self) -> Result<usize, PopError> {
        self.reader.used().map(|messages| messages as usize)
    }

    /// Whether the ring is empty at this moment. If not, the next pop will not wait.
    ///
    /// # Errors
    /// [`PopError::Segment`].
    pub fn is_empty(&mut self) -> Result<bool, PopError> {
        self.len().map(|len| len == 0)
    }

    /// Whether the ring is full at this moment.
    ///
    /// # Errors
    /// [`PopError::Segment`].
    pub fn is_full(&mut self) -> Result<bool, PopError> {
        self.len().map(|len| len == self.capacity())
    }

    /// How many messages the ring holds.
    pub fn capacity(&self) -> usize {
        self.reader.capacity as usize
    }

    /// Copies the next message out and gives its slot back.
    #[inline(always)]
    fn take(&mut self) -> T {
        let message = self.slots.read(self.reader.head.next);
        self.reader.give_back(1);
        message
    }

    /// Copies what is known to be there, at least one.
    #[inline]
    fn take_some(&mut self, into: &mut [T]) -> usize {
        let mut messages = self.reader.head.known_messages();
        if messages < into.len() as u64 {
            // A look that fails is repeated, and reported, by the next call.
            messages = self.reader.look().unwrap_or(messages);
        }
        let count = into.len().min(messages as usize);
        self.slots
            .read_slice(self.reader.head.next, &mut into[..count]);
        self.reader.give_back(count as u64);
        count
    }
}
