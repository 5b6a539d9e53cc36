//! The end of the stream: after all messages, for everybody, whatever others are doing.

mod common;
mod mpmc_common;

use common::line::Line;
use ipc_core::Wait;
use ipc_queue::mpmc::{OpenError, PopError, PushError, Queue};
use mpmc_common::peer::{Peer, say_and_wait};
use mpmc_common::raw::Raw;
use mpmc_common::{PATIENCE, Random, from_env, unnamed, until};
use std::time::{Duration, Instant};

const POLICIES: [Wait; 3] = [Wait::Busy, Wait::Adaptive, Wait::Park];

#[test]
fn everybody_gets_what_is_left_and_then_the_end_for_ever() {
    let queue = unnamed::<u64>(8);
    let mut tx = queue.sender().unwrap();
    let (mut a, mut b) = (queue.receiver().unwrap(), queue.receiver().unwrap());
    tx.push_slice(&[1, 2, 3]).unwrap();
    tx.close().unwrap();
    assert_eq!(a.pop().unwrap(), Some(1));
    assert_eq!(b.try_pop().unwrap(), Some(2));
    assert_eq!(a.pop_timeout(Duration::ZERO).unwrap(), Some(3));
    for _ in 0..3 {
        assert_eq!(b.pop().unwrap(), None);
        assert_eq!(a.try_pop().unwrap(), None);
        assert!(a.take().unwrap().is_none());
        assert_eq!(a.pop_slice(&mut [0; 2]).unwrap(), None);
    }
    assert_eq!(queue.receiver().unwrap().pop().unwrap(), None);
    assert!(matches!(queue.sender(), Err(OpenError::Closed { .. })));
    assert!(!queue.close().unwrap(), "it was closed before");
    assert!(queue.is_closed().unwrap());
}

#[test]
fn a_sender_that_goes_does_not_end_it() {
    let queue = unnamed::<u64>(2);
    let mut rx = queue.receiver().unwrap();
    drop(queue.sender().unwrap());
    assert!(matches!(rx.try_pop(), Err(PopError::Empty)));
    queue.sender().unwrap().push(1).unwrap();
    assert_eq!(rx.pop().unwrap(), Some(1));
    assert!(matches!(
        rx.pop_timeout(Duration::from_millis(20)),
        Err(PopError::TimedOut)
    ));
}

#[test]
fn closing_wakes_who_waits_with_the_right_answer() {
    for wait in POLICIES {
        let full = unnamed::<u64>(1);
        full.sender().unwrap().push(1).unwrap();
        let empty = unnamed::<u64>(1);
        let (mut tx, mut rx) = (full.sender().unwrap(), empty.receiver().unwrap());
        tx.set_wait(wait);
        rx.set_wait(wait);
        std::thread::scope(|scope| {
            let pusher = scope.spawn(|| tx.push(2));
            let popper = scope.spawn(|| rx.pop());
            if wait != Wait::Busy {
                until("both sleep", || {
                    Raw::of(&full).sender_sleeps() && Raw::of(&empty).receiver_sleeps()
                });
            }
            full.close().unwrap();
            empty.close().unwrap();
            let pushed = pusher.join().unwrap();
            assert!(matches!(pushed, Err(PushError::Closed)), "{wait:?}");
            assert_eq!(popper.join().unwrap().unwrap(), None, "{wait:?}");
        });
        let mut rx = full.receiver().unwrap();
        assert_eq!(rx.pop().unwrap(), Some(1));
        assert_eq!(rx.pop().unwrap(), None);
    }
}

#[test]
fn a_closed_queue_refuses_every_push_and_stays_as_it_is() {
    let queue = unnamed::<u64>(3);
    let mut tx = queue.sender().unwrap();
    tx.push(1).unwrap();
    queue.close().unwrap();
    for _ in 0..10 {
        assert!(matches!(tx.try_push(2), Err(PushError::Closed)));
        assert!(matches!(tx.push(2), Err(PushError::Closed)));
        assert!(matches!(tx.try_reserve(), Err(PushError::Closed)));
        assert!(matches!(tx.push_slice(&[2, 3]), Err(PushError::Closed)));
    }
    assert_eq!(queue.len().unwrap(), 1);
    let mut rx = queue.receiver().unwrap();
    assert_eq!(rx.pop().unwrap(), Some(1));
    assert_eq!(rx.pop().unwrap(), None);
}

/// Nobody waits for a sender that is stopped between its claim and its commit.
#[test]
fn a_stopped_push_does_not_hold_up_the_end_and_is_refused() {
    for capacity in [1, 2, 5] {
        let queue = unnamed::<u64>(capacity);
        let peer = Peer::start(&queue, |queue, line| {
            let mut tx = queue.sender().unwrap();
            let mut slot = tx.reserve().unwrap();
            *slot = 9;
            say_and_wait(line, 0);
            let committed = slot.commit();
            assert!(matches!(committed, Err(PushError::Closed)), "{committed:?}");
        });
        peer.hear();
        peer.stop();
        queue.close().unwrap();
        let mut rx = queue.receiver().unwrap();
        assert_eq!(rx.pop_timeout(PATIENCE).unwrap(), None);
        peer.resume();
        peer.go_on();
        peer.join();
        assert_eq!(rx.pop().unwrap(), None);
        assert!(queue.is_empty().unwrap());
    }
}

