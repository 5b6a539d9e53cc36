//! The producing side.

use super::error::{OpenError, PushError};
use super::guard::WriteGuard;
use super::ring::Ring;
use super::writer::Writer;
use ipc_core::{Deadline, Payload, SharedSlots, Wait};
use std::time::Duration;

/// The producer of a ring. There is one at a time; it can be sent to another thread.
///
/// Dropping it leaves the role free and does not end the stream; [`close`](Self::close) does.
#[derive(Debug)]
pub struct Producer<T: Payload> {
    pub(super) slots: SharedSlots<T>,
    pub(super) writer: Writer,
}

impl<T: Payload> Producer<T> {
    pub(super) fn new(ring: &Ring<T>) -> Result<Self, OpenError> {
        Ok(Self {
            slots: ring.slots()?,
            writer: Writer::new(ring.object(), 0, ring.capacity() as u64)?,
        })
    }

    /// How the blocking calls of this handle wait. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.writer.wait = wait;
    }

    /// Pushes a message if there is room. Wait-free, but for every 64th refusal in a row, which
    /// looks after the dead: who polls learns of a consumer's death by then.
    ///
    /// # Errors
    /// [`PushError::Full`]; [`PushError::ConsumerDied`], once, if it is full for that reason;
    /// [`PushError::Segment`].
    ///
    /// ```
    /// # use ipc_core::Place;
    /// # use ipc_queue::spsc::{PushError, Ring};
    /// let ring = Ring::<u8>::create(Place::memfd("one"), 1)?;
    /// let mut tx = ring.producer()?;
    /// tx.try_push(1)?;
    /// assert!(matches!(tx.try_push(2), Err(PushError::Full)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_push(&mut self, message: T) -> Result<(), PushError> {
        self.writer.find_room(1)?;
        if ipc_core::planted!(PublishedFirst) {
            let place = self.writer.tail.next;
            self.writer.publish(1);
            self.slots.write(place, &message);
            return Ok(());
        }
        self.slots.write(self.writer.tail.next, &message);
        self.writer.publish(1);
        Ok(())
    }

    /// Pushes a message; waits while the ring is full.
    ///
    /// # Errors
    /// [`PushError::ConsumerDied`], once, if the ring is full and its consumer has died;
    /// [`PushError::Segment`].
    #[inline]
    pub fn push(&mut self, message: T) -> Result<(), PushError> {
        self.writer.await_room(1, Deadline::NEVER)?;
        self.slots.write(self.writer.tail.next, &message);
        self.writer.publish(1);
        Ok(())
    }

    /// Pushes a message; waits at most this long while the ring is full. Zero looks once,
    /// [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`PushError::TimedOut`]; otherwise as [`push`](Self::push).
    pub fn push_timeout(&mut self, message: T, timeout: Duration) -> Result<(), PushError> {
        self.writer.await_room(1, Deadline::after(timeout))?;
        self.slots.write(self.writer.tail.next, &message);
        self.writer.publish(1);
        Ok(())
    }

    /// Pushes as many of the messages as there is room for, from the first on, and returns how
    /// many: at least one, unless there are none. They become visible together. Wait-free.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push).
    pub fn try_push_slice(&mut self, messages: &[T]) -> Result<usize, PushError> {
        if messages.is_empty() {
            return Ok(0);
        }
        self.writer.find_room(1)?;
        Ok(self.push_some(messages))
    }

    /// Pushes all the messages; waits while the ring is full. They become visible in order, as
    /// many at a time as there is room for.
    ///
    /// # Errors
    /// As [`push`](Self::push). Those that were pushed before the error stay pushed; to know how
    /// many, use [`push_slice_timeout`](Self::push_slice_timeout).
    pub fn push_slice(&mut self, mut messages: &[T]) -> Result<(), PushError> {
        while !messages.is_empty() {
            self.writer.await_room(1, Deadline::NEVER)?;
            let pushed = self.push_some(messages);
            messages = &messages[pushed..];
        }
        Ok(())
    }

    /// Pushes as many of the messages as there is room for, from the first on, and returns how
    /// many: at least one, unless there are none. Waits at most this long while the ring is full.
    /// They become visible together.
    ///
    /// # Errors
    /// As [`push_timeout`](Self::push_timeout).
    pub fn push_slice_timeout(
        &mut self,
        messages: &[T],
        timeout: Duration,
    ) -> Result<usize, PushError> {
        if messages.is_empty() {
            return Ok(0);
        }
        self.writer.await_room(1, Deadline::after(timeout))?;
        Ok(self.push_some(messages))
    }

    /// Reserves the next slot, if there is one, to write the message in place. Nothing is visible
    /// before [`WriteGuard::commit`]; dropping the guard cancels. Wait-free.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push); [`PushError::NotPrivate`] if other users can write to the
    /// segment.
    pub fn try_reserve(&mut self) -> Result<WriteGuard<'_, T>, PushError> {
        self.writer.check_private()?;
        self.writer.find_room(1)?;
        Ok(WriteGuard::new(self))
    }

    /// As [`try_reserve`](Self::try_reserve), but waits while the ring is full.
    ///
    /// # Errors
    /// As [`push`](Self::push); [`PushError::NotPrivate`].
    ///
    /// ```
    /// # use ipc_core::Place;
    /// # use ipc_queue::spsc::Ring;
    /// let ring = Ring::<[u32; 256]>::create(Place::memfd("frames"), 4)?;
    /// let mut tx = ring.producer()?;
    /// let mut frame = tx.reserve()?;
    /// frame[0] = 7;
    /// frame.commit();
    /// # let mut rx = ring.consumer()?;
    /// let frame = rx.peek()?.expect("the stream has not ended");
    /// assert_eq!(frame[0], 7);
    /// frame.release();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(&mut self) -> Result<WriteGuard<'_, T>, PushError> {
        self.reserve_until(Deadline::NEVER)
    }

    /// As [`reserve`](Self::reserve), but waits at most this long.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve); [`PushError::TimedOut`].
    pub fn reserve_timeout(&mut self, timeout: Duration) -> Result<WriteGuard<'_, T>, PushError> {
        self.reserve_until(Deadline::after(timeout))
    }

    fn reserve_until(&mut self, deadline: Deadline) -> Result<WriteGuard<'_, T>, PushError> {
        self.writer.check_private()?;
        self.writer.await_room(1, deadline)?;
        Ok(WriteGuard::new(self))
    }

    /// Ends the stream: the consumer gets what is in the ring, and then the end. Nobody can become
    /// producer of this ring after that.
    ///
    /// # Errors
    /// [`PushError::Segment`] in a forked child.
    pub fn close(self) -> Result<(), PushError> {
        self.writer.close()
    }

    /// Messages in the ring at this moment. The consumer may take some the next.
    ///
    /// # Errors
    /// [`PushError::Segment`].
    pub fn len(&mut self) -> Result<usize, PushError> {
        self.writer.used().map(|used| used as usize)
    }

    /// Whether the ring is empty at this moment.
    ///
    /// # Errors
    /// [`PushError::Segment`].
    pub fn is_empty(&mut self) -> Result<bool, PushError> {
        self.len().map(|len| len == 0)
    }

    /// Whether the ring is full at this moment. If not, the next push will not wait.
    ///
    /// # Errors
    /// [`PushError::Segment`].
    pub fn is_full(&mut self) -> Result<bool, PushError> {
        self.len().map(|len| len == self.capacity())
    }

    /// How many messages the ring holds.
    pub fn capacity(&self) -> usize {
        self.writer.capacity as usize
    }

    /// Pushes what there is known room for, at least one.
    #[inline]
    fn push_some(&mut self, messages: &[T]) -> usize {
        let mut room = self.writer.tail.known_room(self.writer.capacity);
        if room < messages.len() as u64 {
            // A look that fails is repeated, and reported, by the next call.
            room = self.writer.look().unwrap_or(room);
        }
        let count = messages.len().min(room as usize);
        self.slots
            .write_slice(self.writer.tail.next, &messages[..count]);
        if ipc_core::planted!(PublishedInTwo) && count > 1 {
            self.writer.publish(1);
            self.writer.publish(count as u64 - 1);
            return count;
        }
        self.writer.publish(count as u64);
        count
    }
}
