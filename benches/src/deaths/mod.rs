//! Who goes on, and who hangs, when a process is killed that uses a lock, a semaphore or an event.
//!
//! A [`Trial`] is one [`Moment`] of one primitive. It is run in a process of its own with all its
//! children ([`crate::runner::in_group`]), which are killed afterwards, whatever became of them. The
//! primitives are [`subject::Subject`]s; [`scene`] is what is done with them.

mod cpython;
mod ours;
mod posix;
mod raw_sync;
pub mod report;
pub mod scene;
pub mod series;
pub mod subject;

use std::io::PipeWriter;
use std::time::Duration;

use crate::contenders::sync::raw_sync::{Reading, Writing};
use crate::failure::Failure;
use cpython::multiprocessing_lock;
use ours::{
    OursBarrier, OursCondvar, OursEvent, OursMutex, OursOnce, OursReader, OursSemaphore, OursWriter,
};
use posix::{PosixSemaphore, RobustMutex};
use raw_sync::{RawEvent, RawMutex, RawRwLock};
use subject::Subject;

/// When the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// While the others wait for what it has.
    Holding,
    /// While it waits beside them.
    Waiting,
    /// After it was woken, before it has done anything more.
    BeingWoken,
}

impl Moment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Holding, Self::Waiting, Self::BeingWoken];
}

/// What became of the others.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All went on.
    WentOn {
        /// How long after the kill the last of them did, in ms.
        ms: f64,
    },
    /// One at least did not within the limit.
    Hung,
    /// The kill came too late: the victim had gone on already.
    TooLate,
    /// The primitive is not there on this machine.
    Absent,
}

/// Whose a primitive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// Ours, which is meant never to hang.
    Ours,
    /// Somebody else's.
    Theirs,
}

/// What a trial needs to know.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// After how long somebody who has not gone on hangs.
    pub limit: Duration,
    /// A CPU that may be used.
    pub cpu: usize,
    /// Where failed peers report.
    pub report: &'a PipeWriter,
}

/// One moment of one primitive.
#[derive(Clone, Copy)]
pub struct Trial {
    /// The primitive.
    pub subject: &'static str,
    /// Whose it is.
    pub whose: Whose,
    /// What having it, waiting for it, and going on mean.
    pub how: &'static str,
    /// When somebody is killed.
    pub moment: Moment,
    /// Tries it once; called in a runner of its own.
    pub run: fn(Moment, &Setting<'_>) -> Result<Outcome, Failure>,
}

/// All moments of one primitive.
fn each<S: Subject>(subject: &'static str, whose: Whose) -> impl Iterator<Item = Trial> {
    Moment::ALL.into_iter().map(move |moment| Trial {
        subject,
        whose,
        how: S::HOW,
        moment,
        run: scene::play::<S>,
    })
}

/// All trials.
pub fn all() -> Vec<Trial> {
    use Whose::{Ours, Theirs};
    let cpython = Moment::ALL.into_iter().map(|moment| Trial {
        subject: "CPython Lock",
        whose: Theirs,
        how: "multiprocessing.Lock: acquire, release",
        moment,
        run: multiprocessing_lock,
    });
    each::<OursMutex>("Mutex", Ours)
        .chain(each::<OursReader>("RwLock, reader", Ours))
        .chain(each::<OursWriter>("RwLock, writer", Ours))
        .chain(each::<OursSemaphore>("Semaphore", Ours))
        .chain(each::<OursEvent>("Event", Ours))
        .chain(each::<OursCondvar>("Condvar", Ours))
        .chain(each::<OursBarrier>("Barrier", Ours))
        .chain(each::<OursOnce>("Once", Ours))
        .chain(each::<RawMutex>("raw_sync Mutex", Theirs))
        .chain(each::<RawRwLock<Reading>>(
            "raw_sync RwLock, reader",
            Theirs,
        ))
        .chain(each::<RawRwLock<Writing>>(
            "raw_sync RwLock, writer",
            Theirs,
        ))
        .chain(each::<RawEvent>("raw_sync Event", Theirs))
        .chain(each::<RobustMutex>("pthread robust mutex", Theirs))
        .chain(each::<PosixSemaphore>("sem_t", Theirs))
        .chain(cpython)
        .collect()
}
