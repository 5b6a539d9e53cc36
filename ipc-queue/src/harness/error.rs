//! What can go wrong in a run.

use super::report::Report;
use crate::mpmc::{OpenError, PopError, PushError};
use std::io;

/// Why a message could not be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// All consumers have ended, and nobody takes their place.
    #[error("all consumers have ended, so nobody would receive the message; their reports say why")]
    NoConsumer,
    /// The queue.
    #[error(transparent)]
    Queue(#[from] PushError),
}

/// Why a message could not be received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The queue.
    #[error(transparent)]
    Queue(#[from] PopError),
}

/// Why an effect could not be committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// There is no memory for it. Its messages were given back.
    #[error("there is no memory for an effect of {len} bytes; commit smaller ones: {source}")]
    NoMemory {
        /// The effect's length.
        len: usize,
        /// The system's answer.
        source: io::Error,
    },
    /// In a forked child: the messages are still its parent's.
    #[error("the batch belongs to the process that this one was forked from; commit it there")]
    Forked,
}

/// Why a run was not a success. Nothing is left of it: no process, no memory, no name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HarnessError {
    /// A function is missing.
    #[error("the harness {harness:?} has no {role}; give it some with Harness::{role}s")]
    NoFunction {
        /// The harness.
        harness: String,
        /// `"producer"` or `"consumer"`.
        role: &'static str,
    },
    /// No workers, or too many.
    #[error("the harness {harness:?} is to have {count} {role}s; it can have 1 to {most}")]
    WorkerCount {
        /// The harness.
        harness: String,
        /// `"producer"` or `"consumer"`.
        role: &'static str,
        /// How many were asked for.
        count: usize,
        /// The most it can have.
        most: usize,
    },
    /// Somebody other than a harness started this process as a worker.
    #[error("the worker {worker:?} was not told its number; start it by Harness::run")]
    NoSeat {
        /// The worker.
        worker: String,
    },
    /// This process is a worker of another harness of the program.
    #[error(
        "this process is a worker of {own:?} and came to run {harness:?}; call run_if_worker on \
         every harness of the program before running the first"
    )]
    OtherWorker {
        /// The harness that was to be run.
        harness: String,
        /// The one this process works for.
        own: String,
    },
    /// A worker failed, panicked or was killed.
    #[error("the run {:?} failed: {}", report.name, report.failures())]
    WorkersFailed {
        /// What all did.
        report: Box<Report>,
    },
    /// Messages were lost, doubled or torn.
    #[error("the run {:?} was not exact: {}", report.name, report.messages)]
    NotExact {
        /// What all did.
        report: Box<Report>,
    },
    /// SIGINT or SIGTERM arrived. The workers have been ended.
    #[error("the run {:?} was ended by signal {signal}: {}", report.name, report.messages)]
    Interrupted {
        /// The signal's number.
        signal: i32,
        /// What all did until then.
        report: Box<Report>,
    },
    /// A worker could not be started or waited for.
    #[error(transparent)]
    Process(#[from] ipc_process::Error),
    /// The segment.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] OpenError),
    /// Any other refusal of the operating system.
    #[error("{action} failed in the run {harness:?}: {source}")]
    Os {
        /// The harness.
        harness: String,
        /// What was attempted.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl HarnessError {
    /// What all workers did, if the run had begun.
    pub fn report(&self) -> Option<&Report> {
        match self {
            HarnessError::WorkersFailed { report }
            | HarnessError::NotExact { report }
            | HarnessError::Interrupted { report, .. } => Some(report),
            _ => None,
        }
    }
}
