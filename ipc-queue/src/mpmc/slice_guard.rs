//! In-place access to several messages at once. See [`guard`](super::guard) for what its references
//! rest on.

use super::pop::Taken;
use super::receiver::Receiver;
use ipc_core::Payload;
use std::ops::Deref;

/// Several messages, in place, in the order of the stream.
///
/// All are finished when the guard is dropped. [`release_back`](Self::release_back) gives all of
/// them back for other receivers, and so does the process's death. (A forgotten guard keeps them
/// until the receiver is dropped.)
#[derive(Debug)]
#[must_use = "dropping the guard finishes the messages"]
pub struct ReadSliceGuard<'a, T: Payload> {
    receiver: &'a mut Receiver<T>,
    /// Empty once they are settled. The receiver gets the buffer back.
    taken: Vec<Taken>,
}

impl<'a, T: Payload> ReadSliceGuard<'a, T> {
    pub(super) fn new(receiver: &'a mut Receiver<T>, taken: Vec<Taken>) -> Self {
        receiver.member.guards += taken.len() as u64;
        Self { receiver, taken }
    }

    /// How many messages it holds.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether it holds none: only if none were asked for.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// The messages, oldest first, but for those that come again.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = HeldMessage<'_, T>> + DoubleEndedIterator {
        let cells = &self.receiver.memory.cells;
        self.taken.iter().map(|taken| HeldMessage {
            // SAFETY: the slot is in the mapping and aligned (`SharedCells::payload`); any bytes
            // are a `T`; it belongs to the receiver, which is borrowed by the guard, and nobody
            // writes to it.
            message: unsafe { cells.payload(taken.index).as_ref() },
            redeliveries: taken.redeliveries(),
        })
    }

    /// Gives all the messages back, oldest first. The next receivers that look get them, this one
    /// too.
    pub fn release_back(mut self) {
        self.settle(Receiver::give_back_slice);
    }

    fn settle(&mut self, how: impl FnOnce(&mut Receiver<T>, &[Taken])) {
        let mut taken = std::mem::take(&mut self.taken);
        if self.receiver.attachment.is_mine() {
            self.receiver.member.guards -= taken.len() as u64;
            how(self.receiver, &taken);
        }
        taken.clear();
        self.receiver.slice = taken;
    }
}

impl<T: Payload> Drop for ReadSliceGuard<'_, T> {
    fn drop(&mut self) {
        if !self.taken.is_empty() {
            self.settle(Receiver::finish_slice);
        }
    }
}

/// One of the messages of a [`ReadSliceGuard`].
#[derive(Clone, Copy, Debug)]
pub struct HeldMessage<'a, T> {
    message: &'a T,
    redeliveries: u32,
}

impl<'a, T> HeldMessage<'a, T> {
    /// The message, for as long as the guard.
    pub fn get(self) -> &'a T {
        self.message
    }

    /// As [`ReadGuard::redeliveries`](super::ReadGuard::redeliveries).
    pub fn redeliveries(&self) -> u32 {
        self.redeliveries
    }

    /// Whether somebody had the message before: perhaps all of the work is done.
    pub fn is_redelivered(&self) -> bool {
        self.redeliveries > 0
    }
}

impl<T> Deref for HeldMessage<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.message
    }
}
