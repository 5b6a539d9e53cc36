//! Messages of bytes, several at a time, from private memory of the peer to private memory of the
//! runner.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use super::messages::Scripted;
use super::{Timed, Workload, millions_per_second};
use crate::bytes::{ReceiveBatch, SendBatch, batch};
use crate::channel::Channel;
use crate::failure::Failure;
use crate::script::Check;

/// As [`Messages`](super::Messages), in batches, through a channel with room for `MESSAGES`.
pub struct Batches<C, const LENGTH: usize, const MESSAGES: usize> {
    channel: C,
}

impl<C, const LENGTH: usize, const MESSAGES: usize> Workload for Batches<C, LENGTH, MESSAGES>
where
    C: Channel,
    C::Sender: SendBatch,
    C::Receiver: ReceiveBatch,
{
    type Peer = Scripted<C::Sender>;
    type Runner = Scripted<C::Receiver>;

    fn how() -> String {
        C::how()
    }

    fn create(scratch: &Path) -> Result<Self, Failure> {
        Ok(Self {
            channel: C::create(scratch)?,
        })
    }

    fn peer(&mut self) -> Result<Self::Peer, Failure> {
        self.channel.sender().map(Scripted::new::<LENGTH>)
    }

    fn runner(&mut self) -> Result<Self::Runner, Failure> {
        self.channel.receiver().map(Scripted::new::<LENGTH>)
    }

    fn answer(peer: &mut Self::Peer, count: u64) -> Result<(), Failure> {
        for _ in 0..count {
            peer.end.send_batch(peer.script.several(batch(MESSAGES)))?;
        }
        Ok(())
    }

    fn drive(runner: &mut Self::Runner, count: u64) -> Result<Timed, Failure> {
        let mut into = vec![0; LENGTH];
        let mut check = Check::default();
        let messages = count * batch(MESSAGES) as u64;
        let mut missing = messages;
        let start = Instant::now();
        while missing > 0 {
            let most = batch(MESSAGES).min(usize::try_from(missing).unwrap_or(usize::MAX));
            let script = &mut runner.script;
            let received = runner.end.receive_batch(most, &mut into, |message| {
                check.compare(black_box(message), script.one());
            })?;
            missing -= received as u64;
        }
        let elapsed = start.elapsed();
        check.verdict(messages)?;
        Ok(Timed {
            elapsed,
            figures: vec![millions_per_second(messages, elapsed)],
        })
    }
}
