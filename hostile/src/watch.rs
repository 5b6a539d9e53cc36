//! Whether a worker still makes progress, and what became of it if not.

use crate::progress::{Count, Progress};
use crate::subject::Failure;
use ipc_process::{Exit, ExitStatusKind, Process};
use std::fmt;
use std::time::{Duration, Instant};

/// The processor time in which any call returns. Those that take longest ask the kernel about each
/// participant; they need microseconds.
const COMPUTING: Duration = Duration::from_secs(4);
/// The time in which any call returns. Those that wait do so for a second at most.
const WAITING: Duration = Duration::from_secs(40);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It did all it was asked to.
    Done,
    /// It panicked: the message.
    Panicked(String),
    /// It was ended by this signal.
    Signal(i32),
    /// A call did not come back.
    Stuck(Stuck),
    /// It could not do its work: why.
    Failed(String),
}

/// What a call did that did not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// It computed.
    Computing,
    /// It slept.
    Waiting,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => write!(f, "done"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::Stuck(Stuck::Computing) => write!(f, "a call computes for ever"),
            Self::Stuck(Stuck::Waiting) => write!(f, "a call waits for ever"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// A worker under watch.
pub struct Watch {
    process: Process,
    seen: (u64, u64, u64),
    since: Instant,
    computed: Duration,
}

impl Watch {
    /// Of a worker that has just been started.
    pub fn new(process: Process) -> Self {
        Self {
            process,
            seen: (0, 0, 0),
            since: Instant::now(),
            computed: Duration::ZERO,
        }
    }

    /// Waits for its end, for at most this long; kills it if it makes no progress.
    ///
    /// # Errors
    /// Those of waiting for a process.
    pub fn look(
        &mut self,
        progress: &Progress,
        patience: Duration,
    ) -> Result<Option<Verdict>, Failure> {
        if let Some(exit) = self.process.join_timeout(patience)? {
            return Ok(Some(verdict(exit)));
        }
        let counts = [Count::Trial, Count::Operations, Count::Opens];
        let [trial, operations, opens] = counts.map(|it| progress.get(it));
        let computed = processor_time(self.process.pid());
        if self.seen != (trial, operations, opens) {
            self.seen = (trial, operations, opens);
            self.since = Instant::now();
            self.computed = computed;
            return Ok(None);
        }
        let stuck = if computed.saturating_sub(self.computed) > COMPUTING {
            Stuck::Computing
        } else if self.since.elapsed() > WAITING {
            Stuck::Waiting
        } else {
            return Ok(None);
        };
        self.process.kill()?;
        self.process.join()?;
        Ok(Some(Verdict::Stuck(stuck)))
    }

    /// Waits until it has ended or makes no progress.
    ///
    /// # Errors
    /// Those of waiting for a process.
    pub fn end(&mut self, progress: &Progress) -> Result<Verdict, Failure> {
        loop {
            if let Some(verdict) = self.look(progress, LOOK)? {
                return Ok(verdict);
            }
        }
    }
}

fn verdict(exit: Exit) -> Verdict {
    match exit {
        Exit {
            status: ExitStatusKind::Signal(signal),
            ..
        } => Verdict::Signal(signal),
        Exit {
            panic: Some(message),
            ..
        } => Verdict::Panicked(message),
        exit if exit.success() => Verdict::Done,
        exit => Verdict::Failed(exit.to_string()),
    }
}

/// What a process has computed so far.
fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the program may hold anything; behind its parenthesis come numbers.
    let numbers = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = numbers
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|it| it.parse::<u64>().ok())
        .sum();
    // 100 ticks a second, on every architecture of Linux that Rust knows.
    Duration::from_millis(ticks * 10)
}
