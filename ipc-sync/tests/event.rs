//! What an event does within one process: states, forms, time-outs, errors.

mod common;

use common::{POLICIES, event, until};
use ipc_core::{Error, Place, Segment, Wait};
use ipc_sync::{Event, EventError, Reset};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn a_manual_event_lets_everybody_pass_until_it_is_reset() {
    let (segment, event) = event(Reset::Manual);
    let other = Event::open_in(&segment, "event").unwrap();
    assert_eq!(other.kind_of_reset(), Reset::Manual);
    assert!(!event.is_set().unwrap());
    assert!(matches!(event.try_wait(), Err(EventError::NotSet)));
    other.set().unwrap();
    for _ in 0..3 {
        for event in [&event, &other] {
            assert!(event.is_set().unwrap());
            event.try_wait().unwrap();
            event.wait().unwrap();
            event.wait_timeout(Duration::ZERO).unwrap();
            event.wait_timeout(Duration::MAX).unwrap();
        }
        other.set().unwrap();
    }
    event.reset().unwrap();
    event.reset().unwrap();
    assert!(!other.is_set().unwrap());
    assert!(matches!(other.try_wait(), Err(EventError::NotSet)));
    assert!(matches!(
        other.wait_timeout(SHORT),
        Err(EventError::TimedOut)
    ));
}

#[test]
fn an_automatic_event_lets_one_pass() {
    let (segment, event) = event(Reset::Auto);
    let other = Event::open_in(&segment, "event").unwrap();
    assert_eq!(other.kind_of_reset(), Reset::Auto);
    let timeout = Duration::ZERO;
    for pass in [
        &(|| other.try_wait()) as &dyn Fn() -> Result<(), EventError>,
        &|| other.wait(),
        &|| other.wait_timeout(timeout),
        &|| other.wait_timeout(Duration::MAX),
    ] {
        // Setting twice is setting once.
        event.set().unwrap();
        event.set().unwrap();
        assert!(other.is_set().unwrap(), "asking takes nothing");
        assert!(event.is_set().unwrap());
        pass().unwrap();
        assert!(!event.is_set().unwrap());
        assert!(matches!(event.try_wait(), Err(EventError::NotSet)));
        assert!(matches!(
            event.wait_timeout(timeout),
            Err(EventError::TimedOut)
        ));
    }
    event.set().unwrap();
    event.reset().unwrap();
    assert!(matches!(event.try_wait(), Err(EventError::NotSet)));
}

#[test]
fn a_timeout_is_never_early_and_not_much_late() {
    for reset in [Reset::Manual, Reset::Auto] {
        for wait in POLICIES {
            let (_, mut event) = event(reset);
            event.set_wait(wait);
            for millis in [1, 3, 12, 25] {
                let timeout = Duration::from_millis(millis);
                // A single call may lose its core to somebody else for long; not all of many do.
                let in_time = (0..50).any(|_| {
                    let start = Instant::now();
                    let waited = event.wait_timeout(timeout);
                    let took = start.elapsed();
                    assert!(matches!(waited, Err(EventError::TimedOut)));
                    assert!(took >= timeout, "{wait:?}: {took:?} of {timeout:?}");
                    took - timeout < Duration::from_millis(5)
                });
                assert!(in_time, "{wait:?} {timeout:?}");
            }
        }
    }
}

#[test]
fn a_timeout_of_zero_looks_once() {
    for wait in POLICIES {
        let (_, mut event) = event(Reset::Auto);
        event.set_wait(wait);
        let batches = (0..10).map(|_| {
            let start = Instant::now();
            for _ in 0..100 {
                let waited = event.wait_timeout(Duration::ZERO);
                assert!(matches!(waited, Err(EventError::TimedOut)));
            }
            start.elapsed()
        });
        // No spinning, no system call: a microsecond each, with much to spare. The best of ten, as
        // somebody else may have the core.
        let took = batches.min().unwrap();
        assert!(took < Duration::from_millis(3), "{wait:?}: {took:?}");
    }
}

