//! What a mutex does within one process: forms, time-outs, conditions, errors.

use ipc_core::{Error, Place, SLICE, Segment, Wait};
use ipc_sync::{LockError, Mutex, MutexGuard, UpdateError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use test_kit::patience::is_prompt;

const SHORT: Duration = Duration::from_millis(20);
const POLICIES: [Wait; 3] = [Wait::Busy, Wait::Adaptive, Wait::Park];
const FORMS: [Duration; 3] = [Duration::ZERO, SHORT, Duration::MAX];

fn mutex(value: u64) -> (Segment, Mutex<u64>) {
    let segment = Segment::create(Place::memfd("test"), 4096).unwrap();
    let mutex = Mutex::create_in(&segment, "mutex", value).unwrap();
    (segment, mutex)
}

fn panic_with_guard(mutex: &Mutex<u64>) {
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = mutex.lock().unwrap();
        *guard += 1;
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
}

#[test]
fn all_forms_lock_and_unlock() {
    for wait in POLICIES {
        let (segment, mut mutex) = mutex(0);
        mutex.set_wait(wait);
        let other = Mutex::<u64>::open_in(&segment, "mutex").unwrap();
        for mutex in [&mutex, &other, &mutex.clone()] {
            *mutex.lock().unwrap() += 1;
            *mutex.try_lock().unwrap() += 1;
            for timeout in FORMS {
                *mutex.lock_timeout(timeout).unwrap() += 1;
                mutex.update_timeout(timeout, |it| *it += 1).unwrap();
            }
            mutex.update(|it| *it += 1).unwrap();
            mutex.try_update(|it| *it += 1).unwrap();
            mutex.repair(|it| *it += 1).unwrap();
        }
        assert_eq!(other.get().unwrap(), 33);
        other.set(5).unwrap();
        assert_eq!(*mutex.lock().unwrap(), 5);
    }
}

#[test]
fn a_held_mutex_is_refused_in_time_to_other_threads() {
    for wait in POLICIES {
        let (_segment, mut mutex) = mutex(7);
        mutex.set_wait(wait);
        let guard = mutex.lock().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert!(matches!(mutex.try_lock(), Err(LockError::Held)));
                assert!(matches!(mutex.try_update(|_| ()), Err(UpdateError::Held)));
                for timeout in [Duration::ZERO, SHORT] {
                    let start = Instant::now();
                    let locked = mutex.lock_timeout(timeout);
                    assert!(matches!(locked, Err(LockError::TimedOut)));
                    let updated = mutex.update_timeout(timeout, |_| ());
                    assert!(matches!(updated, Err(UpdateError::TimedOut)));
                    assert!(start.elapsed() >= 2 * timeout);
                }
            });
        });
        drop(guard);
        // Whoever gave up left nothing that others wait for.
        let start = Instant::now();
        drop(mutex.lock().unwrap());
        assert_eq!(mutex.get().unwrap(), 7);
        assert!(start.elapsed() < SHORT, "{wait:?}: {:?}", start.elapsed());
    }
}

#[test]
fn threads_count_without_losing_one() {
    const EACH: u64 = 20_000;
    for wait in POLICIES {
        let (segment, mut mutex) = mutex(0);
        mutex.set_wait(wait);
        let mut other = Mutex::open_in(&segment, "mutex").unwrap();
        other.set_wait(wait);
        // Busy waiters without cores of their own wait for the scheduler.
        let each = if wait == Wait::Busy { EACH / 20 } else { EACH };
        let count = |mutex: &Mutex<u64>| {
            for _ in 0..each {
                *mutex.lock().unwrap() += 1;
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| count(&mutex));
                scope.spawn(|| count(&other));
            }
        });
        assert_eq!(mutex.get().unwrap(), 4 * each);
    }
}

