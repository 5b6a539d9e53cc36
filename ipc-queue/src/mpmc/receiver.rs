//! The receiving handle.

use super::error::{OpenError, PopError};
use super::guard::ReadGuard;
use super::layout::Shared;
use super::members::Watch;
use super::membership::Membership;
use super::memory::OPEN;
use super::pop::{Head, Taken};
use super::queue::{Queue, explain};
use super::slice_guard::ReadSliceGuard;
use super::sweep::sweep;
use super::wait::{Waited, Waiting};
use super::waiters::{Answer, MessageWaiter};
use ipc_core::{Attachment, Deadline, Payload, SLICE, SharedCells, Wait};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Every so many refusals in a row, a polling receiver looks after the dead.
const REFUSALS_PER_LOOK: u32 = 64;

/// A handle that pops. It can be sent to another thread; for a second one at the same time, see
/// [`try_clone`](Self::try_clone).
///
/// In all calls `Ok(None)` is the end of the stream: somebody closed it and every message before
/// has been finished. While another receiver still holds a message, the end waits: should that one
/// die, the message comes to who is left.
#[derive(Debug)]
pub struct Receiver<T: Payload> {
    pub(super) memory: Shared<SharedCells<T>>,
    pub(super) head: Head,
    pub(super) attachment: Arc<Attachment>,
    wait: Wait,
    refusals: u32,
    /// When all slots are looked at again, if nothing comes.
    next_refresh: Deadline,
    watch: Watch,
    /// The buffer of slices taken, while there is none.
    pub(super) slice: Vec<Taken>,
    pub(super) member: Membership,
    queue: Queue<T>,
}

impl<T: Payload> Receiver<T> {
    pub(super) fn new(queue: &Queue<T>) -> Result<Self, OpenError> {
        let memory = queue.shape().typed(queue.object())?;
        let census = &memory.words.census;
        let member = Membership::take(
            queue,
            "receiver",
            queue.shape().receivers(queue.object())?,
            &census.receivers_turn,
            &census.other_deaths,
        )?;
        Ok(Self {
            head: Head::join(&memory, member.bits),
            attachment: queue.segment().attachment().clone(),
            wait: Wait::default(),
            refusals: 0,
            next_refresh: Deadline::after(SLICE),
            watch: Watch::new(queue.shape().senders(queue.object())?),
            slice: Vec::new(),
            member,
            queue: queue.clone(),
            memory,
        })
    }

    /// Another receiver of the same queue, for another thread.
    ///
    /// # Errors
    /// As [`Queue::receiver`].
    pub fn try_clone(&self) -> Result<Self, OpenError> {
        let mut other = self.queue.receiver()?;
        other.wait = self.wait;
        Ok(other)
    }

    /// How the blocking calls of this handle wait. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// Pops a message, a copy of it, if there is one. Lock-free.
    ///
    /// # Errors
    /// [`PopError::Empty`]; [`PopError::ProducersDied`], once; [`PopError::Segment`].
    ///
    /// ```
    /// # use ipc_core::Place;
    /// # use ipc_queue::mpmc::{PopError, Queue};
    /// let queue = Queue::<u8>::create(Place::memfd("one"), 1)?;
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// assert!(matches!(rx.try_pop(), Err(PopError::Empty)));
    /// tx.push(5)?;
    /// tx.close()?;
    /// assert_eq!(rx.try_pop()?, Some(5));
    /// assert_eq!(rx.try_pop()?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    // Always: the answer by way of memory takes a fifth of the time of all.
    #[inline(always)]
    pub fn try_pop(&mut self) -> Result<Option<T>, PopError> {
        match self.take_fast() {
            Some(taken) => Ok(Some(self.read(taken))),
            None => self.pop_slow(Deadline::PAST, PopError::Empty),
        }
    }

    /// Pops a message, a copy of it; waits while the queue is empty, also for a first sender to
    /// come.
    ///
    /// # Errors
    /// [`PopError::ProducersDied`], once; [`PopError::Segment`].
    #[inline(always)]
    pub fn pop(&mut self) -> Result<Option<T>, PopError> {
        match self.take_fast() {
            Some(taken) => Ok(Some(self.read(taken))),
            None => self.pop_slow(Deadline::NEVER, PopError::Empty),
        }
    }

