//! The sending handle.

use super::end;
use super::error::{OpenError, PushError};
use super::guard::WriteGuard;
use super::layout::Shared;
use super::membership::Membership;
use super::push::{Claim, Committed, Refusal, Tail, ready};
use super::queue::{Queue, explain};
use super::sweep::sweep;
use super::wait::{Waited, Waiting};
use super::waiters::RoomWaiter;
use ipc_core::{Attachment, Deadline, Payload, SLICE, SharedCells, Wait};
use std::sync::Arc;
use std::time::Duration;

/// Every so many refusals in a row, a polling sender looks after the dead.
const REFUSALS_PER_LOOK: u32 = 64;

/// A handle that pushes. It can be sent to another thread; for a second one at the same time, see
/// [`try_clone`](Self::try_clone).
///
/// Dropping it does not end the stream; [`close`](Self::close) does.
#[derive(Debug)]
pub struct Sender<T: Payload> {
    pub(super) memory: Shared<SharedCells<T>>,
    pub(super) tail: Tail,
    pub(super) attachment: Arc<Attachment>,
    wait: Wait,
    refusals: u32,
    pub(super) member: Membership,
    queue: Queue<T>,
}

impl<T: Payload> Sender<T> {
    pub(super) fn new(queue: &Queue<T>) -> Result<Self, OpenError> {
        let memory = queue.shape().typed(queue.object())?;
        if end::is_closed(&memory) {
            return Err(OpenError::Closed {
                queue: queue.object().to_string(),
            });
        }
        let senders = queue.shape().senders(queue.object())?;
        let census = &memory.words.census;
        let member = Membership::take(
            queue,
            "sender",
            senders,
            &census.senders_turn,
            &census.deaths,
        )?;
        Ok(Self {
            tail: Tail::join(&memory, member.bits),
            attachment: queue.segment().attachment().clone(),
            wait: Wait::default(),
            refusals: 0,
            member,
            queue: queue.clone(),
            memory,
        })
    }

    /// Another sender of the same queue, for another thread.
    ///
    /// # Errors
    /// As [`Queue::sender`].
    pub fn try_clone(&self) -> Result<Self, OpenError> {
        let mut other = self.queue.sender()?;
        other.wait = self.wait;
        Ok(other)
    }

    /// How the blocking calls of this handle wait. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// Pushes a message if there is room. Lock-free.
    ///
    /// # Errors
    /// [`PushError::Full`]; [`PushError::Closed`]; [`PushError::Segment`].
    ///
    /// ```
    /// # use ipc_core::Place;
    /// # use ipc_queue::mpmc::{PushError, Queue};
    /// let queue = Queue::<u8>::create(Place::memfd("one"), 1)?;
    /// let mut tx = queue.sender()?;
    /// tx.try_push(1)?;
    /// assert!(matches!(tx.try_push(2), Err(PushError::Full)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    // Always: the answer by way of memory takes a fifth of the time of all.
    #[inline(always)]
    pub fn try_push(&mut self, message: T) -> Result<(), PushError> {
        match self.claim_fast() {
            Some(claim) => self.write(claim, &message),
            None => self.push_slow(&message, Deadline::PAST, PushError::Full),
        }
    }

    /// Pushes a message; waits while the queue is full.
    ///
    /// # Errors
    /// [`PushError::Closed`]; [`PushError::Segment`].
    #[inline(always)]
    pub fn push(&mut self, message: T) -> Result<(), PushError> {
        match self.claim_fast() {
            Some(claim) => self.write(claim, &message),
            None => self.push_slow(&message, Deadline::NEVER, PushError::Full),
        }
    }

    /// Pushes a message; waits at most this long while the queue is full. Zero looks once,
    /// [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`PushError::TimedOut`]; otherwise as [`push`](Self::push).
    pub fn push_timeout(&mut self, message: T, timeout: Duration) -> Result<(), PushError> {
        match self.claim_fast() {
            Some(claim) => self.write(claim, &message),
            None => self.push_slow(&message, Deadline::after(timeout), PushError::TimedOut),
        }
    }

    #[cold]
    #[inline(never)]
    fn push_slow(
        &mut self,
        message: &T,
        deadline: Deadline,
        otherwise: PushError,
    ) -> Result<(), PushError> {
        let claim = self.claim_slow(deadline, otherwise, || true)?;
        self.write(claim, message)
    }

    /// Pushes as many of the messages as there is room for, from the first on, and returns how
    /// many: at least one, unless there are none. Each becomes visible on its own. Lock-free.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push).
    pub fn try_push_slice(&mut self, messages: &[T]) -> Result<usize, PushError> {
        self.push_some(messages, Deadline::PAST, PushError::Full)
    }

