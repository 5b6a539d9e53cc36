//! What a consumer's function works with.

use super::batch::Batch;
use super::carrier::{Carrier, HeldOf, Inlet, KeptOf, Message, QueueOf, ReceiverOf};
use super::error::{CommitError, HarnessError, ReceiveError};
use super::journal::Journal;
use super::ledger::{Delivery, Ledger, Novelty};
use super::record::{MOST, Settled, digest};
use super::stage::Seat;
use crate::mpmc::PopError;
use ipc_core::{Payload, Segment};
use ipc_process::{Params, Worker};
use std::fmt;

/// The consumer's end, given to the function of [`Harness::consumers`](super::Harness::consumers).
pub struct Sink<'a, T: Message + ?Sized> {
    params: Params,
    worker: &'a mut Worker,
    seat: Seat,
    queue: ReceiverOf<T>,
    segment: Segment,
    ledger: Ledger,
    journal: Journal,
    settled: Settled,
    /// The most messages of a batch.
    most: usize,
    /// What was taken and is not settled, and what is kept of its contents.
    held: Vec<Held<HeldOf<T>>>,
    pub(super) messages: Vec<KeptOf<T>>,
}

/// A message that is this consumer's to settle.
struct Held<H> {
    slot: H,
    id: u64,
    delivery: Delivery,
}

impl<'a, T: Message + ?Sized> Sink<'a, T> {
    pub(super) fn new(
        worker: &'a mut Worker,
        segment: &Segment,
        journal: Journal,
        seat: Seat,
    ) -> Result<Self, HarnessError> {
        let queue = QueueOf::<T>::open_in(segment)?;
        Ok(Self {
            params: match worker.shared_params() {
                Some(params) => params,
                None => Params::new(&[])?,
            },
            worker,
            seat,
            most: (queue.capacity() / seat.of / 2).clamp(1, MOST),
            queue: queue.receiver()?,
            segment: segment.clone(),
            ledger: Ledger::open(segment)?,
            journal,
            settled: Settled::default(),
            held: Vec::new(),
            messages: Vec::new(),
        })
    }

    /// Takes the messages that there are, at least one, to deal with them in one step; waits while
    /// there is none. `None` is the end of the stream.
    ///
    /// [`Batch::commit`] makes the messages and an effect one: both happen, or neither. If this
    /// process dies before, or the batch is dropped, the messages come again, here or elsewhere.
    /// A batch has at most 256 messages, and no more than this consumer's share of half of the
    /// queue.
    ///
    /// # Errors
    /// [`ReceiveError::Queue`].
    pub fn batch(&mut self) -> Result<Option<Batch<'_, 'a, T>>, ReceiveError> {
        self.settle();
        self.collect(self.most)?;
        Ok((!self.held.is_empty()).then(|| Batch::new(self)))
    }

    /// Settles what is held, and takes one message.
    pub(super) fn advance(&mut self) -> Result<(), ReceiveError> {
        self.settle();
        self.collect(1)
    }

    /// How many messages are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// One of the messages that are held.
    #[inline]
    pub(super) fn message(&self, index: usize) -> Option<&T> {
        let (held, kept) = (self.held.get(index)?, self.messages.get(index)?);
        Some(self.queue.message(&held.slot, kept))
    }

    /// Takes messages: waits for the first one.
    fn collect(&mut self, most: usize) -> Result<(), ReceiveError> {
        while self.held.is_empty() {
            match self.queue.hold() {
                Ok(None) => return Ok(()),
                Ok(Some(slot)) => self.look_at(slot),
                // The parent knows, and ends the stream.
                Err(PopError::ProducersDied) => {}
                Err(error) => return Err(error.into()),
            }
        }
        while self.held.len() < most
            && let Some(slot) = self.queue.hold_next()
        {
            self.look_at(slot);
        }
        Ok(())
    }

