//! Each form of pushing and popping, from one thread.

use ipc_core::Place;
use ipc_queue::mpmc::{PopError, PushError, Queue};
use std::time::Duration;

fn unnamed<T: ipc_core::Payload>(capacity: usize) -> Queue<T> {
    Queue::create(Place::memfd("test"), capacity).unwrap()
}

#[test]
fn full_and_empty_are_exact_for_any_capacity() {
    for capacity in [1, 2, 3, 7, 8, 100] {
        let queue = unnamed::<u64>(capacity);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        let mut next = 0;
        for round in 0..20 {
            assert!(matches!(rx.try_pop(), Err(PopError::Empty)));
            assert!(queue.is_empty().unwrap());
            for i in 0..capacity as u64 {
                assert_eq!(queue.len().unwrap() as u64, i);
                assert!(!queue.is_full().unwrap());
                tx.try_push(next + i).unwrap();
            }
            assert!(matches!(tx.try_push(0), Err(PushError::Full)), "{round}");
            assert!(queue.is_full().unwrap());
            // One more and one less, all the way round.
            for i in 0..round {
                assert_eq!(rx.try_pop().unwrap(), Some(next + i));
                tx.try_push(next + i + capacity as u64).unwrap();
                assert!(matches!(tx.try_push(0), Err(PushError::Full)));
            }
            for i in round..round + capacity as u64 {
                assert_eq!(rx.try_pop().unwrap(), Some(next + i));
            }
            next += round + capacity as u64;
        }
    }
}

#[test]
fn a_timeout_of_zero_and_of_a_while() {
    let queue = unnamed::<u64>(1);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    for timeout in [Duration::ZERO, Duration::from_millis(20)] {
        assert!(matches!(rx.pop_timeout(timeout), Err(PopError::TimedOut)));
        tx.push(1).unwrap();
        assert!(matches!(
            tx.push_timeout(2, timeout),
            Err(PushError::TimedOut)
        ));
        assert_eq!(rx.pop().unwrap(), Some(1));
    }
}

#[test]
fn slices_take_what_there_is() {
    let queue = unnamed::<u64>(5);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let mut into = [0; 4];
    for _ in 0..7 {
        assert_eq!(tx.try_push_slice(&[]).unwrap(), 0);
        assert_eq!(rx.try_pop_slice(&mut []).unwrap(), Some(0));
        assert!(matches!(rx.try_pop_slice(&mut into), Err(PopError::Empty)));
        assert_eq!(tx.try_push_slice(&[1, 2, 3, 4, 5, 6, 7]).unwrap(), 5);
        assert!(matches!(tx.try_push_slice(&[6]), Err(PushError::Full)));
        assert_eq!(rx.try_pop_slice(&mut into).unwrap(), Some(4));
        assert_eq!(into, [1, 2, 3, 4]);
        assert_eq!(rx.pop_slice(&mut into).unwrap(), Some(1));
        assert_eq!(into[0], 5);
        let zero = rx.pop_slice_timeout(&mut into, Duration::ZERO);
        assert!(matches!(zero, Err(PopError::TimedOut)));
    }
}

#[test]
fn the_counters_count() {
    let queue = unnamed::<u64>(2);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let mut second = tx.try_clone().unwrap();
    tx.push(1).unwrap();
    second.push(2).unwrap();
    assert_eq!(rx.pop().unwrap(), Some(1));
    rx.take().unwrap().unwrap().release_back();
    assert!(rx.take().unwrap().unwrap().is_redelivered());
    let stats = queue.stats().unwrap();
    assert_eq!((stats.pushed, stats.popped, stats.redelivered), (2, 2, 1));
    assert_eq!((stats.senders, stats.receivers), (2, 1));
    drop(second);
    drop(queue.sender().unwrap());
    let stats = queue.stats().unwrap();
    assert_eq!((stats.pushed, stats.senders), (2, 1), "the gone count too");
}

#[test]
fn handles_move_to_other_threads() {
    let queue = unnamed::<u64>(4);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(move || (0..1000).for_each(|it| tx.push(it).unwrap()));
        scope.spawn(move || (0..1000).for_each(|it| assert_eq!(rx.pop().unwrap(), Some(it))));
    });
}
