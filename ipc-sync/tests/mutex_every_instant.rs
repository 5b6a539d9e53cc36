//! A process may be killed at any instruction: after every single change that it makes to a segment
//! while it locks, changes, unlocks, takes over from a dead one, or initialises, the others get the
//! lock, and see a half change only when they are told.

mod common;

use common::stepped::contents_after_each_change;
use ipc_core::Segment;
use ipc_process::{Process, WorkResult, run_if_worker, test_name};
use ipc_sync::{LockError, Mutex, OnceCell};
use std::path::{Path, PathBuf};

/// A directory, removed with all its contents when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("ipc-sync-test-{}", std::process::id());
        let path = Path::new("/dev/shm").join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a test in a process of its own: it forks.
fn alone(test: &str, body: fn(&Path)) {
    run_if_worker(
        test,
        &[("alone", &|_| -> WorkResult {
            let scratch = Scratch::new();
            body(&scratch.0);
            Ok(())
        })],
    );
    let mut process = Process::builder(test, "alone")
        .under_test(test)
        .spawn()
        .unwrap();
    let exit = process.join_timeout(8 * common::PATIENCE).unwrap();
    exit.expect("the process hangs").into_result().unwrap();
}

fn create(path: &Path) -> Segment {
    Segment::builder(path)
        .objects(2)
        .participants(4)
        .handles(4)
        .size(1024)
        .create()
        .unwrap()
}

/// Opens a segment with these contents, where nobody has a lock: who was attached is dead.
fn dead(scratch: &Path, contents: &[u8]) -> Segment {
    let path = scratch.join("dead");
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, contents).unwrap();
    Segment::open(&path).unwrap()
}

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

fn skip() {
    eprintln!("skipped: this process may not trace");
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
            return skip();
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
            return skip();
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

#[test]
fn of_an_initialisation() {
    alone(test_name!(), |scratch| {
        const VALUE: [u64; 20] = [7; 20];
        let path = scratch.join("segment");
        drop(OnceCell::<[u64; 20]>::create_in(&create(&path), "cell").unwrap());
        let before = || {
            let segment = Segment::open(&path).unwrap();
            OnceCell::<[u64; 20]>::open_in(&segment, "cell").unwrap()
        };
        let init = |cell: OnceCell<[u64; 20]>| {
            cell.get_or_init(|| VALUE).unwrap();
        };
        let Some(states) = contents_after_each_change(&path, before, init) else {
            return skip();
        };
        let mut found = Vec::new();
        for contents in &states {
            let segment = dead(scratch, contents);
            let cell = OnceCell::<[u64; 20]>::open_in(&segment, "cell").unwrap();
            let value = cell.get().unwrap();
            assert!(value.is_none_or(|it| it == VALUE), "half a value");
            found.push(value.is_some());
            let other = value.unwrap_or([8; 20]);
            assert_eq!(cell.get_or_init(|| [8; 20]).unwrap(), other);
            assert_eq!(cell.get().unwrap(), Some(other));
            segment.recover().unwrap();
            assert_eq!(segment.participants().unwrap().len(), 1);
        }
        assert!(states.len() > 4, "{}", states.len());
        found.dedup();
        assert_eq!(found, [false, true]);
    });
}
