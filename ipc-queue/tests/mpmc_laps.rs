//! Everything works across the edges at which laps, positions and their hints go round.

mod common;
mod mpmc_common;

use ipc_core::Place;
use ipc_queue::mpmc::{PopError, PushError, Queue, Receiver, Sender};
use mpmc_common::peer::{Peer, say_and_wait};
use mpmc_common::raw::{LATE, Raw};

const CAPACITIES: [usize; 4] = [1, 3, 4, 1024];
/// Laps to walk: from two before an edge to some after it.
const LAPS: u64 = 6;
/// A receiver remembers so many bits of `late`.
const LATE_EDGE: u64 = 1 << 24;

/// A queue of each capacity, two laps before each edge. `late` is as near to its own.
fn at_each_edge(mut test: impl FnMut(&Queue<u64>)) {
    for capacity in CAPACITIES {
        let index_bits = capacity.next_power_of_two().trailing_zeros();
        // Of the head's hint, of the laps in words, and of positions themselves.
        for edge in [40 - index_bits, 44, 64 - index_bits] {
            let first_lap = ((1u128 << edge) - 2) as u64;
            let queue = Queue::options()
                .first_lap(first_lap)
                .create(Place::memfd("test"), capacity)
                .unwrap();
            Raw::of(&queue).set(LATE, LATE_EDGE - 2);
            println!("capacity {capacity}, edge 2^{edge}");
            test(&queue);
        }
    }
}

fn ends(queue: &Queue<u64>) -> (Sender<u64>, Receiver<u64>) {
    (queue.sender().unwrap(), queue.receiver().unwrap())
}

/// Fills and empties the queue once, and returns how many messages it took.
fn lap(tx: &mut Sender<u64>, rx: &mut Receiver<u64>) -> usize {
    let mut pushed = 0;
    while pushed < 2 * tx.capacity() as u64 {
        match tx.try_push(pushed) {
            Ok(()) => pushed += 1,
            Err(PushError::Full) => break,
            Err(error) => panic!("{error}"),
        }
    }
    for number in 0..pushed {
        assert_eq!(rx.try_pop().unwrap(), Some(number));
    }
    assert!(matches!(rx.try_pop(), Err(PopError::Empty)));
    pushed as usize
}

#[test]
fn single_messages_and_exact_full_and_empty() {
    at_each_edge(|queue| {
        let (mut tx, mut rx) = ends(queue);
        for _ in 0..LAPS {
            assert!(queue.is_empty().unwrap());
            assert_eq!(lap(&mut tx, &mut rx), queue.capacity());
        }
        // One more and one less, so that the edge is crossed with a full queue too.
        let mut next = 0;
        while tx.try_push(next).is_ok() {
            next += 1;
        }
        assert!(queue.is_full().unwrap());
        assert_eq!(queue.len().unwrap(), queue.capacity());
    });
}

#[test]
fn a_full_queue_and_a_single_message_across_the_edge() {
    at_each_edge(|queue| {
        let (mut tx, mut rx) = ends(queue);
        let capacity = queue.capacity() as u64;
        for kept in [0, capacity - 1] {
            (0..kept).for_each(|it| tx.try_push(it).unwrap());
            for number in kept..LAPS * capacity {
                tx.try_push(number).unwrap();
                if kept > 0 {
                    assert!(matches!(tx.try_push(0), Err(PushError::Full)));
                }
                assert_eq!(rx.try_pop().unwrap(), Some(number - kept));
            }
            while rx.try_pop().is_ok() {}
        }
    });
}

#[test]
fn slices() {
    at_each_edge(|queue| {
        let (mut tx, mut rx) = ends(queue);
        let numbers: Vec<u64> = (0..LAPS * queue.capacity() as u64).collect();
        let (mut pushed, mut popped) = (0, 0);
        let mut into = vec![0; queue.capacity() / 2 + 3];
        while popped < numbers.len() {
            if pushed < numbers.len() {
                let most = numbers.len().min(pushed + queue.capacity() + 1);
                pushed += tx.try_push_slice(&numbers[pushed..most]).unwrap();
            }
            let count = rx.try_pop_slice(&mut into).unwrap().unwrap();
            assert_eq!(into[..count], numbers[popped..popped + count]);
            popped += count;
        }
    });
}

