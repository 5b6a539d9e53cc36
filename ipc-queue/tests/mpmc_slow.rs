//! Whoever is slow, stopped or killed in the middle of an operation delays nobody, and costs one
//! slot at most.

mod common;
mod mpmc_common;

use ipc_queue::mpmc::{PopError, PushError, Queue, Receiver, Sender};
use mpmc_common::peer::{Peer, say_and_wait};
use mpmc_common::{unnamed, until};

const CAPACITIES: [usize; 4] = [2, 3, 8, 33];

/// How many messages the queue takes now; it is empty before and after.
fn room(tx: &mut Sender<u64>, rx: &mut Receiver<u64>) -> usize {
    let mut pushed = 0;
    loop {
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

fn ends(queue: &Queue<u64>) -> (Sender<u64>, Receiver<u64>) {
    (queue.sender().unwrap(), queue.receiver().unwrap())
}

/// Claims a slot, and commits the message 1000 when told to go on.
fn granted(queue: &Queue<u64>) -> Peer {
    let peer = Peer::start(queue, |queue, line| {
        let mut tx = queue.sender().unwrap();
        let mut slot = tx.reserve().unwrap();
        *slot = 1000;
        say_and_wait(line, 1);
        slot.commit().unwrap();
        tx.push(1001).unwrap();
    });
    peer.hear();
    peer
}

/// Takes a message, and finishes it when told to go on.
fn reading(queue: &Queue<u64>) -> Peer {
    let peer = Peer::start(queue, |queue, line| {
        let mut rx = queue.receiver().unwrap();
        let message = rx.take().unwrap().unwrap();
        say_and_wait(line, *message);
        assert!(!message.is_redelivered());
        drop(message);
        // Until the books are looked at.
        say_and_wait(line, 0);
    });
    assert_eq!(peer.hear(), 7);
    peer
}

#[test]
fn a_stopped_sender_costs_one_slot_and_its_message_comes_later() {
    for capacity in CAPACITIES {
        let queue = unnamed::<u64>(capacity);
        let (mut tx, mut rx) = ends(&queue);
        let peer = granted(&queue);
        peer.stop();
        // Many laps, so that its claim is passed and its slot made void again and again.
        for _ in 0..20 {
            assert_eq!(room(&mut tx, &mut rx), capacity - 1);
        }
        let mut fresh = queue.receiver().unwrap();
        assert!(matches!(fresh.try_pop(), Err(PopError::Empty)));
        peer.resume();
        peer.go_on();
        peer.join();
        // Late, and in the sender's order; also for who was never told of it.
        assert_eq!(fresh.try_pop().unwrap(), Some(1000));
        assert_eq!(rx.try_pop().unwrap(), Some(1001));
        assert_eq!(room(&mut tx, &mut rx), capacity);
    }
}

#[test]
fn a_killed_sender_costs_nothing() {
    for capacity in [1, 2, 8] {
        let queue = unnamed::<u64>(capacity);
        let (mut tx, mut rx) = ends(&queue);
        let peer = granted(&queue);
        if capacity > 1 {
            assert_eq!(room(&mut tx, &mut rx), capacity - 1);
        }
        peer.kill();
        queue.segment().recover().unwrap();
        assert_eq!(room(&mut tx, &mut rx), capacity);
        assert_eq!(queue.stats().unwrap().senders, 1);
    }
}

#[test]
fn a_pusher_that_waits_gets_the_slot_of_the_dead() {
    let queue = unnamed::<u64>(1);
    let peer = granted(&queue);
    let mut tx = queue.sender().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| tx.push_timeout(5, mpmc_common::PATIENCE));
        until("it sleeps", || {
            mpmc_common::raw::Raw::of(&queue).sender_sleeps()
        });
        peer.kill();
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(queue.receiver().unwrap().pop().unwrap(), Some(5));
}

#[test]
fn a_stopped_reader_costs_one_slot() {
    for capacity in CAPACITIES {
        let queue = unnamed::<u64>(capacity);
        let (mut tx, mut rx) = ends(&queue);
        tx.push(7).unwrap();
        let peer = reading(&queue);
        peer.stop();
        for _ in 0..20 {
            assert_eq!(room(&mut tx, &mut rx), capacity - 1);
        }
        peer.resume();
        peer.go_on();
        peer.hear();
        assert_eq!(room(&mut tx, &mut rx), capacity);
        peer.go_on();
        peer.join();
    }
}

#[test]
fn what_a_killed_reader_held_comes_back_marked() {
    for capacity in [1, 2, 8] {
        let queue = unnamed::<u64>(capacity);
        let (mut tx, mut rx) = ends(&queue);
        tx.push(7).unwrap();
        for deaths in 1..=20 {
            let peer = Peer::start(&queue, |queue, line| {
                let mut rx = queue.receiver().unwrap();
                let message = rx.take().unwrap().unwrap();
                say_and_wait(line, *message);
            });
            assert_eq!(peer.hear(), 7);
            peer.kill();
            queue.segment().recover().unwrap();
            let message = rx.take().unwrap().unwrap();
            assert_eq!(*message, 7);
            // Our own giving back counts as well.
            let times = 2 * deaths - 1;
            assert!(message.is_redelivered());
            assert!(message.redeliveries() >= times.min(8));
            assert!(times >= 8 || message.redeliveries() == times);
            message.release_back();
        }
        assert_eq!(rx.pop().unwrap(), Some(7));
        assert_eq!(room(&mut tx, &mut rx), capacity);
        assert_eq!(queue.stats().unwrap().redelivered, 40);
    }
}

#[test]
fn a_receiver_that_waits_gets_what_the_dead_held() {
    let queue = unnamed::<u64>(4);
    let (mut tx, mut rx) = ends(&queue);
    tx.push(7).unwrap();
    let peer = reading(&queue);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| rx.pop_timeout(mpmc_common::PATIENCE));
        until("it sleeps", || {
            mpmc_common::raw::Raw::of(&queue).receiver_sleeps()
        });
        peer.kill();
        assert_eq!(waiting.join().unwrap().unwrap(), Some(7));
    });
}

