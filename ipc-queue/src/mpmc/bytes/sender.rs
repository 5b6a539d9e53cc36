//! The sending handle.

use super::block::Tenancy;
use super::guard::WriteGrant;
use super::layout::{Cell, INLINE};
use super::queue::Queue;
use super::store::{Extent, Store};
use crate::mpmc::memory::Memory;
use crate::mpmc::push::Claim;
use crate::mpmc::{OpenError, PushError, sender, sweep};
use ipc_core::{Deadline, Wait};
use std::time::Duration;

/// A handle that pushes messages of bytes. It can be sent to another thread; for a second one at
/// the same time, see [`try_clone`](Self::try_clone).
///
/// Dropping it does not end the stream; [`close`](Self::close) does.
#[derive(Debug)]
pub struct Sender {
    pub(super) slots: sender::Sender<Cell>,
    pub(super) store: Store,
    queue: Queue,
}

/// A claimed slot, and where its message is to lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    claim: Claim,
    pub extent: Extent,
}

impl Sender {
    pub(super) fn new(queue: &Queue) -> Result<Self, OpenError> {
        Ok(Self {
            slots: queue.slots().sender()?,
            store: queue.store()?,
            queue: queue.clone(),
        })
    }

    /// Another sender of the same queue, for another thread.
    ///
    /// # Errors
    /// As [`Queue::sender`].
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

    /// Pushes a copy of the bytes if there is a slot, and a block if they need one. Lock-free.
    ///
    /// # Errors
    /// [`PushError::Full`]; [`PushError::TooLong`]; [`PushError::Closed`]; [`PushError::Segment`].
    #[inline]
    pub fn try_push(&mut self, bytes: &[u8]) -> Result<(), PushError> {
        self.push_until(bytes, Deadline::PAST, || PushError::Full)
    }

