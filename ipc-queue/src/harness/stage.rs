//! The shared memory of one run: messages, start gate, ledger.

use super::carrier::{Carrier, Message, QueueOf, SettingsOf};
use super::envelope::Stamp;
use super::ledger::{Census, Ledger};
use super::record::digest;
use super::report::{Messages, Progress};
use ipc_core::{Place, Result, Segment};
use ipc_process::WorkResult;
use ipc_sync::{Event, Reset};
use std::time::Duration;

const GATE: &str = "start";

/// Which worker a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// Its number among those of its role.
    pub index: usize,
    /// How many those are.
    pub of: usize,
    /// Of a consumer: which record is its own.
    pub life: usize,
}

impl Seat {
    const VARIABLE: &str = "IPC_QUEUE_HARNESS_SEAT";

    /// As an environment variable, for the worker.
    pub(super) fn to_variable(self) -> (&'static str, String) {
        let Self { index, of, life } = self;
        (Self::VARIABLE, format!("{index} {of} {life}"))
    }

    /// In the worker.
    pub(super) fn of_this_process() -> Option<Self> {
        let value = std::env::var(Self::VARIABLE).ok()?;
        let mut numbers = value.split(' ').map(|it| it.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self {
            index: next()?,
            of: next()?,
            life: next()?,
        })
    }
}

pub(super) struct Stage<T: Message + ?Sized> {
    pub segment: Segment,
    pub ledger: Ledger,
    gate: Event,
    queue: QueueOf<T>,
}

impl<T: Message + ?Sized> Stage<T> {
    /// In a memfd, so that nothing can be left of it. `workers` is how many run at a time.
    pub(super) fn set(
        capacity: usize,
        settings: &SettingsOf<T>,
        workers: usize,
        census: Census,
    ) -> Result<Self> {
        // The dead keep their places until somebody sweeps.
        let most = 2 * workers as u32 + 64;
        let size = QueueOf::<T>::size_for(capacity, settings, most)? + census.bytes() + 8192;
        let segment = Segment::builder(Place::memfd("ipc-queue harness"))
            .size(size)
            .participants(most)
            .handles(most)
            .create()?;
        Ok(Self {
            queue: QueueOf::<T>::create_in(&segment, capacity, settings)?,
            ledger: Ledger::create(&segment, census)?,
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

    /// Ends the stream: no producer is left. One mark for all consumers: it is a word of the
    /// queue, no message.
    pub(super) fn end_stream(&self) -> Result<()> {
        self.queue.close()
    }

    /// After the death of a worker: what it held comes back now, not only when somebody is stuck.
    pub(super) fn recover(&self) -> Result<()> {
        self.segment.recover().map(drop)
    }

    /// After the death of a producer, and [`recover`](Self::recover): it may have sent one message
    /// more than it came to say.
    ///
    /// If so, the message is in the queue, or a consumer has taken it and said so before it
    /// finished it; a message never moves from slot to slot.
    pub(super) fn account_for_producer(&self, index: usize) -> Result<()> {
        let sent = self.ledger.sent(index);
        let next = Stamp {
            producer: index as u64,
            sequence: sent,
        };
        if self.queue.contains(next)? || self.ledger.was_taken(next) {
            self.ledger.set_sent(index, sent.saturating_add(1));
        }
        Ok(())
    }

    /// The account, exact once all workers have ended.
    pub(super) fn messages(&self) -> Messages {
        let mut messages = Messages {
            sent: self.ledger.sent_by_all(),
            ..Messages::default()
        };
        let mut received = 0u64;
        for record in self.ledger.records() {
            let sums = record.sums().unwrap_or_default();
            // Whatever the words say.
            for (sum, of_this) in [
                (&mut messages.received, sums.messages),
                (&mut messages.redelivered, sums.redelivered),
                (&mut messages.torn, record.torn()),
                (&mut messages.doubled, record.doubled()),
            ] {
                *sum = sum.saturating_add(of_this);
            }
            received = received.wrapping_add(sums.digest);
        }
        messages.lost = messages.sent.saturating_sub(messages.received);
        // To different consumers: none of them could see it.
        let too_many = messages.received.saturating_sub(messages.sent);
        messages.doubled = messages.doubled.saturating_add(too_many);
        if messages.sent == messages.received && received != self.digest_of_sent() {
            messages.lost += 1;
            messages.doubled = messages.doubled.saturating_add(1);
        }
        messages
    }

    fn digest_of_sent(&self) -> u64 {
        let mut sum = 0u64;
        for producer in 0..self.ledger.census().producers {
            for sequence in 0..self.ledger.sent(producer) {
                let producer = producer as u64;
                let stamp = Stamp { producer, sequence };
                sum = sum.wrapping_add(digest(stamp.id()));
            }
        }
        sum
    }

    pub(super) fn progress(&self, elapsed: Duration) -> Progress {
        let received = self.ledger.records().filter_map(|it| it.sums());
        let received = received.map(|sums| sums.messages);
        let received = received.fold(0, u64::saturating_add);
        Progress {
            elapsed,
            // A producer says so only after it has sent, and a consumer may be faster.
            sent: self.ledger.sent_by_all().max(received),
            received,
        }
    }
}
