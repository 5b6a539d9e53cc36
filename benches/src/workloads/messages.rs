//! Messages of bytes one at a time, from private memory of the peer to private memory of the runner.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use super::{Timed, Workload, millions_per_second};
use crate::bytes::{ReceiveBytes, SendBytes};
use crate::channel::Channel;
use crate::failure::Failure;
use crate::script::{Check, Script};

/// The peer sends the messages of a [`Script`] of `LENGTH` bytes each, the runner receives and checks
/// them.
pub struct Messages<C, const LENGTH: usize> {
    channel: C,
}

/// An end, and what goes through it from phase to phase.
pub struct Scripted<E> {
    pub(super) end: E,
    pub(super) script: Script,
}

impl<E> Scripted<E> {
    pub(super) fn new<const LENGTH: usize>(end: E) -> Self {
        let script = Script::new(LENGTH);
        Self { end, script }
    }
}

impl<C, const LENGTH: usize> Workload for Messages<C, LENGTH>
where
    C: Channel,
    C::Sender: SendBytes,
    C::Receiver: ReceiveBytes,
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
            peer.end.send_bytes(peer.script.one())?;
        }
        Ok(())
    }

    fn drive(runner: &mut Self::Runner, count: u64) -> Result<Timed, Failure> {
        let mut into = vec![0; LENGTH];
        let mut check = Check::default();
        let start = Instant::now();
        for _ in 0..count {
            let length = runner.end.receive_bytes(&mut into)?;
            // So that the copy is made, also where the compiler sees that most of it is not used.
            check.compare(black_box(&into[..length]), runner.script.one());
        }
        let elapsed = start.elapsed();
        check.verdict(count)?;
        Ok(Timed {
            elapsed,
            figures: vec![millions_per_second(count, elapsed)],
        })
    }
}
