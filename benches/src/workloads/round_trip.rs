//! One item there and back, through two channels.

use std::path::Path;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::{Timed, Workload};
use crate::channel::{Channel, ReceiveItem, SendItem};
use crate::failure::Failure;

/// The longest round trip told apart from longer ones, in ns: ten seconds.
const LONGEST: u64 = 10_000_000_000;

/// The runner sends a number, the peer sends it back, the runner checks it and takes the time.
pub struct RoundTrip<C> {
    there: C,
    back: C,
}

/// The two ends of one side.
pub struct Ends<C: Channel> {
    sender: C::Sender,
    receiver: C::Receiver,
}

/// The runner's ends and the number of the next trip, which goes on from phase to phase.
pub struct Numbering<C: Channel> {
    ends: Ends<C>,
    next: u64,
}

impl<C> Workload for RoundTrip<C>
where
    C: Channel,
    C::Sender: SendItem,
    C::Receiver: ReceiveItem,
{
    type Peer = Ends<C>;
    type Runner = Numbering<C>;

    fn how() -> String {
        C::how()
    }

    fn create(scratch: &Path) -> Result<Self, Failure> {
        Ok(Self {
            there: C::create(scratch)?,
            back: C::create(scratch)?,
        })
    }

    fn peer(&mut self) -> Result<Self::Peer, Failure> {
        Ok(Ends {
            sender: self.back.sender()?,
            receiver: self.there.receiver()?,
        })
    }

    fn runner(&mut self) -> Result<Self::Runner, Failure> {
        let ends = Ends {
            sender: self.there.sender()?,
            receiver: self.back.receiver()?,
        };
        Ok(Numbering { ends, next: 1 })
    }

    fn answer(peer: &mut Self::Peer, count: u64) -> Result<(), Failure> {
        for _ in 0..count {
            let item = peer.receiver.receive()?;
            peer.sender.send(item)?;
        }
        Ok(())
    }

    fn drive(runner: &mut Self::Runner, count: u64) -> Result<Timed, Failure> {
        let mut trips = Histogram::<u64>::new_with_bounds(1, LONGEST, 3)
            .map_err(Failure::contender("make a histogram"))?;
        let start = Instant::now();
        for item in runner.next..runner.next + count {
            let sent = Instant::now();
            runner.ends.sender.send(item)?;
            let received = runner.ends.receiver.receive()?;
            let trip = sent.elapsed();
            if received != item {
                return Err(Failure::WrongItems { expected: item });
            }
            // Counted outside the time taken, so that the histogram costs the trips nothing.
            trips.saturating_record(u64::try_from(trip.as_nanos()).unwrap_or(LONGEST));
        }
        let elapsed = start.elapsed();
        runner.next += count;
        Ok(Timed {
            elapsed,
            figures: vec![
                trips.value_at_quantile(0.5) as f64,
                trips.value_at_quantile(0.99) as f64,
            ],
        })
    }
}
