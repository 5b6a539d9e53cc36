//! In-place access to a slot.
//!
//! The references that these guards give point into shared memory. They are valid as long as the
//! other participants follow the protocol: a claimed slot belongs to the sender whose claim is
//! pending, one whose word says `READING` to the receiver that it names. A program of the same user
//! that writes there regardless makes them racy; segments that other users can write to are
//! refused.

use super::error::PushError;
use super::pop::Taken;
use super::push::Claim;
use super::receiver::Receiver;
use super::sender::Sender;
use ipc_core::Payload;
use std::ops::{Deref, DerefMut};

/// A free slot, to be filled in place. Holds whatever an earlier message left there.
///
/// [`commit`](Self::commit) makes it a message; dropping the guard gives the slot up, and so does
/// the process's death. (A forgotten guard keeps its slot until the sender is dropped.)
#[derive(Debug)]
#[must_use = "dropping the guard gives the slot up; call commit"]
pub struct WriteGuard<'a, T: Payload> {
    sender: &'a mut Sender<T>,
    claim: Claim,
    state: Slot,
}

/// What is to be done when a guard goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Held,
    Settled,
}

impl<'a, T: Payload> WriteGuard<'a, T> {
    pub(super) fn new(sender: &'a mut Sender<T>, claim: Claim) -> Self {
        sender.member.guards += 1;
        Self {
            sender,
            claim,
            state: Slot::Held,
        }
    }

    /// Makes the slot's contents a message. Lock-free.
    ///
    /// # Errors
    /// [`PushError::Closed`] if the stream has ended meanwhile: the message is gone then.
    /// [`PushError::Segment`] in a forked child, which has no slot.
    pub fn commit(mut self) -> Result<(), PushError> {
        self.sender.attachment.check_fork()?;
        self.state = Slot::Settled;
        self.sender.member.guards -= 1;
        self.sender.commit(self.claim)
    }
}

impl<T: Payload> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        if self.state == Slot::Held && self.sender.attachment.is_mine() {
            self.sender.member.guards -= 1;
            self.sender.give_up(self.claim);
        }
    }
}

impl<T: Payload> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot is in the mapping and aligned (`SharedCells::payload`); any bytes are a
        // `T`; it belongs to the sender, which is borrowed mutably.
        unsafe { self.sender.memory.cells.payload(self.claim.index).as_ref() }
    }
}

impl<T: Payload> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; the guard is borrowed mutably.
        unsafe { self.sender.memory.cells.payload(self.claim.index).as_mut() }
    }
}

/// A message, in place.
///
/// It is finished when the guard is dropped. [`release_back`](Self::release_back) gives it back for
/// another receiver, and so does the process's death. (A forgotten guard keeps it until the
/// receiver is dropped.)
#[derive(Debug)]
#[must_use = "dropping the guard finishes the message"]
pub struct ReadGuard<'a, T: Payload> {
    receiver: &'a mut Receiver<T>,
    taken: Taken,
    state: Slot,
}

impl<'a, T: Payload> ReadGuard<'a, T> {
    pub(super) fn new(receiver: &'a mut Receiver<T>, taken: Taken) -> Self {
        receiver.member.guards += 1;
        Self {
            receiver,
            taken,
            state: Slot::Held,
        }
    }

    /// How often the message was given back before, by [`release_back`](Self::release_back) or
    /// because its reader died. Exact below 8; from 8 on only that it is at least that.
    pub fn redeliveries(&self) -> u32 {
        self.taken.redeliveries()
    }

    /// Whether somebody had the message before: perhaps all of the work is done.
    pub fn is_redelivered(&self) -> bool {
        self.redeliveries() > 0
    }

    /// Gives the message back. The next receiver that looks gets it, this one too.
    pub fn release_back(mut self) {
        self.state = Slot::Settled;
        if self.receiver.attachment.is_mine() {
            self.receiver.member.guards -= 1;
            self.receiver.give_back(self.taken);
        }
    }
}

impl<T: Payload> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        if self.state == Slot::Held && self.receiver.attachment.is_mine() {
            self.receiver.member.guards -= 1;
            self.receiver.finish(self.taken);
        }
    }
}

impl<T: Payload> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot is in the mapping and aligned (`SharedCells::payload`); any bytes are a
        // `T`; it belongs to the receiver, which is borrowed, and nobody writes to it.
        unsafe {
            self.receiver
                .memory
                .cells
                .payload(self.taken.index)
                .as_ref()
        }
    }
}
