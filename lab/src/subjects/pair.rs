//! Two victims at once, in the same operation, where it does not matter who has done it.

use super::standing::{PARTS, Standing};
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use crate::tracee::Tracee;
use std::os::fd::OwnedFd;

/// An operation whose check holds for two of it as well, if nothing is said of either.
pub struct Pair<S> {
    inner: S,
    standing: Standing,
}

/// Pairs of this operation, the second victim at each part of it.
pub fn all_of<S: Subject>(operation: impl Fn() -> S) -> Vec<Box<dyn Runnable>> {
    let pair = |part| {
        let (inner, standing) = (operation(), Standing::after(part));
        Box::new(Pair { inner, standing }) as Box<dyn Runnable>
    };
    (0..PARTS).map(pair).collect()
}

/// Those who survive, and the second victim.
pub struct Survivors<O> {
    others: O,
    second: Option<Tracee>,
}

impl<S: Subject> Subject for Pair<S> {
    type Others = Survivors<S::Others>;
    type Victim = S::Victim;

    fn name(&self) -> String {
        let (name, part) = (self.inner.name(), self.standing.part);
        format!("two: {name}, another at {part}/{PARTS}")
    }

    fn grid(&self) -> usize {
        PARTS
    }

    fn scene(&self) -> (Self::Others, OwnedFd) {
        self.standing.record(&self.inner);
        let (others, door) = self.inner.scene();
        let second_door = door.try_clone().expect("a descriptor");
        let second = Some(self.standing.stand(&self.inner, second_door));
        (Survivors { others, second }, door)
    }

    fn enter(&self, door: OwnedFd) -> S::Victim {
        self.inner.enter(door)
    }

    fn operate(&self, victim: &mut S::Victim) -> Said {
        self.inner.operate(victim)
    }

    fn go_on(&self, survivors: &mut Self::Others, case: &mut Case) {
        if case.is_kill() {
            survivors.second = None;
        }
        self.inner.go_on(&mut survivors.others, case);
    }

    fn settle(&self, survivors: Self::Others, _: Option<Said>, case: &Case) -> Outcome {
        let Survivors { others, second } = survivors;
        if let Some(second) = second {
            self.standing.finish(second);
        }
        // How far one of the two has come says nothing of the other.
        let outcome = self.inner.settle(others, None, case);
        Outcome { rank: 0, ..outcome }
    }
}
