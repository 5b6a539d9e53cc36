//! The two directions of an end.

use super::error::{RecvError, SendError};
use crate::spsc::PushError;
use crate::spsc::bytes::{
    Buffer, ByteConsumer, ByteProducer, OppositeStream, ReadGuard, WriteGuard,
};
use ipc_core::Wait;
use std::time::Duration;

/// What an [`End`](super::End) sends with.
#[derive(Debug)]
pub struct SendHalf {
    pub(super) tx: ByteProducer,
    opposite: OppositeStream,
}

impl SendHalf {
    pub(super) fn new(mut tx: ByteProducer, rx: &ByteConsumer) -> Self {
        Self {
            opposite: tx.set_opposite(rx),
            tx,
        }
    }

    /// How the blocking calls of this handle wait. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.tx.set_wait(wait);
    }

    /// Sends a message if there is room for it. Wait-free, but for every 64th refusal in a row,
    /// which looks after the dead: who polls learns of the peer's death by then.
    ///
    /// # Errors
    /// [`SendError::Full`]; [`SendError::PeerDied`], once, if it is full for that reason;
    /// [`SendError::Closed`]; [`SendError::TooLong`]; [`SendError::Segment`].
    #[inline]
    pub fn try_send(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.check_open()?;
        self.tx
            .try_push(message)
            .map_err(|it| refused(&self.opposite, it))
    }

    /// Sends a message; waits while there is no room for it.
    ///
    /// # Errors
    /// [`SendError::PeerDied`], once, if there is no room and the other end's owner has died;
    /// [`SendError::Closed`]; [`SendError::TooLong`]; [`SendError::Segment`].
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.check_open()?;
        self.tx
            .push(message)
            .map_err(|it| refused(&self.opposite, it))
    }

    /// Sends a message; waits at most this long while there is no room for it. Zero looks once,
    /// [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`SendError::TimedOut`]; otherwise as [`send`](Self::send).
    pub fn send_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<(), SendError> {
        self.check_open()?;
        let sent = self.tx.push_timeout(message, timeout);
        sent.map_err(|it| refused(&self.opposite, it))
    }

    /// Reserves room for a message of up to `len` bytes, if there is some, to write it in place.
    /// [`WriteGuard::commit`] sends it; dropping the guard cancels. Wait-free.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send); [`SendError::NotPrivate`] if other users can write to the
    /// segment.
    #[inline]
    pub fn try_reserve(&mut self, len: usize) -> Result<WriteGuard<'_>, SendError> {
        self.check_open()?;
        self.tx
            .try_reserve(len)
            .map_err(|it| refused(&self.opposite, it))
    }

    /// As [`try_reserve`](Self::try_reserve), but waits while there is no room.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`SendError::NotPrivate`].
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<WriteGuard<'_>, SendError> {
        self.check_open()?;
        self.tx
            .reserve(len)
            .map_err(|it| refused(&self.opposite, it))
    }

    /// As [`reserve`](Self::reserve), but waits at most this long.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve); [`SendError::TimedOut`].
    pub fn reserve_timeout(
        &mut self,
        len: usize,
        timeout: Duration,
    ) -> Result<WriteGuard<'_>, SendError> {
        self.check_open()?;
        let reserved = self.tx.reserve_timeout(len, timeout);
        reserved.map_err(|it| refused(&self.opposite, it))
    }

    #[inline(always)]
    fn check_open(&self) -> Result<(), SendError> {
        if self.opposite.has_ended() {
            Err(SendError::Closed)
        } else {
            Ok(())
        }
    }
}

/// Why there was no room: a wait for it ends when the other end is closed, too.
#[cold]
fn refused(opposite: &OppositeStream, error: PushError) -> SendError {
    match error {
        PushError::Full | PushError::TimedOut if opposite.has_ended() => SendError::Closed,
        error => error.into(),
    }
}

/// What an [`End`](super::End) receives with.
///
/// In all calls `Ok(None)` is the end: the other side closed its end and everything before has been
/// received.
#[derive(Debug)]
pub struct RecvHalf {
    pub(super) rx: ByteConsumer,
}

impl RecvHalf {
    /// How the blocking calls of this handle wait. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.rx.set_wait(wait);
    }

    /// Receives a message, if there is one, into a `Vec<u8>`, whose contents it replaces, or to the
    /// beginning of a slice, and returns its length. Wait-free, but for every 64th refusal in a row,
    /// which looks after the dead: who polls learns of the peer's death by then.
    ///
    /// # Errors
    /// [`RecvError::Empty`]; [`RecvError::PeerDied`], once, when everything it sent has been
    /// received; [`RecvError::TooShort`] if the slice is, and the message stays in the channel;
    /// [`RecvError::Segment`].
    #[inline]
    pub fn try_recv_into<B>(&mut self, into: &mut B) -> Result<Option<usize>, RecvError>
    where
        B: Buffer + ?Sized,
    {
        Ok(self.rx.try_pop_into(into)?)
    }

    /// As [`try_recv_into`](Self::try_recv_into), but waits until there is a message, also for a
    /// first owner of the other end to come.
    ///
    /// # Errors
    /// [`RecvError::PeerDied`], once, when everything it sent has been received;
    /// [`RecvError::TooShort`]; [`RecvError::Segment`].
    #[inline]
    pub fn recv_into<B>(&mut self, into: &mut B) -> Result<Option<usize>, RecvError>
    where
        B: Buffer + ?Sized,
    {
        Ok(self.rx.pop_into(into)?)
    }

    /// As [`recv_into`](Self::recv_into), but waits at most this long. Zero looks once,
    /// [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`]; otherwise as [`recv_into`](Self::recv_into).
    pub fn recv_into_timeout<B>(
        &mut self,
        into: &mut B,
        timeout: Duration,
    ) -> Result<Option<usize>, RecvError>
    where
        B: Buffer + ?Sized,
    {
        Ok(self.rx.pop_into_timeout(into, timeout)?)
    }

    /// Takes the next message in place, if there is one. It leaves the channel when the guard is
    /// dropped; an owner that dies before leaves it for the next one. Wait-free.
    ///
    /// # Errors
    /// As [`try_recv_into`](Self::try_recv_into), without a buffer that could be too short;
    /// [`RecvError::NotPrivate`] if other users can write to the segment.
    #[inline]
    pub fn try_take(&mut self) -> Result<Option<ReadGuard<'_>>, RecvError> {
        Ok(self.rx.try_take()?)
    }

    /// As [`try_take`](Self::try_take), but waits until there is a message.
    ///
    /// # Errors
    /// As [`recv_into`](Self::recv_into), without a buffer; [`RecvError::NotPrivate`].
    #[inline]
    pub fn take(&mut self) -> Result<Option<ReadGuard<'_>>, RecvError> {
        Ok(self.rx.take()?)
    }

    /// As [`take`](Self::take), but waits at most this long.
    ///
    /// # Errors
    /// As [`take`](Self::take); [`RecvError::TimedOut`].
    pub fn take_timeout(&mut self, timeout: Duration) -> Result<Option<ReadGuard<'_>>, RecvError> {
        Ok(self.rx.take_timeout(timeout)?)
    }
}
