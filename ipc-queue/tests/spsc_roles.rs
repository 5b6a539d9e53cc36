//! Who may be producer and consumer, and who goes on after them.

mod common;

use common::hand::{self, Answer, Hand, Order};
use common::unnamed;
use ipc_process::{run_if_worker, test_name};
use ipc_queue::spsc::{OpenError, Ring};

const SCOPE: &str = "roles";

fn become_worker() {
    run_if_worker(SCOPE, &[("hand", &hand::role)]);
}

fn pid_of_taker<T: std::fmt::Debug>(result: Result<T, OpenError>, expected: &str) -> u32 {
    let error = result.unwrap_err();
    let OpenError::RoleTaken { role, pid, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*role, expected);
    assert!(error.to_string().contains(&pid.to_string()), "{error}");
    *pid
}

#[test]
fn a_second_one_in_the_same_process_is_refused() {
    let ring = unnamed::<u64>(2);
    let other = Ring::<u64>::open(ring.segment().descriptor().unwrap()).unwrap();
    let tx = ring.producer().unwrap();
    let rx = ring.consumer().unwrap();
    let us = std::process::id();
    for ring in [&ring, &ring.clone(), &other] {
        assert_eq!(pid_of_taker(ring.producer(), "producer"), us);
        assert_eq!(pid_of_taker(ring.consumer(), "consumer"), us);
    }
    drop(tx);
    let _tx = other.producer().unwrap();
    assert_eq!(pid_of_taker(ring.producer(), "producer"), us);
    assert_eq!(pid_of_taker(ring.consumer(), "consumer"), us);
    drop(rx);
    let _rx = other.consumer().unwrap();
}

#[test]
fn a_handle_that_was_forgotten_keeps_its_role() {
    let ring = unnamed::<u64>(2);
    std::mem::forget(ring.producer().unwrap());
    pid_of_taker(ring.producer(), "producer");
}

#[test]
fn of_many_threads_one_becomes_producer() {
    let ring = unnamed::<u64>(2);
    for _ in 0..200 {
        let barrier = std::sync::Barrier::new(4);
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        let made = ring.producer();
                        // Nobody lets go before all have tried.
                        barrier.wait();
                        made.is_ok()
                    })
                })
                .collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|&&made| made).count(), 1);
    }
}

#[test]
fn a_second_one_is_refused_while_the_first_lives_in_another_process() {
    become_worker();
    let ring = unnamed::<u64>(2);
    let mut first = Hand::start(SCOPE, test_name!(), &ring);
    let second = Hand::start(SCOPE, test_name!(), &ring);
    first.must(Order::BeProducer);
    first.must(Order::BeConsumer);
    assert_eq!(pid_of_taker(ring.producer(), "producer"), first.pid());
    assert_eq!(pid_of_taker(ring.consumer(), "consumer"), first.pid());
    assert_eq!(second.ask(Order::BeProducer), Answer::Taken(first.pid()));
    assert_eq!(second.ask(Order::BeConsumer), Answer::Taken(first.pid()));

    // A stopped process lives, and so does what it holds.
    first.process.stop().unwrap();
    assert_eq!(second.ask(Order::BeProducer), Answer::Taken(first.pid()));
    assert_eq!(second.ask(Order::BeConsumer), Answer::Taken(first.pid()));
    ring.segment().recover().unwrap();
    assert_eq!(pid_of_taker(ring.producer(), "producer"), first.pid());
    first.process.resume().unwrap();
    first.must(Order::TryPush(3));

    first.must(Order::DropProducer);
    second.must(Order::BeProducer);
    assert_eq!(first.ask(Order::BeProducer), Answer::Taken(second.pid()));
    assert_eq!(first.ask(Order::TryPop), Answer::Message(3));
}

#[test]
fn the_next_one_goes_on_where_a_handle_was_dropped() {
    become_worker();
    let ring = unnamed::<u64>(3);
    let hands = [
        Hand::start(SCOPE, test_name!(), &ring),
        Hand::start(SCOPE, test_name!(), &ring),
    ];
    let mut sent = 0;
    let mut received = 0;
    for turn in 0..50 {
        let (tx, rx) = (&hands[turn % 2], &hands[(turn + 1) % 2]);
        tx.must(Order::BeProducer);
        rx.must(Order::BeConsumer);
        for _ in 0..1 + turn % 3 {
            if sent - received < 3 {
                tx.must(Order::TryPush(sent));
                sent += 1;
            }
        }
        for _ in 0..1 + turn % 2 {
            if received < sent {
                assert_eq!(rx.ask(Order::TryPop), Answer::Message(received));
                received += 1;
            }
        }
        // Dropping ends nothing.
        let full = sent - received == 3;
        tx.must(Order::DropProducer);
        if !full {
            assert_eq!(
                rx.ask(Order::TryPop),
                match sent > received {
                    true => Answer::Message(received),
                    false => Answer::EmptyOrFull,
                }
            );
            received += u64::from(sent > received);
        }
        rx.must(Order::DropConsumer);
    }
}

