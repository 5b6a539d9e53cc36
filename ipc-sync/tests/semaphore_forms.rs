//! What a semaphore does within one process: forms, amounts, time-outs, changes, errors.

mod robust;

use ipc_core::{Error, Segment};
use ipc_sync::{AcquireError, Permits, Semaphore};
use robust::{Forked, POLICIES, SHORT, segment, until};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

fn semaphore(permits: u32) -> (Segment, Semaphore) {
    let segment = segment();
    let semaphore = Semaphore::create_in(&segment, "semaphore", permits).unwrap();
    (segment, semaphore)
}

fn no_permits(result: Result<Permits<'_>, AcquireError>) {
    assert!(matches!(result, Err(AcquireError::NoPermits)), "{result:?}");
}

fn timed_out(result: Result<Permits<'_>, AcquireError>) {
    assert!(matches!(result, Err(AcquireError::TimedOut)), "{result:?}");
}

#[test]
fn permits_are_taken_and_come_back() {
    let (segment, semaphore) = semaphore(3);
    let other = Semaphore::open_in(&segment, "semaphore").unwrap();
    assert_eq!(
        (other.permits().unwrap(), other.available().unwrap()),
        (3, 3)
    );
    let one = semaphore.acquire().unwrap();
    let two = other.acquire_many(2).unwrap();
    assert_eq!((one.count(), two.count()), (1, 2));
    assert_eq!(semaphore.available().unwrap(), 0);
    no_permits(semaphore.try_acquire());
    no_permits(other.try_acquire_many(2));
    timed_out(semaphore.acquire_timeout(Duration::ZERO));
    drop(one);
    no_permits(semaphore.try_acquire_many(2));
    assert_eq!(semaphore.available().unwrap(), 1);
    let again = other.try_acquire().unwrap();
    drop((two, again));
    let all = semaphore.acquire_many_timeout(3, Duration::MAX).unwrap();
    assert_eq!(other.available().unwrap(), 0);
    drop(all);
    assert_eq!(other.available().unwrap(), 3);
}

#[test]
fn no_permits_at_all_are_always_there() {
    let (_segment, semaphore) = semaphore(0);
    let nothing = semaphore.try_acquire_many(0).unwrap();
    drop(semaphore.acquire_many(0).unwrap());
    assert_eq!(nothing.count(), 0);
    no_permits(semaphore.try_acquire());
    drop(nothing);
    assert_eq!(semaphore.available().unwrap(), 0);
}

#[test]
fn amounts_of_every_kind_follow_each_other_at_one_seat() {
    let (_segment, semaphore) = semaphore(65_535);
    for count in [1, 2, 65_535, 1, 1, 7, 0, 65_534, 1] {
        let held = semaphore.try_acquire_many(count).unwrap();
        assert_eq!(semaphore.available().unwrap(), 65_535 - count);
        let more = semaphore.try_acquire_many(65_535 - count).unwrap();
        assert_eq!(semaphore.available().unwrap(), 0);
        drop(held);
        assert_eq!(semaphore.available().unwrap(), count);
        drop(more);
    }
    assert_eq!(semaphore.available().unwrap(), 65_535);
}

#[test]
fn a_guard_can_be_given_back_elsewhere() {
    let (_segment, semaphore) = semaphore(2);
    for _ in 0..200 {
        let one = semaphore.acquire().unwrap();
        let other = semaphore.acquire().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(one));
            scope.spawn(|| drop(other));
        });
        assert_eq!(semaphore.available().unwrap(), 2);
    }
}

#[test]
fn forgotten_guards_give_back_when_the_handle_goes() {
    let (segment, semaphore) = semaphore(5);
    let other = Semaphore::open_in(&segment, "semaphore").unwrap();
    let clone = other.clone();
    std::mem::forget(other.acquire_many(2).unwrap());
    std::mem::forget(other.acquire().unwrap());
    drop(other);
    assert_eq!(semaphore.available().unwrap(), 2);
    drop(clone);
    assert_eq!(semaphore.available().unwrap(), 5);
}

