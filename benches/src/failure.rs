//! Why a measurement gave no figure.

use std::io;
use std::time::Duration;

/// Why a measurement gave no figure. The name of the contender is added by whoever reports it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A system call or file operation failed.
    #[error("{action}: {source}; check the limits and permissions of this process")]
    System {
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The contender itself returned an error.
    #[error("{action}: {source}")]
    Contender {
        /// What was asked of the contender.
        action: &'static str,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Items arrived out of order, changed, or not at all.
    #[error(
        "item {expected} did not arrive as sent, the queue lost, doubled or changed items; its figure is void"
    )]
    WrongItems {
        /// The number of an item near the fault.
        expected: u64,
    },
    /// The contender ended the stream before all items had been received.
    #[error("the stream ended early; the contender must deliver every item")]
    EndedEarly,
    /// A contender refused a message though it had just said that there was room, and there is one
    /// sender.
    #[error("a message was refused although there was room; the queue must take it")]
    Refused,
    /// A workload asked twice for an end that there is once.
    #[error("an end of the channel was taken twice; a workload takes each end once")]
    EndTaken,
    /// A peer panicked.
    #[error("a peer panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// The runner reported an error of its own or of its peer.
    #[error("{message}")]
    Reported {
        /// The error, in words.
        message: String,
    },
    /// The runner gave no report in time and was killed.
    #[error(
        "no report within {limit:?}, runner and peer were killed; raise --limit if it is only slow"
    )]
    Hung {
        /// The time it had.
        limit: Duration,
    },
    /// The runner ended without a report.
    #[error("the runner ended without a report ({status})")]
    Died {
        /// How it ended.
        status: String,
    },
    /// One of a crew ended before it was done.
    #[error("{who} ended in the middle of the measurement; look for what killed it")]
    Left {
        /// Who, in words.
        who: String,
    },
    /// A fork was asked for in a process that has more than one thread.
    #[error(
        "this process has {threads} threads and cannot fork safely; fork before starting any thread"
    )]
    Threads {
        /// How many threads there are.
        threads: usize,
    },
    /// The user or the system asked the program to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// Wraps a failed system call; `action` says what was being done.
    pub fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source }
    }

    /// Wraps a failed system call made through `nix`; `action` says what was being done.
    pub fn errno(action: &'static str) -> impl FnOnce(nix::errno::Errno) -> Self {
        move |errno| Self::System {
            action,
            source: errno.into(),
        }
    }

    /// Wraps an error of a contender; `action` says what was asked of it.
    pub fn contender<E>(action: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::Contender {
            action,
            source: source.into(),
        }
    }
}