    /// Keeps a message that is to be dealt with, and finishes one that is not.
    fn look_at(&mut self, slot: HeldOf<T>) {
        let record = self.ledger.record(self.seat.life);
        let producers = self.ledger.census().producers as u64;
        let (stamp, message) = match self.queue.open(&slot) {
            Ok(opened) if opened.0.producer < producers => opened,
            _ => {
                record.count_torn();
                return self.queue.finish(slot);
            }
        };
        let delivery = match ReceiverOf::<T>::redeliveries(&slot) {
            0 => Delivery::First,
            _ => Delivery::Again,
        };
        if delivery == Delivery::Again && self.ledger.is_settled(stamp) {
            return self.queue.finish(slot);
        }
        match self.ledger.enter(self.seat.life, stamp, delivery) {
            Novelty::New => {
                let id = stamp.id();
                self.held.push(Held { slot, id, delivery });
                self.messages.push(message);
            }
            Novelty::Doubled => {
                record.count_doubled();
                self.queue.finish(slot);
            }
        }
    }

    /// Settles what is held, with an effect.
    pub(super) fn settle_with(&mut self, effect: &[u8]) -> Result<(), CommitError> {
        if self.is_forked() {
            return Err(CommitError::Forked);
        }
        let (end, len) = (self.settled.journal_end, effect.len());
        let appended = self.journal.append(end, effect);
        self.settled.journal_end =
            appended.map_err(|source| CommitError::NoMemory { len, source })?;
        self.settle();
        Ok(())
    }

    /// Settles what is held, if anything.
    fn settle(&mut self) {
        if self.held.is_empty() || self.is_forked() {
            return;
        }
        for held in &self.held {
            self.settled.messages += 1;
            self.settled.redelivered += u64::from(held.delivery == Delivery::Again);
            self.settled.digest = self.settled.digest.wrapping_add(digest(held.id));
        }
        let ids = self.held.iter().map(|held| held.id);
        (self.ledger.record(self.seat.life)).settle(ids, self.settled);
        for held in self.held.drain(..) {
            self.queue.finish(held.slot);
        }
        self.messages.clear();
    }

    /// Gives back what is held.
    pub(super) fn give_back(&mut self) {
        if self.is_forked() {
            return;
        }
        for held in self.held.drain(..) {
            self.queue.give_back(held.slot);
        }
        self.messages.clear();
    }

    /// In a forked child nothing is held: it is the parent's.
    fn is_forked(&self) -> bool {
        !self.segment.attachment().is_mine()
    }

    /// The function has returned `Ok`.
    pub(super) fn finish(mut self) {
        self.settle();
    }

    pub(super) fn worker(&mut self) -> &mut Worker {
        self.worker
    }

    /// The consumer's number, from 0.
    pub fn index(&self) -> usize {
        self.seat.index
    }

    /// How many consumers there are.
    pub fn count(&self) -> usize {
        self.seat.of
    }

    /// The parameters given to [`Harness::params`](super::Harness::params): bytes, mapped from
    /// sealed memory and not copied. Empty if none were given.
    pub fn params(&self) -> Params {
        self.params.clone()
    }

    /// The worker's name, such as `consumer-0`.
    pub fn name(&self) -> &str {
        self.worker.name()
    }

    /// Leaves `bytes` for the parent, in place of an earlier result:
    /// [`WorkerReport::result`](super::WorkerReport::result). What a killed consumer has left goes
    /// with it; an effect [committed](Batch::commit) does not.
    ///
    /// # Errors
    /// [`ipc_process::Error::Report`] if there is not enough memory.
    pub fn set_result(&mut self, bytes: &[u8]) -> Result<(), ipc_process::Error> {
        self.worker.set_result(bytes)
    }
}

impl<T: Payload> Sink<'_, T> {
    /// Receives the next message; waits while there is none. `None` is the end of the stream.
    ///
    /// The message counts as dealt with when the next one is asked for, or the function returns
    /// `Ok`. If this process dies or the function fails before, it comes to another consumer: *at
    /// least once*. For effects that happen exactly once, see [`batch`](Self::batch).
    ///
    /// Each message is checked against its stamp: one whose contents have changed on the way, or
    /// that came before, is counted in the report and passed over.
    ///
    /// # Errors
    /// [`ReceiveError::Queue`].
    pub fn receive(&mut self) -> Result<Option<T>, ReceiveError> {
        self.advance()?;
        Ok(self.messages.first().copied())
    }
}

impl<T: Message + ?Sized> Drop for Sink<'_, T> {
    /// After an error or a panic: what was held comes to others.
    fn drop(&mut self) {
        self.give_back();
    }
}

