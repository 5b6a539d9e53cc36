//! All operations, in their scenes.

mod barrier;
mod common;
mod condvar;
mod event;
mod mpmc;
mod mutex;
mod once;
mod pair;
mod peer;
mod rwlock;
mod scratch;
mod segment;
mod semaphore;
mod spsc;
mod standing;
mod sweep;
mod value;

use crate::run::Runnable;
pub use scratch::remove_of;

/// All of them.
pub fn all() -> Vec<Box<dyn Runnable>> {
    let kinds = [
        spsc::all,
        mpmc::all,
        mutex::all,
        rwlock::all,
        semaphore::all,
        once::all,
        value::all,
        event::all,
        condvar::all,
        barrier::all,
        segment::all,
        sweep::all,
    ];
    kinds.into_iter().flat_map(|all| all()).collect()
}
