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
