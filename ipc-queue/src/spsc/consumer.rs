//! The consuming side.

use super::cursor::{Contradiction, Cursors, Head};
use super::error::{OpenError, PopError};
use super::guard::ReadGuard;
use super::producer::contradiction;
use super::ring::{Ring, Words};
use super::role::Role;
use ipc_core::{Attachment, Deadline, Fences, Owner, Payload, SLICE, SharedRef, SharedSlots, Wait};
use std::sync::Arc;
use std::time::Duration;

/// Every so many refusals in a row, a polling consumer looks whether the producer still lives.
const REFUSALS_PER_LOOK: u32 = 64;

/// The consumer of a ring. There is one at a time; it can be sent to another thread.
///
/// In all calls `Ok(None)` is the end of the stream: the producer closed it and everything before
/// has been taken. Dropping the handle leaves the role free, and the next consumer goes on where
/// this one stopped.
#[derive(Debug)]
pub struct Consumer<T: Payload> {
    pub(super) slots: SharedSlots<T>,
    pub(super) words: SharedRef<Words>,
    pub(super) head: Head,
    capacity: u64,
    pub(super) attachment: Arc<Attachment>,
    fences: Fences,
    wait: Wait,
    refusals: u32,
    owner: Owner,
    ring: Ring<T>,
}

/// What a close look at a ring found.
enum Verdict {
    Messages,
    Ended,
}

/// Why there is nothing to take, if there is nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Emptiness {
    Not,
    Ended,
    /// Reported by this; not a second time.
    ProducerDied,
    ForNow,
}

/// Judges a ring that was found empty.
pub(super) fn judge(
    head: &mut Head,
    cursors: &Cursors,
    capacity: u64,
    producer: &Role,
) -> Result<Emptiness, Contradiction> {
    let ended = Head::has_ended(cursors);
    let death = producer.unreported_death();
    // The last messages may have come just before the end, or the death.
    if head.refresh(cursors, capacity)? > 0 {
        return Ok(Emptiness::Not);
    }
    if ended {
        return Ok(Emptiness::Ended);
    }
    Ok(death.map_or(Emptiness::ForNow, |death| {
        producer.report(death);
        Emptiness::ProducerDied
    }))
}

