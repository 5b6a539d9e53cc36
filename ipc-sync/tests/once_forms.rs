//! What is done once, within one process: forms, time-outs, failures, errors.

use ipc_core::{Error, Place, Segment, Wait};
use ipc_sync::{Once, OnceCell, OnceError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);
const POLICIES: [Wait; 3] = [Wait::Busy, Wait::Adaptive, Wait::Park];
const FORMS: [Duration; 3] = [Duration::ZERO, SHORT, Duration::MAX];

fn cell() -> (Segment, OnceCell<u64>) {
    let segment = Segment::create(Place::memfd("test"), 4096).unwrap();
    let cell = OnceCell::create_in(&segment, "cell").unwrap();
    (segment, cell)
}

#[test]
fn the_first_value_is_everybodys() {
    let (segment, cell) = cell();
    let other = OnceCell::<u64>::open_in(&segment, "cell").unwrap();
    let late = || -> u64 { unreachable!("it is there") };
    assert_eq!(other.get().unwrap(), None);
    assert_eq!(cell.get_or_init(|| 3).unwrap(), 3);
    for cell in [&cell, &other, &other.clone()] {
        assert_eq!(cell.get().unwrap(), Some(3));
        assert_eq!(cell.get_or_init(late).unwrap(), 3);
        let tried = cell.get_or_try_init(|| -> Result<u64, OnceError> { unreachable!() });
        assert_eq!(tried.unwrap(), 3);
        for timeout in FORMS {
            assert_eq!(cell.get_or_init_timeout(timeout, late).unwrap(), 3);
        }
    }
}

#[test]
fn of_many_threads_one_does_it_and_none_goes_on_before() {
    const THREADS: usize = 8;
    for wait in POLICIES {
        for _ in 0..20 {
            let segment = Segment::create(Place::memfd("test"), 4096).unwrap();
            let once = Once::create_in(&segment, "once").unwrap();
            let (begin, done) = (Barrier::new(THREADS), AtomicU32::new(0));
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        let mut once = Once::open_in(&segment, "once").unwrap();
                        once.set_wait(wait);
                        begin.wait();
                        once.call_once(|| {
                            std::thread::yield_now();
                            done.fetch_add(1, Ordering::Relaxed);
                        })
                        .unwrap();
                        // Relaxed: that it is seen is the once's doing.
                        assert_eq!(done.load(Ordering::Relaxed), 1);
                        assert!(once.is_completed().unwrap());
                    });
                }
            });
            assert!(once.is_completed().unwrap());
        }
    }
}

#[test]
fn who_fails_or_panics_leaves_it_to_the_next() {
    let (_segment, cell) = cell();
    let fail = || Err(OnceError::TimedOut);
    for _ in 0..2 {
        let failed = cell.get_or_try_init(fail);
        assert!(matches!(failed, Err(OnceError::TimedOut)));
        assert_eq!(cell.get().unwrap(), None);
        let panicking = || cell.get_or_init(|| panic!("on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
        assert_eq!(cell.get().unwrap(), None);
    }
    assert_eq!(cell.get_or_init_timeout(Duration::ZERO, || 8).unwrap(), 8);

    // Also to one who waits.
    let segment = Segment::create(Place::memfd("test"), 4096).unwrap();
    let once = Once::create_in(&segment, "once").unwrap();
    let (begun, has_begun) = mpsc::channel();
    let once = &once;
    std::thread::scope(|scope| {
        let first = scope.spawn(move || {
            once.call_once(|| {
                begun.send(()).unwrap();
                std::thread::sleep(SHORT);
                panic!("on purpose");
            })
        });
        has_begun.recv().unwrap();
        let second = AtomicU32::new(0);
        once.call_once(|| _ = second.fetch_add(1, Ordering::Relaxed))
            .unwrap();
        assert_eq!(second.into_inner(), 1);
        assert!(first.join().is_err());
    });
}

#[test]
fn while_another_is_at_it_time_outs_work() {
    for wait in POLICIES {
        let (_segment, mut cell) = cell();
        cell.set_wait(wait);
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let cell = &cell;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let value = cell.get_or_init(|| {
                    begun.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    6
                });
                assert_eq!(value.unwrap(), 6);
            });
            has_begun.recv().unwrap();
            assert_eq!(cell.get().unwrap(), None);
            for timeout in [Duration::ZERO, SHORT] {
                let start = Instant::now();
                let late = cell.get_or_init_timeout(timeout, || 7);
                assert!(matches!(late, Err(OnceError::TimedOut)), "{late:?}");
                assert!(start.elapsed() >= timeout);
            }
            let waiters = [Some(Duration::MAX), None].map(|timeout| {
                scope.spawn(move || match timeout {
                    Some(timeout) => cell.get_or_init_timeout(timeout, || 7),
                    None => cell.get_or_init(|| 7),
                })
            });
            std::thread::sleep(SHORT);
            go_on.send(()).unwrap();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap().unwrap(), 6);
            }
        });
    }
}

#[test]
fn needing_itself_is_an_error() {
    let (segment, cell) = cell();
    let again = OnceCell::<u64>::open_in(&segment, "cell").unwrap();
    let value = cell
        .get_or_init(|| {
            assert_eq!(cell.get().unwrap(), None);
            for cell in [&cell, &cell.clone(), &again] {
                let inner = cell.get_or_init(|| 2);
                assert!(matches!(inner, Err(OnceError::Relocked { .. })));
                let error = inner.unwrap_err().to_string();
                assert!(error.contains("\"cell\""), "{error}");
            }
            1
        })
        .unwrap();
    assert_eq!(value, 1);
}

#[test]
fn also_where_others_can_write() {
    let segment = Segment::builder(Place::memfd("open to all"))
        .size(4096)
        .mode(0o666)
        .create()
        .unwrap();
    assert!(!segment.is_private());
    let cell = OnceCell::create_in(&segment, "cell").unwrap();
    assert_eq!(cell.get_or_init(|| [4u8; 1000]).unwrap(), [4; 1000]);
    assert_eq!(cell.get().unwrap(), Some([4; 1000]));
}

#[test]
fn wrong_names_kinds_types_and_lack_of_ids_are_errors() {
    let (segment, cell) = cell();
    let error = OnceCell::<u64>::create_in(&segment, "cell").unwrap_err();
    assert!(matches!(error, Error::ObjectExists { .. }), "{error}");
    let error = OnceCell::<u64>::open_in(&segment, "other").unwrap_err();
    assert!(matches!(error, Error::ObjectNotFound { .. }), "{error}");
    let error = OnceCell::<i64>::open_in(&segment, "cell").unwrap_err();
    assert!(matches!(error, Error::WrongType { .. }), "{error}");
    let error = Once::open_in(&segment, "cell").unwrap_err();
    assert!(matches!(error, Error::WrongType { .. }), "{error}");
    let error = ipc_sync::Mutex::<u64>::open_in(&segment, "cell").unwrap_err();
    assert!(matches!(error, Error::WrongKind { .. }), "{error}");
    let mut handles = vec![cell];
    let full = loop {
        match OnceCell::open_in(&segment, "cell") {
            Ok(handle) => handles.push(handle),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::HandlesFull { .. }), "{full}");
    assert_eq!(handles.len(), segment.handle_limit() as usize);
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<(Once, OnceCell<u64>)>();
}