#[test]
fn relocking_is_an_error() {
    let (segment, mutex) = mutex(0);
    let clone = mutex.clone();
    let again = Mutex::<u64>::open_in(&segment, "mutex").unwrap();
    let guard = mutex.lock().unwrap();
    for mutex in [&mutex, &clone] {
        // At once, and not only when others are looked after.
        is_prompt("relocking", SLICE / 4, || {
            let start = Instant::now();
            assert!(matches!(mutex.lock(), Err(LockError::Relocked { .. })));
            start.elapsed()
        });
        assert!(matches!(mutex.try_lock(), Err(LockError::Relocked { .. })));
        for timeout in FORMS {
            let locked = mutex.lock_timeout(timeout);
            assert!(matches!(locked, Err(LockError::Relocked { .. })));
        }
        assert!(matches!(mutex.get(), Err(UpdateError::Relocked { .. })));
        assert!(matches!(
            mutex.repair(|_| ()),
            Err(UpdateError::Relocked { .. })
        ));
    }
    let error = mutex.lock().unwrap_err().to_string();
    assert!(error.contains("\"mutex\""), "{error}");
    // Through another handle it is noticed while waiting.
    assert!(matches!(again.lock(), Err(LockError::Relocked { .. })));
    assert!(matches!(again.try_lock(), Err(LockError::Held)));
    // Another thread waits, whichever handle it has.
    std::thread::scope(|scope| {
        let waiters = [&mutex, &again].map(|mutex| {
            scope.spawn(|| {
                let timed_out = mutex.lock_timeout(4 * SHORT);
                assert!(matches!(timed_out, Err(LockError::TimedOut)));
                *mutex.lock().unwrap() += 1;
            })
        });
        std::thread::sleep(6 * SHORT);
        drop(guard);
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
    assert_eq!(mutex.get().unwrap(), 2);
}

#[test]
fn a_panic_is_told_to_the_next_one_who_repairs() {
    let (_segment, mutex) = mutex(0);
    for round in 0..3 {
        panic_with_guard(&mutex);
        // The copying forms do not touch it, and leave it for repair.
        assert!(matches!(mutex.get(), Err(UpdateError::Panicked { .. })));
        assert!(matches!(mutex.set(9), Err(UpdateError::Panicked { .. })));
        match mutex.try_lock() {
            Err(LockError::Panicked(mut broken)) => {
                assert_eq!(*broken, round + 1);
                *broken = round;
                let mut guard = broken.repaired();
                *guard += 1;
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(*mutex.lock().unwrap(), round + 1);
    }
    panic_with_guard(&mutex);
    mutex.repair(|it| *it = 50).unwrap();
    assert_eq!(mutex.get().unwrap(), 50);
}

#[test]
fn who_does_not_repair_makes_it_unrecoverable_for_all() {
    let (segment, mutex) = mutex(0);
    panic_with_guard(&mutex);
    let waiting = Mutex::<u64>::open_in(&segment, "mutex").unwrap();
    match mutex.lock() {
        Err(LockError::Panicked(broken)) => std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| waiting.lock().map(drop).map_err(UpdateError::from)))
                .collect();
            std::thread::sleep(2 * SHORT);
            drop(broken);
            for waiter in waiters {
                let told = waiter.join();
                assert!(matches!(told, Ok(Err(UpdateError::Unrecoverable { .. }))));
            }
        }),
        other => panic!("{other:?}"),
    }
    let late = Mutex::<u64>::open_in(&segment, "mutex").unwrap();
    for mutex in [&mutex, &late] {
        for timeout in FORMS {
            let locked = mutex.lock_timeout(timeout);
            assert!(matches!(locked, Err(LockError::Unrecoverable { .. })));
        }
        assert!(matches!(mutex.lock(), Err(LockError::Unrecoverable { .. })));
        assert!(matches!(
            mutex.try_lock(),
            Err(LockError::Unrecoverable { .. })
        ));
        assert!(matches!(
            mutex.get(),
            Err(UpdateError::Unrecoverable { .. })
        ));
        assert!(matches!(
            mutex.repair(|_| ()),
            Err(UpdateError::Unrecoverable { .. })
        ));
    }
}

