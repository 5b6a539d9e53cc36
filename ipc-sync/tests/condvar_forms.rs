//! What a condvar does within one process: forms, time-outs, errors.

use ipc_core::{Error, Place, SLICE, Segment, Wait};
use ipc_sync::{Condvar, LockError, Mutex, Waited};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use test_kit::patience::is_prompt;

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(30);

fn hall() -> (Segment, Mutex<u64>, Condvar) {
    let segment = Segment::create(Place::memfd("test"), 4096).unwrap();
    let mutex = Mutex::create_in(&segment, "mutex", 0u64).unwrap();
    let condvar = Condvar::create_in(&segment, "condvar").unwrap();
    (segment, mutex, condvar)
}

#[test]
fn it_passes_a_token_to_and_fro() {
    const ROUNDS: u64 = 3000;
    let (segment, mutex, condvar) = hall();
    let other = Condvar::open_in(&segment, "condvar").unwrap();
    let play = |condvar: &Condvar, parity: u64| {
        let mut guard = mutex.lock().unwrap();
        while *guard < ROUNDS {
            if *guard % 2 == parity {
                *guard += 1;
                condvar.notify_one().unwrap();
            } else {
                guard = condvar.wait(guard).unwrap();
            }
        }
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| play(&other, 0));
        play(&condvar, 1);
    });
    assert_eq!(mutex.get().unwrap(), ROUNDS);
    // If wakes were lost, each round would take a slice.
    assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
}

#[test]
fn one_notification_reaches_one_and_all_reach_all() {
    const WAITERS: u32 = 5;
    let (_segment, mutex, condvar) = hall();
    let (waiting, through) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WAITERS {
            scope.spawn(|| {
                let guard = mutex.lock().unwrap();
                waiting.fetch_add(1, Ordering::Relaxed);
                let mut guard = condvar.wait_while(guard, |tokens| *tokens == 0).unwrap();
                *guard -= 1;
                through.fetch_add(1, Ordering::Relaxed);
            });
        }
        let reaches = |count: &AtomicU32, expected| {
            let start = Instant::now();
            while count.load(Ordering::Relaxed) != expected {
                assert!(start.elapsed() < LONG, "{expected}");
                std::thread::yield_now();
            }
        };
        reaches(&waiting, WAITERS);
        for round in 1..=2 {
            *mutex.lock().unwrap() += 1;
            condvar.notify_one().unwrap();
            reaches(&through, round);
        }
        *mutex.lock().unwrap() += u64::from(WAITERS) - 2;
        condvar.notify_all().unwrap();
        reaches(&through, WAITERS);
    });
    assert_eq!(mutex.get().unwrap(), 0);
}

#[test]
fn one_notification_wakes_one() {
    const WAITERS: u64 = 5;
    // The least of some: at the ends of their slices the others wake too, to look for the dead.
    let woken = (0..20).map(|_| {
        let (_segment, mutex, condvar) = hall();
        let through = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..WAITERS {
                scope.spawn(|| {
                    let mut guard = mutex.lock().unwrap();
                    *guard += 1;
                    let guard = condvar.wait(guard).unwrap();
                    through.fetch_add(1, Ordering::Relaxed);
                    drop(guard);
                });
            }
            while mutex.get().unwrap() < WAITERS {
                std::thread::yield_now();
            }
            condvar.notify_one().unwrap();
            while through.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            // There is nothing to wait for: others are not to come.
            std::thread::sleep(SLICE / 5);
            let woken = through.load(Ordering::Relaxed);
            condvar.notify_all().unwrap();
            woken
        })
    });
    assert_eq!(woken.min(), Some(1));
}

#[test]
fn a_notification_is_acted_on_at_once() {
    // Not only at the end of a slice.
    let (_segment, mutex, condvar) = hall();
    is_prompt("notified", SLICE / 4, || {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let guard = mutex.lock().unwrap();
                let mut guard = condvar.wait_while(guard, |tokens| *tokens == 0).unwrap();
                *guard -= 1;
                Instant::now()
            });
            std::thread::sleep(SLICE / 4);
            *mutex.lock().unwrap() += 1;
            let notified = Instant::now();
            condvar.notify_one().unwrap();
            waiter.join().unwrap().saturating_duration_since(notified)
        })
    });
}

