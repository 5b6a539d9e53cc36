//! What a run did.

use ipc_process::{Exit, ExitStatusKind};
use std::fmt;
use std::time::Duration;

/// The account of all messages of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Messages {
    /// Messages that were committed to the queue.
    pub sent: u64,
    /// Intact messages that consumers received and dealt with.
    pub received: u64,
    /// Those of them that another consumer had taken before, and given back or died.
    pub redelivered: u64,
    /// Sent and never received intact: a torn message counts here too. At least so many, if others
    /// are doubled.
    pub lost: u64,
    /// Received more than once, and not because somebody gave it back. At least so many.
    pub doubled: u64,
    /// Received with contents other than those sent.
    pub torn: u64,
}

impl Messages {
    /// Whether every message was received once and whole.
    pub fn is_exact(&self) -> bool {
        (self.lost, self.doubled, self.torn) == (0, 0, 0) && self.sent == self.received
    }
}

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            received,
            redelivered: _,
            lost,
            doubled,
            torn,
        } = self;
        write!(
            f,
            "sent {sent}, received {received}, lost {lost}, doubled {doubled}, torn {torn}"
        )
    }
}

/// How one worker ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Its name, such as `producer-0`.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// Exit code or signal.
    pub status: ExitStatusKind,
    /// The message and place of its panic, if it panicked.
    pub panic: Option<String>,
    /// Its error, if its function returned one.
    pub error: Option<String>,
    /// What it left with `set_result`.
    pub result: Vec<u8>,
}

impl WorkerReport {
    pub(crate) fn new(pid: u32, exit: Exit) -> Self {
        Self {
            name: exit.name,
            pid,
            status: exit.status,
            panic: exit.panic,
            error: exit.error,
            result: exit.result,
        }
    }

    /// Whether its function returned `Ok`, or ended the process with exit code 0.
    pub fn is_success(&self) -> bool {
        self.status == ExitStatusKind::Code(0) && self.panic.is_none() && self.error.is_none()
    }
}

impl fmt::Display for WorkerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {}): {}", self.name, self.pid, self.status)?;
        if let Some(panic) = &self.panic {
            write!(f, ", panicked: {panic}")?;
        }
        if let Some(error) = &self.error {
            write!(f, ", error: {error}")?;
        }
        Ok(())
    }
}

/// What a run did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The harness's name.
    pub name: String,
    /// The account of all messages.
    pub messages: Messages,
    /// From the opening of the start gate, when all workers were ready, to the end of the last.
    pub elapsed: Duration,
    /// What happened to the workers, and did no harm.
    pub survived: Survived,
    /// The producers, in the order of their numbers.
    pub producers: Vec<WorkerReport>,
    /// The consumers, in the order of their numbers.
    pub consumers: Vec<WorkerReport>,
    /// Those that were killed and replaced, in the order of their deaths.
    pub replaced: Vec<WorkerReport>,
}

/// What happened to the workers of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survived {
    /// Workers that were killed, by [`Harness::disturb`](super::Harness::disturb) or otherwise.
    pub kills: u32,
    /// Workers that were stopped by [`Harness::disturb`](super::Harness::disturb), and continued.
    pub stops: u32,
}

impl Report {
    /// All workers but those that were replaced.
    pub fn workers(&self) -> impl Iterator<Item = &WorkerReport> {
        self.producers.iter().chain(&self.consumers)
    }

    pub(crate) fn failures(&self) -> String {
        let failed: Vec<_> = self
            .workers()
            .filter(|worker| !worker.is_success())
            .map(ToString::to_string)
            .collect();
        format!("{} ({})", failed.join("; "), self.messages)
    }
}

/// The state of a run, for whoever watches it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Time since the start gate opened.
    pub elapsed: Duration,
    /// Messages committed so far.
    pub sent: u64,
    /// Messages received so far.
    pub received: u64,
}
