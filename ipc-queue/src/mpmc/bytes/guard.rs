//! In-place access to a message.
//!
//! The references that these guards give point into shared memory. They are valid as long as the
//! other participants follow the protocol: the bytes belong to the sender whose claim is pending,
//! or to the receiver that the slot's word names. A program of the same user that writes there
//! regardless makes them racy; segments that other users can write to are refused.

use super::receiver::{Held, Receiver};
use super::sender::{Granted, Sender};
use crate::mpmc::PushError;
use std::ops::{Deref, DerefMut};

/// Room for a message, to be filled in place: exactly as many bytes as were asked for. They hold
/// whatever earlier messages left there.
///
/// [`commit`](Self::commit) makes the first of them a message; dropping the grant gives the room
/// up, and so does the process's death. (A forgotten grant keeps it until the sender is dropped.)
///
/// The bytes are its own as long as all programs that attach the segment follow the protocol; a
/// segment to which other users can write gives no grants.
#[derive(Debug)]
#[must_use = "dropping the grant gives the room up; call commit"]
pub struct WriteGrant<'a> {
    sender: &'a mut Sender,
    granted: Granted,
    state: Room,
}

/// What is to be done when a guard goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Held,
    Settled,
}

impl<'a> WriteGrant<'a> {
    #[inline(always)]
    pub(super) fn new(sender: &'a mut Sender, granted: Granted) -> Self {
        sender.slots.member.guards += 1;
        Self {
            sender,
            granted,
            state: Room::Held,
        }
    }

    /// An error in a forked child, which has no room.
    pub(crate) fn check_fork(&self) -> ipc_core::Result<()> {
        self.sender.slots.attachment.check_fork()
    }

    /// Makes the first `len` bytes a message. Lock-free.
    ///
    /// # Errors
    /// [`PushError::TooLong`] if there are not so many: the room is given up then.
    /// [`PushError::Closed`] if the stream has ended meanwhile: the message is gone then.
    /// [`PushError::Segment`] in a forked child, which has no room.
    #[inline]
    pub fn commit(mut self, len: usize) -> Result<(), PushError> {
        self.sender.slots.attachment.check_fork()?;
        if len > self.granted.extent.len {
            return Err(PushError::TooLong {
                asked: len,
                longest: self.granted.extent.len,
            });
        }
        self.state = Room::Settled;
        self.sender.slots.member.guards -= 1;
        self.sender.commit(&self.granted, len)
    }
}

impl Drop for WriteGrant<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.state == Room::Held && self.sender.slots.is_mine() {
            self.sender.slots.member.guards -= 1;
            self.sender.give_up(&self.granted);
        }
    }
}

impl Deref for WriteGrant<'_> {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        // SAFETY: the range is in the mapping (`SharedBytes::range`); it is a slot's or a block's,
        // which belongs to the sender, and that is borrowed mutably.
        unsafe { self.sender.store.bytes(&self.granted.extent).as_ref() }
    }
}

impl DerefMut for WriteGrant<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; the grant is borrowed mutably.
        unsafe { self.sender.store.bytes(&self.granted.extent).as_mut() }
    }
}

/// A message, in place.
///
/// It is finished when the guard is dropped. [`release_back`](Self::release_back) gives it back for
/// another receiver, and so does the process's death. (A forgotten guard keeps it until the
/// receiver is dropped.)
///
/// The bytes do not change as long as all programs that attach the segment follow the protocol; a
/// segment to which other users can write gives no guards.
#[derive(Debug)]
#[must_use = "dropping the guard finishes the message"]
pub struct ReadGuard<'a> {
    receiver: &'a mut Receiver,
    held: Held,
    state: Room,
}

impl<'a> ReadGuard<'a> {
    #[inline(always)]
    pub(super) fn new(receiver: &'a mut Receiver, held: Held) -> Self {
        receiver.slots.member.guards += 1;
        Self {
            receiver,
            held,
            state: Room::Held,
        }
    }

    /// How often the message was given back before, by [`release_back`](Self::release_back) or
    /// because its reader died. Exact below 8; from 8 on only that it is at least that.
    pub fn redeliveries(&self) -> u32 {
        self.held.taken.redeliveries()
    }

    /// Whether somebody had the message before: perhaps all of the work is done.
    pub fn is_redelivered(&self) -> bool {
        self.redeliveries() > 0
    }

    /// Gives the message back. The next receiver that looks gets it, this one too.
    pub fn release_back(mut self) {
        self.state = Room::Settled;
        if self.receiver.slots.is_mine() {
            self.receiver.slots.member.guards -= 1;
            self.receiver.slots.give_back(self.held.taken);
        }
    }
}

impl Drop for ReadGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.state == Room::Held && self.receiver.slots.is_mine() {
            self.receiver.slots.member.guards -= 1;
            self.receiver.finish(&self.held);
        }
    }
}

impl Deref for ReadGuard<'_> {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        // SAFETY: the range is in the mapping (`SharedBytes::range`); it is a slot's or a block's,
        // which belongs to the receiver, and that is borrowed; nobody writes to it.
        unsafe { self.receiver.store.bytes(&self.held.extent).as_ref() }
    }
}
