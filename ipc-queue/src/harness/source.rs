//! What a producer's function works with.

use super::carrier::{Carrier, Message, QueueOf, SenderOf};
use super::envelope::Envelope;
use super::error::{HarnessError, SendError};
use super::ledger::Ledger;
use super::sequence::Sequence;
use super::stage::Seat;
use crate::mpmc::PushError;
use ipc_core::{Payload, Segment};
use ipc_process::{Params, Worker};
use std::fmt;
use std::time::Duration;

/// How long a send waits for room before it looks whether there is still a consumer.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// The producer's end, given to the function of [`Harness::producers`](super::Harness::producers).
pub struct Source<'a, T: Message + ?Sized> {
    params: Params,
    worker: &'a mut Worker,
    seat: Seat,
    pub(super) queue: SenderOf<T>,
    segment: Segment,
    pub(super) sequence: Sequence,
}

impl<'a, T: Message + ?Sized> Source<'a, T> {
    pub(super) fn new(
        worker: &'a mut Worker,
        segment: &Segment,
        seat: Seat,
    ) -> Result<Self, HarnessError> {
        Ok(Self {
            params: match worker.shared_params() {
                Some(params) => params,
                None => Params::new(&[])?,
            },
            worker,
            seat,
            queue: QueueOf::<T>::open_in(segment)?.sender()?,
            segment: segment.clone(),
            sequence: Sequence::new(Ledger::open(segment)?, seat.index),
        })
    }

    /// Goes on behind the messages that a killed predecessor has sent, and returns how many those
    /// are: the number, from 0, of the message that [`send`](Self::send) sends next. 0 in a
    /// producer that replaces nobody.
    pub fn skip_sent(&mut self) -> u64 {
        self.sequence.skip_sent()
    }

    /// Whether the run is to last longer, for the sake of
    /// [disturbances](super::Harness::disturb) that are still to come.
    ///
    /// A producer that can send more at this point does so while this is true. It is so at the
    /// same points in a producer that replaces a killed one.
    pub fn is_asked_for_more(&self) -> bool {
        let is_mine = self.segment.attachment().is_mine();
        self.sequence.is_sent() || is_mine && self.sequence.ledger().disturbances() > 0
    }

    pub(super) fn worker(&mut self) -> &mut Worker {
        self.worker
    }

    /// The producer's number, from 0.
    pub fn index(&self) -> usize {
        self.seat.index
    }

    /// How many producers there are.
    pub fn count(&self) -> usize {
        self.seat.of
    }

    /// The parameters given to [`Harness::params`](super::Harness::params): bytes, mapped from
    /// sealed memory and not copied. Empty if none were given.
    pub fn params(&self) -> Params {
        self.params.clone()
    }

    /// The worker's name, such as `producer-0`.
    pub fn name(&self) -> &str {
        self.worker.name()
    }

    /// Leaves `bytes` for the parent, in place of an earlier result:
    /// [`WorkerReport::result`](super::WorkerReport::result).
    ///
    /// # Errors
    /// [`ipc_process::Error::Report`] if there is not enough memory.
    pub fn set_result(&mut self, bytes: &[u8]) -> Result<(), ipc_process::Error> {
        self.worker.set_result(bytes)
    }
}

