//! The condvar's orderings under loom, with interleavings and weak memory:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p ipc-sync --release --lib loom
//! ```
//!
//! Sleeps have no time-out and no slices here, so a lost notification is a deadlock, which loom
//! reports. The mutex is loom's.

use super::sequence::Sequence;
use crate::park::model::Model;
use ipc_core::Deadline;
use ipc_core::atomic::AtomicU64;
use loom::sync::{Arc, Mutex};
use loom::thread;

struct World {
    tokens: Mutex<u32>,
    word: AtomicU64,
    sleepers: Model,
}

impl World {
    fn new() -> Arc<Self> {
        Self::with(0)
    }

    fn with(word: u64) -> Arc<Self> {
        Arc::new(Self {
            tokens: Mutex::new(0),
            word: AtomicU64::new(word),
            sleepers: Model::default(),
        })
    }

    fn sequence(&self) -> Sequence<'_, Model> {
        Sequence {
            word: &self.word,
            park: &self.sleepers,
        }
    }

    fn take_token(&self) {
        let mut tokens = self.tokens.lock().unwrap();
        while *tokens == 0 {
            let announced = self.sequence().announce();
            drop(tokens);
            self.sequence()
                .sleep(announced, Deadline::NEVER, || Ok::<(), ()>(()))
                .unwrap();
            tokens = self.tokens.lock().unwrap();
        }
        *tokens -= 1;
    }

    fn give_tokens(&self, count: u32) {
        *self.tokens.lock().unwrap() += count;
    }
}

fn takers(world: &Arc<World>, count: usize) -> Vec<thread::JoinHandle<()>> {
    (0..count)
        .map(|_| {
            let world = world.clone();
            thread::spawn(move || world.take_token())
        })
        .collect()
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn one_is_notified() {
    loom::model(|| {
        let world = World::new();
        let takers = takers(&world, 1);
        world.give_tokens(1);
        world.sequence().notify_one();
        join(takers);
    });
}

#[test]
fn each_notification_wakes_one_of_two() {
    loom::model(|| {
        let world = World::new();
        let takers = takers(&world, 2);
        for _ in 0..2 {
            world.give_tokens(1);
            world.sequence().notify_one();
        }
        join(takers);
    });
}

#[test]
fn two_notify() {
    loom::model(|| {
        let world = World::new();
        let takers = takers(&world, 1);
        let other = world.clone();
        let notifier = thread::spawn(move || {
            other.give_tokens(1);
            other.sequence().notify_one();
        });
        world.give_tokens(1);
        world.sequence().notify_one();
        world.take_token();
        notifier.join().unwrap();
        join(takers);
    });
}

#[test]
fn all_are_notified() {
    loom::model(|| {
        let world = World::new();
        let takers = takers(&world, 2);
        world.give_tokens(2);
        world.sequence().notify_all();
        join(takers);
    });
}

#[test]
fn one_after_all_finds_who_waits_by_then() {
    loom::model(|| {
        let world = World::new();
        let takers = takers(&world, 2);
        world.give_tokens(1);
        world.sequence().notify_all();
        world.give_tokens(1);
        world.sequence().notify_one();
        join(takers);
    });
}

/// A killed waiter left an odd number, and it becomes even while another goes to sleep on it.
#[test]
fn the_mark_of_the_dead_is_not_taken_off_from_over_the_living() {
    loom::model(|| {
        let world = World::with(1);
        let takers = takers(&world, 1);
        let other = world.clone();
        // For nobody, as there is no token yet.
        let notifier = thread::spawn(move || other.sequence().notify_one());
        notifier.join().unwrap();
        world.give_tokens(1);
        world.sequence().notify_one();
        join(takers);
    });
}