impl<T: Message + ?Sized> fmt::Debug for Sink<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("worker", &self.worker.name())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
impl<T: Message + ?Sized> Sink<'_, T> {
    /// The messages' queue.
    pub(super) fn queue(&self) -> QueueOf<T> {
        QueueOf::<T>::open_in(&self.segment).unwrap()
    }

    /// Which record is its own.
    pub(super) fn life(&self) -> usize {
        self.seat.life
    }

    /// Writes an effect, and does not settle.
    pub(super) fn write_effect(&self, effect: &[u8]) -> u64 {
        self.journal.append(0, effect).unwrap()
    }

    /// Settles what is held with its effect, and does not finish it.
    pub(super) fn settle_unfinished(&self, effect: &[u8]) {
        let ids: Vec<u64> = self.held.iter().map(|held| held.id).collect();
        let sums = Settled {
            messages: ids.len() as u64,
            redelivered: 0,
            digest: ids.iter().fold(0, |sum, &id| sum.wrapping_add(digest(id))),
            journal_end: self.write_effect(effect),
        };
        self.ledger.record(0).settle(ids.into_iter(), sums);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    //! Death between two steps of settling.

    use super::*;
    use crate::harness::{Harness, HarnessError, Messages, test_name};

    fn die() -> ! {
        // SAFETY: a system call on plain numbers.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        loop {
            std::thread::park();
        }
    }

    /// The effects of six messages when the first consumer dies so, and the account.
    fn effects_after(test: &str, dies: fn(&mut Sink<'_, u8>)) -> (Vec<u8>, Messages) {
        let mut effects = Vec::new();
        let report = Harness::new(test)
            .under_test(test)
            .capacity(4)
            .replace_killed(1)
            .producers(1, |source| (0..6).try_for_each(|n| Ok(source.send(n)?)))
            .consumers(1, |sink| {
                if sink.seat.life == 0 {
                    sink.collect(2)?;
                    assert_eq!(sink.messages[0], 0);
                    dies(sink);
                    die();
                }
                while let Some(batch) = sink.batch()? {
                    let effect = batch.to_vec();
                    batch.commit(&effect)?;
                }
                Ok(())
            })
            .on_effect(|effect| effects.extend_from_slice(effect))
            .run()
            .unwrap();
        assert_eq!(report.survived.kills, 1);
        effects.sort();
        (effects, report.messages)
    }

    #[test]
    fn an_effect_that_was_written_and_not_settled_does_not_count() {
        let (effects, messages) = effects_after(test_name!(), |sink| {
            sink.write_effect(b"twice");
        });
        assert_eq!(effects, [0, 1, 2, 3, 4, 5]);
        assert!(messages.redelivered > 0);
    }

    #[test]
    fn messages_that_were_settled_and_not_finished_do_not_count_again() {
        let (effects, messages) = effects_after(test_name!(), |sink| {
            sink.settle_unfinished(&sink.messages);
        });
        assert_eq!(effects, [0, 1, 2, 3, 4, 5]);
        // They came again, and nobody got them.
        assert_eq!(messages.redelivered, 0);
        assert_eq!((messages.sent, messages.received), (6, 6));
    }

    /// The end of a run in which two consumers' records say this.
    fn end_of(test: &str, nonsense: Settled) -> HarnessError {
        let run = Harness::new(test)
            .under_test(test)
            .producers(1, |source| Ok(source.send(0u8)?))
            .consumers(2, |sink| {
                let record = sink.ledger.record(sink.seat.life);
                record.settle(std::iter::empty(), nonsense);
                while sink.receive()?.is_some() {}
                Ok(())
            })
            .run();
        run.unwrap_err()
    }

    #[test]
    fn records_of_nonsense_are_no_exact_account() {
        let end = end_of(
            test_name!(),
            Settled {
                messages: u64::MAX,
                redelivered: u64::MAX,
                ..Settled::default()
            },
        );
        assert!(matches!(end, HarnessError::NotExact { .. }), "{end}");
    }

    #[test]
    fn an_end_of_the_journal_that_is_none_is_an_error() {
        let end = end_of(
            test_name!(),
            Settled {
                journal_end: u64::MAX,
                ..Settled::default()
            },
        );
        assert!(matches!(end, HarnessError::Os { .. }), "{end}");
    }
}
