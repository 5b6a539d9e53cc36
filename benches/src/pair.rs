//! Runs a workload between the runner and one peer, each on its own CPU.

use std::any::Any;
use std::io::{PipeWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use nix::sys::wait::waitpid;
use serde::Serialize;

use crate::case::{Context, Sample};
use crate::control::Control;
use crate::cpu;
use crate::distance::Distance;
use crate::failure::Failure;
use crate::fork;
use crate::shared::Shared;
use crate::workloads::Workload;

/// The steps of the first phase.
const FIRST_STEPS: u64 = 64;

/// Measures between the calling process and a process that it forks. The caller has one thread.
///
/// # Errors
/// Those of the contender, and [`Failure::Threads`]; a failed peer reports for itself.
pub fn in_processes<W: Workload>(context: &Context<'_>) -> Result<Sample, Failure> {
    let control = Shared::<Control>::new()?;
    let distance = Shared::<Distance>::new()?;
    let mut workload = W::create(context.scratch)?;
    let peer = fork::spawn(|| {
        let done = guarded(|| {
            let mut ends = workload.peer()?;
            follow::<W>(&mut ends, &control, &distance, context)
        });
        report_failure(done, context.report)
    })?;
    let mut ends = workload.runner()?;
    let sample = lead::<W>(&mut ends, &control, &distance, context)?;
    waitpid(peer, None).map_err(Failure::errno("wait for the peer"))?;
    Ok(sample)
}

/// Measures between the calling thread and a thread that it starts.
///
/// # Errors
/// Those of the contender; a failed peer reports for itself.
pub fn in_threads<W: Workload>(context: &Context<'_>) -> Result<Sample, Failure>
where
    W::Peer: Send,
{
    let control = Control::default();
    let distance = Distance::default();
    let mut workload = W::create(context.scratch)?;
    let mut theirs = workload.peer()?;
    let mut ours = workload.runner()?;
    // Held in references, because the closure shall take the peer's ends and nothing else.
    let (control, distance, context) = (&control, &distance, context);
    thread::scope(|scope| {
        scope.spawn(move || {
            let done = guarded(|| follow::<W>(&mut theirs, control, distance, context));
            report_failure(done, context.report)
        });
        let outcome = guarded(|| lead::<W>(&mut ours, control, distance, context));
        // At once, because the scope ends only with the peer, which may wait in vain for more.
        if outcome.is_err() {
            report(&outcome, context.report);
        }
        outcome
    })
}

/// The peer's side: phase after phase, as announced.
fn follow<W: Workload>(
    ends: &mut W::Peer,
    control: &Control,
    distance: &Distance,
    context: &Context<'_>,
) -> Result<(), Failure> {
    cpu::pin(context.cpus[0])?;
    control.ready();
    distance.answer();
    let mut seen = 0;
    while let Some(count) = control.next(&mut seen) {
        W::answer(ends, count)?;
    }
    distance.answer();
    Ok(())
}

/// The runner's side: phases that tell how many steps fill the budget, then the one that counts.
fn lead<W: Workload>(
    ends: &mut W::Runner,
    control: &Control,
    distance: &Distance,
    context: &Context<'_>,
) -> Result<Sample, Failure> {
    cpu::pin(context.cpus[1])?;
    control.wait_until_ready();
    let before = distance.look();
    let mut phase = |count| {
        control.begin(count);
        W::drive(ends, count)
    };
    let steps = steps_that_fill(context.budget, |count| Ok(phase(count)?.elapsed))?;
    let measured = phase(steps)?;
    control.begin(0);
    Ok(Sample {
        figures: measured.figures,
        distances: [before, distance.look()],
    })
}

/// How many steps fill `budget`, found by longer and longer phases, which also warm up.
pub(crate) fn steps_that_fill(
    budget: Duration,
    mut phase: impl FnMut(u64) -> Result<Duration, Failure>,
) -> Result<u64, Failure> {
    let mut count = FIRST_STEPS;
    loop {
        let elapsed = phase(count)?;
        if elapsed >= budget / 8 {
            return Ok(steps_within(budget, count, elapsed));
        }
        count *= 4;
    }
}

/// How many steps fill `budget` if `count` took `elapsed`; at least one.
fn steps_within(budget: Duration, count: u64, elapsed: Duration) -> u64 {
    ((count as f64 * budget.as_secs_f64() / elapsed.as_secs_f64()) as u64).max(1)
}

/// Reports a failure of the peer at once: the runner may be waiting for it in vain, and is killed
/// when the report is in. Gives the peer's exit status.
pub(crate) fn report_failure(done: Result<(), Failure>, to: &PipeWriter) -> i32 {
    match done {
        Ok(()) => 0,
        Err(failure) => {
            report(&Err::<(), _>(failure), to);
            1
        }
    }
}

/// Writes the report of a runner, one line; a reader that is gone has no use for it.
pub(crate) fn report<T: Serialize>(outcome: &Result<T, Failure>, mut to: &PipeWriter) {
    let mut line = serde_json::to_string(&outcome.as_ref().map_err(ToString::to_string))
        .unwrap_or_else(|error| format!("{{\"Err\":\"no report: {error}\"}}"));
    line.push('\n');
    // In one write, which a pipe takes whole: several may report at once.
    let _ = to.write_all(line.as_bytes());
}

/// Calls `work` and makes a panic of it a failure.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Failure::Panicked {
            message: message(&*panic),
        })
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_fill_the_budget() {
        let (budget, elapsed) = (Duration::from_millis(200), Duration::from_millis(50));
        assert_eq!(steps_within(budget, 1_000, elapsed), 4_000);
        assert_eq!(steps_within(budget, 1, Duration::from_secs(60)), 1);
    }

    #[test]
    fn a_panic_is_a_failure_with_its_message() {
        let failure = guarded::<()>(|| panic!("lost {}", 3)).expect_err("a panic gives no figure");
        assert_eq!(failure.to_string(), "a peer panicked: lost 3");
    }
}
