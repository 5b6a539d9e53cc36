//! One item there and back, through two channels.

use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::{Timed, Workload};
use crate::channel::{Channel, ReceiveItem, SendItem};
use crate::failure::Failure;

/// The longest round trip told apart from longer ones, in ns: ten seconds.
const LONGEST: u64 = 10_000_000_000;

/// How long trips took.
pub(super) struct Trips(Histogram<u64>);

impl Trips {
    pub(super) fn new() -> Result<Self, Failure> {
        Histogram::new_with_bounds(1, LONGEST, 3)
            .map(Self)
            .map_err(Failure::contender("make a histogram"))
    }

    /// Counts a trip, outside the time taken, so that the histogram costs the trips nothing.
    pub(super) fn took(&mut self, trip: Duration) {
        let nanos = u64::try_from(trip.as_nanos()).unwrap_or(LONGEST);
        self.0.saturating_record(nanos);
    }

    /// The median and the 99th percentile in ns.
    pub(super) fn figures(&self) -> Vec<f64> {
        [0.5, 0.99]
            .map(|quantile| self.0.value_at_quantile(quantile) as f64)
            .into()
    }
}

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
        let mut trips = Trips::new()?;
        let start = Instant::now();
        for item in runner.next..runner.next + count {
            let sent = Instant::now();
            runner.ends.sender.send(item)?;
            let received = runner.ends.receiver.receive()?;
            let trip = sent.elapsed();
            if received != item {
                return Err(Failure::WrongItems { expected: item });
            }
            trips.took(trip);
        }
        let elapsed = start.elapsed();
        runner.next += count;
        Ok(Timed {
            elapsed,
            figures: trips.figures(),
        })
    }
}
