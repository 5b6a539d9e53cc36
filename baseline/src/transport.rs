//! What every baseline transport can do: bytes in, bytes out.

use crate::Result;

/// The sending end of a transport.
pub trait Sender {
    /// Sends one message, of 0 to [`MAX_MESSAGE_LEN`](crate::MAX_MESSAGE_LEN) bytes.
    ///
    /// Blocks while the transport is full. Whether the death of the receiver is noticed depends on
    /// the transport: only the pipe does.
    ///
    /// # Errors
    ///
    /// When the transport fails, when the message is too long, and after [`finish`](Self::finish).
    fn send(&mut self, message: &[u8]) -> Result<()>;

    /// Ends the stream: the receiver gets [`Received::End`] after the messages sent before.
    ///
    /// Does not wait for the receiver, except that a full pipe blocks. A second call does nothing.
    /// Dropping the sender does not end the stream, so that a sender that died is not taken for
    /// one that was done.
    ///
    /// # Errors
    ///
    /// When the transport fails.
    fn finish(&mut self) -> Result<()>;
}

/// The receiving end of a transport.
pub trait Receiver {
    /// Waits for the next message and puts it into `into`, in place of what was there.
    ///
    /// On [`Received::End`] and on an error the content of `into` is unspecified. Once the stream
    /// has ended, each further call gives [`Received::End`] again. Only the pipe notices a sender
    /// that died without [`finish`](Sender::finish): a receiver on a file waits forever.
    ///
    /// # Errors
    ///
    /// When the transport fails, or holds something that no sender writes.
    fn receive(&mut self, into: &mut Vec<u8>) -> Result<Received>;
}

/// What a [`Receiver::receive`] came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Received {
    /// A message, which may be empty.
    Message,
    /// The sender has finished and every message has been received.
    End,
}