    /// Pops a message, a copy of it; waits at most this long while the queue is empty. Zero looks
    /// once, [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`PopError::TimedOut`]; otherwise as [`pop`](Self::pop).
    pub fn pop_timeout(&mut self, timeout: Duration) -> Result<Option<T>, PopError> {
        match self.take_fast() {
            Some(taken) => Ok(Some(self.read(taken))),
            None => self.pop_slow(Deadline::after(timeout), PopError::TimedOut),
        }
    }

    /// Copies a message that was taken, and finishes it.
    #[inline(always)]
    fn read(&mut self, taken: Taken) -> T {
        let message = self.memory.cells.read(taken.index);
        self.finish(taken);
        self.head.publish(&self.memory);
        message
    }

    #[cold]
    #[inline(never)]
    fn pop_slow(&mut self, deadline: Deadline, otherwise: PopError) -> Result<Option<T>, PopError> {
        let taken = self.take_slow(deadline, otherwise)?;
        Ok(taken.map(|taken| self.read(taken)))
    }

    /// Pops as many messages as there are, up to the length of `into`, and returns how many: at
    /// least one, unless `into` is empty. Lock-free.
    ///
    /// # Errors
    /// As [`try_pop`](Self::try_pop).
    pub fn try_pop_slice(&mut self, into: &mut [T]) -> Result<Option<usize>, PopError> {
        self.pop_some(into, Deadline::PAST, PopError::Empty)
    }

    /// Pops as many messages as there are, up to the length of `into`, and returns how many: at
    /// least one, unless `into` is empty. Waits while the queue is empty.
    ///
    /// # Errors
    /// As [`pop`](Self::pop).
    pub fn pop_slice(&mut self, into: &mut [T]) -> Result<Option<usize>, PopError> {
        self.pop_some(into, Deadline::NEVER, PopError::Empty)
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
        self.pop_some(into, Deadline::after(timeout), PopError::TimedOut)
    }

    fn pop_some(
        &mut self,
        into: &mut [T],
        deadline: Deadline,
        otherwise: PopError,
    ) -> Result<Option<usize>, PopError> {
        let Some((first, rest)) = into.split_first_mut() else {
            return Ok(Some(0));
        };
        let Some(taken) = self.next(deadline, otherwise)? else {
            return Ok(None);
        };
        *first = self.memory.cells.read(taken.index);
        self.head.finish(&self.memory, taken);
        let mut popped = 1;
        for into in rest {
            // Why it ends here is found out by the next call.
            let Some(taken) = self.head.take_fast(&self.memory) else {
                break;
            };
            *into = self.memory.cells.read(taken.index);
            self.head.finish(&self.memory, taken);
            popped += 1;
        }
        self.head.publish(&self.memory);
        self.member.count(popped as u64);
        self.memory.words.cursors.room.ring(self.memory.fences);
        Ok(Some(popped))
    }

