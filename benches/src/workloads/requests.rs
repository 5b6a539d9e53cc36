//! A request of bytes and its reply, between two processes.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use super::round_trip::Trips;
use super::{Timed, Workload};
use crate::duplex::{Answer, Ask, Duplex};
use crate::failure::Failure;
use crate::script::{Check, Script};

/// The runner sends messages of `LENGTH` bytes, the peer sends each back, the runner checks it and
/// takes the time.
pub struct Requests<D, const LENGTH: usize> {
    duplex: D,
}

/// The runner's end, and what goes through it from phase to phase.
pub struct Asking<E> {
    end: E,
    script: Script,
}

impl<D: Duplex, const LENGTH: usize> Workload for Requests<D, LENGTH> {
    type Peer = D::Answering;
    type Runner = Asking<D::Asking>;

    fn how() -> String {
        D::how()
    }

    fn create(scratch: &Path) -> Result<Self, Failure> {
        Ok(Self {
            duplex: D::create(scratch)?,
        })
    }

    fn peer(&mut self) -> Result<Self::Peer, Failure> {
        self.duplex.answering()
    }

    fn runner(&mut self) -> Result<Self::Runner, Failure> {
        Ok(Asking {
            end: self.duplex.asking()?,
            script: Script::new(LENGTH),
        })
    }

    fn answer(peer: &mut Self::Peer, count: u64) -> Result<(), Failure> {
        let mut message = vec![0; LENGTH];
        for _ in 0..count {
            peer.answer(&mut message)?;
        }
        Ok(())
    }

    fn drive(runner: &mut Self::Runner, count: u64) -> Result<Timed, Failure> {
        let mut reply = vec![0; LENGTH];
        let mut check = Check::default();
        let mut trips = Trips::new()?;
        let start = Instant::now();
        for _ in 0..count {
            let message = runner.script.one();
            let sent = Instant::now();
            let length = runner.end.ask(message, &mut reply)?;
            trips.took(sent.elapsed());
            check.compare(black_box(&reply[..length]), message);
        }
        let elapsed = start.elapsed();
        check.verdict(count)?;
        Ok(Timed {
            elapsed,
            figures: trips.figures(),
        })
    }
}
