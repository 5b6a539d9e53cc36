//! Damaged memory: errors or correct work; never a panic, a hang, or an access out of bounds.

mod common;

use common::raw::{self, Raw};
use common::{Random, from_env, unnamed};
use ipc_core::{Error, Payload, Wait};
use ipc_queue::spsc::{OpenError, PopError, PushError, Ring};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(2);

#[test]
fn the_words_lie_where_the_tests_think() {
    let ring = unnamed::<u64>(4);
    let raw = Raw::of(&ring);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert_ne!(raw.get(raw::PRODUCER), 0);
    assert_ne!(raw.get(raw::CONSUMER), 0);
    tx.push_slice(&[11, 12, 13]).unwrap();
    rx.pop().unwrap();
    assert_eq!((raw.get(raw::TAIL), raw.get(raw::HEAD)), (3, 1));
    assert_eq!(raw.get(raw::SLOTS + 8), 12);
    assert_eq!(raw.get(raw::CLOSED), 0);
    tx.close().unwrap();
    assert_eq!(raw.get(raw::CLOSED), 1);
    assert_eq!(raw.get(raw::PRODUCER), 0);
    assert!(!raw.consumer_sleeps());
    let empty = unnamed::<u64>(1);
    let mut rx = empty.consumer().unwrap();
    rx.set_wait(Wait::Park);
    assert!(rx.pop_timeout(SHORT).is_err());
    assert!(Raw::of(&empty).consumer_sleeps());
    assert!(!Raw::of(&empty).producer_sleeps());
}

fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Corrupted { .. }) && error.to_string().contains("ring")
}

#[test]
fn contradicting_cursors_are_an_error_of_every_form() {
    let ring = unnamed::<u64>(3);
    let raw = Raw::of(&ring);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    // (tail, head) as the other side sees them; what it knows itself is in its handle.
    for tail in [4, 1 << 40, u64::MAX, u64::MAX / 2] {
        raw.set(raw::TAIL, tail);
        let damaged = |error| match error {
            PopError::Segment(error) => is_damage(&error),
            _ => false,
        };
        assert!(damaged(rx.try_pop().unwrap_err()));
        assert!(damaged(rx.pop().unwrap_err()));
        assert!(damaged(rx.pop_timeout(SHORT).unwrap_err()));
        assert!(damaged(rx.try_pop_slice(&mut [0]).unwrap_err()));
        assert!(damaged(rx.pop_slice(&mut [0]).unwrap_err()));
        assert!(damaged(rx.peek().map(drop).unwrap_err()));
        assert!(damaged(rx.len().unwrap_err()));
    }
    raw.set(raw::TAIL, 0);
    tx.push_slice(&[1, 2, 3]).unwrap();
    for head in [4, 1 << 40, u64::MAX, u64::MAX / 2] {
        raw.set(raw::HEAD, head);
        let damaged = |error| match error {
            PushError::Segment(error) => is_damage(&error),
            _ => false,
        };
        assert!(damaged(tx.try_push(0).unwrap_err()));
        assert!(damaged(tx.push(0).unwrap_err()));
        assert!(damaged(tx.push_timeout(0, SHORT).unwrap_err()));
        assert!(damaged(tx.try_push_slice(&[0]).unwrap_err()));
        assert!(damaged(tx.push_slice(&[0]).unwrap_err()));
        assert!(damaged(tx.reserve().map(drop).unwrap_err()));
        assert!(damaged(tx.len().unwrap_err()));
    }
    // Nobody can come either, and the refused leave no trace.
    drop((tx, rx));
    for _ in 0..2 {
        let error = ring.producer().unwrap_err();
        assert!(
            matches!(&error, OpenError::Segment(it) if is_damage(it)),
            "{error}"
        );
        let error = ring.consumer().unwrap_err();
        assert!(
            matches!(&error, OpenError::Segment(it) if is_damage(it)),
            "{error}"
        );
        for word in [
            raw::PRODUCER,
            raw::CONSUMER,
            raw::PRODUCER_DEATHS,
            raw::CONSUMER_DEATHS,
        ] {
            assert_eq!(raw.get(word), 0);
        }
    }
    // Repaired, everything goes on.
    raw.set(raw::HEAD, 0);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for i in 1..=3 {
        assert_eq!(rx.pop().unwrap(), Some(i));
    }
    tx.push(4).unwrap();
}

