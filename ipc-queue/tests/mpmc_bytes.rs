//! Byte messages: every length, every form, from one process.

mod common;
mod mpmc_common;

use common::ShmName;
use ipc_core::{Error, Place, Segment};
use ipc_queue::mpmc::bytes::{INLINE, Queue};
use ipc_queue::mpmc::{PopError, PushError};
use mpmc_common::Random;
use std::time::Duration;
use test_kit::forked::Forked;

fn unnamed(capacity: usize, longest: usize) -> Queue {
    Queue::create(Place::memfd("test"), capacity, longest).unwrap()
}

fn some_bytes(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| random.below(256) as u8).collect()
}

/// All blocks are free.
#[track_caller]
fn nothing_is_kept(queue: &Queue) {
    for class in queue.survey().unwrap().classes {
        assert_eq!(class.free, class.blocks, "{class:?}");
    }
}

#[test]
fn every_length_around_each_edge() {
    let longest = 3000;
    let queue = unnamed(3, longest);
    let same = Queue::open(queue.segment().descriptor().unwrap()).unwrap();
    assert_eq!((same.capacity(), same.longest()), (3, longest));
    let (mut tx, mut rx) = (queue.sender().unwrap(), same.receiver().unwrap());
    let mut random = Random::new(1);
    let mut got = b"something else".to_vec();
    let edges = [0, 1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129];
    let blocks = [511, 512, 513, 2047, 2048, 2049, longest - 1, longest];
    let inline = [INLINE - 1, INLINE, INLINE + 1];
    for _ in 0..5 {
        for len in edges.into_iter().chain(inline).chain(blocks) {
            let bytes = some_bytes(&mut random, len);
            tx.push(&bytes).unwrap();
            assert_eq!(rx.pop_into(&mut got).unwrap(), Some(len));
            assert_eq!(got, bytes);

            let mut grant = tx.reserve(len).unwrap();
            assert_eq!(grant.len(), len);
            grant.copy_from_slice(&bytes);
            grant.commit(len).unwrap();
            assert_eq!(*rx.take().unwrap().unwrap(), *bytes);

            // Less than was reserved.
            let mut grant = tx.reserve(longest).unwrap();
            grant[..len].copy_from_slice(&bytes);
            grant.commit(len).unwrap();
            assert_eq!(*rx.take().unwrap().unwrap(), *bytes);
        }
    }
    nothing_is_kept(&queue);
}

#[test]
fn one_byte_too_long_is_refused_by_name() {
    let queue = unnamed(2, 1000);
    let mut tx = queue.sender().unwrap();
    let bytes = [1; 1001];
    for refused in [
        tx.try_push(&bytes),
        tx.push(&bytes),
        tx.push_timeout(&bytes, Duration::ZERO),
        tx.try_reserve(1001).map(drop),
        tx.reserve(usize::MAX).map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, PushError::TooLong { longest: 1000, .. }));
        assert!(error.to_string().contains("1000 bytes"), "{error}");
    }
    let grant = tx.reserve(10).unwrap();
    let error = grant.commit(11).unwrap_err();
    let (asked, longest) = (11, 10);
    assert!(
        matches!(error, PushError::TooLong { asked: a, longest: l } if (a, l) == (asked, longest))
    );
    assert!(queue.is_empty().unwrap());
    nothing_is_kept(&queue);
}

#[test]
fn a_queue_of_short_messages_has_no_blocks() {
    for longest in [0, 1, INLINE] {
        let queue = unnamed(2, longest);
        assert!(queue.survey().unwrap().classes.is_empty());
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        let bytes = vec![7; longest];
        tx.push(&bytes).unwrap();
        tx.push(b"").unwrap();
        assert!(matches!(tx.try_push(b""), Err(PushError::Full)));
        assert_eq!(*rx.take().unwrap().unwrap(), *bytes);
        assert_eq!(*rx.take().unwrap().unwrap(), []);
    }
}

