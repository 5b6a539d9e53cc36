//! What a consumer's function works with.

use super::envelope::{Envelope, Torn};
use super::error::{HarnessError, ReceiveError};
use super::ledger::{Account, Ledger, Novelty};
use crate::spsc::{Consumer, PopError, Ring};
use ipc_core::{Payload, Segment, SharedRef};
use ipc_process::{Params, Worker};
use std::fmt;

/// The consumer's end, given to the function of [`Harness::consumer`](super::Harness::consumer).
pub struct Sink<'a, T: Payload> {
    params: Params,
    worker: &'a mut Worker,
    ring: Consumer<Envelope<T>>,
    account: SharedRef<Account>,
}

impl<'a, T: Payload> Sink<'a, T> {
    pub(super) fn new(worker: &'a mut Worker, segment: &Segment) -> Result<Self, HarnessError> {
        Ok(Self {
            params: match worker.shared_params() {
                Some(params) => params,
                None => Params::new(&[])?,
            },
            worker,
            account: Ledger::open(segment)?.account(0)?,
            ring: Ring::open_in(segment, super::stage::RING)?.consumer()?,
        })
    }

    /// Receives the next message; waits while there is none. `None` is the end of the stream.
    ///
    /// Each message is checked against its stamp: one whose contents have changed on the way, or
    /// that came before, is counted in the report and passed over.
    ///
    /// # Errors
    /// [`ReceiveError::Ring`].
    pub fn receive(&mut self) -> Result<Option<T>, ReceiveError> {
        loop {
            match self.ring.pop() {
                Ok(None) => return Ok(None),
                Ok(Some(sealed)) => match sealed.open() {
                    Ok((stamp, message)) => match self.account.enter(stamp.sequence) {
                        Novelty::New => return Ok(Some(message)),
                        Novelty::Doubled => {}
                    },
                    Err(Torn) => self.account.enter_torn(),
                },
                // The parent knows, and ends the stream.
                Err(PopError::ProducerDied) => {}
                Err(error) => return Err(error.into()),
            }
        }
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
    /// [`WorkerReport::result`](super::WorkerReport::result).
    ///
    /// # Errors
    /// [`ipc_process::Error::Report`] if there is not enough memory.
    pub fn set_result(&mut self, bytes: &[u8]) -> Result<(), ipc_process::Error> {
        self.worker.set_result(bytes)
    }
}

impl<T: Payload> fmt::Debug for Sink<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("worker", &self.worker.name())
            .finish_non_exhaustive()
    }
}