#[test]
fn a_panic_during_repair_leaves_it_to_the_next() {
    let (_segment, mutex) = mutex(0);
    panic_with_guard(&mutex);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _broken = match mutex.lock() {
            Err(LockError::Panicked(broken)) => broken,
            other => panic!("{other:?}"),
        };
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    let panicked = catch_unwind(AssertUnwindSafe(|| mutex.repair(|_| panic!("on purpose"))));
    assert!(panicked.is_err());
    match mutex.lock() {
        Err(LockError::Panicked(broken)) => drop(broken.repaired()),
        other => panic!("{other:?}"),
    }
    drop(mutex.lock().unwrap());
}

#[test]
fn an_error_without_a_guard_leaves_the_repair_to_the_next() {
    let (_segment, mutex) = mutex(0);
    panic_with_guard(&mutex);
    let tell = || -> Result<(), UpdateError> {
        drop(mutex.lock()?);
        Ok(())
    };
    for _ in 0..2 {
        assert!(matches!(tell(), Err(UpdateError::Panicked { .. })));
    }
    match mutex.lock() {
        Err(LockError::Panicked(broken)) => drop(broken.repaired()),
        other => panic!("{other:?}"),
    }
    tell().unwrap();
}

#[test]
fn a_guard_taken_while_panicking_poisons_nothing() {
    struct AddOne<'a>(&'a Mutex<u64>);
    impl Drop for AddOne<'_> {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            *self.0.lock().unwrap() += 1;
        }
    }
    let (_segment, mutex) = mutex(0);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _cleanup = AddOne(&mutex);
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(*mutex.lock().unwrap(), 1);
}

#[test]
fn a_panic_in_a_copying_form_changes_nothing() {
    let (_segment, mutex) = mutex(3);
    let update = || {
        mutex.update(|it| {
            *it = 8;
            panic!("on purpose")
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(update)).is_err());
    assert_eq!(mutex.get().unwrap(), 3);
}

#[test]
fn a_forgotten_guard_holds_it_as_long_as_the_handle() {
    let (segment, mutex) = mutex(0);
    let other = Mutex::<u64>::open_in(&segment, "mutex").unwrap();
    let clone = mutex.clone();
    std::mem::forget(mutex.lock().unwrap());
    drop(mutex);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(
                other.lock_timeout(2 * SHORT),
                Err(LockError::TimedOut)
            ))
        });
    });
    drop(clone);
    match other.try_lock() {
        Err(LockError::OwnerDied(broken)) => drop(broken.repaired()),
        other => panic!("{other:?}"),
    }
    assert_eq!(other.get().unwrap(), 0);
}

#[test]
fn where_others_write_there_are_copies_only() {
    let segment = Segment::builder(Place::memfd("open to all"))
        .size(4096)
        .mode(0o666)
        .create()
        .unwrap();
    assert!(!segment.is_private());
    let mutex = Mutex::create_in(&segment, "mutex", [1u64; 32]).unwrap();
    assert!(matches!(mutex.lock(), Err(LockError::NotPrivate)));
    assert!(matches!(mutex.try_lock(), Err(LockError::NotPrivate)));
    assert_eq!(
        mutex
            .update(|it| std::mem::replace(&mut it[31], 5))
            .unwrap(),
        1
    );
    assert_eq!(mutex.get().unwrap()[30..], [1, 5]);
    mutex.set([2; 32]).unwrap();
    assert_eq!(mutex.get().unwrap(), [2; 32]);
}

#[test]
fn values_of_all_sizes_and_alignments() {
    #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C, align(64))]
    struct Wide([u64; 16]);

    let segment = Segment::create(Place::memfd("test"), 65536).unwrap();
    let wide = Mutex::create_in(&segment, "wide", Wide([7; 16])).unwrap();
    let guard = wide.lock().unwrap();
    assert_eq!(std::ptr::from_ref(&*guard).addr() % 64, 0);
    assert_eq!(*guard, Wide([7; 16]));
    drop(guard);
    drop(
        Mutex::create_in(&segment, "nothing", ())
            .unwrap()
            .lock()
            .unwrap(),
    );
    let byte = Mutex::create_in(&segment, "byte", 200u8).unwrap();
    *byte.lock().unwrap() += 1;
    assert_eq!(byte.get().unwrap(), 201);
    let large = Mutex::create_in(&segment, "large", [3u8; 5000]).unwrap();
    assert_eq!(large.get().unwrap(), [3u8; 5000]);
    // Side by side, they touch nothing of each other.
    assert_eq!(wide.get().unwrap(), Wide([7; 16]));
}

