//! Memory that a broken or hostile peer has written to: every call comes back, with an error or
//! wrong bytes, and touches nothing outside the queue.

mod common;
mod mpmc_common;

use ipc_core::{Error, Place};
use ipc_queue::mpmc::PopError;
use ipc_queue::mpmc::bytes::{INLINE, Queue};
use mpmc_common::peer::Peer;
use mpmc_common::raw::Raw;
use mpmc_common::{Random, from_env};
use std::time::{Duration, Instant};

const LONGEST: usize = 1000;
const BLOCKS: u64 = 4;
/// From the pool's beginning to the words of the blocks.
const BLOCK_WORDS: u64 = 1152;

fn unnamed(capacity: usize) -> Queue {
    Queue::options()
        .blocks(512, 2)
        .blocks(LONGEST, 2)
        .create(Place::memfd("test"), capacity, LONGEST)
        .unwrap()
}

fn header(raw: &Raw, slot: u64) -> u64 {
    raw.slot(slot) + 8
}

fn header_word(block: u64, len: u64) -> u64 {
    block << 40 | len
}

fn block_word(raw: &Raw, block: u64) -> u64 {
    raw.pool() + BLOCK_WORDS + block * 64
}

/// Whether a message with this header in its slot is refused by each way to get it, and is gone
/// then.
#[track_caller]
fn is_refused(word: u64, what: &str) {
    let mut got = b"as it was".to_vec();
    for form in 0..2 {
        let queue = unnamed(2);
        let raw = Raw::of_segment(queue.segment());
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        tx.push(&[1; LONGEST]).unwrap();
        tx.push(&[2; INLINE]).unwrap();
        raw.set(header(&raw, 0), word);
        let refused = match form {
            0 => rx.pop_into(&mut got).map(drop),
            _ => rx.take().map(drop),
        };
        let error = refused.unwrap_err();
        assert!(
            matches!(error, PopError::Segment(Error::Corrupted { .. })),
            "{error}"
        );
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(got, b"as it was");
        assert_eq!(*rx.take().unwrap().unwrap(), [2; INLINE]);
        assert!(queue.is_empty().unwrap());
    }
}

#[test]
fn headers_that_cannot_be() {
    let (longest, inline) = (LONGEST as u64, INLINE as u64);
    // The message is in the first of the large blocks: number 2, and 3 in its header.
    for len in [longest + 1, longest + 24, (1 << 40) - 1] {
        is_refused(header_word(3, len), "longer than any can be");
        is_refused(header_word(0, len), "longer than any can be");
    }
    is_refused(header_word(0, inline + 1), "longer than its slot");
    is_refused(header_word(0, longest), "longer than its slot");
    for block in [1, 2, 4, 5, 6, (1 << 24) - 1] {
        is_refused(header_word(block, 10), "not its own");
        is_refused(header_word(block, 0), "not its own");
    }
}

/// A block that was given to somebody else, or to nobody, is not read.
#[test]
fn a_block_of_another_message() {
    for word in [0, 1, 2, 1 << 20 | 2, 2 << 20 | 1, u64::MAX] {
        let queue = unnamed(2);
        let raw = Raw::of_segment(queue.segment());
        queue.sender().unwrap().push(&[1; LONGEST]).unwrap();
        let own = raw.get(block_word(&raw, 2));
        assert_eq!(own, 1 << 20 | 1, "lap 1 of slot 0");
        raw.set(block_word(&raw, 2), word);
        let mut rx = queue.receiver().unwrap();
        let error = rx.take().map(drop).unwrap_err();
        assert!(error.to_string().contains("not its own"), "{error}");
    }
}

/// A smaller block than the length says.
#[test]
fn a_message_longer_than_its_block() {
    let queue = unnamed(2);
    let raw = Raw::of_segment(queue.segment());
    queue.sender().unwrap().push(&[1; 512]).unwrap();
    raw.set(header(&raw, 0), header_word(1, 513));
    let error = queue.receiver().unwrap().take().map(drop).unwrap_err();
    assert!(error.to_string().contains("not its own"), "{error}");
}

#[test]
fn a_pool_that_does_not_fit() {
    let queue = unnamed(2);
    let raw = Raw::of_segment(queue.segment());
    let pool = raw.pool();
    // Longest, number of sizes; size and number of the first and the second.
    let words = [0, 8, 128, 136, 256, 264];
    for word in words {
        let kept = raw.get(pool + word);
        for value in [0, 1, kept + 1, kept + 128, kept * 2, 9, 1 << 40, u64::MAX] {
            let harmless = value == kept || word == 0 && value <= 1024;
            raw.set(pool + word, value);
            let opened = Queue::open(queue.segment().descriptor().unwrap());
            assert_eq!(opened.is_ok(), harmless, "{word}: {value}");
            if let Err(error) = opened {
                assert!(matches!(error, Error::Corrupted { .. }), "{error}");
            }
        }
        raw.set(pool + word, kept);
    }
    Queue::open(queue.segment().descriptor().unwrap()).unwrap();
}