#[test]
fn a_timeout_is_never_early() {
    let (_segment, mutex, condvar) = hall();
    for timeout in [Duration::ZERO, SHORT, 3 * SLICE] {
        let start = Instant::now();
        let guard = mutex.lock().unwrap();
        let (guard, waited) = condvar
            .wait_timeout_while(guard, timeout, |tokens| *tokens == 0)
            .unwrap();
        assert_eq!(waited, Waited::TimedOut);
        let (guard, waited) = condvar.wait_timeout(guard, timeout).unwrap();
        assert_eq!(waited, Waited::TimedOut);
        assert!(start.elapsed() >= 2 * timeout);
        // The mutex is locked again.
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(matches!(mutex.try_lock(), Err(LockError::Held))));
        });
        // What is there already needs no time.
        let (_guard, waited) = condvar
            .wait_timeout_while(guard, timeout, |tokens| *tokens != 0)
            .unwrap();
        assert_eq!(waited, Waited::Notified);
    }
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let guard = mutex.lock().unwrap();
            let (guard, waited) = condvar
                .wait_timeout_while(guard, Duration::MAX, |tokens| *tokens == 0)
                .unwrap();
            (*guard, waited)
        });
        *mutex.lock().unwrap() += 1;
        condvar.notify_all().unwrap();
        assert_eq!(waiter.join().unwrap(), (1, Waited::Notified));
    });
}

#[test]
fn who_is_notified_in_time_is_told_so() {
    let (_segment, mutex, condvar) = hall();
    for timeout in [LONG, Duration::MAX] {
        std::thread::scope(|scope| {
            let guard = mutex.lock().unwrap();
            scope.spawn(|| {
                // It is to be had when the other waits.
                drop(mutex.lock().unwrap());
                condvar.notify_one().unwrap();
            });
            let (_guard, waited) = condvar.wait_timeout(guard, timeout).unwrap();
            assert_eq!(waited, Waited::Notified);
        });
    }
}

#[test]
fn what_nobody_notified_of_is_found_when_the_time_is_up() {
    let (_segment, mutex, condvar) = hall();
    let timeout = 10 * SHORT;
    std::thread::scope(|scope| {
        let guard = mutex.lock().unwrap();
        scope.spawn(|| *mutex.lock().unwrap() += 1);
        let start = Instant::now();
        let (guard, waited) = condvar
            .wait_timeout_while(guard, timeout, |tokens| *tokens == 0)
            .unwrap();
        assert!(start.elapsed() >= timeout);
        assert_eq!((*guard, waited), (1, Waited::Notified));
    });
}

#[test]
fn a_panic_of_another_meanwhile_is_told() {
    let (_segment, mutex, condvar) = hall();
    let (waits, is_waiting) = std::sync::mpsc::channel();
    let (mutex, condvar) = (&mutex, &condvar);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let guard = mutex.lock().unwrap();
            waits.send(()).unwrap();
            match condvar.wait_while(guard, |tokens| *tokens == 0) {
                Err(LockError::Panicked(broken)) => *broken.repaired(),
                other => panic!("{other:?}"),
            }
        });
        // It has the mutex until it waits.
        is_waiting.recv().unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            *mutex.lock().unwrap() = 0;
            let mut guard = mutex.lock().unwrap();
            *guard = 5;
            condvar.notify_one().unwrap();
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        assert_eq!(waiter.join().unwrap(), 5);
    });
}

#[test]
fn a_waiter_whose_time_is_up_waits_for_its_mutex_for_a_second_at_most() {
    let (_segment, mutex, condvar) = hall();
    let (locked, is_locked) = std::sync::mpsc::channel();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let (mutex, condvar) = (&mutex, &condvar);
    std::thread::scope(|scope| {
        let guard = mutex.lock().unwrap();
        scope.spawn(move || {
            let _guard = mutex.lock().unwrap();
            locked.send(()).unwrap();
            let _ = is_done.recv();
        });
        let start = Instant::now();
        let waited = condvar.wait_timeout(guard, SHORT);
        assert!(matches!(waited, Err(LockError::TimedOut)), "{waited:?}");
        assert!(start.elapsed() >= Duration::from_secs(1));
        is_locked.recv().unwrap();
        drop(done);
    });
}

#[test]
fn it_goes_with_any_wait_policy_of_the_mutex() {
    for wait in [Wait::Busy, Wait::Adaptive, Wait::Park] {
        let (_segment, mut mutex, condvar) = hall();
        mutex.set_wait(wait);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let guard = mutex.lock().unwrap();
                *condvar.wait_while(guard, |tokens| *tokens == 0).unwrap()
            });
            *mutex.lock().unwrap() = 9;
            condvar.notify_one().unwrap();
            assert_eq!(waiter.join().unwrap(), 9);
        });
    }
}

#[test]
fn wrong_names_and_kinds_are_errors() {
    let (segment, _mutex, _condvar) = hall();
    let error = Condvar::create_in(&segment, "condvar").unwrap_err();
    assert!(matches!(error, Error::ObjectExists { .. }), "{error}");
    let error = Condvar::open_in(&segment, "other").unwrap_err();
    assert!(matches!(error, Error::ObjectNotFound { .. }), "{error}");
    let error = Condvar::open_in(&segment, "mutex").unwrap_err();
    assert!(matches!(error, Error::WrongKind { .. }), "{error}");
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Condvar>();
}