    /// Pushes all the messages; waits while the queue is full. Each becomes visible on its own.
    /// Others' messages may come between them.
    ///
    /// # Errors
    /// As [`push`](Self::push). Those that were pushed before the error stay pushed; to know how
    /// many, use [`push_slice_timeout`](Self::push_slice_timeout).
    pub fn push_slice(&mut self, mut messages: &[T]) -> Result<(), PushError> {
        while !messages.is_empty() {
            let pushed = self.push_some(messages, Deadline::NEVER, PushError::Full)?;
            messages = &messages[pushed..];
        }
        Ok(())
    }

    /// Pushes as many of the messages as there is room for, from the first on, and returns how
    /// many: at least one, unless there are none. Waits at most this long while the queue is full.
    ///
    /// # Errors
    /// As [`push_timeout`](Self::push_timeout).
    pub fn push_slice_timeout(
        &mut self,
        messages: &[T],
        timeout: Duration,
    ) -> Result<usize, PushError> {
        self.push_some(messages, Deadline::after(timeout), PushError::TimedOut)
    }

    /// Reserves a slot, if there is one, to write the message in place. Nothing is visible before
    /// [`WriteGuard::commit`]; dropping the guard gives the slot up. Lock-free.
    ///
    /// Receivers do not wait for it: who takes longer than others finds that they have gone on, and
    /// its message comes after theirs.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push); [`PushError::NotPrivate`] if other users can write to the
    /// segment.
    pub fn try_reserve(&mut self) -> Result<WriteGuard<'_, T>, PushError> {
        self.reserve_until(Deadline::PAST, PushError::Full)
    }

    /// As [`try_reserve`](Self::try_reserve), but waits while the queue is full.
    ///
    /// # Errors
    /// As [`push`](Self::push); [`PushError::NotPrivate`].
    ///
    /// ```
    /// # use ipc_core::Place;
    /// # use ipc_queue::mpmc::Queue;
    /// let queue = Queue::<[u32; 256]>::create(Place::memfd("frames"), 4)?;
    /// let mut tx = queue.sender()?;
    /// let mut frame = tx.reserve()?;
    /// frame[0] = 7;
    /// frame.commit()?;
    /// # let mut rx = queue.receiver()?;
    /// let frame = rx.take()?.expect("the stream has not ended");
    /// assert_eq!(frame[0], 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(&mut self) -> Result<WriteGuard<'_, T>, PushError> {
        self.reserve_until(Deadline::NEVER, PushError::Full)
    }

    /// As [`reserve`](Self::reserve), but waits at most this long.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve); [`PushError::TimedOut`].
    pub fn reserve_timeout(&mut self, timeout: Duration) -> Result<WriteGuard<'_, T>, PushError> {
        self.reserve_until(Deadline::after(timeout), PushError::TimedOut)
    }

    fn reserve_until(
        &mut self,
        deadline: Deadline,
        otherwise: PushError,
    ) -> Result<WriteGuard<'_, T>, PushError> {
        if !self.attachment.is_private() {
            return Err(PushError::NotPrivate);
        }
        let claim = self.claim(deadline, otherwise)?;
        Ok(WriteGuard::new(self, claim))
    }

    /// Closes the stream for all senders: see [`Queue::close`]. Call it when the last one has
    /// nothing more to say.
    ///
    /// # Errors
    /// [`PushError::Segment`] in a forked child.
    pub fn close(self) -> Result<(), PushError> {
        self.queue.close()?;
        Ok(())
    }

    /// How many messages the queue holds.
    pub fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// The queue it sends to.
    pub fn queue(&self) -> &Queue<T> {
        &self.queue
    }

    pub(crate) fn is_mine(&self) -> bool {
        self.attachment.is_mine()
    }

    #[inline(always)]
    pub(super) fn claim_fast(&mut self) -> Option<Claim> {
        if self.attachment.is_mine() {
            self.tail.claim_fast(&self.memory)
        } else {
            None
        }
    }

    #[inline]
    pub(super) fn claim(
        &mut self,
        deadline: Deadline,
        otherwise: PushError,
    ) -> Result<Claim, PushError> {
        match self.claim_fast() {
            Some(claim) => Ok(claim),
            None => self.claim_slow(deadline, otherwise, || true),
        }
    }

    /// Finds out why there was no claim, and waits if it is for room, or for what else a message
    /// needs.
    #[cold]
    #[inline(never)]
    pub(super) fn claim_slow(
        &mut self,
        deadline: Deadline,
        otherwise: PushError,
        mut is_ready: impl FnMut() -> bool,
    ) -> Result<Claim, PushError> {
        self.attachment.check_fork()?;
        if end::is_closed(&self.memory) {
            return Err(PushError::Closed);
        }
        if deadline == Deadline::PAST {
            return self.look_once(otherwise, &mut is_ready);
        }
        let waiting = Waiting {
            bell: &self.memory.words.cursors.room,
            segment: self.queue.segment(),
            fences: self.memory.fences,
            policy: self.wait,
            deadline,
        };
        let mut waiter = RoomWaiter {
            memory: &self.memory,
            tail: &mut self.tail,
            is_ready: &mut is_ready,
        };
        let Waited { found, slept } = waiting.run(&mut waiter)?;
        if slept {
            self.member.count_sleep();
        }
        match found {
            Some(result) => result.map_err(|refusal| self.refused(refusal, otherwise)),
            None => {
                // The time may have been too short for a slice: who only ever waits a little gives
                // the dead's slots back all the same.
                self.queue.segment().recover_if_due(SLICE)?;
                self.look_once(otherwise, &mut is_ready)
            }
        }
    }

    fn look_once(
        &mut self,
        otherwise: PushError,
        is_ready: &mut impl FnMut() -> bool,
    ) -> Result<Claim, PushError> {
        let claimed =
            ready(&self.memory, is_ready).and_then(|()| self.tail.claim_slow(&self.memory));
        match claimed {
            Ok(claim) => {
                self.refusals = 0;
                Ok(claim)
            }
            Err(refusal) => {
                self.refusals += 1;
                if self.refusals >= REFUSALS_PER_LOOK {
                    self.refusals = 0;
                    self.queue.segment().recover_if_due(SLICE)?;
                }
                Err(self.refused(refusal, otherwise))
            }
        }
    }

    fn refused(&self, refusal: Refusal, otherwise: PushError) -> PushError {
        match refusal {
            Refusal::Full => otherwise,
            Refusal::Closed => PushError::Closed,
            Refusal::Trouble(trouble) => explain(self.queue.object(), trouble).into(),
        }
    }

    #[inline(always)]
    fn write(&mut self, claim: Claim, message: &T) -> Result<(), PushError> {
        self.memory.cells.write(claim.index, message);
        self.commit(claim)
    }

    /// Makes the claimed slot's contents a message.
    #[inline(always)]
    pub(super) fn commit(&mut self, claim: Claim) -> Result<(), PushError> {
        let committed = self.tail.commit(&self.memory, claim);
        // After `late`, too, which the commit may have raised.
        self.memory.words.cursors.messages.ring(self.memory.fences);
        match committed {
            Committed::Yes => {
                self.member.count(1);
                Ok(())
            }
            Committed::TooLate => Err(PushError::Closed),
        }
    }

    /// Gives a claimed slot back unwritten.
    pub(super) fn give_up(&mut self, claim: Claim) {
        self.give_up_and(claim, || {});
    }

    /// Gives a claimed slot back unwritten, and then what else it kept from others.
    pub(super) fn give_up_and(&mut self, claim: Claim, free: impl FnOnce()) {
        self.tail.give_back(&self.memory, claim);
        free();
        self.memory.words.cursors.messages.ring(self.memory.fences);
        self.memory.words.cursors.room.ring(self.memory.fences);
    }

    fn push_some(
        &mut self,
        messages: &[T],
        deadline: Deadline,
        otherwise: PushError,
    ) -> Result<usize, PushError> {
        let Some((first, rest)) = messages.split_first() else {
            return Ok(0);
        };
        let claim = self.claim(deadline, otherwise)?;
        self.write(claim, first)?;
        let mut pushed = 1;
        for message in rest {
            // Why it ends here is found out by the next call.
            let Some(claim) = self.tail.claim_fast(&self.memory) else {
                break;
            };
            self.memory.cells.write(claim.index, message);
            if self.tail.commit(&self.memory, claim) == Committed::TooLate {
                break;
            }
            pushed += 1;
        }
        self.member.count(pushed as u64 - 1);
        self.memory.words.cursors.messages.ring(self.memory.fences);
        Ok(pushed)
    }
}

impl<T: Payload> Drop for Sender<T> {
    fn drop(&mut self) {
        if !self.attachment.is_mine() {
            return;
        }
        if self.member.guards > 0 {
            // Forgotten ones: their slots are still ours.
            sweep(&self.memory, &self.member.bits, &());
        }
        self.member.leave();
        // The last one to go may leave only dead ones behind.
        self.memory.words.cursors.messages.ring(self.memory.fences);
        self.memory.words.cursors.room.ring(self.memory.fences);
    }
}
