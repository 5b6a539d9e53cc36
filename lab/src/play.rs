//! Plays one case.

use crate::board::Board;
use crate::case::{Case, Fate};
use crate::marker;
use crate::subject::{Outcome, Subject};
use crate::trace::{Step, Trace};
use crate::tracee::{Stand, Tracee};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// What the names of the lab's segments contain.
pub const LABEL: &str = "faultlab";

/// What a case showed.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// How it came out.
    pub outcome: Outcome,
    /// The time until the others had gone on.
    pub time: Duration,
    /// How the victim was brought to its instruction.
    pub way: Way,
}

/// How a victim is brought to its instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a breakpoint.
    Ran,
    /// Step by step, after another one did not come to the breakpoint: clocks and what the kernel
    /// answers may send an operation another way.
    Stepped,
}

fn start<S: Subject>(subject: &S, door: OwnedFd, board: &Board) -> Result<Tracee, String> {
    board.clear();
    let tracee = Tracee::start(|| {
        let mut victim = subject.enter(door);
        marker::begin();
        let said = subject.operate(&mut victim);
        marker::end();
        board.say(said);
        drop(victim);
    });
    tracee.map_err(|error| with_complaint(error, board))
}

fn with_complaint(error: String, board: &Board) -> String {
    match board.complaint() {
        Some(complaint) => format!("{error}: {complaint}"),
        None => error,
    }
}

/// What is to be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The whole operation, step by step, to be recorded.
    Record,
    /// The case in which the victim has done so many instructions.
    Cut(usize),
}

/// What came of it.
#[derive(Debug)]
pub enum Played {
    /// A recording.
    Trace(Trace),
    /// A case.
    Case(Shown),
}

/// Plays it. The caller has one call of this, in a loop: victims are to begin with the same stack
/// pointer, since instructions that copy depend on where things lie.
///
/// # Errors
/// What the victim came to. What the others find is a panic.
pub fn play<S: Subject>(
    subject: &S,
    task: Task,
    trace: &Trace,
    fate: Fate,
    board: &Board,
) -> Result<Played, String> {
    let at = match task {
        Task::Record => 0,
        Task::Cut(at) => at,
    };
    let (mut others, victim, way) = set(subject, trace, at, board)?;
    if task == Task::Record {
        let trace = Trace::record(&victim, LABEL);
        return trace
            .map(Played::Trace)
            .map_err(|error| with_complaint(error, board));
    }
    let case;
    let said = match fate {
        Fate::Killed => {
            victim.kill();
            case = go_on(subject, &mut others, fate, at)?;
            None
        }
        Fate::Stopped => {
            let victim = victim.stop()?;
            case = go_on(subject, &mut others, fate, at)?;
            let end = victim.go_on();
            end.map_err(|error| with_complaint(error, board))?;
            Some(board.said().ok_or("the victim has said nothing")?)
        }
    };
    let time = case.time().expect("it was looked at");
    let outcome = subject.settle(others, said, &case);
    Ok(Played::Case(Shown { outcome, time, way }))
}

fn go_on<S: Subject>(
    subject: &S,
    others: &mut S::Others,
    fate: Fate,
    at: usize,
) -> Result<Case, String> {
    let mut case = Case::begin(fate, at as u64);
    subject.go_on(others, &mut case);
    match case.time() {
        Some(_) => Ok(case),
        None => Err("the others have succeeded at nothing".to_owned()),
    }
}

/// Sets the scene, with a victim that has done `at` instructions.
fn set<S: Subject>(
    subject: &S,
    trace: &Trace,
    at: usize,
    board: &Board,
) -> Result<(S::Others, Tracee, Way), String> {
    let complete = |error| with_complaint(error, board);
    let (others, door) = subject.scene();
    let victim = start(subject, door, board)?;
    if at == 0 {
        return Ok((others, victim, Way::Ran));
    }
    let (address, nth, stack) = match trace.steps.get(at) {
        Some(&Step {
            address,
            nth,
            stack,
            ..
        }) => (address, nth, Some(stack)),
        None => (marker::end_address(), 1, None),
    };
    if victim.run_to(address, nth).map_err(complete)? == Stand::There
        && stack.is_none_or(|it| it == victim.registers().rsp)
    {
        return Ok((others, victim, Way::Ran));
    }
    drop((victim, others));
    let (others, door) = subject.scene();
    let victim = start(subject, door, board)?;
    for _ in 0..at {
        if victim.registers().rip == marker::end_address() {
            break;
        }
        victim.step().map_err(complete)?;
    }
    Ok((others, victim, Way::Stepped))
}
