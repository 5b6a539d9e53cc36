//! One contender in one measure, ready to be run.

use std::io::PipeWriter;
use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;
use crate::measure::Measure;
use crate::pair;
use crate::workloads::Workload;

/// What the two ends of a channel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Peers {
    /// Two threads of one process.
    Threads,
    /// Two processes.
    Processes,
}

/// What one measurement gave.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Sample {
    /// Its figures, in the order of the measure's metrics.
    pub figures: Vec<f64>,
    /// The distance of the two CPUs in ns before and after it, see [`crate::distance`].
    pub distances: [f64; 2],
}

/// What a measurement needs to know.
pub struct Context<'a> {
    /// The CPU of the peer and the CPU of the runner. Items flow from the first to the second.
    pub cpus: [usize; 2],
    /// How long the measured phase shall last; warming up takes about half as long again.
    pub budget: Duration,
    /// An empty directory, removed after the measurement also when the runner is killed.
    pub scratch: &'a Path,
    /// Where the first report is taken from, the runner's or that of a failed peer.
    pub report: &'a PipeWriter,
}

/// One contender in one measure.
#[derive(Clone, Copy)]
pub struct Case {
    /// What is measured.
    pub measure: Measure,
    /// Who is measured.
    pub contender: &'static str,
    /// Between what.
    pub peers: Peers,
    /// How the contender is used.
    pub how: fn() -> String,
    /// Measures once; called in a runner of its own.
    pub run: fn(&Context<'_>) -> Result<Sample, Failure>,
}

impl Case {
    /// A contender measured between two processes.
    pub const fn in_processes<W: Workload>(measure: Measure, contender: &'static str) -> Self {
        Self {
            measure,
            contender,
            peers: Peers::Processes,
            how: W::how,
            run: pair::in_processes::<W>,
        }
    }

    /// A contender measured between two threads.
    pub const fn in_threads<W: Workload>(measure: Measure, contender: &'static str) -> Self
    where
        W::Peer: Send,
    {
        Self {
            measure,
            contender,
            peers: Peers::Threads,
            how: W::how,
            run: pair::in_threads::<W>,
        }
    }
}
