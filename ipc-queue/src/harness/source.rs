//! What a producer's function works with.

use super::envelope::{Envelope, Stamp};
use super::error::{HarnessError, SendError};
use super::ledger::Ledger;
use crate::spsc::{Producer, PushError, Ring};
use ipc_core::{Payload, Segment};
use ipc_process::{Params, Worker};
use std::fmt;
use std::time::Duration;

/// How long a send waits for room before it looks whether there is still a consumer.
const LOOK: Duration = Duration::from_millis(50);

/// The producer's end, given to the function of [`Harness::producer`](super::Harness::producer).
pub struct Source<'a, T: Payload> {
    params: Params,
    worker: &'a mut Worker,
    ring: Producer<Envelope<T>>,
    ledger: Ledger,
    next: Stamp,
}

impl<'a, T: Payload> Source<'a, T> {
    pub(super) fn new(worker: &'a mut Worker, segment: &Segment) -> Result<Self, HarnessError> {
        let ring = Ring::open_in(segment, super::stage::RING)?;
        Ok(Self {
            params: match worker.shared_params() {
                Some(params) => params,
                None => Params::new(&[])?,
            },
            worker,
            ledger: Ledger::open(segment)?,
            next: Stamp {
                producer: 0,
                sequence: ring.pushed()?,
            },
            ring: ring.producer()?,
        })
    }

    /// Sends a message; waits while the ring is full.
    ///
    /// # Errors
    /// [`SendError::NoConsumer`] if it is full and the consumer has ended; [`SendError::Ring`].
    pub fn send(&mut self, message: T) -> Result<(), SendError> {
        let sealed = Envelope::seal(self.next, message);
        loop {
            match self.ring.push_timeout(sealed, LOOK) {
                Ok(()) => {
                    self.next.sequence += 1;
                    return Ok(());
                }
                Err(PushError::TimedOut | PushError::ConsumerDied) => {
                    if self.ledger.is_abandoned() {
                        return Err(SendError::NoConsumer);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
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

    /// Ends the stream.
    pub(super) fn finish(self) -> Result<(), SendError> {
        Ok(self.ring.close()?)
    }
}

impl<T: Payload> fmt::Debug for Source<'_, T> {
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
        Ok(source.ring.push(Envelope::seal(stamp, message(sequence)))?)
    }

    /// The account, and how many messages came to the consumer, all as they were sent.
    fn account_of(test: &str, forge: &Forge) -> (Messages, u64) {
        let run = Harness::new(test)
            .under_test(test)
            .capacity(4)
            .producer(forge)
            .consumer(|sink| {
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
                source.ring.push(bytemuck::pod_read_unaligned(&bytes))?;
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
            source.ring.push(bytemuck::Zeroable::zeroed())?;
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
}
