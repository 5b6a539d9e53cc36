//! Plays all cases of one operation and one fate.

use crate::board::Board;
use crate::case::Fate;
use crate::place;
use crate::plan::Plan;
use crate::play::{self, Shown};
use crate::subject::{Outcome, Subject};
use crate::tally::Tally;
use crate::trace::{Effect, Trace};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A case that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

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
        board.note_case([u64::MAX, 0, 0, 0]);
        let recorded = caught(board, || {
            // What a process does once only, it has done before the recording.
            play::play(self, &Trace::default(), 0, fate, board)?;
            play::record(self, board)
        });
        let trace = match recorded {
            Ok(trace) => trace,
            Err(what) => {
                tally.violation(0, || "before the first kill".to_owned(), what);
                return tally;
            }
        };
        let count = |effect| trace.steps.iter().filter(|it| it.effect == effect).count() as u64;
        tally.instructions = trace.len() as u64;
        tally.accesses = count(Effect::Access);
        tally.calls = count(Effect::Call);
        let mut times = Vec::new();
        let mut furthest: Option<Outcome> = None;
        for at in plan.cuts(&trace) {
            let address = trace.steps.get(at).map_or(0, |it| it.address);
            board.note_case([at as u64, address, tally.cases, tally.instructions]);
            hurry(PATIENCE);
            tally.cases += 1;
            match caught(board, || play::play(self, &trace, at, fate, board)) {
                Ok(Shown { outcome, time, way }) => {
                    tally.count(outcome.text);
                    tally.stepped += u64::from(way == play::Way::Stepped);
                    times.push(time);
                    if fate == Fate::Stopped || way == play::Way::Stepped {
                        continue;
                    }
                    let before = furthest.replace(outcome);
                    if let Some(before) = before.filter(|it| it.rank > outcome.rank) {
                        let what = format!("{:?} after {:?}", outcome.text, before.text);
                        tally.violation(at as u64, || place::describe(address), what);
                    }
                }
                Err(what) => tally.violation(at as u64, || place::describe(address), what),
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
