//! Locks, semaphores and events.

mod events;
mod ours;
pub(crate) mod posix;
pub(crate) mod raw_sync;
mod standard;

use events::{OursEvent, Signalled};
use ours::{OursMutex, OursRwLock, OursSemaphore};
use posix::{PosixSemaphore, RobustMutex};
use raw_sync::{Locking, RawEvent, RawLock, Reading, Writing};
use standard::{StdMutex, StdRwLock};

use super::futex::Futex;
use crate::case::Case;
use crate::counter::Counter;
use crate::measure::{Measure, Placement, Taken};
use crate::target::Target::{AtLeast, AtMost};
use crate::workloads::RoundTrip;

/// All cases about synchronisation, measure by measure.
pub(super) fn all() -> Vec<Case> {
    const MUTEX: Measure = Measure::Uncontended(Taken::Mutex);
    const SEMAPHORE: Measure = Measure::Uncontended(Taken::Semaphore);
    const READ: Measure = Measure::Uncontended(Taken::Read);
    const WRITE: Measure = Measure::Uncontended(Taken::Write);
    const EVENT: Measure = Measure::EventParked;
    vec![
        Case::alone::<OursMutex>(MUTEX, "ours"),
        Case::alone::<StdMutex>(MUTEX, "std").target(AtMost(1.2)),
        Case::alone::<RobustMutex>(MUTEX, "pthread_robust"),
        Case::alone::<RawLock<Locking>>(MUTEX, "raw_sync"),
        Case::alone::<OursSemaphore>(SEMAPHORE, "ours"),
        Case::alone::<OursMutex>(SEMAPHORE, "ours_mutex").target(AtMost(1.5)),
        Case::alone::<StdMutex>(SEMAPHORE, "std_mutex"),
        Case::alone::<PosixSemaphore>(SEMAPHORE, "posix_sem"),
        Case::alone::<OursRwLock<false>>(READ, "ours"),
        Case::alone::<StdRwLock<false>>(READ, "std"),
        Case::alone::<RawLock<Reading>>(READ, "raw_sync"),
        Case::alone::<OursRwLock<true>>(WRITE, "ours"),
        Case::alone::<StdRwLock<true>>(WRITE, "std"),
        Case::alone::<RawLock<Writing>>(WRITE, "raw_sync"),
        Case::in_processes::<RoundTrip<Signalled<OursEvent>>>(EVENT, "ours"),
        Case::in_processes::<RoundTrip<Futex>>(EVENT, "futex").target(AtMost(1.1)),
        Case::in_processes::<RoundTrip<Signalled<RawEvent>>>(EVENT, "raw_sync"),
    ]
    .into_iter()
    .chain(counters::<2>())
    .chain(counters::<4>())
    .chain(counters::<8>())
    .chain(bound_counters::<2>())
    .chain(bound_counters::<4>())
    .collect()
}

/// So many that increment one number, where the system puts them.
fn counters<const CONTENDERS: usize>() -> Vec<Case> {
    let measure = counter::<CONTENDERS>(Placement::Free);
    vec![
        Case::in_process_crew::<Counter<OursMutex>, CONTENDERS, 1>(measure, "ours"),
        Case::in_thread_crew::<Counter<StdMutex>, CONTENDERS, 1>(measure, "std")
            .target(AtLeast(0.9)),
        Case::in_process_crew::<Counter<RobustMutex>, CONTENDERS, 1>(measure, "pthread_robust"),
        Case::in_process_crew::<Counter<RawLock<Locking>>, CONTENDERS, 1>(measure, "raw_sync"),
    ]
}

/// The same with half of them bound to each CPU: those who share the holder's cannot contend while it
/// runs, and those on the other always do.
fn bound_counters<const CONTENDERS: usize>() -> Vec<Case> {
    let measure = counter::<CONTENDERS>(Placement::Bound);
    vec![
        Case::in_process_crew::<Counter<OursMutex>, CONTENDERS, 1>(measure, "ours"),
        Case::in_thread_crew::<Counter<StdMutex>, CONTENDERS, 1>(measure, "std")
            .target(AtLeast(0.9)),
    ]
}

const fn counter<const CONTENDERS: usize>(placement: Placement) -> Measure {
    Measure::Counter {
        contenders: CONTENDERS,
        placement,
    }
}