    /// Pushes a copy of the bytes; waits while the queue is full.
    ///
    /// # Errors
    /// [`PushError::TooLong`]; [`PushError::Closed`]; [`PushError::Segment`].
    ///
    /// ```
    /// # use ipc_core::Place;
    /// # use ipc_queue::mpmc::{PushError, bytes::Queue};
    /// let queue = Queue::create(Place::memfd("short"), 4, 20)?;
    /// let mut tx = queue.sender()?;
    /// tx.push(b"fits")?;
    /// let error = tx.push(&[0; 21]).unwrap_err();
    /// assert!(matches!(error, PushError::TooLong { asked: 21, longest: 20, .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), PushError> {
        self.push_until(bytes, Deadline::NEVER, || PushError::Full)
    }

    /// Pushes a copy of the bytes; waits at most this long while the queue is full. Zero looks
    /// once, [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`PushError::TimedOut`]; otherwise as [`push`](Self::push).
    pub fn push_timeout(&mut self, bytes: &[u8], timeout: Duration) -> Result<(), PushError> {
        self.push_until(bytes, Deadline::after(timeout), || PushError::TimedOut)
    }

    #[inline(always)]
    fn push_until(
        &mut self,
        bytes: &[u8],
        deadline: Deadline,
        otherwise: fn() -> PushError,
    ) -> Result<(), PushError> {
        let granted = self.grant(bytes.len(), deadline, otherwise)?;
        self.store.write(&granted.extent, bytes);
        self.commit(&granted, bytes.len())
    }

    /// Reserves room for a message of up to `len` bytes, if there is some, to write it in place.
    /// Nothing is visible before [`WriteGrant::commit`]; dropping the grant gives the room up.
    /// Lock-free.
    ///
    /// Receivers do not wait for it: who takes longer than others finds that they have gone on, and
    /// its message comes after theirs.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push); [`PushError::NotPrivate`] if other users can write to the
    /// segment.
    #[inline]
    pub fn try_reserve(&mut self, len: usize) -> Result<WriteGrant<'_>, PushError> {
        self.reserve_until(len, Deadline::PAST, || PushError::Full)
    }

    /// As [`try_reserve`](Self::try_reserve), but waits while the queue is full.
    ///
    /// # Errors
    /// As [`push`](Self::push); [`PushError::NotPrivate`].
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<WriteGrant<'_>, PushError> {
        self.reserve_until(len, Deadline::NEVER, || PushError::Full)
    }

    /// As [`reserve`](Self::reserve), but waits at most this long.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve); [`PushError::TimedOut`].
    pub fn reserve_timeout(
        &mut self,
        len: usize,
        timeout: Duration,
    ) -> Result<WriteGrant<'_>, PushError> {
        self.reserve_until(len, Deadline::after(timeout), || PushError::TimedOut)
    }

    #[inline(always)]
    fn reserve_until(
        &mut self,
        len: usize,
        deadline: Deadline,
        otherwise: fn() -> PushError,
    ) -> Result<WriteGrant<'_>, PushError> {
        if !self.slots.attachment.is_private() {
            return Err(PushError::NotPrivate);
        }
        let granted = self.grant(len, deadline, otherwise)?;
        Ok(WriteGrant::new(self, granted))
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

    /// The longest message in bytes.
    pub fn longest(&self) -> usize {
        self.store.longest
    }

    /// The queue it sends to.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Claims a slot, and takes a block if the message needs one.
    #[inline(always)]
    pub(super) fn grant(
        &mut self,
        len: usize,
        deadline: Deadline,
        otherwise: fn() -> PushError,
    ) -> Result<Granted, PushError> {
        if len > self.store.longest {
            return Err(PushError::TooLong {
                asked: len,
                longest: self.store.longest,
            });
        }
        if len > INLINE {
            return self.grant_block(len, deadline, otherwise);
        }
        let claim = match self.slots.claim_fast() {
            Some(claim) => claim,
            None => self.slots.claim_slow(deadline, otherwise(), || true)?,
        };
        let tenancy = self.tenancy(&claim);
        Ok(Granted {
            claim,
            extent: self.store.inline(claim.index, len, tenancy),
        })
    }

    fn grant_block(
        &mut self,
        len: usize,
        deadline: Deadline,
        otherwise: fn() -> PushError,
    ) -> Result<Granted, PushError> {
        loop {
            // Before the claim, since one that is given up costs its slot for a lap. In a forked
            // child there is nothing to look at.
            let pool = &mut self.store.pool;
            let claim = if self.slots.is_mine()
                && pool.has(len)
                && let Some(claim) = self.slots.claim_fast()
            {
                claim
            } else {
                self.slots
                    .claim_slow(deadline, otherwise(), || pool.has(len))?
            };
            let tenancy = self.tenancy(&claim);
            if let Some(extent) = self.store.take_block(len, tenancy) {
                return Ok(Granted { claim, extent });
            }
            // Others have taken the last ones meanwhile.
            self.slots.give_up(claim);
        }
    }

    #[inline(always)]
    fn tenancy(&self, claim: &Claim) -> Tenancy {
        Tenancy::new(claim.index, claim.lap(self.slots.memory.geometry()))
    }

    /// Makes the first `len` bytes of what was granted a message.
    #[inline(always)]
    pub(super) fn commit(&mut self, granted: &Granted, len: usize) -> Result<(), PushError> {
        let Granted { claim, extent } = granted;
        self.store.describe(claim.index, extent, len);
        let committed = self.slots.commit(*claim);
        if committed.is_err() {
            // Too late: nobody will have it.
            self.store.release(extent);
        }
        committed
    }

    /// Gives up what was granted, unwritten.
    pub(super) fn give_up(&mut self, granted: &Granted) {
        let Granted { claim, extent } = granted;
        self.slots
            .give_up_and(*claim, || self.store.release(extent));
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.slots.is_mine() && self.slots.member.guards > 0 {
            // Forgotten ones: their slots, and with them the blocks, are still ours.
            sweep::sweep(&self.slots.memory, &self.slots.member.bits, &());
            self.store.pool.collect();
        }
    }
}
