//! The gate at which a crew waits for each phase, and a look at a word now and then while items
//! flow.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::shared::ForkShared;
use crate::spin;

/// Phases announced by the runner to a crew of senders and receivers, through shared memory.
///
/// A phase lasts for a time, not for a number of items: how fast a queue is when there are more
/// peers than CPUs cannot be known from a short look at it.
#[derive(Default)]
#[repr(align(128))]
pub struct Gate {
    /// The phase that has begun last.
    phase: AtomicU64,
    /// The phase in which nothing more is to be sent.
    over: AtomicU64,
    /// Senders that have not finished in this phase.
    sending: AtomicU64,
}

// SAFETY: three atomics, no pointers.
unsafe impl ForkShared for Gate {}

/// After the last phase.
const CLOSED: u64 = u64::MAX;

/// Who has finished sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All of the crew's senders: this one is the last, and ends the phase.
    All,
    /// Not all yet.
    Some,
}

impl Gate {
    /// Runner: begins a phase with this many senders. The phase before has ended.
    pub fn open(&self, senders: u64) {
        self.sending.store(senders, Ordering::Relaxed);
        // Pairs with the load in `next`: who sees the new phase sees its senders.
        self.phase.fetch_add(1, Ordering::Release);
    }

    /// Runner: asks the senders to finish.
    pub fn enough(&self) {
        let phase = self.phase.load(Ordering::Relaxed);
        self.over.store(phase, Ordering::Relaxed);
    }

    /// Runner: there are no more phases.
    pub fn close(&self) {
        self.phase.store(CLOSED, Ordering::Release);
    }

    /// Crew: waits for the phase after `seen`, and gives it; `None` after the last.
    pub fn next(&self, seen: u64) -> Option<u64> {
        let phase = spin::snoozing(|| {
            let phase = self.phase.load(Ordering::Acquire);
            (phase != seen).then_some(phase)
        });
        (phase != CLOSED).then_some(phase)
    }

    /// A sender: whether to go on in this phase.
    pub fn goes_on(&self, phase: u64) -> bool {
        self.over.load(Ordering::Relaxed) != phase
    }

    /// A sender: has sent its items of this phase.
    pub fn sent(&self) -> Sent {
        // Each passes what it sent on to the last, whose marks are to come behind all of it.
        if self.sending.fetch_sub(1, Ordering::AcqRel) == 1 {
            Sent::All
        } else {
            Sent::Some
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_seen_and_has_one_last_sender() {
        let gate = Gate::default();
        let mut seen = 0;
        for _ in 0..2 {
            gate.open(2);
            seen = gate.next(seen).expect("the gate is not closed");
            assert!(gate.goes_on(seen));
            gate.enough();
            assert!(!gate.goes_on(seen));
            assert_eq!([gate.sent(), gate.sent()], [Sent::Some, Sent::All]);
        }
        gate.close();
        assert_eq!(gate.next(seen), None);
    }
}
