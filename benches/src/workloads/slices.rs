//! Many items at once, from the peer to the runner.

use std::path::Path;
use std::time::Instant;

use super::{Timed, Workload, millions_per_second};
use crate::channel::{Channel, ReceiveSlice, SendSlice};
use crate::failure::Failure;

/// The items of the pattern: a multiple of every slice length in use, so that a slice never wraps,
/// and neither a multiple nor a divisor of the rings' 1024, so that a lap lost is noticed.
const PATTERN: usize = 1280;

/// The peer sends slices of `LENGTH` items out of a fixed pattern, the runner receives up to as
/// many at a time and compares them with it.
pub struct Slices<C, const LENGTH: usize> {
    channel: C,
}

/// An end, the pattern, and where in it the next item is, which goes on from phase to phase.
pub struct Patterned<E> {
    end: E,
    pattern: Vec<u64>,
    at: usize,
}

impl<E> Patterned<E> {
    fn new(end: E) -> Self {
        Self {
            end,
            // Odd multiples of a 64-bit constant: all different, all bits in use.
            pattern: (1..=PATTERN as u64)
                .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
                .collect(),
            at: 0,
        }
    }
}

impl<C, const LENGTH: usize> Workload for Slices<C, LENGTH>
where
    C: Channel,
    C::Sender: SendSlice,
    C::Receiver: ReceiveSlice,
{
    type Peer = Patterned<C::Sender>;
    type Runner = Patterned<C::Receiver>;

    fn how() -> String {
        C::how()
    }

    fn create(scratch: &Path) -> Result<Self, Failure> {
        const { assert!(LENGTH > 0 && PATTERN.is_multiple_of(LENGTH)) };
        Ok(Self {
            channel: C::create(scratch)?,
        })
    }

    fn peer(&mut self) -> Result<Self::Peer, Failure> {
        self.channel.sender().map(Patterned::new)
    }

    fn runner(&mut self) -> Result<Self::Runner, Failure> {
        self.channel.receiver().map(Patterned::new)
    }

    fn answer(peer: &mut Self::Peer, count: u64) -> Result<(), Failure> {
        for _ in 0..count {
            peer.end
                .send_slice(&peer.pattern[peer.at..peer.at + LENGTH])?;
            peer.at = (peer.at + LENGTH) % PATTERN;
        }
        Ok(())
    }

    fn drive(runner: &mut Self::Runner, count: u64) -> Result<Timed, Failure> {
        let mut buffer = [0; LENGTH];
        let items = count * LENGTH as u64;
        let mut missing = items;
        let start = Instant::now();
        while missing > 0 {
            // Never past the end of the pattern, so that one comparison does, and never past the
            // last item of the phase.
            let room = LENGTH
                .min(PATTERN - runner.at)
                .min(usize::try_from(missing).unwrap_or(LENGTH));
            let received = runner.end.receive_slice(&mut buffer[..room])?;
            if buffer[..received] != runner.pattern[runner.at..runner.at + received] {
                return Err(Failure::WrongItems {
                    expected: items - missing,
                });
            }
            runner.at = (runner.at + received) % PATTERN;
            missing -= received as u64;
        }
        let elapsed = start.elapsed();
        Ok(Timed {
            elapsed,
            figures: vec![millions_per_second(items, elapsed)],
        })
    }
}
