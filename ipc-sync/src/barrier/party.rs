//! A party: who arrives and waits.

use super::state::State;
use super::{Barrier, BarrierError};
use crate::waiting::Waiting;
use ipc_core::{Deadline, Owner};
use std::time::Duration;

/// How a party passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was the last to arrive. There is one such party each time.
    Leader,
    /// It was not.
    Follower,
}

/// One of the parties of a [`Barrier`]. Leaves it when dropped.
#[derive(Debug)]
pub struct Party {
    pub(super) barrier: Barrier,
    pub(super) place: usize,
    pub(super) owner: Owner,
}

impl Party {
    /// Arrives, and waits until all parties have.
    ///
    /// # Errors
    /// [`BarrierError::Broken`]; [`BarrierError::Segment`].
    pub fn wait(&mut self) -> Result<Arrival, BarrierError> {
        self.wait_until(Deadline::NEVER)
    }

    /// Passes if all others have arrived, else has not arrived; never blocks.
    ///
    /// # Errors
    /// [`BarrierError::NotAll`]; those of [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<Arrival, BarrierError> {
        self.wait_until(Deadline::PAST)
            .map_err(|error| match error {
                BarrierError::TimedOut => BarrierError::NotAll,
                other => other,
            })
    }

    /// As [`wait`](Self::wait), for at most this long; this party has not arrived if the time is up.
    /// Zero looks once; [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`BarrierError::TimedOut`]; those of [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Arrival, BarrierError> {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&mut self, deadline: Deadline) -> Result<Arrival, BarrierError> {
        let barrier = &self.barrier;
        barrier.check_fork()?;
        if deadline == Deadline::PAST {
            let segment = barrier.object.segment();
            segment.recover_if_due(ipc_core::SLICE)?;
        }
        let before = loop {
            let state = barrier.state();
            if barrier.is_broken_in(state) {
                return Err(barrier.broken());
            }
            let arrived = state.arrived() + 1;
            let is_last = arrived >= barrier.parties() as u64;
            if is_last && barrier.advance(state, state.passed()) {
                barrier.ring();
                return Ok(Arrival::Leader);
            }
            if !is_last && deadline == Deadline::PAST {
                return Err(BarrierError::TimedOut);
            }
            if !is_last && barrier.advance(state, State(state.0 + 1)) {
                break state;
            }
        };
        let outcome = || {
            let state = barrier.state();
            if state.passes() != before.passes() {
                Some(Ok(Arrival::Follower))
            } else if state.resets() != before.resets() || barrier.is_broken_in(state) {
                Some(Err(barrier.broken()))
            } else {
                None
            }
        };
        let waited = Waiting {
            bell: &barrier.words.bell,
            object: &barrier.object,
            policy: barrier.wait,
            deadline,
        }
        .run(outcome);
        match waited {
            Ok(Some(arrival)) => return Ok(arrival),
            // The arrivals before a break are forgotten by the reset.
            Err(error @ BarrierError::Broken { .. }) => return Err(error),
            Ok(None) | Err(_) => {}
        }
        loop {
            let state = barrier.state();
            if let Some(over) = outcome() {
                return over;
            }
            if state.arrived() == 0 {
                let what = "a party that waits has not arrived";
                return Err(barrier.object.corrupted(what).into());
            }
            if barrier.advance(state, State(state.0 - 1)) {
                return Err(waited.err().unwrap_or(BarrierError::TimedOut));
            }
        }
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        let barrier = &self.barrier;
        if barrier.object.segment().attachment().is_mine() {
            barrier.places.at(self.place).leave(self.owner.id());
        }
    }
}
