//! Another process that does one thing with a queue of its own opening, step by step.

use crate::common::line::Line;
use ipc_core::{Payload, Segment};
use ipc_queue::mpmc::Queue;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use std::os::fd::OwnedFd;
use test_kit::forked::Forked;

/// Killed and reaped on drop.
pub struct Peer {
    pub line: Line,
    child: Forked,
}

impl Peer {
    /// Runs `body` in a forked child, with the queue opened there and a line to the test.
    pub fn start<T: Payload>(queue: &Queue<T>, body: impl FnOnce(&Queue<T>, &Line)) -> Self {
        Self::attached(queue.segment(), |segment, line| {
            body(&Queue::open(segment).unwrap(), line);
        })
    }

    /// Runs `body` in a forked child, with a descriptor of the segment and a line to the test.
    pub fn attached(segment: &Segment, body: impl FnOnce(OwnedFd, &Line)) -> Self {
        let (line, theirs) = Line::pair();
        let segment = segment.descriptor().unwrap();
        let child = Forked::run(|| {
            // The parent's handles are not dropped here; those of the body are.
            body(segment, &theirs);
            0
        });
        Self { line, child }
    }

    /// Waits until it has said one word.
    #[track_caller]
    pub fn hear(&self) -> u64 {
        self.line.hear().expect("the peer lives")[0]
    }

    /// Tells it to go on.
    pub fn go_on(&self) {
        self.line.say([0, 0]);
    }

    /// Stops it, wherever it is, and waits until it is stopped.
    pub fn stop(&self) {
        kill(self.child.pid(), Signal::SIGSTOP).unwrap();
        waitpid(self.child.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
    }

    pub fn resume(&self) {
        kill(self.child.pid(), Signal::SIGCONT).unwrap();
    }

    /// Kills it and waits until it is gone.
    pub fn kill(self) {
        self.child.kill();
    }

    /// Waits for its end, which must be a good one.
    #[track_caller]
    pub fn join(self) {
        assert_eq!(self.child.join(), Ok(0));
    }
}

/// Says a word to the test, and waits to be told to go on.
pub fn say_and_wait(line: &Line, word: u64) {
    line.say([word, 0]);
    let _ = line.obey();
}
