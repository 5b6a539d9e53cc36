//! The producing side.

use super::cursor::{Contradiction, Tail};
use super::error::{OpenError, PushError};
use super::guard::WriteGuard;
use super::ring::{Ring, Words};
use ipc_core::{
    Attachment, Deadline, Error, Fences, Owner, Payload, SLICE, SharedRef, SharedSlots, Wait,
};
use std::sync::Arc;
use std::time::Duration;

/// Every so many refusals in a row, a polling producer looks whether the consumer still lives.
const REFUSALS_PER_LOOK: u32 = 64;

/// The producer of a ring. There is one at a time; it can be sent to another thread.
///
/// Dropping it leaves the role free and does not end the stream; [`close`](Self::close) does.
#[derive(Debug)]
pub struct Producer<T: Payload> {
    pub(super) slots: SharedSlots<T>,
    pub(super) words: SharedRef<Words>,
    pub(super) tail: Tail,
    capacity: u64,
    pub(super) attachment: Arc<Attachment>,
    fences: Fences,
    wait: Wait,
    refusals: u32,
    owner: Owner,
    ring: Ring<T>,
}

impl<T: Payload> Producer<T> {
    pub(super) fn new(ring: &Ring<T>) -> Result<Self, OpenError> {
        let words = ring.words()?;
        let slots = ring.slots()?;
        let owner = ring.segment().owner()?;
        words.producer.claim(&owner, ring.object(), "producer")?;
        let capacity = ring.capacity() as u64;
        let resumed = if super::cursor::Head::has_ended(&words.cursors) {
            Err(OpenError::Ended {
                ring: ring.object().to_string(),
            })
        } else {
            Tail::resume(&words.cursors, capacity)
                .map_err(|Contradiction| contradiction(ring).into())
        };
        let tail = resumed.inspect_err(|_| words.producer.release(owner.id()))?;
        let attachment = ring.segment().attachment().clone();
        Ok(Self {
            slots,
            words,
            tail,
            capacity,
            fences: attachment.fences(),
            attachment,
            wait: Wait::default(),
            refusals: 0,
            owner,
            ring: ring.clone(),
        })
    }

