//! The way to something that must not happen, in words.

use crate::schedule::Schedule;
use crate::state::*;
use crate::world::{Action, Choice, Violation, World};
use std::fmt::{Display, Formatter, Result};

/// What went wrong, and the way there, state by state when it is displayed.
#[derive(Debug)]
pub struct Trace {
    /// What must never happen.
    pub violation: Violation,
    /// What happened, and where it led.
    pub(crate) steps: Vec<(Action, State)>,
    pub(crate) slots: u8,
}

impl Trace {
    /// The way there, to be gone again.
    pub fn schedule(&self) -> Schedule {
        Schedule(self.steps.iter().map(|&(action, _)| action).collect())
    }
}

impl Display for Trace {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut before = None;
        for (number, (action, state)) in self.steps.iter().enumerate() {
            write!(f, "{number:3} ")?;
            write_action(f, action, before.unwrap_or(state))?;
            writeln!(f, "{}", Memory(state, self.slots))?;
            before = Some(state);
        }
        writeln!(f, "{}", self.violation)?;
        writeln!(f, "schedule: {}", self.schedule())
    }
}

fn write_action(f: &mut Formatter<'_>, action: &Action, before: &State) -> Result {
    let text = match *action {
        Action::Step { process, choice } => {
            let it = &before.processes[usize::from(process)];
            let what = match (choice, it.pc) {
                (Choice::Sweep { dead }, _) => format!("sweeps {dead:b}"),
                (Choice::Forget, pc) => format!("{pc:?} (forgets)"),
                (Choice::Leave, _) => "leaves".to_owned(),
                (Choice::GiveUp, pc) => format!("{pc:?} (gives up)"),
                (Choice::More, pc) => format!("{pc:?} (goes on)"),
                (Choice::Afresh, _) => "begins afresh".to_owned(),
                (Choice::Only, Pc::Idle) => "begins".to_owned(),
                (Choice::Only, pc) => format!("{pc:?}"),
            };
            format!("P{process} {what} at {} seen {}", it.cursor, it.seen)
        }
        Action::Drain { process } => format!("P{process} drains a store"),
        Action::Kill { process } => format!("P{process} is killed"),
        Action::Close => "the stream is closed".to_owned(),
        Action::Ask { slot } => format!("somebody asks about slot {slot}"),
        Action::Join { process } => format!("P{process} is a newcomer"),
    };
    write!(f, "{text:40}")
}

struct Memory<'a>(&'a State, u8);

impl Display for Memory<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Memory(state, slots) = *self;
        for slot in 0..usize::from(slots) {
            let claim = state.claims[slot];
            write!(f, "| ({}", claim.lap)?;
            if claim.owner != NOBODY {
                write!(f, " P{}", claim.owner - 1)?;
            }
            write!(f, "{}", if claim.passed { " passed" } else { "" })?;
            write!(f, "{}", if claim.void { " void" } else { "" })?;
            write!(f, "{}", if claim.revoked { " revoked" } else { "" })?;
            write!(f, "{}", if claim.rejected { " rejected" } else { "" })?;
            let word = state.words[slot];
            write!(f, ") {:?}({})", word.kind, word.lap)?;
            if word.owner != NOBODY {
                write!(f, " P{}", word.owner - 1)?;
            }
            write!(f, "{}", ["", " again"][usize::from(word.redelivered > 0)])?;
            if state.payloads[slot] != NOTHING {
                write!(f, " m{}", state.payloads[slot])?;
            }
            write!(f, " ")?;
        }
        let State {
            late,
            tail,
            head,
            head_seen,
            ..
        } = state;
        write!(
            f,
            "| late {late} tail {tail} head {head}/{head_seen} {:?}",
            state.end
        )
    }
}

/// For a violation that comes up after the last step, in what must be possible from there.
pub fn after(violation: Violation, world: &World, state: &State) -> Violation {
    format!(
        "{violation}\n    tried up to {}",
        Memory(state, world.slots)
    )
}
