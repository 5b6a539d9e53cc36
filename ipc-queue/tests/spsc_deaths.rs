//! What the other side learns of a death, when, and how often.

mod common;

use common::hand::{self, Answer, Hand, Order};
use common::raw::Raw;
use common::{unnamed, until};
use ipc_core::Wait;
use ipc_process::{run_if_worker, test_name};
use ipc_queue::spsc::{PopError, PushError, Ring};
use std::time::{Duration, Instant};

const SCOPE: &str = "deaths";
const POLICIES: [Wait; 3] = [Wait::Busy, Wait::Adaptive, Wait::Park];

fn become_worker() {
    run_if_worker(SCOPE, &[("hand", &hand::role)]);
}

fn producer(test: &str, ring: &Ring<u64>) -> Hand {
    let hand = Hand::start(SCOPE, test, ring);
    hand.must(Order::BeProducer);
    hand
}

fn consumer(test: &str, ring: &Ring<u64>, wait: Wait) -> Hand {
    let hand = Hand::start(SCOPE, test, ring);
    hand.must(Order::SetWait(wait));
    hand.must(Order::BeConsumer);
    hand
}

#[test]
fn before_a_first_producer_the_consumer_waits() {
    become_worker();
    let ring = unnamed::<u64>(2);
    let rx = consumer(test_name!(), &ring, Wait::Park);
    assert_eq!(rx.ask(Order::TryPop), Answer::EmptyOrFull);
    assert_eq!(rx.ask(Order::PopTimeout(30)), Answer::TimedOut);
    rx.begin(Order::Pop);
    let raw = Raw::of(&ring);
    until("the consumer sleeps", || raw.consumer_sleeps());
    let tx = producer(test_name!(), &ring);
    tx.must(Order::Push(1));
    assert_eq!(rx.answer(), Answer::Message(1));
}

#[test]
fn a_blocked_consumer_learns_of_the_death_after_all_messages_and_once() {
    become_worker();
    for wait in POLICIES {
        let ring = unnamed::<u64>(4);
        let rx = consumer(test_name!(), &ring, wait);
        let tx = producer(test_name!(), &ring);
        for i in 0..3 {
            tx.must(Order::TryPush(i));
        }
        tx.kill();
        // Known to be dead before the first is taken.
        ring.segment().recover().unwrap();
        for i in 0..3 {
            assert_eq!(rx.ask(Order::Pop), Answer::Message(i), "{wait:?}");
        }
        assert_eq!(rx.ask(Order::Pop), Answer::PeerDied, "{wait:?}");
        assert_eq!(rx.ask(Order::PopTimeout(40)), Answer::TimedOut, "{wait:?}");

        // And when it is blocked already.
        let tx = producer(test_name!(), &ring);
        rx.begin(Order::Pop);
        if wait != Wait::Busy {
            let raw = Raw::of(&ring);
            until("the consumer sleeps", || raw.consumer_sleeps());
        }
        let killed = Instant::now();
        tx.kill();
        assert_eq!(rx.answer(), Answer::PeerDied, "{wait:?}");
        assert!(killed.elapsed() < Duration::from_secs(2), "{wait:?}");
        assert_eq!(rx.ask(Order::PopTimeout(40)), Answer::TimedOut, "{wait:?}");
    }
}

#[test]
fn a_polling_consumer_learns_of_it_too() {
    become_worker();
    let ring = unnamed::<u64>(4);
    for wait in POLICIES {
        for poll in [
            Order::PollPop,
            Order::PollPopTimeout(0),
            // Shorter than a slice: it never sleeps long enough to look after the dead.
            Order::PollPopTimeout(2),
            Order::PollPopTimeout(25),
        ] {
            let rx = consumer(test_name!(), &ring, wait);
            let tx = producer(test_name!(), &ring);
            tx.must(Order::TryPush(7));
            assert_eq!(rx.ask(poll), Answer::Message(7));
            rx.begin(poll);
            tx.kill();
            assert_eq!(rx.answer(), Answer::PeerDied, "{wait:?} {poll:?}");
            assert_eq!(rx.ask(Order::TryPop), Answer::EmptyOrFull);
            rx.must(Order::DropConsumer);
        }
    }
}

/// Shorter waits than the interval at which a waiter looks after the dead must not put that off for
/// ever.
#[test]
fn who_only_ever_waits_a_little_learns_of_it_soon() {
    become_worker();
    let ring = unnamed::<u64>(1);
    for wait in POLICIES {
        let mut rx = ring.consumer().unwrap();
        rx.set_wait(wait);
        producer(test_name!(), &ring).kill();
        let short = Duration::from_millis(1);
        let soon = (0..50).any(|_| matches!(rx.pop_timeout(short), Err(PopError::ProducerDied)));
        assert!(soon, "{wait:?}");
        drop(rx);

        let mut tx = ring.producer().unwrap();
        tx.set_wait(wait);
        consumer(test_name!(), &ring, wait).kill();
        tx.push(1).unwrap();
        let soon =
            (0..50).any(|_| matches!(tx.push_timeout(2, short), Err(PushError::ConsumerDied)));
        assert!(soon, "{wait:?}");
        drop(tx);
        ring.consumer().unwrap().pop().unwrap();
    }
}