    /// How the blocking calls of this handle wait. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
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
        self.has_room()?;
        self.slots.write(self.tail.next, &message);
        self.publish(1);
        Ok(())
    }

    /// Pushes a message; waits while the ring is full.
    ///
    /// # Errors
    /// [`PushError::ConsumerDied`], once, if the ring is full and its consumer has died;
    /// [`PushError::Segment`].
    #[inline]
    pub fn push(&mut self, message: T) -> Result<(), PushError> {
        if !self.is_ready() {
            self.wait_for_room(Deadline::NEVER)?;
        }
        self.slots.write(self.tail.next, &message);
        self.publish(1);
        Ok(())
    }

    /// Pushes a message; waits at most this long while the ring is full. Zero looks once,
    /// [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`PushError::TimedOut`]; otherwise as [`push`](Self::push).
    pub fn push_timeout(&mut self, message: T, timeout: Duration) -> Result<(), PushError> {
        if !self.is_ready() {
            self.wait_for_room(Deadline::after(timeout))?;
        }
        self.slots.write(self.tail.next, &message);
        self.publish(1);
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
        self.has_room()?;
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
            if !self.is_ready() {
                self.wait_for_room(Deadline::NEVER)?;
            }
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
        if !self.is_ready() {
            self.wait_for_room(Deadline::after(timeout))?;
        }
        Ok(self.push_some(messages))
    }

    /// Reserves the next slot, if there is one, to write the message in place. Nothing is visible
    /// before [`WriteGuard::commit`]; dropping the guard cancels. Wait-free.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push); [`PushError::NotPrivate`] if other users can write to the
    /// segment.
    pub fn try_reserve(&mut self) -> Result<WriteGuard<'_, T>, PushError> {
        self.check_private()?;
        self.has_room()?;
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
        self.check_private()?;
        if !self.is_ready() {
            self.wait_for_room(deadline)?;
        }
        Ok(WriteGuard::new(self))
    }

    /// Ends the stream: the consumer gets what is in the ring, and then the end. Nobody can become
    /// producer of this ring after that.
    ///
    /// # Errors
    /// [`PushError::Segment`] in a forked child.
    pub fn close(self) -> Result<(), PushError> {
        self.attachment.check_fork()?;
        self.tail.close(&self.words.cursors);
        self.words.messages.ring(self.fences);
        Ok(())
    }

    /// Messages in the ring at this moment. The consumer may take some the next.
    ///
    /// # Errors
    /// [`PushError::Segment`].
    pub fn len(&mut self) -> Result<usize, PushError> {
        self.attachment.check_fork()?;
        let room = self.look()?;
        Ok((self.capacity - room) as usize)
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
        self.len().map(|len| len as u64 == self.capacity)
    }

    /// How many messages the ring holds.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Whether this process may push now. Looks at the consumer's cursor only if no room is known
    /// of, and without a call: in a stream there mostly is some then.
    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        self.attachment.is_mine()
            && (self.tail.known_room(self.capacity) > 0
                || matches!(
                    self.tail.refresh(&self.words.cursors, self.capacity),
                    Ok(1..)
                ))
    }

    #[inline(always)]
    fn has_room(&mut self) -> Result<(), PushError> {
        if self.is_ready() {
            Ok(())
        } else {
            self.look_closely(PushError::Full)
        }
    }

    /// Looks at the consumer's cursor; says why if there is no room, or else `otherwise`.
    #[inline(never)]
    fn look_closely(&mut self, otherwise: PushError) -> Result<(), PushError> {
        self.attachment.check_fork()?;
        if self.look()? > 0 {
            self.refusals = 0;
            return Ok(());
        }
        self.refusals += 1;
        if self.refusals >= REFUSALS_PER_LOOK {
            self.refusals = 0;
            self.ring.segment().recover_if_due(SLICE)?;
        }
        self.judge_full(otherwise)
    }

    #[inline]
    fn look(&mut self) -> Result<u64, PushError> {
        self.tail
            .refresh(&self.words.cursors, self.capacity)
            .map_err(|Contradiction| contradiction(&self.ring).into())
    }

    /// The ring was found full. Why?
    fn judge_full(&mut self, otherwise: PushError) -> Result<(), PushError> {
        // Before the look: a successor that comes, makes room and dies after it is reported when
        // the ring is full again.
        let death = self.words.consumer.unreported_death();
        if self.look()? > 0 {
            return Ok(());
        }
        let Some(death) = death else {
            return Err(otherwise);
        };
        self.words.consumer.report(death);
        Err(PushError::ConsumerDied)
    }

    #[cold]
    #[inline(never)]
    fn wait_for_room(&mut self, deadline: Deadline) -> Result<(), PushError> {
        if deadline == Deadline::PAST {
            return self.look_closely(PushError::TimedOut);
        }
        self.attachment.check_fork()?;
        let (words, tail, capacity) = (&*self.words, &mut self.tail, self.capacity);
        let segment = self.ring.segment();
        let ready = || {
            let nothing = tail.refresh(&words.cursors, capacity) == Ok(0)
                && words.consumer.unreported_death().is_none();
            (!nothing).then_some(())
        };
        let found = words
            .room
            .wait(self.wait, self.fences, deadline, ready, || {
                segment.recover_if_due(SLICE / 2).map(drop)
            })?;
        if found.is_none() {
            // The time may have been too short for a slice: who only ever waits a little learns of
            // a death all the same.
            segment.recover_if_due(SLICE)?;
        }
        self.judge_full(PushError::TimedOut)
    }

    /// Pushes what there is known room for, at least one.
    #[inline]
    fn push_some(&mut self, messages: &[T]) -> usize {
        let mut room = self.tail.known_room(self.capacity);
        if room < messages.len() as u64 {
            // A look that fails is repeated, and reported, by the next call.
            room = self.look().unwrap_or(room);
        }
        let count = messages.len().min(room as usize);
        self.slots.write_slice(self.tail.next, &messages[..count]);
        self.publish(count as u64);
        count
    }

    /// Makes the next `count` messages visible and wakes the consumer if it sleeps.
    #[inline(always)]
    pub(super) fn publish(&mut self, count: u64) {
        // Read before the store, after which the compiler would read them again.
        let (words, fences) = (&*self.words, self.fences);
        self.tail.advance(&words.cursors, count);
        words.messages.ring(fences);
    }

    fn check_private(&self) -> Result<(), PushError> {
        if self.attachment.is_private() {
            Ok(())
        } else {
            Err(PushError::NotPrivate)
        }
    }
}

impl<T: Payload> Drop for Producer<T> {
    fn drop(&mut self) {
        if self.attachment.is_mine() {
            self.words.producer.release(self.owner.id());
        }
    }
}

#[cold]
pub(super) fn contradiction<T: Payload>(ring: &Ring<T>) -> Error {
    ring.object().corrupted("its cursors contradict each other")
}
