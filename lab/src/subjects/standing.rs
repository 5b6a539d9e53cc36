//! A second victim, which stands somewhere in its operation while the first one operates.

use crate::board::Board;
use crate::marker;
use crate::play::LABEL;
use crate::subject::{Said, Subject};
use crate::trace::Trace;
use crate::tracee::Tracee;
use std::cell::OnceCell;
use std::os::fd::OwnedFd;

/// Where it stands is after so many of so many parts of its operation.
pub const PARTS: usize = 8;

/// Where one stands.
pub struct Standing {
    /// How many parts of its operation it has done.
    pub part: usize,
    /// The operation, once it was recorded.
    trace: OnceCell<Trace>,
    board: OnceCell<&'static Board>,
}

impl Standing {
    /// After so many parts.
    pub fn after(part: usize) -> Self {
        Self {
            part,
            trace: OnceCell::new(),
            board: OnceCell::new(),
        }
    }

    /// Records the operation, in a scene of its own, if that was not done yet.
    pub fn record<S: Subject>(&self, subject: &S) {
        if self.trace.get().is_none() {
            let (_others, door) = subject.scene();
            let recorded = Trace::record(&self.start(subject, door), LABEL);
            let _ = self.trace.set(recorded.expect("an operation"));
        }
    }

    fn start<S: Subject>(&self, subject: &S, door: OwnedFd) -> Tracee {
        let board = self.board.get_or_init(Board::new);
        board.clear();
        let started = Tracee::start(|| {
            let mut victim = subject.enter(door);
            marker::begin();
            let said = subject.operate(&mut victim);
            marker::end();
            board.say(said);
        });
        started.expect("the second one begins")
    }

    /// The second one, where it is to stand; or at its end, if it went another way this time.
    pub fn stand<S: Subject>(&self, subject: &S, door: OwnedFd) -> Tracee {
        let tracee = self.start(subject, door);
        let trace = self.trace.get().expect("recorded");
        let step = trace.steps[trace.len() * self.part / PARTS];
        if self.part > 0 {
            tracee.run_to(step.address, step.nth).expect("it runs");
        }
        tracee
    }

    /// Lets it go on to its end. Returns what it has to say.
    pub fn finish(&self, tracee: Tracee) -> Said {
        let stopped = tracee.stop().expect("it stands");
        stopped.go_on().expect("it comes to its end");
        let board = self.board.get().expect("it was started");
        board.said().expect("it says what it did")
    }
}
