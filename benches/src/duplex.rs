//! What a contender for requests and replies is: two ends, each of which sends and receives.

use std::path::Path;

use crate::bytes::{ReceiveBytes, SendBytes};
use crate::channel::Channel;
use crate::failure::Failure;

/// A pipe in both directions. Each end is taken once, in the peer that has it.
pub trait Duplex: Sized {
    /// The end that asks.
    type Asking: Ask;
    /// The end that answers.
    type Answering: Answer;

    /// As [`Channel::how`].
    fn how() -> String;

    /// As [`Channel::create`].
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn create(scratch: &Path) -> Result<Self, Failure>;

    /// Takes the end that asks.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn asking(&mut self) -> Result<Self::Asking, Failure>;

    /// Takes the end that answers.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn answering(&mut self) -> Result<Self::Answering, Failure>;
}

/// An end that sends requests.
pub trait Ask {
    /// Sends a request, receives the reply to the front of `reply`, whose length is that of the
    /// messages, and says how long it is.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn ask(&mut self, request: &[u8], reply: &mut Vec<u8>) -> Result<usize, Failure>;
}

/// An end that sends replies.
pub trait Answer {
    /// Receives a request into `message`, whose length is that of the messages, and sends it back.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn answer(&mut self, message: &mut Vec<u8>) -> Result<(), Failure>;
}

/// Two channels, one for each direction.
pub struct Pair<C> {
    there: C,
    back: C,
}

/// The two ends of one side.
pub struct Ends<C: Channel> {
    sender: C::Sender,
    receiver: C::Receiver,
}

impl<C> Duplex for Pair<C>
where
    C: Channel<Sender: SendBytes, Receiver: ReceiveBytes>,
{
    type Asking = Ends<C>;
    type Answering = Ends<C>;

    fn how() -> String {
        C::how()
    }

    fn create(scratch: &Path) -> Result<Self, Failure> {
        Ok(Self {
            there: C::create(scratch)?,
            back: C::create(scratch)?,
        })
    }

    fn asking(&mut self) -> Result<Ends<C>, Failure> {
        Ok(Ends {
            sender: self.there.sender()?,
            receiver: self.back.receiver()?,
        })
    }

    fn answering(&mut self) -> Result<Ends<C>, Failure> {
        Ok(Ends {
            sender: self.back.sender()?,
            receiver: self.there.receiver()?,
        })
    }
}

impl<C> Ask for Ends<C>
where
    C: Channel<Sender: SendBytes, Receiver: ReceiveBytes>,
{
    #[inline(always)]
    fn ask(&mut self, request: &[u8], reply: &mut Vec<u8>) -> Result<usize, Failure> {
        self.sender.send_bytes(request)?;
        self.receiver.receive_bytes(reply)
    }
}

impl<C> Answer for Ends<C>
where
    C: Channel<Sender: SendBytes, Receiver: ReceiveBytes>,
{
    #[inline(always)]
    fn answer(&mut self, message: &mut Vec<u8>) -> Result<(), Failure> {
        let length = self.receiver.receive_bytes(message)?;
        self.sender.send_bytes(&message[..length])
    }
}
