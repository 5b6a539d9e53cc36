//! The kinds, and what their handles can do.

mod channels;
pub(crate) mod directory;
mod locks;
mod queues;
mod rings;
mod values;
mod waits;

use crate::subject::Subject;

/// All of them.
pub static SUBJECTS: &[Subject] = &[
    rings::MESSAGES,
    rings::BYTES,
    queues::MESSAGES,
    queues::BYTES,
    channels::CHANNEL,
    values::RING,
    values::QUEUE,
    values::CHANNEL,
    locks::MUTEX,
    locks::RWLOCK,
    locks::CONDVAR,
    locks::ONCE,
    locks::ONCE_CELL,
    waits::SEMAPHORE,
    waits::COUNTING_SEMAPHORE,
    waits::LATCH,
    waits::BARRIER,
    waits::EVENT,
    waits::MANUAL_EVENT,
    waits::SMALL_VALUE,
    waits::LARGE_VALUE,
    waits::ARRAY,
    directory::DIRECTORY,
];

/// That of this name.
pub(crate) fn find(name: &str) -> Option<&'static Subject> {
    SUBJECTS.iter().find(|it| it.name == name)
}
