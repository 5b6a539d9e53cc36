//! What a readers-writer lock does within one process: forms, time-outs, panics, errors, fairness.

mod robust;

use ipc_core::{Error, Segment};
use ipc_sync::{RwLock, RwLockError, RwLockReadGuard, RwLockWriteGuard, WriteLockError};
use robust::{Forked, POLICIES, SHORT, Scratch, segment};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

type Pair = [u64; 2];

fn lock() -> (Segment, RwLock<Pair>) {
    let segment = segment();
    let lock = RwLock::create_in(&segment, "lock", [1, 1]).unwrap();
    (segment, lock)
}

fn held<G: std::fmt::Debug>(result: Result<G, RwLockError>) {
    assert!(matches!(result, Err(RwLockError::Held)), "{result:?}");
}

type Written<'a> = Result<RwLockWriteGuard<'a, Pair>, WriteLockError<'a, Pair>>;

fn write_held(result: Written<'_>) {
    let is = matches!(result, Err(WriteLockError::Refused(RwLockError::Held)));
    assert!(is, "{result:?}");
}

#[test]
fn many_read_or_one_writes() {
    let (segment, lock) = lock();
    let other = RwLock::<Pair>::open_in(&segment, "lock").unwrap();
    let readers = [
        lock.read().unwrap(),
        lock.try_read().unwrap(),
        other.read().unwrap(),
    ];
    assert!(readers.iter().all(|it| **it == [1, 1]));
    for lock in [&lock, &other] {
        write_held(lock.try_write());
        let late = lock.write_timeout(Duration::ZERO);
        assert!(matches!(
            late,
            Err(WriteLockError::Refused(RwLockError::TimedOut))
        ));
        // Who gave up keeps no reader out.
        drop(lock.try_read().unwrap());
    }
    drop(readers);
    let mut writer = other.write().unwrap();
    *writer = [2, 3];
    for lock in [&lock, &other] {
        held(lock.try_read());
        write_held(lock.try_write());
        let late = lock.read_timeout(Duration::ZERO);
        assert!(matches!(late, Err(RwLockError::TimedOut)));
    }
    drop(writer);
    assert_eq!(*lock.read_timeout(Duration::MAX).unwrap(), [2, 3]);
    assert_eq!(*lock.write_timeout(Duration::MAX).unwrap(), [2, 3]);
    lock.set([4, 4]).unwrap();
    assert_eq!(
        other.update(|it| std::mem::replace(it, [5, 5])).unwrap(),
        [4, 4]
    );
    assert_eq!(lock.get().unwrap(), [5, 5]);
}

#[test]
fn a_writer_waits_for_the_readers_that_were_there() {
    let (segment, lock) = lock();
    let other = RwLock::<Pair>::open_in(&segment, "lock").unwrap();
    for round in 0..20 {
        let reader = if round % 2 == 0 { &lock } else { &other };
        let reading = reader.read().unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| *lock.write().unwrap() = [round, round]);
            robust::until("it has claimed", || {
                writer.is_finished() || matches!(lock.try_read(), Err(RwLockError::Held))
            });
            assert!(!writer.is_finished());
            drop(reading);
        });
        assert_eq!(lock.get().unwrap(), [round, round]);
    }
}

