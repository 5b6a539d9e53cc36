//! What a run showed, for people and for programs.

pub mod html;
pub mod table;

use crate::case::Fate;
use crate::plan::Plan;
use crate::tally::{Count, Tally, Violation};
use serde::{Deserialize, Serialize};

/// What one operation's cases showed, of both fates.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// The operation and its scene.
    pub operation: String,
    /// How many instructions it has.
    pub instructions: u64,
    /// How many of them access the segment.
    pub accesses: u64,
    /// How many of them are system calls.
    pub calls: u64,
    /// Victims killed.
    pub kills: u64,
    /// Victims stopped.
    pub stops: u64,
    /// Of both, those who were stepped to their instruction, since the operation went another way.
    pub stepped: u64,
    /// How it came out when they were killed.
    pub killed: Vec<Count>,
    /// How it came out when they were stopped and continued.
    pub stopped: Vec<Count>,
    /// The time from a kill until others had gone on, in microseconds: half took less.
    pub went_on_p50_us: f64,
    /// The longest, in microseconds.
    pub went_on_max_us: f64,
    /// How long all of it took, in seconds of one process.
    pub seconds: f64,
    /// How many cases showed what must not be.
    pub violations: u64,
    /// The first of them.
    pub first: Vec<Violation>,
}

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Which instructions.
    pub plan: Plan,
    /// How the lab and the libraries were compiled.
    pub build: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// All operations.
    pub operations: Vec<Operation>,
}

impl Report {
    /// Takes up a tally.
    pub fn add(&mut self, tally: Tally) {
        let at = self
            .operations
            .iter()
            .position(|it| it.operation == tally.operation);
        let at = at.unwrap_or_else(|| {
            self.operations.push(Operation::new(&tally));
            self.operations.len() - 1
        });
        self.operations[at].add(tally);
    }

    /// How many cases showed what must not be.
    pub fn violations(&self) -> u64 {
        self.operations.iter().map(|it| it.violations).sum()
    }

    /// How many victims were stepped to their instruction.
    pub fn stepped(&self) -> u64 {
        self.operations.iter().map(|it| it.stepped).sum()
    }

    /// How many victims were killed, and how many were stopped.
    pub fn cases(&self) -> (u64, u64) {
        let kills = self.operations.iter().map(|it| it.kills).sum();
        (kills, self.operations.iter().map(|it| it.stops).sum())
    }
}

impl Operation {
    fn new(tally: &Tally) -> Self {
        Self {
            operation: tally.operation.clone(),
            instructions: tally.instructions,
            accesses: tally.accesses,
            calls: tally.calls,
            kills: 0,
            stops: 0,
            stepped: 0,
            killed: Vec::new(),
            stopped: Vec::new(),
            went_on_p50_us: 0.0,
            went_on_max_us: 0.0,
            seconds: 0.0,
            violations: 0,
            first: Vec::new(),
        }
    }

    fn add(&mut self, tally: Tally) {
        match tally.fate {
            Fate::Killed => {
                (self.kills, self.killed) = (tally.cases, tally.outcomes);
                self.went_on_p50_us = tally.went_on_p50_us;
                self.went_on_max_us = tally.went_on_max_us;
            }
            Fate::Stopped => (self.stops, self.stopped) = (tally.cases, tally.outcomes),
        }
        self.stepped += tally.stepped;
        self.seconds += tally.seconds;
        self.violations += tally.violations;
        self.first.extend(tally.first);
    }
}