#[test]
fn the_number_of_permits_changes_at_once_and_below_what_is_held() {
    let (_segment, semaphore) = semaphore(2);
    semaphore.add_permits(3).unwrap();
    let held = semaphore.try_acquire_many(5).unwrap();
    semaphore.reduce_permits(4).unwrap();
    assert_eq!(semaphore.permits().unwrap(), 1);
    assert_eq!(semaphore.available().unwrap(), 0);
    semaphore.add_permits(1).unwrap();
    // Three less than held: none is free before that many came back.
    no_permits(semaphore.try_acquire());
    drop(held);
    assert_eq!(semaphore.available().unwrap(), 2);
    no_permits(semaphore.try_acquire_many(3));
    let too_many = |result: Result<(), AcquireError>| {
        let is = matches!(result, Err(AcquireError::Segment(Error::OutOfRange { .. })));
        assert!(is, "{result:?}");
    };
    too_many(semaphore.reduce_permits(3));
    too_many(semaphore.add_permits(65_534));
    semaphore.add_permits(65_533).unwrap();
    semaphore.reduce_permits(65_535).unwrap();
    assert_eq!(semaphore.available().unwrap(), 0);
    let created = Semaphore::create_in(&segment(), "too many", 65_536);
    assert!(matches!(created, Err(Error::OutOfRange { .. })));
}

#[test]
fn adding_wakes_who_waits_for_more_than_there_were() {
    for wait in POLICIES {
        let (_segment, mut semaphore) = semaphore(1);
        semaphore.set_wait(wait);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| semaphore.acquire_many(3).unwrap().count());
            std::thread::sleep(SHORT);
            assert!(!waiter.is_finished());
            semaphore.add_permits(2).unwrap();
            assert_eq!(waiter.join().unwrap(), 3);
        });
        assert_eq!(semaphore.available().unwrap(), 3);
    }
}

#[test]
fn no_more_are_held_than_there_are_and_no_wake_is_lost() {
    const PERMITS: u32 = 3;
    for wait in POLICIES {
        let (segment, _first) = semaphore(PERMITS);
        let held = AtomicU32::new(0);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..5 {
                let (segment, held) = (&segment, &held);
                scope.spawn(move || {
                    let mut semaphore = Semaphore::open_in(segment, "semaphore").unwrap();
                    semaphore.set_wait(wait);
                    for round in 0..300 {
                        let count = 1 + (thread + round) % PERMITS;
                        let permits = semaphore.acquire_many(count).unwrap();
                        let now = held.fetch_add(count, Ordering::SeqCst) + count;
                        assert!(now <= PERMITS, "{now} are held");
                        held.fetch_sub(count, Ordering::SeqCst);
                        drop(permits);
                    }
                });
            }
        });
        // A lost wake costs a slice of 10 ms.
        assert!(start.elapsed() < Duration::from_secs(10));
        assert_eq!(_first.available().unwrap(), PERMITS);
    }
}

#[test]
fn two_that_want_more_than_half_take_turns() {
    let (segment, semaphore) = semaphore(4);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let semaphore = Semaphore::open_in(&segment, "semaphore").unwrap();
                for _ in 0..2_000 {
                    drop(semaphore.acquire_many(3).unwrap());
                }
            });
        }
    });
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(semaphore.available().unwrap(), 4);
}

#[test]
fn a_timeout_is_never_early_and_not_much_late() {
    for wait in POLICIES {
        let (_segment, mut semaphore) = semaphore(1);
        semaphore.set_wait(wait);
        let _held = semaphore.try_acquire().unwrap();
        for timeout in [1, 12, 25].map(Duration::from_millis) {
            // A single call may lose its core to somebody else for long; not all of many do.
            let in_time = (0..50).any(|_| {
                let start = Instant::now();
                timed_out(semaphore.acquire_timeout(timeout));
                assert!(start.elapsed() >= timeout);
                start.elapsed() < timeout + Duration::from_millis(5)
            });
            assert!(in_time, "{wait:?} {timeout:?}");
        }
    }
}