    /// Takes the next message in place, if there is one. It is finished when the guard is dropped;
    /// if this process dies before, another receiver gets it. Lock-free.
    ///
    /// # Errors
    /// As [`try_pop`](Self::try_pop); [`PopError::NotPrivate`] if other users can write to the
    /// segment.
    pub fn try_take(&mut self) -> Result<Option<ReadGuard<'_, T>>, PopError> {
        self.take_until(Deadline::PAST, PopError::Empty)
    }

    /// As [`try_take`](Self::try_take), but waits while the queue is empty.
    ///
    /// # Errors
    /// As [`pop`](Self::pop); [`PopError::NotPrivate`].
    pub fn take(&mut self) -> Result<Option<ReadGuard<'_, T>>, PopError> {
        self.take_until(Deadline::NEVER, PopError::Empty)
    }

    /// As [`take`](Self::take), but waits at most this long.
    ///
    /// # Errors
    /// As [`take`](Self::take); [`PopError::TimedOut`].
    pub fn take_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<ReadGuard<'_, T>>, PopError> {
        self.take_until(Deadline::after(timeout), PopError::TimedOut)
    }

    #[inline(always)]
    fn take_until(
        &mut self,
        deadline: Deadline,
        otherwise: PopError,
    ) -> Result<Option<ReadGuard<'_, T>>, PopError> {
        if !self.attachment.is_private() {
            return Err(PopError::NotPrivate);
        }
        let Some(taken) = self.next(deadline, otherwise)? else {
            return Ok(None);
        };
        // Now, since the guard may live long.
        self.head.publish(&self.memory);
        Ok(Some(ReadGuard::new(self, taken)))
    }

    /// Takes as many messages as there are, up to `max`, in place: at least one, unless `max` is 0.
    /// All are finished when the guard is dropped, or given back together; if this process dies
    /// before, all come back, in any order. Each of them keeps its slot until then. Lock-free.
    ///
    /// # Errors
    /// As [`try_take`](Self::try_take).
    pub fn try_take_slice(
        &mut self,
        max: usize,
    ) -> Result<Option<ReadSliceGuard<'_, T>>, PopError> {
        self.take_some(max, Deadline::PAST, PopError::Empty)
    }

    /// As [`try_take_slice`](Self::try_take_slice), but waits while the queue is empty.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    ///
    /// ```
    /// # use ipc_core::Place;
    /// # use ipc_queue::mpmc::Queue;
    /// let queue = Queue::<u32>::create(Place::memfd("jobs"), 8)?;
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// tx.push_slice(&[1, 2, 3])?;
    /// let jobs = rx.take_slice(2)?.expect("the stream has not ended");
    /// assert_eq!(jobs.iter().map(|job| *job).sum::<u32>(), 3);
    /// drop(jobs); // Both are done.
    /// assert_eq!(rx.pop()?, Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_slice(&mut self, max: usize) -> Result<Option<ReadSliceGuard<'_, T>>, PopError> {
        self.take_some(max, Deadline::NEVER, PopError::Empty)
    }

    /// As [`take_slice`](Self::take_slice), but waits at most this long.
    ///
    /// # Errors
    /// As [`take_timeout`](Self::take_timeout).
    pub fn take_slice_timeout(
        &mut self,
        max: usize,
        timeout: Duration,
    ) -> Result<Option<ReadSliceGuard<'_, T>>, PopError> {
        self.take_some(max, Deadline::after(timeout), PopError::TimedOut)
    }

    fn take_some(
        &mut self,
        max: usize,
        deadline: Deadline,
        otherwise: PopError,
    ) -> Result<Option<ReadSliceGuard<'_, T>>, PopError> {
        if !self.attachment.is_private() {
            return Err(PopError::NotPrivate);
        }
        if max == 0 {
            return Ok(Some(ReadSliceGuard::new(self, Vec::new())));
        }
        let Some(taken) = self.next(deadline, otherwise)? else {
            return Ok(None);
        };
        let mut slice = std::mem::take(&mut self.slice);
        slice.push(taken);
        // Why it ends before `max` is found out by the next call.
        while slice.len() < max
            && let Some(taken) = self.head.take_fast(&self.memory)
        {
            slice.push(taken);
        }
        self.head.publish(&self.memory);
        Ok(Some(ReadSliceGuard::new(self, slice)))
    }

    /// How many messages the queue holds.
    pub fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// The queue it receives from.
    pub fn queue(&self) -> &Queue<T> {
        &self.queue
    }

    #[inline(always)]
    fn take_fast(&mut self) -> Option<Taken> {
        if self.attachment.is_mine() {
            self.head.take_fast(&self.memory)
        } else {
            None
        }
    }

    #[inline]
    pub(super) fn next(
        &mut self,
        deadline: Deadline,
        otherwise: PopError,
    ) -> Result<Option<Taken>, PopError> {
        match self.take_fast() {
            Some(taken) => Ok(Some(taken)),
            None => self.take_slow(deadline, otherwise),
        }
    }

    /// Finds out why there was nothing, and waits if something may come.
    #[cold]
    #[inline(never)]
    fn take_slow(
        &mut self,
        deadline: Deadline,
        otherwise: PopError,
    ) -> Result<Option<Taken>, PopError> {
        self.attachment.check_fork()?;
        if deadline == Deadline::PAST {
            return self.look_once(otherwise);
        }
        let waiting = Waiting {
            bell: &self.memory.words.cursors.messages,
            segment: self.queue.segment(),
            fences: self.memory.fences,
            policy: self.wait,
            deadline,
        };
        let mut waiter = MessageWaiter {
            memory: &self.memory,
            head: &mut self.head,
            watch: &mut self.watch,
            end: OPEN,
        };
        let Waited { found, slept } = waiting.run(&mut waiter)?;
        if slept {
            self.member.count_sleep();
        }
        match found {
            Some(answer) => self.say(answer),
            None => {
                // The time may have been too short for a slice: who only ever waits a little gets
                // the dead's messages all the same.
                self.queue.segment().recover_if_due(SLICE)?;
                self.look_once(otherwise)
            }
        }
    }

    fn look_once(&mut self, otherwise: PopError) -> Result<Option<Taken>, PopError> {
        let mut waiter = MessageWaiter {
            memory: &self.memory,
            head: &mut self.head,
            watch: &mut self.watch,
            end: OPEN,
        };
        if let Some(answer) = waiter.attempt_slow() {
            self.refusals = 0;
            return self.say(answer);
        }
        self.refusals += 1;
        if self.refusals >= REFUSALS_PER_LOOK {
            self.refusals = 0;
            if self.next_refresh.has_passed() {
                self.next_refresh = Deadline::after(SLICE);
                self.head.forget();
                self.watch.deaths_of_all(&self.memory.words.census.deaths);
            }
            self.queue.segment().recover_if_due(SLICE)?;
        }
        Err(otherwise)
    }

    fn say(&self, answer: Answer) -> Result<Option<Taken>, PopError> {
        match answer {
            Answer::Message(taken) => Ok(Some(taken)),
            Answer::Ended => Ok(None),
            Answer::SendersDied => Err(PopError::ProducersDied),
            Answer::Trouble(trouble) => Err(explain(self.queue.object(), trouble).into()),
        }
    }

    /// As [`take`](Self::take), but without a guard: for those who hold several messages at once.
    /// Whatever is held when the receiver is dropped is given back.
    pub(crate) fn hold(&mut self) -> Result<Option<Taken>, PopError> {
        let taken = self.next(Deadline::NEVER, PopError::Empty)?;
        self.member.guards += u64::from(taken.is_some());
        self.head.publish(&self.memory);
        Ok(taken)
    }

    /// As [`hold`](Self::hold), if a message is just there. Why there is none, that tells.
    pub(crate) fn hold_next(&mut self) -> Option<Taken> {
        let taken = self.take_fast()?;
        self.member.guards += 1;
        self.head.publish(&self.memory);
        Some(taken)
    }

    /// A copy of a message that is held.
    pub(crate) fn copy(&self, taken: &Taken) -> T {
        self.memory.cells.read(taken.index)
    }

    pub(crate) fn is_mine(&self) -> bool {
        self.attachment.is_mine()
    }

    /// Frees the slot of a message that has been read.
    #[inline(always)]
    pub(crate) fn finish(&mut self, taken: Taken) {
        self.finish_and(taken, || {});
    }

    /// Frees the slot of a message that has been read, and then what else it kept from senders.
    #[inline(always)]
    pub(super) fn finish_and(&mut self, taken: Taken, free: impl FnOnce()) {
        self.head.finish(&self.memory, taken);
        free();
        self.member.count(1);
        self.memory.words.cursors.room.ring(self.memory.fences);
    }

    /// Frees the slots of messages that have been read.
    pub(super) fn finish_slice(&mut self, slice: &[Taken]) {
        for &taken in slice {
            self.head.finish(&self.memory, taken);
        }
        self.member.count(slice.len() as u64);
        self.memory.words.cursors.room.ring(self.memory.fences);
    }

    /// Gives messages back unfinished: the oldest first, so that nobody gets a newer one before it.
    pub(super) fn give_back_slice(&mut self, slice: &[Taken]) {
        for &taken in slice {
            self.head.give_back(&self.memory, taken);
        }
        let redelivered = &self.memory.words.census.redelivered;
        redelivered.fetch_add(slice.len() as u64, Relaxed);
        self.memory.words.cursors.messages.ring(self.memory.fences);
    }

    /// Gives a message back unfinished.
    pub(crate) fn give_back(&mut self, taken: Taken) {
        self.head.give_back(&self.memory, taken);
        self.memory.words.census.redelivered.fetch_add(1, Relaxed);
        self.memory.words.cursors.messages.ring(self.memory.fences);
    }
}

impl<T: Payload> Drop for Receiver<T> {
    fn drop(&mut self) {
        if !self.attachment.is_mine() {
            return;
        }
        if self.member.guards > 0 {
            // Forgotten ones: their messages are still ours.
            let redelivered = sweep(&self.memory, &(), &self.member.bits);
            let census = &self.memory.words.census;
            census.redelivered.fetch_add(redelivered, Relaxed);
        }
        self.member.leave();
        // The end may have waited for what this one held.
        self.memory.words.cursors.messages.ring(self.memory.fences);
    }
}
