//! The lock's orderings under loom, with interleavings and weak memory:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p ipc-sync --release --lib loom
//! ```
//!
//! Sleeps have no time-out here, so a lost wake is a deadlock, which loom reports, and a wait has no
//! slices. What is protected is loom's checked cell, so two holders at a time are a failure by
//! themselves.

use super::steps::{Condition, Leave, Lock, Patience, Refusal};
use super::word::{CONTENDED, Holder, OWNER_DIED, OwnerBits, STARVING};
use crate::park::model::Model;
use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{Deadline, OwnerId, Wait};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct World {
    word: AtomicU64,
    turn: AtomicU64,
    sleepers: Model,
    turn_sleepers: Model,
    value: UnsafeCell<u32>,
}

// SAFETY: the cell is what loom is to check.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

fn owner(number: u64) -> OwnerBits {
    OwnerBits::new(OwnerId::from_word(number << 16 | number).unwrap())
}

/// A thread of an owner: each of a process of its own.
fn holder(number: u64) -> Holder {
    owner(number).holder(1)
}

/// Sleepers of the word and of the turn sleep apart, as in the kernel.
struct Parks<'a>(&'a World);

impl crate::park::Park for Parks<'_> {
    fn sleep(&self, word: &AtomicU64, expected: u64, until: Deadline) {
        self.of(word).sleep(word, expected, until);
    }

    fn wake_one(&self, word: &AtomicU64) -> u32 {
        self.of(word).wake_one(word)
    }

    fn wake_all(&self, word: &AtomicU64) {
        self.of(word).wake_all(word);
    }
}

impl Parks<'_> {
    fn of(&self, word: &AtomicU64) -> &Model {
        if std::ptr::eq(word, &self.0.word) {
            &self.0.sleepers
        } else {
            &self.0.turn_sleepers
        }
    }
}

impl World {
    fn new(word: u64) -> Arc<Self> {
        Arc::new(Self {
            word: AtomicU64::new(word),
            turn: AtomicU64::new(0),
            sleepers: Model::default(),
            turn_sleepers: Model::default(),
            value: UnsafeCell::new(0),
        })
    }

    fn with_lock<R>(&self, work: impl FnOnce(Lock<'_, Parks<'_>>) -> R) -> R {
        work(Lock {
            word: &self.word,
            turn: &self.turn,
            park: &Parks(self),
        })
    }

    fn take(&self, me: Holder, patience: Patience) -> Result<Condition, Refusal> {
        let slice = || Ok::<(), ()>(());
        self.with_lock(|lock| {
            if patience == Patience::Fresh && lock.take_at_once(me) {
                return Ok(Condition::Sound);
            }
            let deadline = Deadline::NEVER;
            lock.take_with(me, Wait::Park, deadline, patience, slice)
                .unwrap()
        })
    }

    fn add_one(&self) {
        // SAFETY: only the holder does this; loom checks.
        self.value.with_mut(|it| unsafe { *it += 1 });
    }

    fn lock_and_add(&self, me: Holder, patience: Patience) {
        assert_eq!(self.take(me, patience), Ok(Condition::Sound));
        self.add_one();
        self.with_lock(|lock| lock.give_up(me));
    }

    #[track_caller]
    fn ends_with(&self, value: u32) {
        self.value.with(|it| {
            // SAFETY: all others have ended; loom checks.
            assert_eq!(unsafe { *it }, value);
        });
    }

    fn is_free(&self) -> bool {
        self.with_lock(|lock| lock.try_take(holder(99))) == Ok(Condition::Sound)
    }
}

fn adders(patience: [Patience; 3]) {
    loom::model(move || {
        let world = World::new(0);
        let others: Vec<_> = (1..3)
            .map(|number| {
                let world = world.clone();
                let patience = patience[number as usize];
                thread::spawn(move || world.lock_and_add(holder(number), patience))
            })
            .collect();
        world.lock_and_add(holder(3), patience[0]);
        for other in others {
            other.join().unwrap();
        }
        world.ends_with(3);
        assert!(world.is_free());
    });
}

#[test]
fn one_holds_it_at_a_time_and_nobody_sleeps_for_ever() {
    adders([Patience::Fresh; 3]);
}

#[test]
fn nor_do_the_starving() {
    adders([Patience::Starving; 3]);
}

#[test]
fn nor_do_others_beside_one_that_starves() {
    adders([Patience::Fresh, Patience::Fresh, Patience::Starving]);
}