#[test]
fn guards_given_up_and_given_back() {
    at_each_edge(|queue| {
        let (mut tx, mut rx) = ends(queue);
        for number in 0..LAPS * queue.capacity() as u64 {
            if number % 3 == 0 {
                drop(tx.try_reserve().unwrap());
            }
            let mut slot = tx.reserve().unwrap();
            *slot = number;
            slot.commit().unwrap();
            if number % 4 == 0 {
                rx.try_take().unwrap().unwrap().release_back();
            }
            let message = rx.take().unwrap().unwrap();
            assert_eq!(*message, number);
            assert_eq!(message.redeliveries(), u32::from(number % 4 == 0));
        }
        assert_eq!(lap(&mut tx, &mut rx), queue.capacity());
    });
}

#[test]
fn newcomers() {
    at_each_edge(|queue| {
        for number in 0..LAPS * (queue.capacity() as u64).min(8) {
            let (mut tx, mut rx) = ends(queue);
            tx.push(number).unwrap();
            assert_eq!(rx.pop().unwrap(), Some(number));
            // On the way to the edge, also for large queues.
            let steps = queue.capacity() as u64 / 8;
            for number in 0..steps {
                tx.push(number).unwrap();
                assert_eq!(queue.receiver().unwrap().pop().unwrap(), Some(number));
            }
        }
    });
}

#[test]
fn a_slow_sender_on_the_other_side() {
    at_each_edge(|queue| {
        let (mut tx, mut rx) = ends(queue);
        let mut slow = queue.sender().unwrap();
        let mut slot = slow.reserve().unwrap();
        *slot = 1000;
        if queue.capacity() > 1 {
            (0..LAPS).for_each(|_| assert_eq!(lap(&mut tx, &mut rx), queue.capacity() - 1));
        }
        slot.commit().unwrap();
        assert_eq!(rx.try_pop().unwrap(), Some(1000));
        assert_eq!(lap(&mut tx, &mut rx), queue.capacity());
    });
}

#[test]
fn a_slow_reader_on_the_other_side() {
    at_each_edge(|queue| {
        let (mut tx, mut rx) = ends(queue);
        tx.push(7).unwrap();
        let mut slow = queue.receiver().unwrap();
        let message = slow.take().unwrap().unwrap();
        if queue.capacity() > 1 {
            (0..LAPS).for_each(|_| assert_eq!(lap(&mut tx, &mut rx), queue.capacity() - 1));
        }
        message.release_back();
        let message = rx.try_take().unwrap().unwrap();
        assert_eq!((*message, message.redeliveries()), (7, 1));
        drop(message);
        assert_eq!(lap(&mut tx, &mut rx), queue.capacity());
    });
}

/// A reader's message comes back, a sender's slot too.
#[test]
fn dead_ones_on_the_other_side() {
    at_each_edge(|queue| {
        let (mut tx, mut rx) = ends(queue);
        tx.push(7).unwrap();
        let reader = Peer::start(queue, |queue, line| {
            let mut rx = queue.receiver().unwrap();
            let message = rx.take().unwrap().unwrap();
            say_and_wait(line, *message);
        });
        assert_eq!(reader.hear(), 7);
        let mut held = 1;
        let mut dead = vec![reader];
        if queue.capacity() > 1 {
            let writer = Peer::start(queue, |queue, line| {
                let mut tx = queue.sender().unwrap();
                let mut slot = tx.reserve().unwrap();
                *slot = 9;
                say_and_wait(line, 9);
            });
            assert_eq!(writer.hear(), 9);
            held = 2;
            dead.push(writer);
        }
        if queue.capacity() > held {
            let room = queue.capacity() - held;
            (0..LAPS).for_each(|_| assert_eq!(lap(&mut tx, &mut rx), room));
        }
        dead.into_iter().for_each(Peer::kill);
        queue.segment().recover().unwrap();
        let message = rx.try_take().unwrap().unwrap();
        assert_eq!((*message, message.is_redelivered()), (7, true));
        drop(message);
        assert_eq!(lap(&mut tx, &mut rx), queue.capacity());
    });
}

#[test]
fn the_end() {
    for laps in 0..4 {
        at_each_edge(|queue| {
            let (mut tx, mut rx) = ends(queue);
            (0..laps).for_each(|_| assert_eq!(lap(&mut tx, &mut rx), queue.capacity()));
            let mut slow = queue.sender().unwrap();
            let slot = slow.reserve().unwrap();
            let left = queue.capacity() as u64 - 1;
            (0..left).for_each(|it| tx.push(it).unwrap());
            tx.close().unwrap();
            (0..left).for_each(|it| assert_eq!(rx.pop().unwrap(), Some(it)));
            assert_eq!(rx.pop().unwrap(), None);
            assert!(matches!(slot.commit(), Err(PushError::Closed)));
            assert_eq!(queue.receiver().unwrap().pop().unwrap(), None);
        });
    }
}
