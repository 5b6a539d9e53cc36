//! Damaged memory under byte records: errors or correct work; never a panic, a hang, or an access
//! out of bounds.

mod common;

use common::bytes::{record, unnamed};
use common::raw::{self, Raw};
use common::{Random, from_env, until};
use ipc_core::{Error, Kind, ObjectSpec, Place, Segment, TypeTag, Wait};
use ipc_queue::spsc::bytes::{ByteConsumer, ByteProducer, ByteRing};
use ipc_queue::spsc::{PopError, PushError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(2);
/// Where the bytes begin.
const BYTES: u64 = raw::SLOTS;

fn raw_of(ring: &ByteRing) -> Raw {
    Raw::first_of(ring.segment())
}

#[test]
fn the_records_lie_where_the_tests_think() {
    let ring = unnamed(64, 40);
    let raw = raw_of(&ring);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.push(b"eight by").unwrap();
    tx.push(&[]).unwrap();
    tx.push(&[1; 9]).unwrap();
    assert_eq!((raw.get(raw::TAIL), raw.get(raw::HEAD)), (6, 0));
    assert_eq!(raw.get(BYTES), 8);
    assert_eq!(raw.get(BYTES + 8).to_ne_bytes(), *b"eight by");
    assert_eq!(raw.get(BYTES + 16), 0);
    assert_eq!(raw.get(BYTES + 24), 9);
    for _ in 0..3 {
        drop(rx.take().unwrap());
    }
    assert_eq!(raw.get(raw::HEAD), 6);
    // From the seventh of eight places over the end, and the next from behind the start.
    tx.push(&[7; 24]).unwrap();
    assert_eq!(raw.get(BYTES + 48), 24);
    assert_eq!(raw.get(BYTES + 72), u64::from_ne_bytes([7; 8]));
    tx.push(&[]).unwrap();
    assert_eq!(raw.get(BYTES + 16), 0);
    assert_eq!(raw.get(raw::TAIL), 11);
}

#[test]
fn sizes_that_do_not_fit_the_object_are_refused_when_it_is_opened() {
    static FORGED: Kind = Kind {
        name: "spsc byte ring",
        sweep: |_, _| Ok(()),
    };
    let segment = Segment::create(Place::memfd("test"), 1 << 14).unwrap();
    // Words and bytes of a ring for 64 bytes and records of 40.
    let len = 512 + 64 + 40;
    for (at, (capacity, max_record)) in [
        (64, 40),
        (72, 40),
        (64, 48),
        (64, 64),
        (0, 0),
        (64, u64::MAX),
        (u64::MAX, 40),
        (u64::MAX, u64::MAX),
    ]
    .into_iter()
    .enumerate()
    {
        let spec = ObjectSpec {
            kind: &FORGED,
            element: TypeTag::named::<u8>("bytes"),
            config: [capacity, max_record, 0, 0],
            len,
        };
        let name = format!("ring {at}");
        segment.create_object(&name, &spec, |_| Ok(())).unwrap();
        match ByteRing::open_in(&segment, &name) {
            Ok(ring) => assert_eq!((at, ring.capacity()), (0, 64)),
            Err(error) => {
                assert_ne!(at, 0, "{error}");
                is_damage(&error);
            }
        }
    }
}

type Pop = fn(&mut ByteConsumer) -> Result<Option<usize>, PopError>;
type Push = fn(&mut ByteProducer) -> Result<(), PushError>;

/// All ways to pop.
const POPS: [Pop; 9] = [
    |rx| rx.try_pop_into(&mut Vec::new()),
    |rx| rx.pop_into(&mut Vec::new()),
    |rx| rx.pop_into_timeout(&mut [0; 500], SHORT),
    |rx| Ok(rx.try_take()?.map(|it| it.len())),
    |rx| Ok(rx.take()?.map(|it| it.len())),
    |rx| Ok(rx.take_timeout(SHORT)?.map(|it| it.len())),
    |rx| Ok(rx.try_take_batch(9)?.map(|it| it.len())),
    |rx| Ok(rx.take_batch(9)?.map(|it| it.len())),
    |rx| Ok(rx.take_batch_timeout(9, SHORT)?.map(|it| it.len())),
];

/// All ways to push.
const PUSHES: [Push; 8] = [
    |tx| tx.try_push(&[1; 5]),
    |tx| tx.push(&[1; 5]),
    |tx| tx.push_timeout(&[1; 5], SHORT),
    |tx| tx.try_push_batch(&[&[1; 5], &[2; 5]]).map(drop),
    |tx| tx.push_batch(&[&[1; 5]]),
    |tx| tx.push_batch_timeout(&[&[1; 5]], SHORT).map(drop),
    |tx| tx.reserve(5)?.commit(5),
    |tx| tx.batch().try_push(&[1; 5]),
];

#[track_caller]
fn is_damage(error: &Error) {
    let named = matches!(error, Error::Corrupted { .. }) && error.to_string().contains("ring");
    assert!(named, "{error}");
}

#[track_caller]
fn damaged_pop(result: Result<Option<usize>, PopError>) {
    match result {
        Err(PopError::Segment(error)) => is_damage(&error),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn damaged_push(result: Result<(), PushError>) {
    match result {
        Err(PushError::Segment(error)) => is_damage(&error),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_impossible_length_is_an_error_of_every_form_and_takes_nothing() {
    let ring = unnamed(96, 40);
    let raw = raw_of(&ring);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for round in 0..30 {
        let at = BYTES + raw.get(raw::HEAD) % 16 * 8;
        tx.push(&record(round, 12)).unwrap();
        // More than what was published; more than the longest; and what overflows in sums.
        for len in [
            17,
            40,
            41,
            96,
            1 << 31,
            1 << 32,
            1 << 63,
            u64::MAX - 8,
            u64::MAX - 7,
            u64::MAX,
        ] {
            raw.set(at, len);
            for pop in POPS {
                damaged_pop(pop(&mut rx));
            }
            assert_eq!(rx.used().unwrap(), 24);
        }
        // Not detectable, and harmless: another length that fits.
        raw.set(at, 16);
        assert_eq!(rx.take().unwrap().unwrap().len(), 16);
        assert!(rx.is_empty().unwrap());
    }
}

#[test]
fn the_records_before_a_damaged_one_are_taken() {
    let ring = unnamed(256, 40);
    let raw = raw_of(&ring);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.push_batch(&[&[1u8; 8]; 4]).unwrap();
    raw.set(BYTES + 32, u64::MAX);
    let batch = rx.take_batch(10).unwrap().unwrap();
    assert!(batch.iter().eq([[1; 8]; 2]));
    drop(batch);
    for pop in POPS {
        damaged_pop(pop(&mut rx));
    }
    raw.set(BYTES + 32, 8);
    assert!(rx.take_batch(10).unwrap().unwrap().iter().eq([[1; 8]; 2]));
}

#[test]
fn contradicting_cursors_are_an_error_of_every_form() {
    let ring = unnamed(24, 8);
    let raw = raw_of(&ring);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    for tail in [4, 1 << 40, u64::MAX, u64::MAX / 2] {
        raw.set(raw::TAIL, tail);
        for pop in POPS {
            damaged_pop(pop(&mut rx));
        }
        damaged_pop(rx.used().map(Some));
    }
    raw.set(raw::TAIL, 0);
    tx.push(&[1; 8]).unwrap();
    tx.push(&[]).unwrap();
    for head in [4, 1 << 40, u64::MAX, u64::MAX / 2] {
        raw.set(raw::HEAD, head);
        for push in PUSHES {
            damaged_push(push(&mut tx));
        }
        damaged_push(tx.used().map(drop));
    }
    drop((tx, rx));
    assert!(ring.producer().is_err() && ring.consumer().is_err());
    // Repaired, everything goes on.
    raw.set(raw::HEAD, 0);
    let mut rx = ring.consumer().unwrap();
    assert_eq!(*rx.take().unwrap().unwrap(), [1; 8]);
    assert_eq!(*rx.take().unwrap().unwrap(), []);
    ring.producer().unwrap().push(&[2; 8]).unwrap();
}

#[test]
fn a_cursor_that_goes_back_is_an_error() {
    let ring = unnamed(64, 8);
    let raw = raw_of(&ring);
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.push_batch(&[[1; 8]; 4]).unwrap();
    assert_eq!(rx.used().unwrap(), 64);
    raw.set(raw::TAIL, 4);
    damaged_pop(rx.used().map(Some));
    // What was known to be there is there, and no more.
    assert_eq!(rx.take_batch(9).unwrap().unwrap().len(), 4);
    for pop in POPS {
        damaged_pop(pop(&mut rx));
    }
    raw.set(raw::TAIL, 8);
    assert_eq!(tx.used().unwrap(), 0);
    raw.set(raw::HEAD, 4);
    damaged_push(tx.used().map(drop));
    // What was known to be free is free, and no more.
    assert_eq!(tx.try_push_batch(&[[1; 8]; 5]).unwrap(), 4);
    for push in PUSHES {
        damaged_push(push(&mut tx));
    }
}

#[test]
fn cursors_around_the_largest_number_work() {
    for before in 0..9 {
        let ring = unnamed(40, 32);
        let raw = raw_of(&ring);
        raw.set(raw::TAIL, 0u64.wrapping_sub(before));
        raw.set(raw::HEAD, 0u64.wrapping_sub(before));
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        for round in 0..10 {
            for len in [32, 20, 0, 8] {
                tx.try_push(&record(round, len)).unwrap();
                assert_eq!(*rx.try_take().unwrap().unwrap(), record(round, len));
            }
            tx.push_batch(&[[3u8; 8]; 2]).unwrap();
            assert_eq!(rx.take_batch(9).unwrap().unwrap().len(), 2);
            assert_eq!((tx.used().unwrap(), rx.used().unwrap()), (0, 0));
        }
    }
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
        0 => random.below(40),
        1 => 0u64.wrapping_sub(random.below(40)),
        2 => random.below(1 << 20) << 16 | 0xFFFF,
        3 => random.below(4) << 16 | random.below(8),
        4 => 1 << random.below(64),
        5 => u64::MAX,
        _ => random.below(1 << 48) << 16 ^ random.below(1 << 32),
    }
}

/// A word of the ring: of its cursors and roles, or of its bytes, wherever records may begin.
fn any_word(random: &mut Random, bytes: u64) -> u64 {
    match random.below(3) {
        0 => WORDS[random.below(WORDS.len() as u64) as usize],
        1 => [raw::TAIL, raw::HEAD][random.below(2) as usize],
        _ => BYTES + random.below(bytes / 8) * 8,
    }
}

/// Every call of the handles once.
fn exercise(ring: &ByteRing, tx: &mut Option<ByteProducer>, rx: &mut Option<ByteConsumer>) {
    let lens = [0, 3, ring.max_record() / 2, ring.max_record()];
    let moment = Duration::from_micros(50);
    if let Some(tx) = tx {
        for len in lens {
            let bytes = record(5, len);
            let _ = tx.try_push(&bytes);
            let _ = tx.push_timeout(&bytes, moment);
            let _ = tx.try_push_batch(&[&bytes, &bytes, &bytes]);
            if let Ok(mut guard) = tx.try_reserve(len) {
                guard.fill(9);
                let _ = guard.commit(len / 2);
            }
            let mut batch = tx.batch();
            let _ = batch.try_push(&bytes);
            if let Ok(guard) = batch.try_reserve(len) {
                let _ = guard.commit(len);
            }
            let _ = batch.commit();
        }
        let _ = (tx.used(), tx.is_empty());
    }
    if let Some(rx) = rx {
        let mut bytes = Vec::new();
        for len in lens {
            let _ = rx.try_pop_into(&mut bytes);
            let _ = rx.try_pop_into(&mut vec![0; len][..]);
            let _ = rx.pop_into_timeout(&mut bytes, moment);
            if let Ok(Some(guard)) = rx.try_take() {
                std::hint::black_box(guard.iter().fold(0, |sum, byte| sum ^ byte));
            }
            if let Ok(Some(batch)) = rx.try_take_batch(3) {
                for bytes in batch.iter() {
                    std::hint::black_box(bytes.iter().fold(0, |sum, byte| sum ^ byte));
                }
                batch.release_back();
            }
            drop(rx.try_take_batch(2));
        }
        let _ = (rx.used(), rx.is_empty());
    }
    let _ = ring.segment().recover();
    let _ = (ring.pushed(), ring.taken());
}

/// Overwrites words at random and uses the ring, with handles made before and after.
fn survives(capacity: usize, max_record: usize, rounds: u64, seed: u64) {
    let mut random = Random::new(seed);
    let ring = unnamed(capacity, max_record);
    let bytes = ring.segment().objects().unwrap()[0].len - BYTES;
    let raw = raw_of(&ring);
    for _ in 0..rounds {
        let mut tx = ring.producer().ok();
        let mut rx = ring.consumer().ok();
        exercise(&ring, &mut tx, &mut rx);
        for _ in 0..1 + random.below(4) {
            raw.set(any_word(&mut random, bytes), garbage(&mut random));
            if let Some(tx) = &mut tx {
                let _ = tx.try_push(&record(1, random.below(max_record as u64 + 1) as usize));
            }
            raw.set(any_word(&mut random, bytes), garbage(&mut random));
            exercise(&ring, &mut tx, &mut rx);
        }
        drop((tx, rx));
        exercise(&ring, &mut ring.producer().ok(), &mut ring.consumer().ok());
        for word in WORDS {
            raw.set(word, 0);
        }
    }
    // Wiped clean it is a ring again.
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.push(&record(1, max_record)).unwrap();
    assert_eq!(*rx.take().unwrap().unwrap(), record(1, max_record));
}

#[test]
fn garbage_in_every_word_does_no_harm() {
    let rounds = from_env("IPC_QUEUE_GARBAGE", 400);
    survives(8, 0, rounds, 1);
    survives(24, 16, rounds, 2);
    survives(128, 120, rounds, 3);
    survives(1000, 200, rounds, 4);
}

#[test]
fn garbage_written_while_both_sides_work_does_no_harm() {
    let ring = unnamed(200, 90);
    let bytes = ring.segment().objects().unwrap()[0].len - BYTES;
    let raw = raw_of(&ring);
    let stop = AtomicBool::new(false);
    let stopped = || stop.load(Ordering::Relaxed);
    let moment = Duration::from_micros(100);
    std::thread::scope(|scope| {
        // The copying forms, and the others without a look at the bytes: what these borrow is
        // somebody else's at the same time here.
        scope.spawn(|| {
            while !stopped() {
                let Ok(mut tx) = ring.producer() else {
                    continue;
                };
                for len in 0..90 {
                    let _ = tx.push_timeout(&record(1, len), moment);
                    let _ = tx.try_push_batch(&[record(2, len), record(3, 90 - len)]);
                    if let Ok(guard) = tx.try_reserve(len) {
                        let _ = guard.commit(len / 3);
                    }
                    let mut batch = tx.batch();
                    while batch.try_push(&record(4, len)).is_ok() {}
                    let _ = batch.commit();
                }
            }
        });
        scope.spawn(|| {
            while !stopped() {
                let Ok(mut rx) = ring.consumer() else {
                    continue;
                };
                let mut bytes = Vec::new();
                for _ in 0..90 {
                    let _ = rx.pop_into_timeout(&mut bytes, moment);
                    assert!(bytes.len() <= 90);
                    let _ = rx.try_pop_into(&mut [0; 40]);
                    drop(rx.try_take());
                    if let Ok(Some(batch)) = rx.try_take_batch(5) {
                        assert!(batch.iter().all(|bytes| bytes.len() <= 90));
                    }
                }
            }
        });
        let mut random = Random::new(6);
        for _ in 0..from_env("IPC_QUEUE_GARBAGE", 400) * 50 {
            raw.set(any_word(&mut random, bytes), garbage(&mut random));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_blocked_call_notices_damage() {
    for wait in [Wait::Busy, Wait::Adaptive, Wait::Park] {
        let ring = unnamed(16, 8);
        let raw = raw_of(&ring);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        tx.set_wait(wait);
        rx.set_wait(wait);
        std::thread::scope(|scope| {
            scope.spawn(|| damaged_pop(rx.pop_into_timeout(&mut [0; 8], common::PATIENCE)));
            if wait == Wait::Park {
                until("the consumer sleeps", || raw.consumer_sleeps());
            }
            raw.set(raw::TAIL, 99);
        });
        raw.set(raw::TAIL, 0);
        tx.push(&[1; 8]).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| damaged_push(tx.push_timeout(&[], common::PATIENCE)));
            if wait == Wait::Park {
                until("the producer sleeps", || raw.producer_sleeps());
            }
            raw.set(raw::HEAD, 99);
        });
    }
}
