//! A process may be killed at any instruction: after every single change that it makes to a segment
//! while it locks, changes, unlocks, or takes over from a dead one, the others get the lock, and see
//! a half change only when they are told.

mod common;

use common::leftover::{create, dead};
use ipc_core::Segment;
use ipc_process::test_name;
use ipc_sync::{LockError, Mutex};
use test_kit::solo::{alone, skip};
use test_kit::stepped::contents_after_each_change;

/// What the next one finds, after which the mutex is as good as new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Sound([u64; 2]),
    OwnerDied([u64; 2]),
}

fn next_one_finds(segment: &Segment) -> Found {
    let mutex = Mutex::<[u64; 2]>::open_in(segment, "mutex").unwrap();
    let found = match mutex.lock() {
        Ok(pair) => Found::Sound(*pair),
        Err(LockError::OwnerDied(pair)) => {
            let found = Found::OwnerDied(*pair);
            drop(pair.repaired());
            found
        }
        Err(error) => panic!("{error}"),
    };
    drop(mutex.try_lock().unwrap());
    // Who finds it free looks for no dead.
    segment.recover().unwrap();
    assert_eq!(segment.participants().unwrap().len(), 1, "the dead remains");
    found
}

fn change(mutex: &Mutex<[u64; 2]>) {
    let mut pair = match mutex.lock() {
        Ok(pair) => pair,
        Err(LockError::OwnerDied(pair)) => pair.repaired(),
        Err(error) => panic!("{error}"),
    };
    pair[0] = 1;
    std::hint::black_box(&mut pair);
    pair[1] = 1;
}

#[test]
fn of_locking_changing_and_unlocking() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        drop(Mutex::create_in(&create(&path), "mutex", [0u64; 2]).unwrap());
        let before = || {
            let segment = Segment::open(&path).unwrap();
            Mutex::open_in(&segment, "mutex").unwrap()
        };
        let Some(states) = contents_after_each_change(&path, before, |mutex| change(&mutex)) else {
            return skip("this process may not trace");
        };
        let mut found: Vec<_> = states
            .iter()
            .map(|it| next_one_finds(&dead(scratch, it)))
            .collect();
        found.dedup();
        // The handle goes at the end, with changes that are seen by nobody here.
        let expected = [
            Found::Sound([0, 0]),
            Found::OwnerDied([0, 0]),
            Found::OwnerDied([1, 0]),
            Found::OwnerDied([1, 1]),
            Found::Sound([1, 1]),
        ];
        assert_eq!(found, expected);
    });
}

#[test]
fn of_taking_over_from_the_dead() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        drop(Mutex::create_in(&create(&path), "mutex", [0u64; 2]).unwrap());
        let before = || {
            let segment = Segment::open(&path).unwrap();
            Mutex::open_in(&segment, "mutex").unwrap()
        };
        let Some(states) = contents_after_each_change(&path, before, |mutex| change(&mutex)) else {
            return skip("this process may not trace");
        };
        let held_half_changed = states
            .iter()
            .find(|it| next_one_finds(&dead(scratch, it)) == Found::OwnerDied([1, 0]))
            .unwrap();
        let second = scratch.join("second");
        std::fs::write(&second, held_half_changed).unwrap();
        let before = || {
            let segment = Segment::open(&second).unwrap();
            Mutex::open_in(&segment, "mutex").unwrap()
        };
        let take_over = |mutex: Mutex<[u64; 2]>| change(&mutex);
        let states = contents_after_each_change(&second, before, take_over).unwrap();
        let mut found: Vec<_> = states
            .iter()
            .map(|it| next_one_finds(&dead(scratch, it)))
            .collect();
        found.dedup();
        let expected = [
            Found::OwnerDied([1, 0]),
            Found::OwnerDied([1, 1]),
            Found::Sound([1, 1]),
        ];
        assert_eq!(found, expected, "in {} states", states.len());
    });
}
