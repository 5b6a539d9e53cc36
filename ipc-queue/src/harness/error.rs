//! What can go wrong in a run.

use super::report::Report;
use crate::spsc::{OpenError, PopError, PushError};
use std::io;

/// Why a message could not be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The consumer has ended, and nobody takes its place.
    #[error("the consumer has ended, so nobody would receive the message; its own report says why")]
    NoConsumer,
    /// The ring.
    #[error(transparent)]
    Ring(#[from] PushError),
}

/// Why a message could not be received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The ring.
    #[error(transparent)]
    Ring(#[from] PopError),
}

/// Why a run was not a success. Nothing is left of it: no process, no memory, no name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HarnessError {
    /// A function is missing.
    #[error("the harness {harness:?} has no {role}; give it one with Harness::{role}")]
    NoFunction {
        /// The harness.
        harness: String,
        /// `"producer"` or `"consumer"`.
        role: &'static str,
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
    /// The ring.
    #[error(transparent)]
    Ring(#[from] OpenError),
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
