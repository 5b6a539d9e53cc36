//! After which of an operation's instructions it is cut off.

use crate::trace::{Effect, Trace};
use serde::{Deserialize, Serialize};

/// Operations of at most this many instructions are cut off after each.
const SHORT: usize = 5_000;
/// Of longer ones, each access to the segment, each system call, and this many others.
const OTHERS: usize = 2_000;

const ENOUGH: u64 = 10;

/// Every how-manieth of the instructions, and from which on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Every how-manieth: 1 is all of them.
    pub every: u64,
    /// The first one, below `every`.
    pub offset: u64,
    /// After so many violations an operation is given up: they may take long.
    pub enough: u64,
}

impl Plan {
    /// Which of them depends on the seed, so that runs on `every` days in a row try all.
    pub fn new(every: u64, seed: u64) -> Self {
        Self {
            every,
            offset: seed % every,
            enough: ENOUGH,
        }
    }

    /// How many instructions the victims do, in order. Before the first one and after the last
    /// are among them.
    pub fn cuts(self, trace: &Trace) -> Vec<usize> {
        let all: Vec<usize> = if trace.len() <= SHORT {
            (0..=trace.len()).collect()
        } else {
            let gap = trace.len() / OTHERS;
            let is_one = |&at: &usize| {
                let step = trace.steps.get(at);
                at % gap == self.offset as usize % gap
                    || step.is_none_or(|it| it.effect != Effect::Private)
            };
            (0..=trace.len()).filter(is_one).collect()
        };
        let skipped = all.into_iter().skip(self.offset as usize);
        skipped.step_by(self.every as usize).collect()
    }
}