#[test]
fn wrong_names_kinds_types_and_lack_of_ids_are_errors() {
    let (segment, mutex) = mutex(1);
    let error = Mutex::create_in(&segment, "mutex", 1u64).unwrap_err();
    assert!(matches!(error, Error::ObjectExists { .. }), "{error}");
    let error = Mutex::<u64>::open_in(&segment, "other").unwrap_err();
    assert!(matches!(error, Error::ObjectNotFound { .. }), "{error}");
    let error = Mutex::<i64>::open_in(&segment, "mutex").unwrap_err();
    assert!(matches!(error, Error::WrongType { .. }), "{error}");
    let error = ipc_sync::Event::open_in(&segment, "mutex").unwrap_err();
    assert!(matches!(error, Error::WrongKind { .. }), "{error}");
    let limit = segment.handle_limit() as usize;
    let mut handles: Vec<Mutex<u64>> = vec![mutex];
    handles.extend((1..limit).map(|_| Mutex::open_in(&segment, "mutex").unwrap()));
    // Clones need none.
    drop(handles[0].clone());
    let error = Mutex::<u64>::open_in(&segment, "mutex").unwrap_err();
    assert!(matches!(error, Error::HandlesFull { .. }), "{error}");
    handles.pop();
    Mutex::<u64>::open_in(&segment, "mutex").unwrap();
}

#[test]
fn a_thousand_are_held_at_once() {
    const MUTEXES: usize = 1000;
    let segment = Segment::builder(Place::memfd("many"))
        .objects(MUTEXES as u32)
        .handles(MUTEXES as u32)
        .size(MUTEXES * Mutex::<u64>::SIZE)
        .create()
        .unwrap();
    let mutexes: Vec<_> = (0..MUTEXES)
        .map(|i| Mutex::create_in(&segment, &i.to_string(), i as u64).unwrap())
        .collect();
    let guards: Vec<MutexGuard<'_, u64>> = mutexes.iter().map(|it| it.lock().unwrap()).collect();
    assert!(guards.iter().enumerate().all(|(i, it)| **it == i as u64));
}

#[test]
fn garbage_in_the_word_is_no_panic_and_no_endless_wait() {
    use std::os::unix::fs::FileExt;
    let (segment, mutex) = mutex(0);
    let file = std::fs::File::from(segment.descriptor().unwrap());
    let offset = segment.objects().unwrap()[0].offset;
    for garbage in [
        u64::MAX,
        0xDEAD_BEEF_0000_0000,
        1 << 4,
        0xFFFF << 24,
        1 << 63,
    ] {
        file.write_all_at(&garbage.to_ne_bytes(), offset).unwrap();
        let _ = mutex.try_lock().map(drop);
        let start = Instant::now();
        let _ = mutex.lock_timeout(2 * SHORT).map(drop);
        assert!(start.elapsed() < Duration::from_secs(5));
    }
    // An owner that cannot exist is found by whoever waits for it.
    file.write_all_at(&(0xFFFFu64 << 24).to_ne_bytes(), offset)
        .unwrap();
    let error = mutex.lock().map(drop);
    assert!(
        matches!(error, Err(LockError::Segment(Error::Corrupted { .. }))),
        "{error:?}"
    );
    file.write_all_at(&0u64.to_ne_bytes(), offset).unwrap();
    drop(mutex.lock().unwrap());
}

#[test]
fn it_is_shared_between_threads_and_its_guard_lent() {
    fn send_and_sync<T: Send + Sync>() {}
    fn sync<T: Sync>() {}
    send_and_sync::<Mutex<u64>>();
    sync::<MutexGuard<'_, u64>>();
}