#[test]
fn the_death_shows_also_when_a_successor_came_and_died() {
    become_worker();
    let ring = unnamed::<u64>(8);
    let rx = consumer(test_name!(), &ring, Wait::Park);
    for (i, deaths) in [1u64, 2, 5].into_iter().enumerate() {
        for n in 0..deaths {
            let tx = producer(test_name!(), &ring);
            tx.must(Order::TryPush(i as u64 * 10 + n));
            tx.kill();
        }
        // All of them are known to be dead by now, so one report tells of all.
        ring.segment().recover().unwrap();
        for n in 0..deaths {
            assert_eq!(rx.ask(Order::Pop), Answer::Message(i as u64 * 10 + n));
        }
        assert_eq!(rx.ask(Order::Pop), Answer::PeerDied);
        assert_eq!(rx.ask(Order::PopTimeout(30)), Answer::TimedOut, "once");
    }
    // Nothing pushed in between, and the successor lives.
    producer(test_name!(), &ring).kill();
    let tx = producer(test_name!(), &ring);
    assert_eq!(rx.ask(Order::Pop), Answer::PeerDied);
    assert_eq!(rx.ask(Order::PopTimeout(30)), Answer::TimedOut);
    tx.must(Order::TryPush(1));
    assert_eq!(rx.ask(Order::Pop), Answer::Message(1));
}

#[test]
fn a_new_consumer_learns_of_a_death_that_nobody_has_reported() {
    become_worker();
    let ring = unnamed::<u64>(8);
    let tx = producer(test_name!(), &ring);
    tx.must(Order::TryPush(1));
    tx.kill();
    let rx = consumer(test_name!(), &ring, Wait::Park);
    assert_eq!(rx.ask(Order::Pop), Answer::Message(1));
    rx.kill();
    let rx = consumer(test_name!(), &ring, Wait::Park);
    assert_eq!(rx.ask(Order::Pop), Answer::PeerDied);
    assert_eq!(rx.ask(Order::PopTimeout(30)), Answer::TimedOut);
}

#[test]
fn leaving_in_order_is_no_death() {
    become_worker();
    let ring = unnamed::<u64>(2);
    let rx = consumer(test_name!(), &ring, Wait::Park);
    let tx = producer(test_name!(), &ring);
    tx.must(Order::DropProducer);
    tx.kill();
    ring.segment().recover().unwrap();
    assert_eq!(rx.ask(Order::PopTimeout(30)), Answer::TimedOut);
    // Closed, and dead afterwards: the end, nothing else.
    let tx = producer(test_name!(), &ring);
    tx.must(Order::TryPush(1));
    tx.must(Order::Close);
    tx.kill();
    assert_eq!(rx.ask(Order::Pop), Answer::Message(1));
    assert_eq!(rx.ask(Order::Pop), Answer::End);
    assert_eq!(rx.ask(Order::TryPop), Answer::End);
}

#[test]
fn a_producer_blocked_on_a_full_ring_learns_of_the_consumers_death_once() {
    become_worker();
    for wait in POLICIES {
        let ring = unnamed::<u64>(2);
        let rx = consumer(test_name!(), &ring, Wait::Park);
        let tx = Hand::start(SCOPE, test_name!(), &ring);
        tx.must(Order::SetWait(wait));
        tx.must(Order::BeProducer);
        tx.must(Order::Push(0));
        tx.must(Order::Push(1));
        let raw = Raw::of(&ring);
        tx.begin(Order::Push(2));
        if wait != Wait::Busy {
            until("the producer sleeps", || raw.producer_sleeps());
        }
        rx.kill();
        assert_eq!(tx.answer(), Answer::PeerDied, "{wait:?}");
        assert_eq!(tx.ask(Order::TryPush(2)), Answer::EmptyOrFull, "{wait:?}");
        assert_eq!(
            tx.ask(Order::PushTimeout(2, 30)),
            Answer::TimedOut,
            "{wait:?}: reported once"
        );
        tx.begin(Order::Push(2));
        let rx = consumer(test_name!(), &ring, Wait::Park);
        for i in 0..3 {
            assert_eq!(rx.ask(Order::Pop), Answer::Message(i), "{wait:?}");
        }
        assert_eq!(tx.answer(), Answer::Done, "{wait:?}");
        // A death while there is room is told once the ring is full.
        rx.kill();
        tx.must(Order::Push(3));
        tx.must(Order::Push(4));
        assert_eq!(tx.ask(Order::PollPush(5)), Answer::PeerDied, "{wait:?}");
    }
}

