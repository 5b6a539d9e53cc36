//! What the cases of one operation showed.

use crate::case::Fate;
use crate::run::BEFORE;
use crate::trace::{Effect, Trace};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Something that must not be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Violation {
    /// What happened to the victim.
    pub fate: Fate,
    /// How many instructions it had done.
    pub at: u64,
    /// Its next instruction.
    pub place: String,
    /// What was found.
    pub what: String,
}

impl Violation {
    /// After how many instructions, in words.
    pub fn when(&self) -> String {
        match self.at {
            BEFORE => "before the first case".to_owned(),
            at => format!("after {at} instructions"),
        }
    }
}

/// How often a case came out like this.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Count {
    /// The outcome.
    pub outcome: String,
    /// How often.
    pub cases: u64,
}

/// What the cases of one operation and one fate showed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tally {
    /// The operation and its scene.
    pub operation: String,
    /// What happened to the victims.
    pub fate: Fate,
    /// How many instructions the operation has.
    pub instructions: u64,
    /// How many of them access the segment.
    pub accesses: u64,
    /// How many of them are system calls.
    pub calls: u64,
    /// How many cases were played.
    pub cases: u64,
    /// Cases in which the operation went another way, and was stepped through to the instruction.
    pub stepped: u64,
    /// How they came out, in order of their first appearance.
    pub outcomes: Vec<Count>,
    /// The time until the others had gone on, in microseconds: half of the cases took less.
    pub went_on_p50_us: f64,
    /// The longest, in microseconds.
    pub went_on_max_us: f64,
    /// How many cases showed what must not be.
    pub violations: u64,
    /// The first of them.
    pub first: Vec<Violation>,
    /// How long all of it took, in seconds.
    pub seconds: f64,
}

/// How many violations are kept in full.
const KEPT: usize = 10;

impl Tally {
    /// Nothing has been played.
    pub fn new(operation: String, fate: Fate) -> Self {
        Self {
            operation,
            fate,
            instructions: 0,
            accesses: 0,
            calls: 0,
            cases: 0,
            stepped: 0,
            outcomes: Vec::new(),
            went_on_p50_us: 0.0,
            went_on_max_us: 0.0,
            violations: 0,
            first: Vec::new(),
            seconds: 0.0,
        }
    }

    /// This is the operation.
    pub fn describe(&mut self, trace: &Trace) {
        let count = |effect| trace.steps.iter().filter(|it| it.effect == effect).count() as u64;
        self.instructions = trace.len() as u64;
        self.accesses = count(Effect::Access);
        self.calls = count(Effect::Call);
    }

    /// A case came out like this.
    pub fn count(&mut self, outcome: &str) {
        match self.outcomes.iter_mut().find(|it| it.outcome == outcome) {
            Some(count) => count.cases += 1,
            None => self.outcomes.push(Count {
                outcome: outcome.to_owned(),
                cases: 1,
            }),
        }
    }

    /// A case showed what must not be.
    pub fn violation(&mut self, at: u64, place: impl FnOnce() -> String, what: String) {
        self.violations += 1;
        if self.first.len() < KEPT {
            let (fate, place) = (self.fate, place());
            self.first.push(Violation {
                fate,
                at,
                place,
                what,
            });
        }
    }

    /// How long the others took to go on, of all cases.
    pub fn times(&mut self, mut times: Vec<Duration>) {
        times.sort_unstable();
        let micros = |it: &Duration| it.as_secs_f64() * 1e6;
        self.went_on_p50_us = times.get(times.len() / 2).map_or(0.0, micros);
        self.went_on_max_us = times.last().map_or(0.0, micros);
    }
}
