//! Plays all cases of one operation and one fate.

use crate::board::Board;
use crate::case::Fate;
use crate::place;
use crate::plan::Plan;
use crate::play::{self, Played, Shown, Task, Way};
use crate::subject::{Outcome, Subject};
use crate::tally::Tally;
use crate::trace::Trace;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A case that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many instructions a victim has done before there is a recording.
pub const BEFORE: u64 = u64::MAX;

/// A subject, whatever it works with.
pub trait Runnable {
    /// Its [name](Subject::name).
    fn name(&self) -> String;

    /// Plays its cases. The process has one thread. If a case hangs, SIGALRM ends the process.
    fn run(&self, fate: Fate, plan: Plan, board: &'static Board) -> Tally;
}

impl<S: Subject> Runnable for S {
    fn name(&self) -> String {
        Subject::name(self)
    }

    fn run(&self, fate: Fate, plan: Plan, board: &'static Board) -> Tally {
        let start = Instant::now();
        let mut tally = Tally::new(Subject::name(self), fate);
        quietly(board);
        hurry(PATIENCE);
        let mut trace = Trace::default();
        let mut times = Vec::new();
        let mut furthest: Option<Outcome> = None;
        // What a process does once only, it has done before the recording.
        let mut tasks = VecDeque::from([Task::Cut(0), Task::Record]);
        while tally.violations < plan.enough
            && let Some(task) = tasks.pop_front()
        {
            let at = match task {
                Task::Cut(at) if !trace.is_empty() => at as u64,
                _ => BEFORE,
            };
            let address = trace.steps.get(at as usize).map_or(0, |it| it.address);
            board.note_case([at, address, tally.cases, tally.instructions]);
            hurry(PATIENCE);
            let played = caught(board, || play::play(self, task, &trace, fate, board));
            let shown = match played {
                Ok(Played::Trace(recorded)) => {
                    trace = recorded;
                    let cuts = plan.cuts(&trace).into_iter().step_by(self.grid());
                    tasks.extend(cuts.map(Task::Cut));
                    tally.describe(&trace);
                    continue;
                }
                Err(what) => {
                    tally.violation(at, || place::describe(address), what);
                    tally.cases += u64::from(at != BEFORE);
                    continue;
                }
                Ok(Played::Case(_)) if at == BEFORE => continue,
                Ok(Played::Case(shown)) => shown,
            };
            tally.cases += 1;
            let Shown { outcome, time, way } = shown;
            tally.count(outcome.text);
            tally.stepped += u64::from(way == Way::Stepped);
            times.push(time);
            if fate == Fate::Stopped || way == Way::Stepped {
                continue;
            }
            let before = furthest.replace(outcome);
            if let Some(before) = before.filter(|it| it.rank > outcome.rank) {
                let what = format!("{:?} after {:?}", outcome.text, before.text);
                tally.violation(at, || place::describe(address), what);
            }
        }
        hurry(Duration::ZERO);
        tally.times(times);
        tally.seconds = start.elapsed().as_secs_f64();
        tally
    }
}

/// SIGALRM, which ends the process, comes after this time. Zero: never.
fn hurry(time: Duration) {
    // SAFETY: sets a timer.
    unsafe { libc::alarm(time.as_secs() as u32) };
}

/// Panics, also those of victims, are put on the board and not on the terminal.
fn quietly(board: &'static Board) {
    std::panic::set_hook(Box::new(|panic| board.complain(&panic.to_string())));
}

fn caught<T>(board: &Board, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.unwrap_or_else(|_| Err(board.complaint().unwrap_or_default()))
}
