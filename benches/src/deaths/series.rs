//! All trials, round by round.

use std::time::Duration;

use super::scene::BESIDES;
use super::{Outcome, Setting, Trial};
use crate::cpu;
use crate::failure::Failure;
use crate::runner;

/// How often a trial whose kill came too late is tried again in one round.
const TRIES: usize = 20;

/// What became of one trial.
pub struct Series {
    /// Which.
    pub trial: Trial,
    /// Round by round, without those in which the primitive is absent.
    pub outcomes: Vec<Outcome>,
    /// Why there are no more, if so. A trial that failed is not tried again.
    pub failure: Option<Failure>,
}

/// Tries `trials` in `rounds` rounds; calls `before` ahead of each.
///
/// # Errors
/// [`Failure::Interrupted`], and [`Failure::System`] if the CPUs are not told; other failures are
/// kept in their series.
pub fn run(
    trials: &[Trial],
    rounds: usize,
    limit: Duration,
    mut before: impl FnMut(usize, &Trial),
) -> Result<Vec<Series>, Failure> {
    let cpu = cpu::allowed()?[0];
    let mut all: Vec<Series> = trials
        .iter()
        .map(|&trial| Series {
            trial,
            outcomes: Vec::with_capacity(rounds),
            failure: None,
        })
        .collect();
    for round in 0..rounds {
        for series in &mut all {
            before(round, &series.trial);
            if series.failure.is_some() {
                continue;
            }
            match once(&series.trial, limit, cpu) {
                Ok(Outcome::Absent) => {}
                Ok(outcome) => series.outcomes.push(outcome),
                Err(Failure::Interrupted) => return Err(Failure::Interrupted),
                Err(failure) => series.failure = Some(failure),
            }
        }
    }
    Ok(all)
}

/// Tries once, or more often if the kill comes too late.
///
/// # Errors
/// Those of the primitive and of [`runner::in_group`].
pub fn once(trial: &Trial, limit: Duration, cpu: usize) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::TooLate;
    for _ in 0..TRIES {
        outcome = runner::in_group(limit + BESIDES, |_, report| {
            let setting = Setting { limit, cpu, report };
            (trial.run)(trial.moment, &setting)
        })?;
        if outcome != Outcome::TooLate {
            break;
        }
    }
    Ok(outcome)
}