/// No slot is lost by asking for blocks that are not there.
#[test]
fn without_a_block_it_is_full_for_long_messages_and_no_others() {
    let queue = Queue::options()
        .blocks(1000, 2)
        .blocks(5000, 1)
        .create(Place::memfd("test"), 8, 5000)
        .unwrap();
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    for round in 0..50 {
        tx.push(&[1; 600]).unwrap();
        tx.push(&[2; 600]).unwrap();
        // The smaller ones are taken.
        tx.push(&[3; 600]).unwrap();
        for _ in 0..20 {
            assert!(matches!(tx.try_push(&[9; 600]), Err(PushError::Full)));
            let timed_out = tx.push_timeout(&[9; 5000], Duration::from_micros(10));
            assert!(matches!(timed_out, Err(PushError::TimedOut)));
            assert!(matches!(tx.try_reserve(5000), Err(PushError::Full)));
        }
        for byte in 4..9 {
            tx.push(&[byte; INLINE]).unwrap();
        }
        assert!(matches!(tx.try_push(&[]), Err(PushError::Full)), "{round}");
        let classes = queue.survey().unwrap().classes;
        assert_eq!(classes[0].size, 1024);
        assert_eq!((classes[0].messages, classes[1].messages), (2, 1));
        for byte in 1..9 {
            assert_eq!(rx.take().unwrap().unwrap()[0], byte);
        }
        nothing_is_kept(&queue);
    }
}

#[test]
fn what_is_dropped_forgotten_or_given_back() {
    let queue = Queue::options()
        .blocks(2000, 2)
        .create(Place::memfd("test"), 4, 2000)
        .unwrap();
    let mut rx = queue.receiver().unwrap();
    for _ in 0..10 {
        let mut tx = queue.sender().unwrap();
        drop(tx.reserve(2000).unwrap());
        nothing_is_kept(&queue);
        std::mem::forget(tx.reserve(2000).unwrap());
        let mut other = queue.sender().unwrap();
        std::mem::forget(other.reserve(2000).unwrap());
        assert_eq!(queue.survey().unwrap().classes[0].writing, 2);
        assert!(matches!(other.try_reserve(2000), Err(PushError::Full)));
        drop((tx, other));
        nothing_is_kept(&queue);

        let mut tx = queue.sender().unwrap();
        tx.push(&[5; 2000]).unwrap();
        rx.take().unwrap().unwrap().release_back();
        let message = rx.take().unwrap().unwrap();
        assert!(message.is_redelivered());
        assert_eq!(*message, [5; 2000]);
        std::mem::forget(message);
        drop(rx);
        rx = queue.receiver().unwrap();
        let message = rx.take().unwrap().unwrap();
        assert_eq!((message.redeliveries(), &*message), (2, &[5; 2000][..]));
        drop(message);
        nothing_is_kept(&queue);
    }
}

#[test]
fn the_end_and_too_late() {
    let queue = unnamed(4, 1000);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let mut late = queue.sender().unwrap();
    tx.push(&[1; 1000]).unwrap();
    let grant = late.reserve(1000).unwrap();
    tx.close().unwrap();
    assert!(queue.sender().is_err());
    assert_eq!(rx.take().unwrap().unwrap().len(), 1000);
    assert!(rx.take().unwrap().is_none());
    assert!(matches!(grant.commit(1000), Err(PushError::Closed)));
    assert!(matches!(late.push(&[1; 1000]), Err(PushError::Closed)));
    assert!(rx.pop_into(&mut Vec::new()).unwrap().is_none());
    nothing_is_kept(&queue);
}

