//! What receivers learn when senders die.

mod common;
mod mpmc_common;

use ipc_core::Wait;
use ipc_queue::mpmc::{PopError, Queue};
use mpmc_common::peer::{Peer, say_and_wait};
use mpmc_common::raw::Raw;
use mpmc_common::{PATIENCE, unnamed, until};
use std::time::Duration;

const POLICIES: [Wait; 3] = [Wait::Busy, Wait::Adaptive, Wait::Park];
const A_WHILE: Duration = Duration::from_millis(30);

fn sender_of(queue: &Queue<u64>, messages: &[u64]) -> Peer {
    let peer = Peer::start(queue, |queue, line| {
        let mut tx = queue.sender().unwrap();
        tx.push_slice(messages).unwrap();
        say_and_wait(line, 0);
    });
    peer.hear();
    peer
}

#[test]
fn each_receiver_is_told_once_after_all_messages() {
    let queue = unnamed::<u64>(8);
    let (mut a, mut b) = (queue.receiver().unwrap(), queue.receiver().unwrap());
    sender_of(&queue, &[1, 2, 3]).kill();
    assert_eq!(a.pop().unwrap(), Some(1));
    assert_eq!(b.pop().unwrap(), Some(2));
    assert_eq!(a.pop().unwrap(), Some(3));
    for rx in [&mut a, &mut b] {
        assert!(matches!(rx.pop(), Err(PopError::ProducersDied)));
        assert!(matches!(rx.pop_timeout(A_WHILE), Err(PopError::TimedOut)));
    }
    // And again when another one has died.
    sender_of(&queue, &[4]).kill();
    assert_eq!(b.pop().unwrap(), Some(4));
    assert!(matches!(a.pop(), Err(PopError::ProducersDied)));
    assert!(matches!(b.pop(), Err(PopError::ProducersDied)));
    // The end is the end.
    queue.close().unwrap();
    assert_eq!(a.pop().unwrap(), None);
}

#[test]
fn nobody_is_told_while_a_sender_lives() {
    let queue = unnamed::<u64>(8);
    let mut rx = queue.receiver().unwrap();
    let living = sender_of(&queue, &[1]);
    sender_of(&queue, &[2]).kill();
    assert_eq!(rx.pop().unwrap(), Some(1));
    assert_eq!(rx.pop().unwrap(), Some(2));
    assert!(matches!(rx.pop_timeout(A_WHILE), Err(PopError::TimedOut)));
    // It goes in order, and there is nobody.
    living.go_on();
    living.join();
    assert!(matches!(
        rx.pop_timeout(PATIENCE),
        Err(PopError::ProducersDied)
    ));
}

#[test]
fn who_leaves_in_order_has_not_died() {
    let queue = unnamed::<u64>(8);
    let mut rx = queue.receiver().unwrap();
    let peer = sender_of(&queue, &[1]);
    peer.go_on();
    peer.join();
    assert_eq!(rx.pop().unwrap(), Some(1));
    assert!(matches!(rx.pop_timeout(A_WHILE), Err(PopError::TimedOut)));
    assert!(matches!(rx.try_pop(), Err(PopError::Empty)));
}

#[test]
fn a_receiver_that_waits_learns_of_it() {
    for wait in POLICIES {
        let queue = unnamed::<u64>(8);
        let mut rx = queue.receiver().unwrap();
        rx.set_wait(wait);
        let peers = [sender_of(&queue, &[]), sender_of(&queue, &[])];
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| rx.pop_timeout(PATIENCE));
            if wait != Wait::Busy {
                until("it sleeps", || Raw::of(&queue).receiver_sleeps());
            }
            peers.into_iter().for_each(Peer::kill);
            let popped = waiting.join().unwrap();
            assert!(matches!(popped, Err(PopError::ProducersDied)), "{popped:?}");
        });
    }
}

#[test]
fn a_receiver_that_polls_learns_of_it() {
    let queue = unnamed::<u64>(8);
    let mut rx = queue.receiver().unwrap();
    for timeout in [None, Some(Duration::ZERO), Some(Duration::from_millis(2))] {
        sender_of(&queue, &[]).kill();
        let told = loop {
            let popped = match timeout {
                None => rx.try_pop(),
                Some(timeout) => rx.pop_timeout(timeout),
            };
            match popped {
                Err(PopError::Empty | PopError::TimedOut) => {}
                other => break other,
            }
        };
        assert!(matches!(told, Err(PopError::ProducersDied)), "{told:?}");
    }
}