#[test]
fn there_are_places_for_as_many_holders_as_it_was_made_for() {
    let segment = Segment::builder(ipc_core::Place::memfd("small"))
        .handles(2)
        .size(4096)
        .create()
        .unwrap();
    let semaphore = Semaphore::create_in(&segment, "semaphore", 4).unwrap();
    semaphore.add_permits(10).unwrap();
    let mut held: Vec<_> = (0..6).map(|_| semaphore.acquire().unwrap()).collect();
    let crowded = semaphore.try_acquire();
    assert!(matches!(
        crowded,
        Err(AcquireError::Crowded { limit: 6, .. })
    ));
    let message = crowded.unwrap_err().to_string();
    assert!(
        message.contains("semaphore") && message.contains("handles"),
        "{message}"
    );
    held.pop();
    held.push(semaphore.acquire().unwrap());
    drop(held);
    assert_eq!(semaphore.available().unwrap(), 14);
}

#[test]
fn more_threads_than_have_seats_of_their_own_share_a_handle() {
    let (_segment, semaphore) = semaphore(50);
    let all_hold = std::sync::Barrier::new(50);
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                for _ in 0..20 {
                    drop(semaphore.acquire().unwrap());
                }
                let _permit = semaphore.acquire().unwrap();
                all_hold.wait();
                no_permits(semaphore.try_acquire());
                all_hold.wait();
            });
        }
    });
    assert_eq!(semaphore.available().unwrap(), 50);
}

#[test]
fn damage_is_told_and_never_followed() {
    use std::os::unix::fs::FileExt;
    let (segment, semaphore) = semaphore(3);
    let offset = segment.objects().unwrap()[0].offset;
    let file = std::fs::File::from(segment.descriptor().unwrap());
    let mut random = robust::Random::seeded("SYNC_SEED");
    for _ in 0..2_000 {
        let mut word = random.below(u64::MAX);
        // Mostly permits that are free, and a seat that does not exist, or no record.
        word = word & !(1 << 63) | 1 << 50;
        file.write_all_at(&word.to_ne_bytes(), offset).unwrap();
        match semaphore.try_acquire_many(2) {
            Ok(permits) => drop(permits),
            Err(AcquireError::Segment(Error::Corrupted { place, .. })) => {
                assert!(place.contains("semaphore"));
            }
            Err(AcquireError::NoPermits) => {}
            Err(other) => panic!("{other:?}"),
        }
        let _ = semaphore.available().unwrap();
    }
}

#[test]
fn a_forked_child_is_refused_and_gives_back_nothing() {
    let (segment, semaphore) = semaphore(2);
    let mut held = Some(semaphore.acquire().unwrap());
    // The child remembers this too.
    drop(semaphore.acquire().unwrap());
    let child = Forked::run(|| {
        let forked = |result: Result<(), AcquireError>| {
            let is = matches!(result, Err(AcquireError::Segment(Error::Forked { .. })));
            assert!(is, "{result:?}");
        };
        forked(semaphore.acquire().map(drop));
        forked(semaphore.try_acquire_many(2).map(drop));
        forked(semaphore.acquire_timeout(Duration::MAX).map(drop));
        forked(semaphore.add_permits(1));
        forked(semaphore.reduce_permits(1));
        assert!(semaphore.available().is_err() && semaphore.permits().is_err());
        assert!(Semaphore::open_in(&segment, "semaphore").is_err());
        drop(held.take());
        drop(semaphore.clone());
        0
    });
    assert_eq!(child.join(), Ok(0));
    assert_eq!(semaphore.available().unwrap(), 1);
    drop(held);
    assert_eq!(semaphore.available().unwrap(), 2);
}

#[test]
fn who_only_polls_notices_the_dead() {
    let (segment, semaphore) = semaphore(1);
    let peer = robust::Peer::ready(&segment, |segment, line| {
        let semaphore = Semaphore::open_in(segment, "semaphore").unwrap();
        let _held = semaphore.acquire().unwrap();
        line.say_and_wait(1);
    });
    peer.kill();
    until("the dead one's permit comes back", || {
        semaphore.try_acquire().is_ok()
    });
}
