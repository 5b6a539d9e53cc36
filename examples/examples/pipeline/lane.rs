//! One way for messages to get from one process to another, measured.

use examples::{CorpusError, WordCounts, WordCountsError};
use ipc_queue::harness::{HarnessError, Survived};
use std::fmt;
use std::time::Duration;

/// What the consumer does with what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Checks that it is what was sent: the transport alone.
    CheckOnly,
    /// Counts the words in it too: the whole job.
    CountWords,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Work::CheckOnly => "transport alone",
            Work::CountWords => "counting words",
        })
    }
}

/// What went through, and how fast.
#[derive(Debug)]
pub struct Lane {
    pub name: &'static str,
    pub work: Work,
    pub messages: u64,
    /// Bytes of text in them.
    pub bytes: u64,
    pub elapsed: Duration,
    pub lost: u64,
    pub doubled: u64,
    pub torn: u64,
    pub words: Option<WordCounts>,
    /// Of several producers that sent their share of the text again: how often each did.
    pub rounds: Vec<u64>,
    /// What happened to the workers, and did no harm.
    pub survived: Survived,
    /// Messages that were delivered again after the death of who had them.
    pub redelivered: u64,
    /// Whether the words are those of the sequential count.
    pub counted_right: bool,
}

impl Lane {
    pub fn is_exact(&self) -> bool {
        (self.lost, self.doubled, self.torn) == (0, 0, 0) && self.counted_right
    }

    pub fn messages_per_second(&self) -> f64 {
        self.messages as f64 / self.elapsed.as_secs_f64()
    }

    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64()
    }
}

/// Why the job could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    #[error(transparent)]
    Harness(#[from] HarnessError),
    #[error(transparent)]
    Process(#[from] ipc_process::Error),
    #[error(transparent)]
    Baseline(#[from] baseline::Error),
    #[error("a consumer's word counts cannot be read: {0}")]
    Counts(#[from] WordCountsError),
    #[error(
        "line {number} of the text has {length} bytes, more than the {longest} that --longest-line \
         allows; raise it, or leave the line's file out"
    )]
    LineTooLong {
        /// From 1.
        number: usize,
        length: usize,
        longest: usize,
    },
    #[error("{action} failed: {source}")]
    Os {
        action: &'static str,
        source: std::io::Error,
    },
    #[error("a consumer's account cannot be read: {0}")]
    Account(#[from] serde_json::Error),
    #[error("ended by a signal")]
    Interrupted,
}
