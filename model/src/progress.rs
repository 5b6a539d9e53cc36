//! How far a long search has come, for who watches it.

use std::io::{IsTerminal, Write};
use std::time::Instant;

/// States between two looks at the clock.
const STRIDE: u64 = 1 << 16;

/// A line on standard error, if that is a terminal.
pub struct Progress {
    what: &'static str,
    since: Instant,
    shown: bool,
    wanted: bool,
}

impl Progress {
    pub fn of(what: &'static str) -> Self {
        Self {
            what,
            since: Instant::now(),
            shown: false,
            wanted: std::io::stderr().is_terminal(),
        }
    }

    pub fn show(&mut self, done: u64) {
        let is_time = done.is_multiple_of(STRIDE) && self.since.elapsed().as_secs() >= 2;
        if self.wanted && is_time {
            let millions = done as f64 / 1e6;
            let seconds = self.since.elapsed().as_secs();
            let mut to = std::io::stderr().lock();
            // Who watches can do without it.
            let _ = write!(to, "\r{millions:.1} million {}, {seconds} s ", self.what);
            let _ = to.flush();
            self.shown = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            eprintln!();
        }
    }
}