/// A push that finds the stream closed while nobody has told its end is a message.
#[test]
fn a_push_that_began_before_the_close_is_received_if_it_succeeds() {
    let queue = unnamed::<u64>(2);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let mut slot = tx.reserve().unwrap();
    *slot = 4;
    queue.close().unwrap();
    slot.commit().unwrap();
    assert_eq!(rx.pop().unwrap(), Some(4));
    assert_eq!(rx.pop().unwrap(), None);
}

#[test]
fn the_end_waits_for_a_message_that_may_come_back() {
    let queue = unnamed::<u64>(2);
    queue.sender().unwrap().push(7).unwrap();
    let holder = |queue: &Queue<u64>, line: &Line| {
        let mut rx = queue.receiver().unwrap();
        let message = rx.take().unwrap().unwrap();
        say_and_wait(line, *message);
        drop(message);
        assert_eq!(rx.pop().unwrap(), None);
    };
    let peer = Peer::start(&queue, holder);
    peer.hear();
    queue.close().unwrap();
    let mut rx = queue.receiver().unwrap();
    assert!(matches!(rx.try_pop(), Err(PopError::Empty)));
    let waited = rx.pop_timeout(Duration::from_millis(30));
    assert!(matches!(waited, Err(PopError::TimedOut)), "{waited:?}");
    // It dies: the message comes to us, and goes to another.
    peer.kill();
    let message = rx.take_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!((*message, message.is_redelivered()), (7, true));
    message.release_back();
    let peer = Peer::start(&queue, holder);
    peer.hear();
    // It finishes it: the end.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| rx.pop_timeout(PATIENCE));
        until("it sleeps", || Raw::of(&queue).receiver_sleeps());
        peer.go_on();
        assert_eq!(waiting.join().unwrap().unwrap(), None);
    });
    peer.join();
}

#[test]
fn a_killed_closer_has_closed_or_not() {
    let queue = unnamed::<u64>(2);
    let mut rx = queue.receiver().unwrap();
    let peer = Peer::start(&queue, |queue, line| {
        let mut tx = queue.sender().unwrap();
        tx.push(1).unwrap();
        tx.close().unwrap();
        say_and_wait(line, 0);
    });
    peer.hear();
    peer.kill();
    assert_eq!(rx.pop().unwrap(), Some(1));
    assert_eq!(rx.pop().unwrap(), None);
}

/// Senders push until the stream is closed under them: what they were told was pushed is what the
/// receivers get, each once.
#[test]
fn closing_at_any_moment_loses_nothing_that_was_pushed() {
    let mut random = Random::new(from_env("MPMC_SEED", 5));
    for round in 0..from_env("MPMC_CLOSES", 60) {
        let queue = unnamed::<u64>([1, 2, 3, 64][round as usize % 4]);
        let senders = [0u64, 1].map(|me| {
            Peer::start(&queue, move |queue, line| {
                let mut tx = queue.sender().unwrap();
                line.say([0, 0]);
                let mut pushed = 0u64;
                loop {
                    match tx.push(me << 32 | pushed) {
                        Ok(()) => pushed += 1,
                        Err(PushError::Closed) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
                line.say([pushed, 0]);
            })
        });
        let receivers = [0, 1].map(|_| {
            Peer::start(&queue, |queue, line| {
                let mut rx = queue.receiver().unwrap();
                line.say([0, 0]);
                let mut count = [0u64; 2];
                let mut next = [0u64; 2];
                while let Some(message) = rx.pop().unwrap() {
                    let (from, number) = ((message >> 32) as usize, message & 0xFFFF_FFFF);
                    assert!(number >= next[from], "in order, each once");
                    next[from] = number + 1;
                    count[from] += 1;
                }
                line.say(count);
            })
        });
        senders.iter().chain(&receivers).for_each(|it| {
            it.hear();
        });
        let start = Instant::now();
        let until = Duration::from_micros(random.below(2_000));
        while start.elapsed() < until {
            std::hint::spin_loop();
        }
        queue.close().unwrap();
        let pushed = senders.map(|it| {
            let pushed = it.hear();
            it.join();
            pushed
        });
        let mut got = [0; 2];
        for receiver in receivers {
            let count = receiver.line.hear().unwrap();
            got[0] += count[0];
            got[1] += count[1];
            receiver.join();
        }
        assert_eq!(got, pushed, "round {round}");
        assert!(queue.is_empty().unwrap());
    }
}