impl<T: Payload> Source<'_, T> {
    /// Sends a message; waits while the queue is full.
    ///
    /// In a producer that replaces a killed one, the messages that were sent already are not sent
    /// again: the function sends the same ones in the same order, or begins with
    /// [`skip_sent`](Self::skip_sent).
    ///
    /// # Errors
    /// [`SendError::NoConsumer`] if it is full and all consumers have ended; [`SendError::Queue`].
    pub fn send(&mut self, message: T) -> Result<(), SendError> {
        if !self.sequence.is_sent() {
            self.push(Envelope::seal(self.sequence.stamp(), message))?;
        }
        self.sequence.advance();
        Ok(())
    }

    fn push(&mut self, sealed: Envelope<T>) -> Result<(), SendError> {
        loop {
            match self.queue.push_timeout(sealed, LOOK) {
                Ok(()) => {
                    self.sequence.count_sent();
                    return Ok(());
                }
                Err(PushError::TimedOut) => {
                    if self.sequence.ledger().is_abandoned() {
                        return Err(SendError::NoConsumer);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<T: Message + ?Sized> fmt::Debug for Source<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("worker", &self.worker.name())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    //! The account is not blind: producers that forge what no sound ring would deliver.

    use super::*;
    use crate::harness::envelope::Stamp;
    use crate::harness::{Harness, HarnessError, Messages, WorkResult, test_name};

    type Forge = dyn Fn(&mut Source<'_, [u16; 5]>) -> WorkResult;

    fn message(sequence: u64) -> [u16; 5] {
        [sequence as u16; 5]
    }

    fn push(source: &mut Source<'_, [u16; 5]>, sequence: u64) -> WorkResult {
        let stamp = Stamp {
            producer: 0,
            sequence,
        };
        Ok(source.push(Envelope::seal(stamp, message(sequence)))?)
    }

    /// The account, and how many messages came to the consumer, all as they were sent.
    fn account_of(test: &str, forge: &Forge) -> (Messages, u64) {
        let run = Harness::new(test)
            .under_test(test)
            .capacity(4)
            .producers(1, forge)
            .consumers(1, |sink| {
                let mut count = 0u64;
                let mut last = None;
                while let Some(got) = sink.receive()? {
                    assert!(got == [got[0]; 5] && last < Some(got[0]), "{got:?}");
                    last = Some(got[0]);
                    count += 1;
                }
                Ok(sink.set_result(&count.to_ne_bytes())?)
            })
            .run();
        let Err(error @ HarnessError::NotExact { .. }) = run else {
            panic!("{run:#?}");
        };
        let text = error.to_string();
        let HarnessError::NotExact { report } = error else {
            unreachable!("just matched");
        };
        assert!(text.contains(&report.messages.to_string()), "{text}");
        let count = report.consumers[0].result[..].try_into().unwrap();
        (report.messages, u64::from_ne_bytes(count))
    }

    fn messages(sent: u64, received: u64, lost: u64, doubled: u64, torn: u64) -> Messages {
        Messages {
            sent,
            received,
            redelivered: 0,
            lost,
            doubled,
            torn,
        }
    }

    #[test]
    fn one_that_is_not_delivered_is_lost() {
        // Counted by the ring, as it was in it, but the consumer gets another's contents.
        let (account, came) = account_of(test_name!(), &|source| {
            for sequence in [0, 1, 1, 3, 4] {
                push(source, sequence)?;
            }
            Ok(())
        });
        assert_eq!(account, messages(5, 4, 1, 1, 0));
        assert_eq!(came, 4);
    }

    #[test]
    fn one_that_changed_on_the_way_is_torn() {
        for damaged in [0, 8, 16, 24, 33] {
            let (account, came) = account_of(test_name!(), &move |source| {
                push(source, 0)?;
                let stamp = Stamp {
                    producer: 0,
                    sequence: 1,
                };
                let sealed = Envelope::seal(stamp, message(1));
                let mut bytes = bytemuck::bytes_of(&sealed).to_owned();
                bytes[damaged] ^= 0x10;
                source.push(bytemuck::pod_read_unaligned(&bytes))?;
                push(source, 2)
            });
            assert_eq!(account, messages(3, 2, 1, 0, 1));
            assert_eq!(came, 2);
        }
    }

    #[test]
    fn one_from_an_earlier_lap_is_doubled() {
        let (account, came) = account_of(test_name!(), &|source| {
            for sequence in [0, 1, 2, 3, 4, 1, 6, 7] {
                push(source, sequence)?;
            }
            Ok(())
        });
        assert_eq!(account, messages(8, 7, 1, 1, 0));
        assert_eq!(came, 7);
    }

    #[test]
    fn two_in_the_wrong_order_are_no_exact_account() {
        let (account, came) = account_of(test_name!(), &|source| {
            for sequence in [0, 2, 1, 3] {
                push(source, sequence)?;
            }
            Ok(())
        });
        assert_eq!(account, messages(4, 3, 1, 1, 0));
        assert_eq!(came, 3);
    }

    /// A slot that nobody wrote.
    #[test]
    fn zeros_are_torn() {
        let (account, came) = account_of(test_name!(), &|source| {
            source.push(bytemuck::Zeroable::zeroed())?;
            push(source, 1)
        });
        assert_eq!(account, messages(2, 1, 1, 0, 1));
        assert_eq!(came, 1);
    }

    /// A producer that makes up numbers cannot break the consumer.
    #[test]
    fn the_last_of_all_numbers_is_one_message() {
        let (account, came) = account_of(test_name!(), &|source| {
            push(source, 0)?;
            push(source, u64::MAX)?;
            push(source, 1)
        });
        assert_eq!(account, messages(3, 2, 1, 1, 0));
        assert_eq!(came, 2);
    }

    fn die() -> ! {
        // SAFETY: a system call on plain numbers.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        loop {
            std::thread::park();
        }
    }

    /// When the first producer dies so after three messages: what its successor is told, and what
    /// the consumer gets. `patient` says whether the consumer waits for the successor first.
    fn after_death(test: &str, patient: bool, dies: fn(&mut Source<'_, u64>)) -> (u64, Vec<u8>) {
        let report = Harness::new(test)
            .under_test(test)
            .capacity(8)
            .replace_killed(1)
            .producers(1, |source| {
                if source.skip_sent() == 0 {
                    (0..3).try_for_each(|n| source.send(n))?;
                    dies(source);
                    die();
                }
                let told = source.skip_sent();
                (told..6).try_for_each(|n| source.send(n))?;
                Ok(source.set_result(&told.to_ne_bytes())?)
            })
            .consumers(1, |sink| {
                while patient && sink.queue().len()? < 6 {
                    std::thread::yield_now();
                }
                let mut all = Vec::new();
                while let Some(n) = sink.receive()? {
                    all.push(n as u8);
                }
                Ok(sink.set_result(&all)?)
            })
            .run()
            .unwrap();
        assert_eq!(report.messages.sent, 6);
        let told = report.producers[0].result[..].try_into().unwrap();
        (u64::from_ne_bytes(told), report.consumers[0].result.clone())
    }

    const ALL: [u8; 6] = [0, 1, 2, 3, 4, 5];

    fn push_and_do_not_say(source: &mut Source<'_, u64>) {
        let stamp = Stamp {
            producer: 0,
            sequence: 3,
        };
        source.queue.push(Envelope::seal(stamp, 3)).unwrap();
    }

    #[test]
    fn a_message_that_was_sent_and_not_counted_is_not_sent_again() {
        let (told, got) = after_death(test_name!(), true, push_and_do_not_say);
        assert_eq!((told, got), (4, ALL.to_vec()));
    }

    #[test]
    fn nor_if_it_has_been_received() {
        let (told, got) = after_death(test_name!(), false, |source| {
            push_and_do_not_say(source);
            while !source.queue.queue().is_empty().unwrap() {
                std::thread::yield_now();
            }
        });
        assert_eq!((told, got), (4, ALL.to_vec()));
    }

    #[test]
    fn a_message_that_was_not_sent_is_sent_by_the_successor() {
        let (told, got) = after_death(test_name!(), true, |_| {});
        assert_eq!((told, got), (3, ALL.to_vec()));
    }

    #[test]
    fn nor_is_one_that_was_claimed_and_not_committed() {
        let (told, got) = after_death(test_name!(), true, |source| {
            let stamp = Stamp {
                producer: 0,
                sequence: 3,
            };
            let mut slot = source.queue.reserve().unwrap();
            *slot = Envelope::seal(stamp, 3);
            std::mem::forget(slot);
        });
        assert_eq!((told, got), (3, ALL.to_vec()));
    }

    /// One number is left out, so that counting alone does not show it.
    #[test]
    fn another_message_in_place_of_one_shows() {
        let (account, came) = account_of(test_name!(), &|source| {
            [0, 1, 3, 4].into_iter().try_for_each(|n| push(source, n))
        });
        assert_eq!(account, messages(4, 4, 1, 1, 0));
        assert_eq!(came, 4);
    }
}