/// What cannot be asked for.
#[test]
fn impossible_numbers() {
    let made = |capacity, longest, blocks: &[(usize, usize)]| {
        let mut options = Queue::options();
        for &(size, number) in blocks {
            options = options.blocks(size, number);
        }
        options.create(Place::memfd("test"), capacity, longest)
    };
    for refused in [
        made(0, 10, &[]),
        made(1 << 20, 10, &[]),
        made(4, 1 << 40, &[]),
        made(4, usize::MAX, &[]),
        made(4, 1000, &[(999 - 128, 4)]),
        made(4, 1000, &[(1000, 0)]),
        made(4, 1000, &[(1000, 1 << 24)]),
        made(4, 1000, &[(1 << 50, 1 << 20)]),
        made(4, 1000, &[(usize::MAX, 1)]),
        made(4, 1000, &[(1000, usize::MAX), (1000, 1)]),
        made(
            4,
            1000,
            &std::array::from_fn::<_, 9, _>(|it| (1000 * (it + 1), 1)),
        ),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::OutOfRange { .. }), "{error}");
    }
    // The same size twice is one; without messages that need them, blocks are no mistake.
    let queue = made(4, 10, &[(1000, 1), (1024, 2)]).unwrap();
    let classes = queue.survey().unwrap().classes;
    assert_eq!((classes.len(), classes[0].blocks), (1, 3));
}

#[test]
fn by_name_and_among_other_objects() {
    let name = ShmName::new();
    let made = Queue::create(name.0.as_str(), 5, 500).unwrap();
    let again = Queue::open_or_create(name.0.as_str(), 99, 99).unwrap();
    assert_eq!((again.capacity(), again.longest()), (5, 500));
    let mut tx = made.sender().unwrap();
    tx.push(&[1; 500]).unwrap();
    assert_eq!(
        again.receiver().unwrap().take().unwrap().unwrap().len(),
        500
    );
    let error = ipc_queue::mpmc::Queue::<[u64; 15]>::open(name.0.as_str()).unwrap_err();
    assert!(matches!(error, Error::WrongKind { .. }), "{error}");

    let size = Queue::options().size_for(7, 5000, 64).unwrap();
    let segment = Segment::builder(Place::memfd("several"))
        .handles(64)
        .size(2 * size)
        .create()
        .unwrap();
    for name in ["a", "b"] {
        Queue::create_in(&segment, name, 7, 5000).unwrap();
    }
    let queue = Queue::open_in(&segment, "b").unwrap();
    queue.sender().unwrap().push(&[3; 5000]).unwrap();
    assert_eq!(
        queue.receiver().unwrap().take().unwrap().unwrap().len(),
        5000
    );
}

#[test]
fn in_place_access_needs_a_private_segment() {
    let name = ShmName::new();
    let segment = Segment::builder(name.0.as_str())
        .mode(0o666)
        .create()
        .unwrap();
    let queue = Queue::create_in(&segment, "queue", 4, 1000).unwrap();
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    assert!(matches!(tx.try_reserve(1), Err(PushError::NotPrivate)));
    assert!(matches!(rx.try_take(), Err(PopError::NotPrivate)));
    tx.push(&[1; 1000]).unwrap();
    let mut got = Vec::new();
    assert_eq!(rx.pop_into(&mut got).unwrap(), Some(1000));
    assert_eq!(got, [1; 1000]);
}

#[test]
fn a_forked_child_has_no_handles() {
    let queue = unnamed(4, 1000);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    tx.push(&[1; 1000]).unwrap();
    let (mut writer, mut reader) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let grant = writer.reserve(1000).unwrap();
    let message = reader.take().unwrap().unwrap();
    let child = Forked::run(move || {
        let forked_push = |it| matches!(it, Err(PushError::Segment(Error::Forked { .. })));
        let forked_pop = |it| matches!(it, Err(PopError::Segment(Error::Forked { .. })));
        let refused = [
            forked_push(tx.try_push(&[9; 1000])),
            forked_push(tx.push(&[9; 1000])),
            forked_push(tx.push(&[9; 3])),
            forked_push(tx.try_reserve(1000).map(drop)),
            forked_push(tx.reserve(3).map(drop)),
            forked_pop(rx.try_take().map(drop)),
            forked_pop(rx.pop_into(&mut Vec::new()).map(drop)),
            forked_push(grant.commit(1000)),
            matches!(queue.survey(), Err(Error::Forked { .. })),
            matches!(queue.close(), Err(Error::Forked { .. })),
            queue.sender().is_err(),
        ];
        // Dropped here, all of them do nothing.
        drop(message);
        drop((tx, rx, queue));
        i32::from(refused.contains(&false))
    });
    assert_eq!(child.join(), Ok(0));
}