#[test]
fn nobody_sees_half_a_change_and_no_wake_is_lost() {
    for wait in POLICIES {
        let (segment, first) = lock();
        let inside = AtomicU32::new(0);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..5 {
                let (segment, inside, first) = (&segment, &inside, &first);
                scope.spawn(move || {
                    let mut lock = match thread {
                        0 | 1 => first.clone(),
                        _ => RwLock::open_in(segment, "lock").unwrap(),
                    };
                    lock.set_wait(wait);
                    for round in 0..400 {
                        if (round + thread) % 4 == 0 {
                            let mut pair = lock.write().unwrap();
                            assert_eq!(inside.swap(1, Ordering::SeqCst), 0);
                            pair[0] += 1;
                            pair[1] += 1;
                            inside.store(0, Ordering::SeqCst);
                        } else {
                            let pair = lock.read().unwrap();
                            assert_eq!(inside.load(Ordering::SeqCst), 0);
                            assert_eq!(pair[0], pair[1]);
                        }
                    }
                });
            }
        });
        assert_eq!(first.get().unwrap(), [501, 501]);
        // A lost wake costs a slice of 10 ms.
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_stream_of_readers_does_not_starve_a_writer() {
    let (segment, lock) = lock();
    let over = AtomicBool::new(false);
    let read = AtomicU32::new(0);
    std::thread::scope(|scope| {
        // Two that overlap: without the writer's precedence there is always a reader.
        for _ in 0..3 {
            scope.spawn(|| {
                let lock = RwLock::<Pair>::open_in(&segment, "lock").unwrap();
                while !over.load(Ordering::Relaxed) {
                    let guard = lock.read().unwrap();
                    std::thread::sleep(Duration::from_millis(1));
                    read.fetch_add(1, Ordering::Relaxed);
                    drop(guard);
                }
            });
        }
        for _ in 0..20 {
            let before = read.load(Ordering::Relaxed);
            let written = lock.write_timeout(Duration::from_secs(10)).is_ok();
            let after = read.load(Ordering::Relaxed);
            if !written || after - before > 200 {
                over.store(true, Ordering::Relaxed);
                panic!("starved: {written}, {} readers went before", after - before);
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_waiting_writer_keeps_readers_out_until_its_time_is_up() {
    let (_segment, lock) = lock();
    let reader = lock.read().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| lock.write_timeout(5 * SHORT).is_err());
        robust::until("readers are kept out", || {
            matches!(lock.try_read(), Err(RwLockError::Held))
        });
        let waiting = lock.read_timeout(Duration::from_secs(10));
        assert_eq!(*waiting.unwrap(), [1, 1], "the writer has given up");
        assert!(writer.join().unwrap());
    });
    drop(reader);
    drop(lock.try_write().unwrap());
}

#[test]
fn a_panic_while_writing_is_told_and_repaired() {
    let (segment, lock) = lock();
    let panic_in_guard = || {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut guard = match lock.write() {
                Ok(guard) => guard,
                Err(error) => panic!("{error}"),
            };
            guard[0] = 9;
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err());
    };
    panic_in_guard();
    assert!(matches!(lock.read(), Err(RwLockError::Panicked { .. })));
    assert!(matches!(lock.get(), Err(RwLockError::Panicked { .. })));
    assert!(matches!(
        lock.set([0, 0]),
        Err(RwLockError::Panicked { .. })
    ));
    match lock.write() {
        Err(WriteLockError::Panicked(mut guard)) => {
            assert_eq!(*guard, [9, 1]);
            guard[1] = 9;
            let mut guard = guard.repaired();
            guard[0] = 9;
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(*lock.read().unwrap(), [9, 9]);
    panic_in_guard();
    // A panic of the repairer leaves it to the next.
    let panicked = catch_unwind(AssertUnwindSafe(|| match lock.write() {
        Err(WriteLockError::Panicked(_guard)) => std::panic::resume_unwind(Box::new(())),
        other => drop(other),
    }));
    assert!(panicked.is_err());
    lock.repair(|it| *it = [3, 3]).unwrap();
    assert_eq!(lock.get().unwrap(), [3, 3]);
    panic_in_guard();
    match lock.try_write() {
        Err(WriteLockError::Panicked(guard)) => drop(guard),
        other => panic!("{other:?}"),
    };
    let other = RwLock::<Pair>::open_in(&segment, "lock").unwrap();
    for lock in [&lock, &other] {
        let gone = |it: RwLockError| assert!(matches!(it, RwLockError::Unrecoverable { .. }));
        gone(lock.read().unwrap_err());
        gone(lock.get().unwrap_err());
        gone(lock.update(|_| ()).unwrap_err());
        gone(lock.repair(|_| ()).unwrap_err());
        match lock.write() {
            Err(WriteLockError::Refused(refused)) => gone(refused),
            other => panic!("{other:?}"),
        };
    }
}

#[test]
fn a_panic_in_a_copying_form_or_a_reader_changes_nothing() {
    let (_segment, lock) = lock();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _ = lock.update(|it| {
            it[0] = 7;
            std::panic::resume_unwind(Box::new(()))
        });
    }));
    assert!(panicked.is_err());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _reading = lock.read().unwrap();
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(panicked.is_err());
    assert_eq!(*lock.try_write().unwrap(), [1, 1]);
}

