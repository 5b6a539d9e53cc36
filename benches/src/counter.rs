//! A number under a lock, which several increment at the same time.
//!
//! It is [traffic](crate::traffic): each sender adds one for each item; the one receiver sleeps
//! until the last sender says that this was all, and reads the number.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::ops::Range;
use std::path::Path;

use crate::channel::{Channel, Many};
use crate::failure::Failure;
use crate::lock::{Count, Lock};
use crate::tally::Tally;
use crate::traffic::Traffic;

/// The number and its lock.
pub struct Counter<L> {
    lock: L,
    end: PipeWriter,
    ended: PipeReader,
}

/// Who adds.
pub struct Adding<H> {
    handle: H,
    end: PipeWriter,
}

/// Who reads the number in the end, and what it was before.
pub struct Reading<H> {
    handle: H,
    ended: PipeReader,
    before: u64,
}

impl<L: Lock> Channel for Counter<L> {
    type Sender = Adding<L::Handle>;
    type Receiver = Reading<L::Handle>;

    fn how() -> String {
        L::how()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        let (ended, end) = io::pipe().map_err(Failure::system("make a pipe"))?;
        let lock = L::create()?;
        Ok(Self { lock, end, ended })
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        let end = self.end.try_clone();
        Ok(Adding {
            handle: self.lock.handle()?,
            end: end.map_err(Failure::system("duplicate a pipe"))?,
        })
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        let ended = self.ended.try_clone();
        Ok(Reading {
            handle: self.lock.handle()?,
            ended: ended.map_err(Failure::system("duplicate a pipe"))?,
            before: 0,
        })
    }
}

impl<L: Lock> Many for Counter<L> {}

impl<L: Lock<Handle: Count>> Traffic for Counter<L> {
    type Channel = Self;
    type Sender = Adding<L::Handle>;
    type Receiver = Reading<L::Handle>;

    fn sender(channel: &mut Self) -> Result<Self::Sender, Failure> {
        Channel::sender(channel)
    }

    fn receiver(channel: &mut Self) -> Result<Self::Receiver, Failure> {
        Channel::receiver(channel)
    }

    fn send(sender: &mut Self::Sender, items: Range<u64>) -> Result<(), Failure> {
        for _ in items {
            sender.handle.add_one()?;
        }
        Ok(())
    }

    fn send_end(sender: &mut Self::Sender) -> Result<(), Failure> {
        let said = sender.end.write_all(&[0]);
        said.map_err(Failure::system("say that this was all"))
    }

    fn receive(receiver: &mut Self::Receiver) -> Result<Tally, Failure> {
        let heard = receiver.ended.read_exact(&mut [0]);
        heard.map_err(Failure::system("wait for the last to be added"))?;
        let now = receiver.handle.count()?;
        let count = now - receiver.before;
        receiver.before = now;
        Ok(Tally {
            count,
            ..Tally::default()
        })
    }

    /// A number tells how many came, not which.
    fn agree(sent: Tally, received: Tally) -> bool {
        sent.count == received.count
    }
}
