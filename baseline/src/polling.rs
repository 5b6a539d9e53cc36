//! How a file transport waits: it looks again and again.

use std::{thread, time::Duration};

/// What a side does between two looks at a file that is full or empty.
///
/// Nothing wakes a process when a file changes, so that a queue in a file is polled; that is part
/// of what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polling {
    /// Sleeps for this long, as it is mostly taught: kind to the processor, but every wait lasts
    /// at least this long and some 50 µs of timer slack.
    Sleep(Duration),
    /// Gives up the processor once and looks again: the shortest wait, at the price of a busy
    /// core and of a file lock that is contended all the time.
    Yield,
}

impl Polling {
    /// Waits once; the peer's death goes unnoticed.
    pub(crate) fn pause(self) {
        match self {
            Self::Sleep(interval) => thread::sleep(interval),
            Self::Yield => thread::yield_now(),
        }
    }
}

impl Default for Polling {
    /// Sleeps for 50 µs: about the shortest sleep that the kernel gives, and so the way of the
    /// textbooks, whose sleeps are of 1 ms and more, at its best.
    fn default() -> Self {
        Self::Sleep(Duration::from_micros(50))
    }
}