#[test]
fn the_next_one_goes_on_where_one_was_killed() {
    become_worker();
    let ring = unnamed::<u64>(4);
    let start = || Hand::start(SCOPE, test_name!(), &ring);
    let (first_tx, first_rx) = (start(), start());
    first_tx.must(Order::BeProducer);
    first_rx.must(Order::BeConsumer);
    for i in 0..3 {
        first_tx.must(Order::TryPush(i));
    }
    assert_eq!(first_rx.ask(Order::TryPop), Answer::Message(0));
    // What was reserved and not committed is no message; what was peeked and not released is.
    first_tx.must(Order::ReserveOnly(99));
    assert_eq!(first_rx.ask(Order::PeekOnly), Answer::Message(1));
    first_tx.kill();
    first_rx.kill();

    let (tx, rx) = (start(), start());
    tx.must(Order::BeProducer);
    rx.must(Order::BeConsumer);
    tx.must(Order::TryPush(3));
    tx.must(Order::TryPush(4));
    assert_eq!(
        tx.ask(Order::TryPush(5)),
        Answer::PeerDied,
        "full, and once"
    );
    assert_eq!(tx.ask(Order::TryPush(5)), Answer::EmptyOrFull);
    for i in 1..5 {
        assert_eq!(rx.ask(Order::TryPop), Answer::Message(i));
    }
    assert_eq!(rx.ask(Order::TryPop), Answer::PeerDied, "empty, and once");
    assert_eq!(rx.ask(Order::TryPop), Answer::EmptyOrFull);
}

#[test]
fn a_process_that_exits_with_its_handles_has_died() {
    become_worker();
    let ring = unnamed::<u64>(4);
    let hand = Hand::start(SCOPE, test_name!(), &ring);
    hand.must(Order::BeProducer);
    hand.must(Order::TryPush(1));
    hand.begin(Order::Exit);
    hand.join();
    let mut rx = ring.consumer().unwrap();
    ring.segment().recover().unwrap();
    assert_eq!(Answer::from(rx.try_pop()), Answer::Message(1));
    assert_eq!(Answer::from(rx.try_pop()), Answer::PeerDied);
    ring.producer().unwrap();
}

#[test]
fn an_ended_stream_has_no_new_producer_but_new_consumers() {
    become_worker();
    let ring = unnamed::<u64>(4);
    let hand = Hand::start(SCOPE, test_name!(), &ring);
    hand.must(Order::BeProducer);
    for i in 0..4 {
        hand.must(Order::TryPush(i));
    }
    hand.must(Order::Close);
    assert_eq!(hand.ask(Order::BeProducer), Answer::StreamEnded);
    assert!(matches!(ring.producer(), Err(OpenError::Ended { .. })));
    hand.kill();

    // Late, several one after another, and after everybody has left.
    let late = Hand::start(SCOPE, test_name!(), &ring);
    late.must(Order::BeConsumer);
    assert_eq!(late.ask(Order::Pop), Answer::Message(0));
    late.kill();
    let later = Hand::start(SCOPE, test_name!(), &ring);
    later.must(Order::BeConsumer);
    for i in 1..4 {
        assert_eq!(later.ask(Order::Pop), Answer::Message(i));
    }
    assert_eq!(later.ask(Order::Pop), Answer::End);
    later.must(Order::DropConsumer);
    assert_eq!(ring.consumer().unwrap().pop().unwrap(), None);
    assert!(matches!(ring.producer(), Err(OpenError::Ended { .. })));
}

#[test]
fn handles_do_not_run_out() {
    become_worker();
    // More takeovers than the segment has handles (1024) or participants (64), in order...
    let ring = unnamed::<u64>(1);
    for i in 0..3000 {
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        assert!(ring.producer().is_err() && ring.consumer().is_err());
        tx.push(i).unwrap();
        assert_eq!(rx.pop().unwrap(), Some(i));
    }
    // ... and by death.
    for i in 0..70 {
        let hand = Hand::start(SCOPE, test_name!(), &ring);
        hand.must(Order::BeProducer);
        hand.must(Order::BeConsumer);
        hand.must(Order::TryPush(i));
        assert_eq!(hand.ask(Order::TryPop), Answer::Message(i));
        hand.kill();
    }
    ring.segment().recover().unwrap();
    assert_eq!(ring.segment().participants().unwrap().len(), 1);
}
