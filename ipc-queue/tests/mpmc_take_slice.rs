//! Several messages under one guard: finished together, or given back together, also by death.

mod common;
mod mpmc_common;

use ipc_queue::mpmc::{PopError, PushError, Queue, ReadSliceGuard};
use mpmc_common::peer::{Peer, say_and_wait};
use mpmc_common::{PATIENCE, unnamed, until};
use std::time::Duration;

/// The messages, and how often each has come before.
fn contents(slice: &ReadSliceGuard<'_, u64>) -> Vec<(u64, u32)> {
    slice.iter().map(|it| (*it, it.redeliveries())).collect()
}

#[test]
fn as_many_as_there_are_up_to_the_limit_in_order() {
    for capacity in [1, 3, 8] {
        let queue = unnamed::<u64>(capacity);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        for _ in 0..5 {
            assert!(matches!(rx.try_take_slice(4), Err(PopError::Empty)));
            assert!(matches!(
                rx.take_slice_timeout(4, Duration::ZERO),
                Err(PopError::TimedOut)
            ));
            assert!(rx.try_take_slice(0).unwrap().unwrap().is_empty());
            for number in 0..capacity as u64 {
                tx.push(number).unwrap();
            }
            let mut next = 0;
            while next < capacity as u64 {
                let slice = rx.take_slice(2).unwrap().unwrap();
                let expected: Vec<_> = (next..capacity as u64).take(2).map(|it| (it, 0)).collect();
                assert_eq!(contents(&slice), expected);
                assert_eq!(slice.len(), expected.len());
                next += slice.len() as u64;
            }
        }
        let stats = queue.stats().unwrap();
        assert_eq!((stats.popped, stats.redelivered), (5 * capacity as u64, 0));
    }
}

#[test]
fn slots_are_held_until_it_is_dropped_and_free_after() {
    let queue = unnamed::<u64>(4);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    tx.push_slice(&[1, 2, 3, 4]).unwrap();
    let slice = rx.take_slice(3).unwrap().unwrap();
    assert_eq!(queue.len().unwrap(), 4);
    assert!(matches!(tx.try_push(5), Err(PushError::Full)));
    assert_eq!(contents(&slice), [(1, 0), (2, 0), (3, 0)]);
    drop(slice);
    assert_eq!(tx.try_push_slice(&[5, 6, 7, 8]).unwrap(), 3);
    let rest: Vec<_> = std::iter::from_fn(|| rx.try_pop().ok().flatten()).collect();
    assert_eq!(rest, [4, 5, 6, 7]);
}

#[test]
fn given_back_together_they_come_again_in_order_and_marked() {
    let queue = unnamed::<u64>(8);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let mut other = queue.receiver().unwrap();
    tx.push_slice(&[1, 2, 3, 4]).unwrap();
    rx.take_slice(3).unwrap().unwrap().release_back();
    assert_eq!(queue.stats().unwrap().redelivered, 3);
    for number in 1..=3 {
        let message = other.take().unwrap().unwrap();
        assert_eq!((*message, message.redeliveries()), (number, 1));
    }
    assert_eq!(other.try_pop().unwrap(), Some(4));
    // Its buffer is used again.
    tx.push_slice(&[5, 6]).unwrap();
    assert_eq!(
        contents(&rx.take_slice(9).unwrap().unwrap()),
        [(5, 0), (6, 0)]
    );
    assert!(queue.is_empty().unwrap());
}

#[test]
fn a_killed_holder_loses_none() {
    for (capacity, held) in [(1, 1), (3, 2), (8, 8)] {
        let queue = unnamed::<u64>(capacity);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        let numbers: Vec<u64> = (0..capacity as u64).collect();
        tx.push_slice(&numbers).unwrap();
        let peer = Peer::start(&queue, |queue, line| {
            let mut rx = queue.receiver().unwrap();
            let slice = rx.take_slice(held).unwrap().unwrap();
            say_and_wait(line, slice.len() as u64);
        });
        assert_eq!(peer.hear(), held as u64);
        peer.kill();
        queue.segment().recover().unwrap();
        let mut got = Vec::new();
        while got.len() < capacity {
            got.extend(contents(&rx.take_slice(3).unwrap().unwrap()));
        }
        got.sort_unstable();
        let marked = |it| (it, u32::from(it < held as u64));
        assert_eq!(got, numbers.into_iter().map(marked).collect::<Vec<_>>());
        assert_eq!(tx.try_push_slice(&[0; 9]).unwrap(), capacity);
    }
}

#[test]
fn a_forgotten_one_is_kept_until_the_receiver_goes() {
    let queue = unnamed::<u64>(4);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    tx.push_slice(&[1, 2, 3]).unwrap();
    let mut forgetful = queue.receiver().unwrap();
    std::mem::forget(forgetful.take_slice(2).unwrap());
    assert_eq!(
        contents(&forgetful.take_slice(2).unwrap().unwrap()),
        [(3, 0)]
    );
    assert!(matches!(rx.try_pop(), Err(PopError::Empty)));
    drop(forgetful);
    assert_eq!(contents(&rx.try_take_slice(1).unwrap().unwrap()), [(1, 1)]);
    assert_eq!(rx.try_pop().unwrap(), Some(2));
}

#[test]
fn it_waits_for_the_first_and_the_end_waits_for_what_is_held() {
    let queue: Queue<u64> = unnamed(4);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let mut other = queue.receiver().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let slice = rx.take_slice_timeout(4, PATIENCE).unwrap().unwrap();
            queue.close().unwrap();
            let short = other.pop_timeout(Duration::from_millis(20));
            assert!(matches!(short, Err(PopError::TimedOut)));
            contents(&slice)
        });
        until("it sleeps", || {
            mpmc_common::raw::Raw::of(&queue).receiver_sleeps()
        });
        tx.push(1).unwrap();
        assert_eq!(waiting.join().unwrap(), [(1, 0)]);
    });
    assert!(other.take_slice(4).unwrap().is_none());
}
