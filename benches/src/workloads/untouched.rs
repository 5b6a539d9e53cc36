//! Messages of bytes handed over in place, whose bytes nobody writes or reads.

use std::path::Path;
use std::time::Instant;

use super::{Timed, Workload, millions_per_second};
use crate::bytes::{HandOver, TakeOver};
use crate::channel::Channel;
use crate::failure::Failure;

/// The peer hands over messages of `LENGTH` bytes, the runner takes them and checks their length.
pub struct Untouched<C, const LENGTH: usize> {
    channel: C,
}

impl<C, const LENGTH: usize> Workload for Untouched<C, LENGTH>
where
    C: Channel,
    C::Sender: HandOver,
    C::Receiver: TakeOver,
{
    type Peer = C::Sender;
    type Runner = C::Receiver;

    fn how() -> String {
        C::how()
    }

    fn create(scratch: &Path) -> Result<Self, Failure> {
        Ok(Self {
            channel: C::create(scratch)?,
        })
    }

    fn peer(&mut self) -> Result<Self::Peer, Failure> {
        self.channel.sender()
    }

    fn runner(&mut self) -> Result<Self::Runner, Failure> {
        self.channel.receiver()
    }

    fn answer(peer: &mut Self::Peer, count: u64) -> Result<(), Failure> {
        for _ in 0..count {
            peer.hand_over(LENGTH)?;
        }
        Ok(())
    }

    fn drive(runner: &mut Self::Runner, count: u64) -> Result<Timed, Failure> {
        let start = Instant::now();
        let mut differences = 0;
        for _ in 0..count {
            differences |= runner.take_over()? ^ LENGTH;
        }
        let elapsed = start.elapsed();
        if differences != 0 {
            return Err(Failure::WrongItems { expected: count });
        }
        Ok(Timed {
            elapsed,
            figures: vec![millions_per_second(count, elapsed)],
        })
    }
}