#[test]
fn all_that_wait_for_a_manual_event_pass() {
    for wait in POLICIES {
        let (segment, mut event) = event(Reset::Manual);
        event.set_wait(wait);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| event.wait().unwrap());
            }
            if wait == Wait::Park {
                until("somebody sleeps", || common::somebody_sleeps(&segment));
            }
            event.set().unwrap();
        });
    }
}

#[test]
fn of_many_that_wait_for_an_automatic_event_one_passes_for_each_set() {
    for wait in POLICIES {
        let (_segment, mut event) = event(Reset::Auto);
        event.set_wait(wait);
        let passed = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    event.wait().unwrap();
                    passed.fetch_add(1, Ordering::Relaxed);
                });
            }
            for sets in 1..=3 {
                event.set().unwrap();
                until("one passes", || passed.load(Ordering::Relaxed) == sets);
                assert!(!event.is_set().unwrap());
            }
        });
        assert_eq!(passed.into_inner(), 3);
    }
}

#[test]
fn of_two_that_race_for_an_automatic_event_one_passes() {
    const ROUNDS: u32 = 20_000;
    let (_segment, event) = event(Reset::Auto);
    let passed = AtomicU32::new(0);
    let (begun, ended) = (AtomicU32::new(0), AtomicU32::new(0));
    // Both are to try at the same instant, so nobody sleeps.
    let reaches = |counter: &AtomicU32, round| {
        let mut polls = 0u32;
        while counter.load(Ordering::Acquire) < round {
            polls += 1;
            match polls % 1000 {
                0 => std::thread::yield_now(),
                _ => std::hint::spin_loop(),
            }
        }
    };
    let try_once = || {
        if event.try_wait().is_ok() {
            passed.fetch_add(1, Ordering::AcqRel);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                reaches(&begun, round);
                try_once();
                ended.store(round, Ordering::Release);
            }
        });
        for round in 1..=ROUNDS {
            event.set().unwrap();
            begun.store(round, Ordering::Release);
            // The other learns of it later than this one, by a time that depends on the machine.
            for _ in 0..round % 200 {
                std::hint::spin_loop();
            }
            try_once();
            reaches(&ended, round);
        }
    });
    assert_eq!(passed.into_inner(), ROUNDS);
}

#[test]
fn wrong_names_kinds_and_damage_are_errors() {
    let (segment, _event) = event(Reset::Auto);
    let error = Event::create_in(&segment, "event", Reset::Manual).unwrap_err();
    assert!(matches!(error, Error::ObjectExists { .. }), "{error}");
    let error = Event::open_in(&segment, "other").unwrap_err();
    assert!(
        matches!(&error, Error::ObjectNotFound { present, .. } if present == "event"),
        "{error}"
    );
    let small = Segment::create(Place::memfd("small"), 128).unwrap();
    Event::create_in(&small, "first", Reset::Auto).unwrap();
    let error = Event::create_in(&small, "second", Reset::Auto).unwrap_err();
    assert!(matches!(error, Error::SegmentFull { .. }), "{error}");
}

#[test]
fn garbage_in_its_words_is_no_set_event_and_no_hang() {
    use std::os::unix::fs::FileExt;
    for reset in [Reset::Manual, Reset::Auto] {
        let (segment, mut event) = event(reset);
        event.set_wait(Wait::Park);
        let file = std::fs::File::from(segment.descriptor().unwrap());
        let offset = segment.objects().unwrap()[0].offset;
        for garbage in [2u64, u64::MAX, 0xDEAD_BEEF_0000_0000, 7 << 32] {
            file.write_all_at(&garbage.to_ne_bytes(), offset).unwrap();
            assert!(!event.is_set().unwrap());
            assert!(matches!(
                event.wait_timeout(SHORT / 4),
                Err(EventError::TimedOut)
            ));
            event.set().unwrap();
            event.wait().unwrap();
            event.reset().unwrap();
        }
    }
}

#[test]
fn it_can_be_shared_between_threads() {
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Event>();
}
