//! What byte messages have of their own: lengths, and writing and reading in place.

use super::envelope::{Head, seal_bytes};
use super::error::{ReceiveError, SendError};
use super::run::Harness;
use super::sequence::Sequence;
use super::sink::Sink;
use super::source::{LOOK, Source};
use crate::mpmc::PushError;
use crate::mpmc::bytes::WriteGrant;
use std::fmt;
use std::ops::{Deref, DerefMut};

impl Harness<'_, [u8]> {
    /// The longest byte message. A longer one is an error of who sends it. Default: 65,536 bytes.
    pub fn longest(mut self, bytes: usize) -> Self {
        self.settings.longest = bytes;
        self
    }

    /// So many blocks for messages of up to so many bytes, instead of the usual ones: see
    /// [`QueueOptions::blocks`](crate::mpmc::bytes::QueueOptions::blocks). Call it once for each
    /// size, up to eight of them; the largest must hold the [longest](Self::longest) message.
    /// Messages of up to 88 bytes need none.
    ///
    /// A producer waits when there is no block for its message, as it does when the queue is full.
    /// So there should be as many of the usual size as there are messages in the queue.
    pub fn blocks(mut self, size: usize, number: usize) -> Self {
        self.settings.blocks.push((size, number));
        self
    }
}

impl Source<'_, [u8]> {
    /// Sends a copy of the bytes, as [`reserve`](Self::reserve) and [`Grant::commit`].
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub fn send_bytes(&mut self, message: &[u8]) -> Result<(), SendError> {
        let mut grant = self.reserve(message.len())?;
        grant.copy_from_slice(message);
        grant.commit(message.len())
    }

    /// Reserves room for a message of up to `len` bytes, to write it in place; waits while the queue
    /// is full. [`Grant::commit`] sends it, dropping the grant gives it up.
    ///
    /// In a producer that replaces a killed one, what is committed for a message that was sent
    /// already is not sent again, as with [`send`](Source::send).
    ///
    /// # Errors
    /// [`SendError::NoConsumer`] if it is full and all consumers have ended; [`SendError::Queue`],
    /// with [`PushError::TooLong`] if no message can be so long.
    pub fn reserve(&mut self, len: usize) -> Result<Grant<'_>, SendError> {
        let longest = self.longest();
        if len > longest {
            return Err(PushError::TooLong {
                asked: len,
                longest,
            }
            .into());
        }
        let Self {
            queue, sequence, ..
        } = self;
        let room = if sequence.is_sent() {
            Room::Sent(vec![0; len])
        } else {
            let go_on = || !sequence.ledger().is_abandoned();
            match queue.reserve_while(Head::LEN + len, LOOK, go_on) {
                Ok(grant) => Room::New(grant),
                Err(PushError::TimedOut) => return Err(SendError::NoConsumer),
                Err(error) => return Err(error.into()),
            }
        };
        Ok(Grant { room, sequence })
    }

    /// The longest message in bytes.
    pub fn longest(&self) -> usize {
        self.queue.longest().saturating_sub(Head::LEN)
    }
}

impl Sink<'_, [u8]> {
    /// As [`receive`](Sink::receive), of bytes: the next message, where it lies.
    ///
    /// # Errors
    /// [`ReceiveError::Queue`].
    pub fn receive_bytes(&mut self) -> Result<Option<&[u8]>, ReceiveError> {
        self.advance()?;
        Ok(self.message(0))
    }
}

/// Room for a message, exactly as long as was asked for. It holds whatever earlier messages left
/// there.
#[must_use = "dropping the grant gives the room up; call commit"]
pub struct Grant<'s> {
    room: Room<'s>,
    sequence: &'s mut Sequence,
}

enum Room<'s> {
    /// In the queue, the head's among it.
    New(WriteGrant<'s>),
    /// Of a message that a killed predecessor has sent.
    Sent(Vec<u8>),
}

impl Grant<'_> {
    /// Sends the first `len` bytes as a message.
    ///
    /// # Errors
    /// [`SendError::Queue`]: with [`PushError::TooLong`] if there are not so many, with
    /// [`PushError::Closed`] if the stream has ended. Nothing is sent then.
    pub fn commit(self, len: usize) -> Result<(), SendError> {
        let longest = self.len();
        if len > longest {
            return Err(PushError::TooLong {
                asked: len,
                longest,
            }
            .into());
        }
        if let Room::New(mut grant) = self.room {
            // In a forked child it is not there to be written to.
            grant.check_fork().map_err(PushError::from)?;
            let len = Head::LEN + len;
            seal_bytes(self.sequence.stamp(), &mut grant[..len]);
            grant.commit(len)?;
            self.sequence.count_sent();
        }
        self.sequence.advance();
        Ok(())
    }
}

impl Deref for Grant<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.room {
            Room::New(grant) => &grant[Head::LEN..],
            Room::Sent(scratch) => scratch,
        }
    }
}

impl DerefMut for Grant<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.room {
            Room::New(grant) => &mut grant[Head::LEN..],
            Room::Sent(scratch) => scratch,
        }
    }
}

impl fmt::Debug for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
