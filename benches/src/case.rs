//! One contender in one measure, ready to be run.

use std::io::PipeWriter;
use std::path::Path;
use std::time::Duration;

use crate::alone;
use crate::bystander::{Bystander, Nobody};
use crate::channel::Channel;
use crate::crew;
use crate::failure::Failure;
use crate::lock::Lock;
use crate::measure::{Measure, Placement};
use crate::pair;
use crate::target::Target;
use crate::traffic::Traffic;
use crate::workloads::Workload;

/// What the ends of a channel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Peers {
    /// Threads of one process.
    Threads,
    /// Processes.
    Processes,
    /// There is one process, and nobody else.
    One,
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
    /// The CPU of the peer and the CPU of the runner. Items flow from the first to the second; a
    /// crew is on both.
    pub cpus: [usize; 2],
    /// Whether a crew is bound to them.
    pub placement: Placement,
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
    /// What the subject's first figure divided by this one's is meant to be.
    pub target: Option<Target>,
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
            target: None,
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
            target: None,
            run: pair::in_threads::<W>,
        }
    }

    /// A lock measured in one process.
    pub const fn alone<L: Lock>(measure: Measure, contender: &'static str) -> Self {
        Self {
            measure,
            contender,
            peers: Peers::One,
            how: L::how,
            target: None,
            run: alone::measure::<L>,
        }
    }

    /// A contender measured between several processes.
    pub const fn in_process_crew<T: Traffic, const SENDERS: usize, const RECEIVERS: usize>(
        measure: Measure,
        contender: &'static str,
    ) -> Self {
        Self::beside::<T, Nobody, SENDERS, RECEIVERS>(measure, contender)
    }

    /// A contender measured between several processes, with a bystander.
    pub const fn beside<T, B, const SENDERS: usize, const RECEIVERS: usize>(
        measure: Measure,
        contender: &'static str,
    ) -> Self
    where
        T: Traffic,
        B: Bystander<T::Channel>,
    {
        Self {
            measure,
            contender,
            peers: Peers::Processes,
            how: <T::Channel as Channel>::how,
            target: None,
            run: crew::in_processes::<T, B, SENDERS, RECEIVERS>,
        }
    }

    /// A contender measured between several threads.
    pub const fn in_thread_crew<T, const SENDERS: usize, const RECEIVERS: usize>(
        measure: Measure,
        contender: &'static str,
    ) -> Self
    where
        T: Traffic<Sender: Send, Receiver: Send>,
    {
        Self {
            measure,
            contender,
            peers: Peers::Threads,
            how: <T::Channel as Channel>::how,
            target: None,
            run: crew::in_threads::<T, SENDERS, RECEIVERS>,
        }
    }

    /// The same with a target for the subject's figure divided by this one's.
    #[must_use]
    pub const fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }
}
