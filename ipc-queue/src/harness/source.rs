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