#[test]
fn cursors_around_the_largest_number_work() {
    for capacity in [1, 3, 4] {
        for before in 0..6 {
            let ring = unnamed::<u64>(capacity);
            let raw = Raw::of(&ring);
            raw.set(raw::TAIL, 0u64.wrapping_sub(before));
            raw.set(raw::HEAD, 0u64.wrapping_sub(before));
            let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
            for round in 0..10u64 {
                for i in 0..capacity as u64 {
                    tx.try_push(round * 10 + i).unwrap();
                    assert_eq!((tx.len().unwrap(), rx.len().unwrap()), {
                        let len = i as usize + 1;
                        (len, len)
                    });
                }
                assert!(matches!(tx.try_push(0), Err(PushError::Full)));
                for i in 0..capacity as u64 {
                    assert_eq!(rx.try_pop().unwrap(), Some(round * 10 + i));
                }
                assert!(matches!(rx.try_pop(), Err(PopError::Empty)));
            }
        }
    }
}

#[test]
fn a_role_held_by_nobody_who_exists_can_be_taken() {
    // Ids that were never handed out; old ones; marks of any number; and what only looks like one.
    for word in [
        0x0001_0020,
        0x7FFF_0000_0000_0000,
        0xFFFF,
        0xFFFF_FFFF_FFFF_FFFF,
        0x0005_FFFF,
    ] {
        let ring = unnamed::<u64>(2);
        let raw = Raw::of(&ring);
        raw.set(raw::PRODUCER, word);
        raw.set(raw::CONSUMER, word);
        let mut tx = ring
            .producer()
            .unwrap_or_else(|error| panic!("{word:x}: {error}"));
        let mut rx = ring.consumer().unwrap();
        tx.push(1).unwrap();
        assert_eq!(rx.pop().unwrap(), Some(1));
        // At most some reports of deaths that were none, and then the truth.
        let calm = (0..5).any(|_| matches!(rx.try_pop(), Err(PopError::Empty)));
        assert!(calm, "{word:x}");
    }
    // Beyond the table of handles: an error.
    let ring = unnamed::<u64>(2);
    let raw = Raw::of(&ring);
    raw.set(raw::PRODUCER, 0x1_FFF0);
    let error = ring.producer().unwrap_err();
    assert!(
        matches!(error, OpenError::Segment(Error::Corrupted { .. })),
        "{error}"
    );
}

#[test]
fn a_closed_word_of_any_value_is_the_end() {
    for value in [1, 2, u64::MAX] {
        let ring = unnamed::<u64>(2);
        let raw = Raw::of(&ring);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        tx.push(1).unwrap();
        raw.set(raw::CLOSED, value);
        assert_eq!(rx.pop().unwrap(), Some(1));
        assert_eq!(rx.pop().unwrap(), None);
    }
}

/// A handle in use, and every call of it made once.
fn exercise<T: Payload>(ring: &Ring<T>, value: T) {
    let tx = ring.producer();
    let rx = ring.consumer();
    exercise_again(ring, &mut tx.ok(), &mut rx.ok(), value);
}

fn exercise_again<T: Payload>(
    ring: &Ring<T>,
    tx: &mut Option<ipc_queue::spsc::Producer<T>>,
    rx: &mut Option<ipc_queue::spsc::Consumer<T>>,
    value: T,
) {
    let mut many = vec![value; 9];
    if let Some(tx) = tx {
        let _ = tx.try_push(value);
        let _ = tx.push_timeout(value, Duration::ZERO);
        let _ = tx.push_timeout(value, Duration::from_micros(50));
        let _ = tx.try_push_slice(&many);
        let _ = tx.push_slice_timeout(&many, Duration::ZERO);
        if let Ok(slot) = tx.try_reserve() {
            slot.commit();
        }
        let _ = (tx.len(), tx.is_full(), tx.is_empty());
    }
    if let Some(rx) = rx {
        let _ = rx.try_pop();
        let _ = rx.pop_timeout(Duration::ZERO);
        let _ = rx.pop_timeout(Duration::from_micros(50));
        let _ = rx.try_pop_slice(&mut many);
        let _ = rx.pop_slice_timeout(&mut many, Duration::ZERO);
        if let Ok(Some(slot)) = rx.try_peek() {
            std::hint::black_box(*slot);
            slot.release();
        }
        let _ = (rx.len(), rx.is_full(), rx.is_empty());
    }
    let _ = ring.segment().recover();
    let _ = (ring.pushed(), ring.popped());
}

const WORDS: [u64; 10] = [
    raw::TAIL,
    raw::HEAD,
    raw::CLOSED,
    raw::PRODUCER,
    raw::PRODUCER_DEATHS,
    raw::PRODUCER_DEATHS_SEEN,
    raw::CONSUMER,
    raw::CONSUMER_DEATHS,
    raw::CONSUMER_DEATHS_SEEN,
    raw::BELLS,
];