/// Words as they might be, and as they might not.
fn some_word(random: &mut Random) -> u64 {
    let lap = match random.below(4) {
        0 => random.below(4),
        1 => (1 << 44) - random.below(4),
        2 => random.below(1 << 44),
        _ => 1,
    };
    match random.below(7) {
        0 => random.below(8),
        1 => random.below(u64::MAX),
        2 => 0,
        3 => header_word(random.below(BLOCKS + 3), random.below(LONGEST as u64 + 3)),
        4 => lap << 20 | random.below(7),
        _ => lap << 20 | random.below(3) << 6 | random.below(8),
    }
}

fn use_it(queue: &Queue) {
    let start = Instant::now();
    let (tx, rx) = (queue.sender(), queue.receiver());
    let moment = Duration::from_micros(50);
    if let Ok(mut tx) = tx {
        for len in [0, INLINE, INLINE + 1, 513, LONGEST] {
            let bytes = [7; LONGEST];
            let _ = tx.try_push(&bytes[..len]);
            let _ = tx.push_timeout(&bytes[..len], moment);
            if let Ok(mut grant) = tx.try_reserve(len) {
                grant.fill(9);
                let _ = grant.commit(len / 2);
            }
            drop(tx.try_reserve(len));
            if len == 513 {
                std::mem::forget(tx.try_reserve(len));
            }
        }
    }
    if let Ok(mut rx) = rx {
        let mut got = Vec::new();
        for number in 0..6 {
            let _ = rx.try_pop_into(&mut got);
            let _ = rx.pop_into_timeout(&mut got, moment);
            assert!(got.len() <= LONGEST);
            if let Ok(Some(message)) = rx.try_take() {
                assert!(message.len() <= LONGEST);
                std::hint::black_box(message.iter().map(|&it| u64::from(it)).sum::<u64>());
                if number == 3 {
                    message.release_back();
                } else if number == 4 {
                    std::mem::forget(message);
                }
            }
        }
    }
    let _ = queue.survey();
    let _ = queue.is_full();
    let _ = queue.segment().recover();
    assert!(start.elapsed() < Duration::from_secs(20));
}

fn some_place(raw: &Raw, slots: u64, random: &mut Random) -> u64 {
    match random.below(8) {
        0 => random.below(5) * 128,
        1 => 256 + random.below(8) * 8,
        2 => raw.claim(random.below(slots)),
        3 => raw.slot(random.below(slots)),
        4 => header(raw, random.below(slots)),
        5 => block_word(raw, random.below(BLOCKS)),
        6 => raw.pool() + random.below((BLOCK_WORDS + BLOCKS * 64) / 8) * 8,
        _ => random.below(raw.len / 8) * 8,
    }
}

#[test]
fn every_call_comes_back_from_damaged_words() {
    for seed in 0..from_env("MPMC_FUZZ", 40) {
        let mut random = Random::new(seed);
        let capacity = 1 + random.below(5);
        let queue = unnamed(capacity as usize);
        let raw = Raw::of_segment(queue.segment());
        use_it(&queue);
        for _ in 0..3 {
            for _ in 0..1 + random.below(6) {
                let place = some_place(&raw, capacity, &mut random);
                raw.set(place, some_word(&mut random));
            }
            use_it(&queue);
        }
    }
}

#[test]
fn every_call_comes_back_while_somebody_scribbles() {
    let queue = unnamed(3);
    let scribbler = Peer::attached(queue.segment(), |segment, line| {
        let queue = Queue::open(segment).unwrap();
        let raw = Raw::of_segment(queue.segment());
        let mut random = Random::new(7);
        line.say([0, 0]);
        loop {
            let place = some_place(&raw, 3, &mut random);
            raw.set(place, some_word(&mut random));
        }
    });
    scribbler.hear();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        use_it(&queue);
    }
    scribbler.kill();
}

/// What is outside the queue is untouched by its users, whatever its words say.
#[test]
fn a_neighbour_is_never_touched() {
    let segment = mpmc_common::segment(1 << 20);
    let queue = Queue::create_in(&segment, "queue", 2, LONGEST).unwrap();
    let end = {
        let objects = segment.objects().unwrap();
        let object = objects.iter().find(|it| it.name == "queue").unwrap();
        object.offset + object.len
    };
    let neighbour = Queue::create_in(&segment, "neighbour", 2, LONGEST).unwrap();
    neighbour.sender().unwrap().push(&[77; LONGEST]).unwrap();
    let objects = segment.objects().unwrap();
    assert!(objects[0].name == "queue" && objects[1].offset == end.next_multiple_of(128));
    let raw = Raw::of_segment(&segment);
    let mut random = Random::new(3);
    for _ in 0..100 {
        for _ in 0..50 {
            let place = some_place(&raw, 2, &mut random);
            raw.set(place, some_word(&mut random));
        }
        use_it(&queue);
    }
    let mut rx = neighbour.receiver().unwrap();
    assert_eq!(*rx.try_take().unwrap().unwrap(), [77; LONGEST]);
}
