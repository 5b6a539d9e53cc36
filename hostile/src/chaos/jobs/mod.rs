//! What workers do with each kind of object, and what must be true then.
//!
//! A job joins, works for a while and leaves. It says how much it did. Calls that are refused for
//! want of room, of messages, of time, or because a peer has died, are as they should be; every
//! other error is a violation.

mod locks;
mod queues;
mod rings;
mod waits;

use super::Violation;
use super::post::Post;

/// How much was done.
pub(crate) type Done = Result<u64, Violation>;

type Job = fn(&mut Post) -> Done;

/// By kind.
pub(crate) static JOBS: &[(&str, Job)] = &[
    ("spsc", rings::messages),
    ("spsc bytes", rings::bytes),
    ("values", rings::values),
    ("mpmc", queues::messages),
    ("mpmc bytes", queues::bytes),
    ("channel", queues::channel),
    ("mutex", locks::mutex),
    ("rwlock", locks::rwlock),
    ("condvar", locks::condvar),
    ("once", locks::once),
    ("semaphore", waits::semaphore),
    ("counting semaphore", waits::counting_semaphore),
    ("latch", waits::latch),
    ("barrier", waits::barrier),
    ("event", waits::event),
    ("value, large", waits::large_value),
    ("value, a word", waits::small_value),
    ("array", waits::array),
];

pub(crate) use locks::check as check_locks;
pub(crate) use queues::drain;
pub(crate) use rings::drain as drain_rings;
pub(crate) use waits::check as check_counts;

/// An error that must not be.
pub(crate) fn wrong(error: impl std::fmt::Display) -> Violation {
    Violation::new(error.to_string())
}

/// Takes until nothing is left; `take` says how much it took.
fn take_all(
    is_left: impl Fn() -> ipc_core::Result<bool>,
    mut take: impl FnMut() -> Done,
) -> Result<(), Violation> {
    let mut in_vain = 0;
    while is_left().map_err(wrong)? {
        if take()? == 0 {
            in_vain += 1;
        }
        if in_vain > IN_VAIN {
            return Err(Violation::new("something is left that cannot be taken"));
        }
    }
    Ok(())
}

/// How often [`take_all`] may find nothing before it gives up: the dead are swept meanwhile.
const IN_VAIN: u32 = 100;