#[test]
fn a_publisher_killed_before_the_wake_hinders_nobody() {
    become_worker();
    for wait in [Wait::Adaptive, Wait::Park] {
        let ring = unnamed::<u64>(2);
        let raw = Raw::of(&ring);
        let rx = consumer(test_name!(), &ring, wait);

        // A message.
        let tx = producer(test_name!(), &ring);
        rx.begin(Order::Pop);
        until("the consumer sleeps", || raw.consumer_sleeps());
        let start = Instant::now();
        tx.begin(Order::PublishAndDie(5));
        assert_eq!(rx.answer(), Answer::Message(5));
        assert!(start.elapsed() < Duration::from_secs(1));
        tx.join();
        assert_eq!(rx.ask(Order::Pop), Answer::PeerDied);

        // Room.
        let tx = Hand::start(SCOPE, test_name!(), &ring);
        tx.must(Order::SetWait(wait));
        tx.must(Order::BeProducer);
        tx.must(Order::Push(6));
        tx.must(Order::Push(7));
        tx.begin(Order::Push(8));
        until("the producer sleeps", || raw.producer_sleeps());
        rx.begin(Order::MakeRoomAndDie);
        assert_eq!(tx.answer(), Answer::Done);
        rx.join();

        // The end.
        let rx = consumer(test_name!(), &ring, wait);
        assert_eq!(rx.ask(Order::Pop), Answer::Message(7));
        assert_eq!(rx.ask(Order::Pop), Answer::Message(8));
        rx.begin(Order::Pop);
        until("the consumer sleeps", || raw.consumer_sleeps());
        tx.begin(Order::EndAndDie);
        assert_eq!(rx.answer(), Answer::End);
        tx.join();
    }
}

#[test]
fn a_stopped_producer_is_not_dead() {
    become_worker();
    let ring = unnamed::<u64>(2);
    let rx = consumer(test_name!(), &ring, Wait::Park);
    let mut tx = producer(test_name!(), &ring);
    tx.must(Order::Push(1));
    tx.process.stop().unwrap();
    tx.begin(Order::Push(2));
    assert_eq!(rx.ask(Order::Pop), Answer::Message(1));
    assert_eq!(rx.ask(Order::PopTimeout(60)), Answer::TimedOut);
    let other = Hand::start(SCOPE, test_name!(), &ring);
    assert_eq!(other.ask(Order::BeProducer), Answer::Taken(tx.pid()));
    rx.begin(Order::Pop);
    tx.process.resume().unwrap();
    assert_eq!(rx.answer(), Answer::Message(2));
    assert_eq!(tx.answer(), Answer::Done);
}

#[test]
fn a_killed_waiter_leaves_nothing_that_hinders() {
    become_worker();
    let ring = unnamed::<u64>(1);
    let raw = Raw::of(&ring);
    let tx = producer(test_name!(), &ring);
    for i in 0..20 {
        let rx = consumer(test_name!(), &ring, Wait::Park);
        rx.begin(Order::Pop);
        until("the consumer sleeps", || raw.consumer_sleeps());
        rx.kill();
        tx.must(Order::Push(i));
        let rx = consumer(test_name!(), &ring, Wait::Park);
        assert_eq!(rx.ask(Order::Pop), Answer::Message(i));
        rx.must(Order::DropConsumer);
    }
}

/// Signals more often than a slice is long must not keep a waiter from looking after the dead, nor
/// end or prolong its wait.
#[test]
fn a_storm_of_signals_changes_nothing() {
    become_worker();
    let ring = unnamed::<u64>(1);
    let mut rx = ring.consumer().unwrap();
    rx.set_wait(Wait::Park);
    let tx = producer(test_name!(), &ring);
    let _storm = Storm::begin();
    let start = Instant::now();
    let popped = rx.pop_timeout(Duration::from_millis(50));
    assert!(matches!(popped, Err(PopError::TimedOut)));
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(start.elapsed() < Duration::from_secs(1));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let raw = Raw::of(&ring);
            until("the consumer sleeps", || raw.consumer_sleeps());
            tx.kill();
        });
        // With the whole wait's time-out: a hang would be a failure, not a hang.
        let popped = rx.pop_timeout(common::PATIENCE);
        assert!(matches!(popped, Err(PopError::ProducerDied)), "{popped:?}");
    });
}

/// SIGUSR1 to the calling thread every two milliseconds.
struct Storm {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Storm {
    fn begin() -> Self {
        use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
        use std::sync::atomic::{AtomicBool, Ordering};
        extern "C" fn nothing(_: libc::c_int) {}
        let action = SigAction::new(
            SigHandler::Handler(nothing),
            SaFlags::empty(),
            SigSet::empty(),
        );
        // SAFETY: the handler does nothing at all.
        unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let target = nix::sys::pthread::pthread_self();
        let seen = stop.clone();
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                // The target lives: it joins this thread in `drop`.
                nix::sys::pthread::pthread_kill(target, Signal::SIGUSR1).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}