#[test]
fn forgotten_guards_go_with_their_handle() {
    let (segment, lock) = lock();
    let other = RwLock::<Pair>::open_in(&segment, "lock").unwrap();
    std::mem::forget(other.read().unwrap());
    write_held(lock.try_write());
    drop(other);
    drop(lock.try_write().unwrap());
    let other = RwLock::<Pair>::open_in(&segment, "lock").unwrap();
    std::mem::forget(other.write().unwrap());
    held(lock.try_read());
    drop(other);
    assert!(matches!(lock.write(), Err(WriteLockError::OwnerDied(_))));
}

#[test]
fn handles_come_and_go_more_often_than_there_are_rows() {
    let (segment, lock) = lock();
    for _ in 0..300 {
        let other = RwLock::<Pair>::open_in(&segment, "lock").unwrap();
        let reading = other.read().unwrap();
        write_held(lock.try_write());
        drop(reading);
        drop(other.try_write().unwrap());
    }
}

#[test]
fn a_timeout_is_never_early_and_not_much_late() {
    for wait in POLICIES {
        let (_segment, mut lock) = lock();
        lock.set_wait(wait);
        let reader = lock.clone();
        let _reading = reader.read().unwrap();
        for timeout in [1, 12, 25].map(Duration::from_millis) {
            let in_time = (0..50).any(|_| {
                let start = Instant::now();
                assert!(lock.write_timeout(timeout).is_err());
                assert!(start.elapsed() >= timeout);
                start.elapsed() < timeout + Duration::from_millis(5)
            });
            assert!(in_time, "{wait:?} {timeout:?}");
        }
    }
}

#[test]
fn references_into_a_segment_that_others_can_write_to_are_refused() {
    let scratch = Scratch::new();
    let path = scratch.join("segment");
    let segment = Segment::builder(path.as_path())
        .handles(8)
        .mode(0o666)
        .size(8192)
        .create()
        .unwrap();
    let lock = RwLock::create_in(&segment, "lock", [1u64, 1]).unwrap();
    assert!(matches!(
        lock.read().map(|_: RwLockReadGuard<'_, _>| ()),
        Err(RwLockError::NotPrivate)
    ));
    for refused in [lock.write(), lock.try_write()] {
        assert!(matches!(
            refused,
            Err(WriteLockError::Refused(RwLockError::NotPrivate))
        ));
    }
    lock.set([2, 2]).unwrap();
    assert_eq!(lock.get().unwrap(), [2, 2]);
}

#[test]
fn a_forked_child_is_refused_and_changes_nothing() {
    let (segment, lock) = lock();
    let mut writing = Some(lock.write().unwrap());
    let child = Forked::run(|| {
        let forked = |it: RwLockError| {
            assert!(
                matches!(it, RwLockError::Segment(Error::Forked { .. })),
                "{it:?}"
            );
        };
        forked(lock.read().unwrap_err());
        forked(lock.get().unwrap_err());
        forked(lock.set([0, 0]).unwrap_err());
        match lock.write() {
            Err(WriteLockError::Refused(refused)) => forked(refused),
            other => panic!("{other:?}"),
        };
        assert!(RwLock::<Pair>::open_in(&segment, "lock").is_err());
        drop(writing.take());
        drop(lock.clone());
        0
    });
    assert_eq!(child.join(), Ok(0));
    held(lock.try_read());
    drop(writing);
    drop(lock.try_read().unwrap());
}
