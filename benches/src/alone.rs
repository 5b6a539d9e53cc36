//! Measures a lock that nobody contends for, in one process.

use std::time::{Duration, Instant};

use crate::case::{Context, Sample};
use crate::companion::Companion;
use crate::cpu;
use crate::failure::Failure;
use crate::lock::{Lock, Pass};
use crate::pair::steps_that_fill;
use crate::statistics;

/// Passes between two looks at the clock: so many that the looks cost nothing, and so few that most
/// of these stretches are not interrupted by anybody.
const PASSES_PER_LOOK: u64 = 512;

/// Takes and gives back on the runner's CPU, for as long as the budget says: the median of many
/// short stretches, in ns each time. The caller has one thread.
///
/// # Errors
/// Those of the contender, and [`Failure::Threads`].
pub fn measure<L: Lock>(context: &Context<'_>) -> Result<Sample, Failure> {
    let companion = Companion::fork(context.cpus[0])?;
    cpu::pin(context.cpus[1])?;
    let before = companion.look()?;
    let lock = L::create()?;
    let mut handle = lock.handle()?;
    let stretches = steps_that_fill(context.budget, |count| {
        let start = Instant::now();
        for _ in 0..count {
            stretch(&mut handle)?;
        }
        Ok(start.elapsed())
    })?;
    let each = (0..stretches)
        .map(|_| Ok(Some(stretch(&mut handle)?.as_nanos() as f64)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let each = statistics::summary(&each).expect("there is one stretch at least");
    Ok(Sample {
        figures: vec![each.median / PASSES_PER_LOOK as f64],
        distances: [before, companion.look()?],
    })
}

fn stretch<P: Pass>(handle: &mut P) -> Result<Duration, Failure> {
    let start = Instant::now();
    for _ in 0..PASSES_PER_LOOK {
        handle.pass()?;
    }
    Ok(start.elapsed())
}
