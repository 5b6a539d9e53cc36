//! One side of a channel.

use super::error::{RecvError, RequestError, SendError};
use super::half::{RecvHalf, SendHalf};
use crate::spsc;
use crate::spsc::bytes::{Buffer, ByteRing, ReadGuard, WriteGuard};
use ipc_core::Wait;
use std::time::{Duration, Instant};

/// One end of a channel: it sends to the other end and receives from it. It has one owner at a time,
/// and can be sent to another thread.
///
/// In all calls that receive, `Ok(None)` is the end: the other side closed its end and everything
/// before has been received. Dropping the handle leaves the end free, and the next owner goes on
/// where this one stopped; [`close`](Self::close) closes the channel.
#[derive(Debug)]
pub struct End {
    // Dropped first: who has the producing role has the end, and finds the other role free.
    receiving: RecvHalf,
    sending: SendHalf,
}

impl End {
    pub(super) fn new(sends: &ByteRing, receives: &ByteRing) -> Result<Self, spsc::OpenError> {
        let tx = sends.producer()?;
        let rx = receives.consumer()?;
        Ok(Self {
            sending: SendHalf::new(tx, &rx),
            receiving: RecvHalf { rx },
        })
    }

    /// How the blocking calls of this handle wait. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.receiving.set_wait(wait);
        self.sending.set_wait(wait);
    }

    /// Both directions at once: to answer a message while it is held in place, or for two threads.
    ///
    /// ```
    /// # use ipc_core::Place;
    /// # use ipc_queue::channel::Channel;
    /// # let channel = Channel::create(Place::memfd("questions"), 4096, 100)?;
    /// # let (mut client, mut server) = (channel.first()?, channel.second()?);
    /// # client.send(b"question")?;
    /// let (sending, receiving) = server.split();
    /// // Whoever dies before the end of this block leaves the question for a successor.
    /// if let Some(question) = receiving.take()? {
    ///     let mut answer = sending.reserve(question.len())?;
    ///     answer.copy_from_slice(&question);
    ///     answer.reverse();
    ///     answer.commit(question.len())?;
    /// }
    /// # assert_eq!(&*client.take()?.expect("it is open"), b"noitseuq");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn split(&mut self) -> (&mut SendHalf, &mut RecvHalf) {
        (&mut self.sending, &mut self.receiving)
    }

    /// [`SendHalf::try_send`].
    ///
    /// # Errors
    /// Those of [`SendHalf::try_send`].
    #[inline(always)]
    pub fn try_send(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.sending.try_send(message)
    }

    /// [`SendHalf::send`].
    ///
    /// # Errors
    /// Those of [`SendHalf::send`].
    #[inline(always)]
    pub fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.sending.send(message)
    }

    /// [`SendHalf::send_timeout`].
    ///
    /// # Errors
    /// Those of [`SendHalf::send_timeout`].
    #[inline(always)]
    pub fn send_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<(), SendError> {
        self.sending.send_timeout(message, timeout)
    }

    /// [`SendHalf::try_reserve`].
    ///
    /// # Errors
    /// Those of [`SendHalf::try_reserve`].
    #[inline(always)]
    pub fn try_reserve(&mut self, len: usize) -> Result<WriteGuard<'_>, SendError> {
        self.sending.try_reserve(len)
    }

    /// [`SendHalf::reserve`].
    ///
    /// # Errors
    /// Those of [`SendHalf::reserve`].
    #[inline(always)]
    pub fn reserve(&mut self, len: usize) -> Result<WriteGuard<'_>, SendError> {
        self.sending.reserve(len)
    }

    /// [`SendHalf::reserve_timeout`].
    ///
    /// # Errors
    /// Those of [`SendHalf::reserve_timeout`].
    #[inline(always)]
    pub fn reserve_timeout(
        &mut self,
        len: usize,
        timeout: Duration,
    ) -> Result<WriteGuard<'_>, SendError> {
        self.sending.reserve_timeout(len, timeout)
    }

    /// [`RecvHalf::try_recv_into`].
    ///
    /// # Errors
    /// Those of [`RecvHalf::try_recv_into`].
    #[inline(always)]
    pub fn try_recv_into<B>(&mut self, into: &mut B) -> Result<Option<usize>, RecvError>
    where
        B: Buffer + ?Sized,
    {
        self.receiving.try_recv_into(into)
    }

    /// [`RecvHalf::recv_into`].
    ///
    /// # Errors
    /// Those of [`RecvHalf::recv_into`].
    #[inline(always)]
    pub fn recv_into<B>(&mut self, into: &mut B) -> Result<Option<usize>, RecvError>
    where
        B: Buffer + ?Sized,
    {
        self.receiving.recv_into(into)
    }

    /// [`RecvHalf::recv_into_timeout`].
    ///
    /// # Errors
    /// Those of [`RecvHalf::recv_into_timeout`].
    #[inline(always)]
    pub fn recv_into_timeout<B>(
        &mut self,
        into: &mut B,
        timeout: Duration,
    ) -> Result<Option<usize>, RecvError>
    where
        B: Buffer + ?Sized,
    {
        self.receiving.recv_into_timeout(into, timeout)
    }

    /// [`RecvHalf::try_take`].
    ///
    /// # Errors
    /// Those of [`RecvHalf::try_take`].
    #[inline(always)]
    pub fn try_take(&mut self) -> Result<Option<ReadGuard<'_>>, RecvError> {
        self.receiving.try_take()
    }

    /// [`RecvHalf::take`].
    ///
    /// # Errors
    /// Those of [`RecvHalf::take`].
    #[inline(always)]
    pub fn take(&mut self) -> Result<Option<ReadGuard<'_>>, RecvError> {
        self.receiving.take()
    }

    /// [`RecvHalf::take_timeout`].
    ///
    /// # Errors
    /// Those of [`RecvHalf::take_timeout`].
    #[inline(always)]
    pub fn take_timeout(&mut self, timeout: Duration) -> Result<Option<ReadGuard<'_>>, RecvError> {
        self.receiving.take_timeout(timeout)
    }

    /// Sends a message, waits for the next one that the other end sends, and receives it as
    /// [`recv_into`](Self::recv_into) does. Returns its length. See the [module](super#requests) for
    /// when that is the reply.
    ///
    /// # Errors
    /// [`RequestError::Send`]: nothing was sent. [`RequestError::Receive`] and
    /// [`RequestError::Closed`]: it was.
    #[inline]
    pub fn request<B>(&mut self, message: &[u8], reply: &mut B) -> Result<usize, RequestError>
    where
        B: Buffer + ?Sized,
    {
        self.send(message).map_err(RequestError::Send)?;
        received(self.recv_into(reply))
    }

    /// As [`request`](Self::request), but waits at most this long for both together.
    ///
    /// # Errors
    /// As [`request`](Self::request), with [`SendError::TimedOut`] and [`RecvError::TimedOut`].
    pub fn request_timeout<B>(
        &mut self,
        message: &[u8],
        reply: &mut B,
        timeout: Duration,
    ) -> Result<usize, RequestError>
    where
        B: Buffer + ?Sized,
    {
        let start = Instant::now();
        self.send_timeout(message, timeout)
            .map_err(RequestError::Send)?;
        received(self.recv_into_timeout(reply, timeout.saturating_sub(start.elapsed())))
    }

    /// Closes the channel: the other end receives what was sent before, and then the end, and
    /// sends no more. What it sent and this end has not received is lost. Nobody can take this end
    /// after that.
    ///
    /// # Errors
    /// [`SendError::Segment`] in a forked child.
    pub fn close(self) -> Result<(), SendError> {
        self.sending.tx.end()?;
        self.receiving.rx.wake_producer();
        Ok(())
    }

    /// As [`Channel::capacity`](super::Channel::capacity).
    pub fn capacity(&self) -> usize {
        self.sending.tx.capacity()
    }

    /// As [`Channel::max_message`](super::Channel::max_message): a buffer of this length holds every
    /// message.
    pub fn max_message(&self) -> usize {
        self.sending.tx.max_record()
    }
}

#[inline(always)]
fn received(reply: Result<Option<usize>, RecvError>) -> Result<usize, RequestError> {
    reply
        .map_err(RequestError::Receive)?
        .ok_or(RequestError::Closed)
}
