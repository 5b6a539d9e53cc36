//! What senders and receivers do with a channel that has many ends, from one gate to the next.

use std::marker::PhantomData;
use std::ops::Range;

use crate::channel::{Channel, Many, ReceiveItem, ReceiveSlice, SendItem, SendSlice};
use crate::failure::Failure;
use crate::tally::{END, FOREIGN, Tally};

/// What each of a crew does in a phase.
///
/// Each sender sends its items; the last one to finish then sends an [`END`] for each receiver, and
/// each receiver takes exactly one.
pub trait Traffic {
    /// What the items go through.
    type Channel: Many;
    /// What a sender holds.
    type Sender;
    /// What a receiver holds.
    type Receiver;

    /// What a sender holds, called by it (or for it, where it is a thread).
    ///
    /// # Errors
    /// Those of the contender.
    fn sender(channel: &mut Self::Channel) -> Result<Self::Sender, Failure>;

    /// What a receiver holds, likewise.
    ///
    /// # Errors
    /// Those of the contender.
    fn receiver(channel: &mut Self::Channel) -> Result<Self::Receiver, Failure>;

    /// Sends the items.
    ///
    /// # Errors
    /// Those of the contender.
    fn send(sender: &mut Self::Sender, items: Range<u64>) -> Result<(), Failure>;

    /// Tells one receiver that this was all.
    ///
    /// # Errors
    /// Those of the contender.
    fn send_end(sender: &mut Self::Sender) -> Result<(), Failure>;

    /// Receives items until one says that it was the last.
    ///
    /// # Errors
    /// Those of the contender.
    fn receive(receiver: &mut Self::Receiver) -> Result<Tally, Failure>;

    /// Whether all that was sent in a phase was received, and nothing else.
    fn agree(sent: Tally, received: Tally) -> bool {
        sent == received
    }
}

/// One item at a time.
pub struct Singly<C>(PhantomData<C>);

impl<C> Traffic for Singly<C>
where
    C: Many<Sender: SendItem, Receiver: ReceiveItem>,
{
    type Channel = C;
    type Sender = C::Sender;
    type Receiver = C::Receiver;

    fn sender(channel: &mut C) -> Result<Self::Sender, Failure> {
        channel.sender()
    }

    fn receiver(channel: &mut C) -> Result<Self::Receiver, Failure> {
        channel.receiver()
    }

    fn send(sender: &mut Self::Sender, items: Range<u64>) -> Result<(), Failure> {
        for item in items {
            sender.send(item)?;
        }
        Ok(())
    }

    fn send_end(sender: &mut Self::Sender) -> Result<(), Failure> {
        sender.send(END)
    }

    fn receive(receiver: &mut Self::Receiver) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        loop {
            let item = receiver.receive()?;
            // One comparison for all that is not counted.
            if item < FOREIGN {
                tally.add(item);
            } else if item == END {
                return Ok(tally);
            }
        }
    }
}

/// Up to `LENGTH` items at a time.
pub struct InSlices<C, const LENGTH: usize>(PhantomData<C>);

/// A receiver of slices, which may be given the [`END`] of another one and then sends it on.
pub struct Returning<C: Channel> {
    receiver: C::Receiver,
    sender: C::Sender,
}

impl<C, const LENGTH: usize> Traffic for InSlices<C, LENGTH>
where
    C: Many<Sender: SendSlice, Receiver: ReceiveSlice>,
{
    type Channel = C;
    type Sender = C::Sender;
    type Receiver = Returning<C>;

    fn sender(channel: &mut C) -> Result<Self::Sender, Failure> {
        channel.sender()
    }

    fn receiver(channel: &mut C) -> Result<Self::Receiver, Failure> {
        Ok(Returning {
            receiver: channel.receiver()?,
            sender: channel.sender()?,
        })
    }

    fn send(sender: &mut Self::Sender, items: Range<u64>) -> Result<(), Failure> {
        let mut slice = [0; LENGTH];
        let mut next = items.start;
        while next < items.end {
            let length = LENGTH.min((items.end - next) as usize);
            for (place, item) in slice[..length].iter_mut().zip(next..) {
                *place = item;
            }
            sender.send_slice(&slice[..length])?;
            next += length as u64;
        }
        Ok(())
    }

    fn send_end(sender: &mut Self::Sender) -> Result<(), Failure> {
        sender.send_slice(&[END])
    }

    fn receive(receiver: &mut Self::Receiver) -> Result<Tally, Failure> {
        let mut slice = [0; LENGTH];
        let mut tally = Tally::default();
        loop {
            let length = receiver.receiver.receive_slice(&mut slice)?;
            let mut ends = 0;
            for &item in &slice[..length] {
                if item < FOREIGN {
                    tally.add(item);
                } else if item == END {
                    ends += 1;
                }
            }
            if ends > 0 {
                for _ in 1..ends {
                    receiver.sender.send_slice(&[END])?;
                }
                return Ok(tally);
            }
        }
    }
}