impl<T: Payload> Consumer<T> {
    pub(super) fn new(ring: &Ring<T>) -> Result<Self, OpenError> {
        let words = ring.words()?;
        let slots = ring.slots()?;
        let owner = ring.segment().owner()?;
        words.consumer.claim(&owner, ring.object(), "consumer")?;
        let capacity = ring.capacity() as u64;
        let head = Head::resume(&words.cursors, capacity)
            .inspect_err(|_| words.consumer.release(owner.id()))
            .map_err(|Contradiction| contradiction(ring))?;
        let attachment = ring.segment().attachment().clone();
        Ok(Self {
            slots,
            words,
            head,
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
        if !self.is_ready()
            && let Verdict::Ended = self.look_closely(PopError::Empty)?
        {
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
        if !self.is_ready()
            && let Verdict::Ended = self.wait_for_messages(Deadline::NEVER)?
        {
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
        if !self.is_ready()
            && let Verdict::Ended = self.wait_for_messages(Deadline::after(timeout))?
        {
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
        if !self.is_ready()
            && let Verdict::Ended = self.look_closely(PopError::Empty)?
        {
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
        if !self.is_ready()
            && let Verdict::Ended = self.wait_for_messages(deadline)?
        {
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
        self.check_private()?;
        if !self.is_ready()
            && let Verdict::Ended = self.look_closely(PopError::Empty)?
        {
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
        self.check_private()?;
        if !self.is_ready()
            && let Verdict::Ended = self.wait_for_messages(deadline)?
        {
            return Ok(None);
        }
        Ok(Some(ReadGuard::new(self)))
    }

    /// Messages in the ring at this moment. The producer may add some the next.
    ///
    /// # Errors
    /// [`PopError::Segment`].
    pub fn len(&mut self) -> Result<usize, PopError> {
        self.attachment.check_fork()?;
        self.look().map(|messages| messages as usize)
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
        self.len().map(|len| len as u64 == self.capacity)
    }

    /// How many messages the ring holds.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Whether this process may pop now. Looks at the producer's cursor only if nothing is known
    /// to be there, and without a call: in a stream there mostly is something then.
    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        self.attachment.is_mine()
            && (self.head.known_messages() > 0
                || matches!(
                    self.head.refresh(&self.words.cursors, self.capacity),
                    Ok(1..)
                ))
    }

    /// Looks at the producer's cursor; says why if there is nothing, or else `otherwise`.
    #[inline(never)]
    fn look_closely(&mut self, otherwise: PopError) -> Result<Verdict, PopError> {
        self.attachment.check_fork()?;
        if self.look()? > 0 {
            self.refusals = 0;
            return Ok(Verdict::Messages);
        }
        self.refusals += 1;
        if self.refusals >= REFUSALS_PER_LOOK {
            self.refusals = 0;
            self.ring.segment().recover_if_due(SLICE)?;
        }
        self.judge_empty(otherwise)
    }

    /// The ring was found empty. Why?
    fn judge_empty(&mut self, otherwise: PopError) -> Result<Verdict, PopError> {
        let words = &*self.words;
        match judge(
            &mut self.head,
            &words.cursors,
            self.capacity,
            &words.producer,
        ) {
            Ok(Emptiness::Not) => Ok(Verdict::Messages),
            Ok(Emptiness::Ended) => Ok(Verdict::Ended),
            Ok(Emptiness::ProducerDied) => Err(PopError::ProducerDied),
            Ok(Emptiness::ForNow) => Err(otherwise),
            Err(Contradiction) => Err(contradiction(&self.ring).into()),
        }
    }

    #[inline]
    fn look(&mut self) -> Result<u64, PopError> {
        self.head
            .refresh(&self.words.cursors, self.capacity)
            .map_err(|Contradiction| contradiction(&self.ring).into())
    }

    #[cold]
    #[inline(never)]
    fn wait_for_messages(&mut self, deadline: Deadline) -> Result<Verdict, PopError> {
        if deadline == Deadline::PAST {
            return self.look_closely(PopError::TimedOut);
        }
        self.attachment.check_fork()?;
        let (words, head, capacity) = (&*self.words, &mut self.head, self.capacity);
        let segment = self.ring.segment();
        let ready = || {
            let nothing = head.refresh(&words.cursors, capacity) == Ok(0)
                && !Head::has_ended(&words.cursors)
                && words.producer.unreported_death().is_none();
            (!nothing).then_some(())
        };
        let found = words
            .messages
            .wait(self.wait, self.fences, deadline, ready, || {
                segment.recover_if_due(SLICE / 2).map(drop)
            })?;
        if found.is_none() {
            // The time may have been too short for a slice: who only ever waits a little learns of
            // a death all the same.
            segment.recover_if_due(SLICE)?;
        }
        self.judge_empty(PopError::TimedOut)
    }

    /// Copies the next message out and gives its slot back.
    #[inline(always)]
    fn take(&mut self) -> T {
        let message = self.slots.read(self.head.next);
        self.give_back(1);
        message
    }

    /// Copies what is known to be there, at least one.
    #[inline]
    fn take_some(&mut self, into: &mut [T]) -> usize {
        let mut messages = self.head.known_messages();
        if messages < into.len() as u64 {
            // A look that fails is repeated, and reported, by the next call.
            messages = self.look().unwrap_or(messages);
        }
        let count = into.len().min(messages as usize);
        self.slots.read_slice(self.head.next, &mut into[..count]);
        self.give_back(count as u64);
        count
    }

    /// Gives the next `count` slots back and wakes the producer if it sleeps.
    #[inline(always)]
    pub(super) fn give_back(&mut self, count: u64) {
        // Read before the store, after which the compiler would read them again.
        let (words, fences) = (&*self.words, self.fences);
        self.head.advance(&words.cursors, count);
        words.room.ring(fences);
    }

    fn check_private(&self) -> Result<(), PopError> {
        if self.attachment.is_private() {
            Ok(())
        } else {
            Err(PopError::NotPrivate)
        }
    }
}

impl<T: Payload> Drop for Consumer<T> {
    fn drop(&mut self) {
        if self.attachment.is_mine() {
            self.words.consumer.release(self.owner.id());
        }
    }
}
