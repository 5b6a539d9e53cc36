//! Items one at a time, from the peer to the runner.

use std::path::Path;
use std::time::Instant;

use super::{Timed, Workload, millions_per_second};
use crate::channel::{Channel, ReceiveItem, SendItem};
use crate::failure::Failure;

/// The peer sends consecutive numbers, the runner receives and checks them.
pub struct OneWay<C> {
    channel: C,
}

/// An end and the number of the next item, which goes on from phase to phase.
pub struct Counting<E> {
    end: E,
    next: u64,
}

impl<C> Workload for OneWay<C>
where
    C: Channel,
    C::Sender: SendItem,
    C::Receiver: ReceiveItem,
{
    type Peer = Counting<C::Sender>;
    type Runner = Counting<C::Receiver>;

    fn how() -> String {
        C::how()
    }

    fn create(scratch: &Path) -> Result<Self, Failure> {
        Ok(Self {
            channel: C::create(scratch)?,
        })
    }

    fn peer(&mut self) -> Result<Self::Peer, Failure> {
        Ok(Counting {
            end: self.channel.sender()?,
            next: 1,
        })
    }

    fn runner(&mut self) -> Result<Self::Runner, Failure> {
        Ok(Counting {
            end: self.channel.receiver()?,
            next: 1,
        })
    }

    fn answer(peer: &mut Self::Peer, count: u64) -> Result<(), Failure> {
        for item in peer.next..peer.next + count {
            peer.end.send(item)?;
        }
        peer.next += count;
        Ok(())
    }

    fn drive(runner: &mut Self::Runner, count: u64) -> Result<Timed, Failure> {
        let start = Instant::now();
        // Differences are gathered and looked at afterwards: a branch less in every step.
        let mut differences = 0;
        for expected in runner.next..runner.next + count {
            differences |= runner.end.receive()? ^ expected;
        }
        let elapsed = start.elapsed();
        runner.next += count;
        if differences != 0 {
            return Err(Failure::WrongItems {
                expected: runner.next,
            });
        }
        Ok(Timed {
            elapsed,
            figures: vec![millions_per_second(count, elapsed)],
        })
    }
}
