//! What a contender for messages of bytes is.

use crate::failure::Failure;

/// Messages that are made visible together where a contender can do that and has room for so many.
pub const fn batch(messages: usize) -> usize {
    messages / 8
}

/// A sending end that takes a message from private memory.
pub trait SendBytes {
    /// Sends the bytes; waits, in the contender's best way, while there is no room.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn send_bytes(&mut self, message: &[u8]) -> Result<(), Failure>;
}

/// A receiving end that gives a message in private memory.
pub trait ReceiveBytes {
    /// Receives one message to the front of `into`, whose length is that of the messages, and says how
    /// long it is; waits, in the contender's best way, while there is none.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn receive_bytes(&mut self, into: &mut Vec<u8>) -> Result<usize, Failure>;
}

/// A sending end that makes several messages visible together.
pub trait SendBatch {
    /// Sends all of the messages, with few publications.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn send_batch(&mut self, messages: &[&[u8]]) -> Result<(), Failure>;
}

/// A receiving end that takes several messages together.
pub trait ReceiveBatch {
    /// Receives at least one message and at most `most`, and says how many. Copies one after the other
    /// to the front of `into`, which is long enough, and calls `see` with each.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn receive_batch(
        &mut self,
        most: usize,
        into: &mut [u8],
        see: impl FnMut(&[u8]),
    ) -> Result<usize, Failure>;
}

/// A sending end that hands over bytes of shared memory.
pub trait HandOver {
    /// Reserves `length` bytes, writes nothing to them, and sends them.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn hand_over(&mut self, length: usize) -> Result<(), Failure>;
}

/// A receiving end that lends bytes of shared memory.
pub trait TakeOver {
    /// Takes the next message, reads nothing of it, gives it back, and says how long it is.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn take_over(&mut self) -> Result<usize, Failure>;
}
