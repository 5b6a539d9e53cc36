//! The event's orderings under loom, with interleavings and weak memory:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p ipc-sync --release --lib loom
//! ```
//!
//! Sleeps have no time-out here, so a lost wake is a deadlock, which loom reports.

use super::{Reset, Words};
use ipc_core::{Deadline, Fences, Wait};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct World {
    words: Words,
    /// Written before the event is set, read after it was passed.
    passed_on: UnsafeCell<u32>,
}

// SAFETY: the cell is what loom is to check.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            words: Words::default(),
            passed_on: UnsafeCell::new(0),
        })
    }

    fn write_and_set(&self) {
        // SAFETY: nobody reads before it is set; loom checks.
        self.passed_on.with_mut(|it| unsafe { *it = 7 });
        self.words.set(Fences::Symmetric);
    }

    fn wait(&self, reset: Reset) {
        self.words
            .wait(reset, Wait::Park, Fences::Symmetric, Deadline::NEVER)
            .unwrap();
    }

    fn wait_and_read(&self, reset: Reset) {
        self.wait(reset);
        // SAFETY: nobody writes after it was set; loom checks.
        self.passed_on.with(|it| assert_eq!(unsafe { *it }, 7));
    }
}

#[test]
fn who_passes_sees_what_was_done_before() {
    for reset in [Reset::Manual, Reset::Auto] {
        loom::model(move || {
            let world = World::new();
            let other = world.clone();
            let setter = thread::spawn(move || other.write_and_set());
            world.wait_and_read(reset);
            setter.join().unwrap();
        });
    }
}

#[test]
fn all_pass_a_manual_one() {
    loom::model(|| {
        let world = World::new();
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let world = world.clone();
                thread::spawn(move || world.wait_and_read(Reset::Manual))
            })
            .collect();
        world.write_and_set();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn an_automatic_one_lets_one_pass_for_each_set() {
    loom::model(|| {
        let world = World::new();
        let other = world.clone();
        let waiter = thread::spawn(move || other.wait(Reset::Auto));
        let mut passed = 0;
        world.words.set(Fences::Symmetric);
        passed += usize::from(world.words.take(Reset::Auto).is_some());
        if passed == 1 {
            // The other has not: this set is for it.
            world.words.set(Fences::Symmetric);
        }
        waiter.join().unwrap();
        assert_eq!(world.words.take(Reset::Auto), None);
    });
}

#[test]
fn two_waiters_pass_an_automatic_one_in_turn() {
    loom::model(|| {
        let world = World::new();
        let other = world.clone();
        let waiter = thread::spawn(move || {
            other.wait(Reset::Auto);
            // The baton goes on.
            other.words.set(Fences::Symmetric);
        });
        world.words.set(Fences::Symmetric);
        waiter.join().unwrap();
        world.wait(Reset::Auto);
        assert_eq!(world.words.take(Reset::Auto), None);
    });
}