#[test]
fn nor_does_one_beside_two_that_starve() {
    adders([Patience::Fresh, Patience::Starving, Patience::Starving]);
}

#[test]
fn twice_each() {
    for patience in [Patience::Fresh, Patience::Starving] {
        loom::model(move || {
            let world = World::new(0);
            let other = world.clone();
            let other = thread::spawn(move || {
                for _ in 0..2 {
                    other.lock_and_add(holder(1), patience);
                }
            });
            for _ in 0..2 {
                world.lock_and_add(holder(2), Patience::Fresh);
            }
            other.join().unwrap();
            world.ends_with(4);
            assert!(world.is_free());
        });
    }
}

/// Holder 1 died while it held the lock, and two sweepers notice at once while two wait.
#[test]
fn a_dead_holders_lock_goes_to_one_who_is_told() {
    for patience in [Patience::Fresh, Patience::Starving] {
        loom::model(move || {
            let world = World::new(holder(1).bits());
            let sweeper = |world: &Arc<World>| {
                let world = world.clone();
                move || world.with_lock(|lock| lock.take_from(|it| it == owner(1)))
            };
            let sweeping = thread::spawn(sweeper(&world));
            let repair = move |world: &World, me| {
                let found = world.take(me, patience).unwrap();
                world.add_one();
                world.with_lock(|lock| lock.give_up(me));
                found
            };
            let other = world.clone();
            let waiter = thread::spawn(move || repair(&other, holder(2)));
            sweeper(&world)();
            let mine = repair(&world, holder(3));
            sweeping.join().unwrap();
            let both = [mine, waiter.join().unwrap()];
            assert!(both.contains(&Condition::OwnerDied) && both.contains(&Condition::Sound));
            world.ends_with(2);
            assert!(world.is_free());
        });
    }
}

/// The sweepers of holder 1 are slow: its lock was repaired and is held by others by then.
#[test]
fn a_late_sweep_takes_it_from_nobody_else() {
    loom::model(|| {
        let world = World::new(OWNER_DIED);
        let other = world.clone();
        let sweeper =
            thread::spawn(move || other.with_lock(|lock| lock.take_from(|it| it == owner(1))));
        let me = holder(2);
        assert_eq!(world.take(me, Patience::Fresh), Ok(Condition::OwnerDied));
        world.add_one();
        world.with_lock(|lock| lock.give_up(me));
        sweeper.join().unwrap();
        assert!(world.is_free());
    });
}

#[test]
fn all_who_wait_are_told_that_it_is_final() {
    for patience in [Patience::Fresh, Patience::Starving] {
        loom::model(move || {
            let world = World::new(0);
            let me = holder(3);
            assert_eq!(world.take(me, Patience::Fresh), Ok(Condition::Sound));
            let waiters: Vec<_> = (1..3)
                .map(|number| {
                    let world = world.clone();
                    thread::spawn(move || {
                        assert_eq!(world.take(holder(number), patience), Err(Refusal::Final));
                        // What was done before is seen: a once relies on it.
                        world.ends_with(1);
                    })
                })
                .collect();
            world.add_one();
            world.with_lock(|lock| lock.give_up_as(me, Leave::Final));
            for waiter in waiters {
                waiter.join().unwrap();
            }
        });
    }
}

/// A starving waiter died after its mark; the others must not wait for it for ever, once one of
/// them starves, or tries without waiting.
#[test]
fn the_mark_of_a_dead_starving_waiter_is_taken_off() {
    loom::model(|| {
        let world = World::new(STARVING | CONTENDED);
        let other = world.clone();
        let starving = thread::spawn(move || other.lock_and_add(holder(1), Patience::Starving));
        world.lock_and_add(holder(2), Patience::Fresh);
        starving.join().unwrap();
        world.ends_with(2);
        assert_eq!(world.word.load(Ordering::Relaxed), 0);
    });
    loom::model(|| {
        let world = World::new(STARVING | CONTENDED);
        let other = world.clone();
        let fresh = thread::spawn(move || other.lock_and_add(holder(1), Patience::Fresh));
        let me = holder(2);
        assert_eq!(
            world.with_lock(|lock| lock.try_take(me)),
            Ok(Condition::Sound)
        );
        world.add_one();
        world.with_lock(|lock| lock.give_up(me));
        fresh.join().unwrap();
        world.ends_with(2);
    });
}