fn garbage(random: &mut Random) -> u64 {
    match random.below(7) {
        0 => random.below(8),
        1 => 0u64.wrapping_sub(random.below(8)),
        2 => random.below(1 << 20) << 16 | 0xFFFF,
        3 => random.below(4) << 16 | random.below(8),
        4 => 1 << random.below(64),
        5 => u64::MAX,
        _ => random.below(1 << 48) << 16 ^ random.below(1 << 32),
    }
}

/// Overwrites words at random and uses the ring, with handles made before and after.
fn survives<T: Payload>(capacity: usize, value: T, rounds: u64, seed: u64) {
    let mut random = Random::new(seed);
    let ring = unnamed::<T>(capacity);
    let raw = Raw::of(&ring);
    let start = Instant::now();
    for _ in 0..rounds {
        let mut tx = ring.producer().ok();
        let mut rx = ring.consumer().ok();
        for _ in 0..1 + random.below(3) {
            let word = WORDS[random.below(WORDS.len() as u64) as usize];
            raw.set(word, garbage(&mut random));
            exercise_again(&ring, &mut tx, &mut rx, value);
        }
        if random.below(2) == 0 {
            drop((tx.take(), rx.take()));
            exercise(&ring, value);
        }
        for word in WORDS {
            raw.set(
                word,
                if random.below(2) == 0 {
                    0
                } else {
                    garbage(&mut random)
                },
            );
        }
        exercise(&ring, value);
        drop((tx, rx));
        for word in WORDS {
            raw.set(word, 0);
        }
    }
    assert!(start.elapsed() < Duration::from_secs(20) * (1 + rounds as u32 / 1000));
    // Wiped clean it is a ring again.
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.push(value).unwrap();
    assert!(rx.pop().unwrap().is_some());
}

#[test]
fn garbage_in_every_word_does_no_harm() {
    let rounds = from_env("IPC_QUEUE_GARBAGE", 400);
    survives(1, 7u64, rounds, 1);
    survives(3, [1u8; 3], rounds, 2);
    survives(5, [2u32; 3], rounds, 3);
    survives(8, [3u8; 1024], rounds / 4, 4);
    survives(6, (), rounds / 4, 5);
}

#[test]
fn garbage_written_while_both_sides_work_does_no_harm() {
    let ring = unnamed::<[u8; 12]>(5);
    let raw = Raw::of(&ring);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let stopped = || stop.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stopped() {
                let Ok(mut tx) = ring.producer() else {
                    continue;
                };
                for _ in 0..50 {
                    let _ = tx.push_timeout([1; 12], Duration::from_micros(100));
                    let _ = tx.try_push_slice(&[[2; 12]; 7]);
                }
            }
        });
        scope.spawn(|| {
            while !stopped() {
                let Ok(mut rx) = ring.consumer() else {
                    continue;
                };
                for _ in 0..50 {
                    let _ = rx.pop_timeout(Duration::from_micros(100));
                    let _ = rx.try_pop_slice(&mut [[0; 12]; 7]);
                }
            }
        });
        let mut random = Random::new(6);
        for _ in 0..from_env("IPC_QUEUE_GARBAGE", 400) * 20 {
            let word = WORDS[random.below(WORDS.len() as u64) as usize];
            raw.set(word, garbage(&mut random));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_blocked_call_notices_damage() {
    for wait in [Wait::Busy, Wait::Adaptive, Wait::Park] {
        let ring = unnamed::<u64>(1);
        let raw = Raw::of(&ring);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        tx.set_wait(wait);
        rx.set_wait(wait);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let popped = rx.pop_timeout(common::PATIENCE);
                assert!(matches!(
                    popped,
                    Err(PopError::Segment(Error::Corrupted { .. }))
                ));
            });
            if wait == Wait::Park {
                common::until("the consumer sleeps", || raw.consumer_sleeps());
            }
            raw.set(raw::TAIL, 99);
        });
        raw.set(raw::TAIL, 0);
        tx.push(1).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let pushed = tx.push_timeout(2, common::PATIENCE);
                assert!(matches!(
                    pushed,
                    Err(PushError::Segment(Error::Corrupted { .. }))
                ));
            });
            if wait == Wait::Park {
                common::until("the producer sleeps", || raw.producer_sleeps());
            }
            raw.set(raw::HEAD, 99);
        });
    }
}