#[test]
fn a_grant_that_is_given_up_leaves_no_trace() {
    for capacity in [1, 2, 8] {
        let queue = unnamed::<u64>(capacity);
        let (mut tx, mut rx) = ends(&queue);
        for round in 0..3 * capacity {
            drop(tx.try_reserve().unwrap());
            if round % 2 == 0 {
                assert!(matches!(rx.try_pop(), Err(PopError::Empty)));
            }
        }
        assert_eq!(room(&mut tx, &mut rx), capacity);
    }
}

#[test]
fn a_forgotten_guard_holds_its_slot_until_the_handle_goes() {
    let queue = unnamed::<u64>(4);
    let (mut tx, mut rx) = ends(&queue);
    let mut forgetful = queue.sender().unwrap();
    std::mem::forget(forgetful.reserve().unwrap());
    for _ in 0..10 {
        assert_eq!(room(&mut tx, &mut rx), 3);
    }
    drop(forgetful);
    assert_eq!(room(&mut tx, &mut rx), 4);

    tx.push(9).unwrap();
    let mut forgetful = queue.receiver().unwrap();
    std::mem::forget(forgetful.take().unwrap());
    for _ in 0..10 {
        assert_eq!(room(&mut tx, &mut rx), 3);
    }
    drop(forgetful);
    let message = rx.try_take().unwrap().unwrap();
    assert_eq!((*message, message.is_redelivered()), (9, true));
    drop(message);
    assert_eq!(room(&mut tx, &mut rx), 4);
}

/// A pusher does not wait for the stopped, nor does a popper; and the message that somebody holds
/// is not lost when the tail goes round over its slot.
#[test]
fn several_stopped_ones_cost_a_slot_each() {
    let queue = unnamed::<u64>(8);
    let (mut tx, mut rx) = ends(&queue);
    tx.push(7).unwrap();
    let reader = reading(&queue);
    reader.stop();
    let writers = [granted(&queue), granted(&queue)];
    writers.iter().for_each(Peer::stop);
    for _ in 0..20 {
        assert_eq!(room(&mut tx, &mut rx), 5);
    }
    let [first, second] = writers;
    first.kill();
    reader.kill();
    queue.segment().recover().unwrap();
    assert_eq!(rx.pop().unwrap(), Some(7));
    assert_eq!(room(&mut tx, &mut rx), 7);
    second.resume();
    second.go_on();
    second.join();
    assert_eq!(rx.pop().unwrap(), Some(1000));
    assert_eq!(rx.pop().unwrap(), Some(1001));
    assert_eq!(room(&mut tx, &mut rx), 8);
}
