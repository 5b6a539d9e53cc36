//! The shared memory of one run: messages, start gate, ledger.

use super::envelope::Envelope;
use super::ledger::Ledger;
use super::report::{Messages, Progress};
use crate::spsc::Ring;
use ipc_core::{Payload, Place, Result, Segment};
use ipc_process::WorkResult;
use ipc_sync::{Event, Reset};
use std::time::Duration;

pub(super) const RING: &str = "messages";
const GATE: &str = "start";

pub(super) struct Stage<T: Payload> {
    pub segment: Segment,
    pub ledger: Ledger,
    gate: Event,
    ring: Ring<Envelope<T>>,
}

impl<T: Payload> Stage<T> {
    /// In a memfd, so that nothing can be left of it.
    pub(super) fn set(capacity: usize) -> Result<Self> {
        let size = Ring::<Envelope<T>>::size_for(capacity)? + Ledger::size_for(1) + 4096;
        let segment = Segment::builder(Place::memfd("ipc-queue harness"))
            .size(size)
            .create()?;
        Ok(Self {
            ring: Ring::create_in(&segment, RING, capacity)?,
            ledger: Ledger::create(&segment, 1)?,
            gate: Event::create_in(&segment, GATE, Reset::Manual)?,
            segment,
        })
    }

    pub(super) fn open_gate(&self) -> Result<()> {
        self.gate.set()
    }

    /// In a worker: waits until all begin.
    pub(super) fn pass_gate(segment: &Segment) -> WorkResult {
        Ok(Event::open_in(segment, GATE)?.wait()?)
    }

    /// Ends the stream in place of a producer that did not.
    pub(super) fn end_stream(&self) {
        // Refused if the producer has ended it.
        if let Ok(producer) = self.ring.producer() {
            // Fails in a forked child only.
            let _ = producer.close();
        }
    }

    /// The account, exact once all workers have ended.
    pub(super) fn messages(&self) -> Result<Messages> {
        let account = self.ledger.account(0)?;
        let (sent, received) = (self.ring.pushed()?, account.received());
        Ok(Messages {
            sent,
            received,
            lost: sent.saturating_sub(received),
            doubled: account.doubled(),
            torn: account.torn(),
        })
    }

    pub(super) fn progress(&self, elapsed: Duration) -> Result<Progress> {
        // In this order, and not `received` after more has been sent: it is never the greater.
        let received = self.ledger.account(0)?.received();
        Ok(Progress {
            elapsed,
            sent: self.ring.pushed()?,
            received,
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::harness::envelope::Stamp;

    /// Whoever shows the difference must not see it wrap. In threads, as only the order of the
    /// loads in `progress` matters.
    #[test]
    fn nobody_has_received_what_was_not_sent() {
        const COUNT: u64 = 50_000;
        let stage = Stage::<u64>::set(64).unwrap();
        let (mut tx, mut rx) = (
            stage.ring.producer().unwrap(),
            stage.ring.consumer().unwrap(),
        );
        let account = stage.ledger.account(0).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for sequence in 0..COUNT {
                    let stamp = Stamp {
                        producer: 0,
                        sequence,
                    };
                    tx.push(Envelope::seal(stamp, sequence)).unwrap();
                }
                tx.close().unwrap();
            });
            scope.spawn(move || {
                while let Some(sealed) = rx.pop().unwrap() {
                    account.enter(sealed.open().unwrap().0.sequence);
                }
            });
            loop {
                let progress = stage.progress(Duration::ZERO).unwrap();
                assert!(progress.received <= progress.sent, "{progress:?}");
                if progress.received == COUNT {
                    break;
                }
            }
        });
        assert!(stage.messages().unwrap().is_exact());
    }
}
