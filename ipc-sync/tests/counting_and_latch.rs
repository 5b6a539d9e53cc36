//! Counting semaphores and latches: forms, waking, deaths. Nobody owns anything here.

mod robust;

use ipc_core::{Error, Segment, Wait};
use ipc_sync::{CountingSemaphore, Latch, Value, WaitError};
use robust::{Forked, POLICIES, Peer, SHORT, kill_at_random, rounds, segment, until};
use std::time::{Duration, Instant};

fn counting(segment: &Segment) -> CountingSemaphore {
    CountingSemaphore::open_in(segment, "signals").unwrap()
}

fn latch(segment: &Segment) -> Latch {
    Latch::open_in(segment, "latch").unwrap()
}

#[test]
fn each_signal_lets_one_pass() {
    let segment = segment();
    let signals = CountingSemaphore::create_in(&segment, "signals", 1).unwrap();
    let other = counting(&segment);
    other.wait().unwrap();
    assert!(matches!(signals.try_wait(), Err(WaitError::NotYet)));
    signals.post(3).unwrap();
    signals.post(0).unwrap();
    assert_eq!(other.count().unwrap(), 3);
    other.try_wait().unwrap();
    signals.wait_timeout(Duration::ZERO).unwrap();
    other.wait_timeout(Duration::MAX).unwrap();
    for timeout in [Duration::ZERO, SHORT] {
        let start = Instant::now();
        assert!(matches!(
            signals.wait_timeout(timeout),
            Err(WaitError::TimedOut)
        ));
        assert!(start.elapsed() >= timeout);
    }
    signals.post(u32::MAX).unwrap();
    assert!(matches!(signals.post(1), Err(Error::OutOfRange { .. })));
    assert_eq!(signals.count().unwrap(), u32::MAX);
}

#[test]
fn a_latch_opens_for_good() {
    let segment = segment();
    let gate = Latch::create_in(&segment, "latch", 3).unwrap();
    let other = latch(&segment);
    other.count_down(1).unwrap();
    assert_eq!(gate.count().unwrap(), 2);
    assert!(matches!(gate.try_wait(), Err(WaitError::NotYet)));
    assert!(matches!(gate.wait_timeout(SHORT), Err(WaitError::TimedOut)));
    gate.count_down(5).unwrap();
    for gate in [&gate, &other] {
        gate.wait().unwrap();
        gate.try_wait().unwrap();
        gate.wait_timeout(Duration::ZERO).unwrap();
        gate.count_down(1).unwrap();
        assert_eq!(gate.count().unwrap(), 0);
    }
    Latch::create_in(&segment, "open", 0)
        .unwrap()
        .wait()
        .unwrap();
}

#[test]
fn no_wake_is_lost_however_processes_wait() {
    for (policy, wait) in POLICIES.into_iter().enumerate() {
        let segment = segment();
        let signals = CountingSemaphore::create_in(&segment, "signals", 0).unwrap();
        let gate = Latch::create_in(&segment, "latch", 2).unwrap();
        let passed = Value::<u64>::create_in(&segment, "passed", 0).unwrap();
        let peers = [(); 3].map(|()| {
            Peer::ready(&segment, |segment, line| {
                let (mut signals, mut gate) = (counting(segment), latch(segment));
                let passed = Value::<u64>::open_in(segment, "passed").unwrap();
                signals.set_wait(POLICIES[policy]);
                gate.set_wait(POLICIES[policy]);
                line.say(1);
                gate.wait().unwrap();
                for _ in 0..200 {
                    signals.wait().unwrap();
                    passed.fetch_add(1).unwrap();
                }
            })
        });
        if wait != Wait::Busy {
            until("they sleep", || peers.iter().all(Peer::sleeps));
        }
        let start = Instant::now();
        gate.count_down(1).unwrap();
        gate.count_down(1).unwrap();
        for round in 1..=600u64 {
            signals.post(1).unwrap();
            if round % 20 == 0 {
                until("all passed", || passed.get().unwrap() == round);
            }
        }
        peers.into_iter().for_each(Peer::join);
        assert_eq!(signals.count().unwrap(), 0);
        // A lost wake costs a slice of 10 ms.
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn killed_waiters_take_nothing_and_leave_nothing() {
    let segment = segment();
    let signals = CountingSemaphore::create_in(&segment, "signals", 0).unwrap();
    let gate = Latch::create_in(&segment, "latch", 1).unwrap();
    for which in 0..10 {
        let waiters = [(); 2].map(|()| {
            Peer::ready(&segment, |segment, line| {
                let (mut signals, mut gate) = (counting(segment), latch(segment));
                signals.set_wait(Wait::Park);
                gate.set_wait(Wait::Park);
                line.say(1);
                if which % 2 == 0 {
                    signals.wait().unwrap();
                } else {
                    gate.wait().unwrap();
                }
            })
        });
        until("they sleep", || waiters.iter().all(Peer::sleeps));
        waiters.into_iter().for_each(Peer::kill);
        signals.post(1).unwrap();
        signals.wait_timeout(Duration::ZERO).unwrap();
        assert_eq!((signals.count().unwrap(), gate.count().unwrap()), (0, 1));
    }
    segment.recover().unwrap();
    assert_eq!(segment.participants().unwrap().len(), 1);
}

#[test]
fn four_go_on_while_they_are_killed_at_random() {
    let segment = segment();
    let signals = CountingSemaphore::create_in(&segment, "signals", 0).unwrap();
    let taken = Value::<u64>::create_in(&segment, "taken", 0).unwrap();
    let mut posted = 0;
    let body = |segment: &Segment, _: u64| {
        let signals = counting(segment);
        let taken = Value::<u64>::open_in(segment, "taken").unwrap();
        loop {
            signals.wait().unwrap();
            taken.fetch_add(1).unwrap();
        }
    };
    kill_at_random(rounds(100), &segment, body, || {
        let before = taken.get().unwrap();
        signals.post(50).unwrap();
        posted += 50;
        until("somebody takes", || taken.get().unwrap() > before);
    });
    let (taken, left) = (taken.get().unwrap(), u64::from(signals.count().unwrap()));
    // A dead one may have taken one that it did not count.
    assert!(taken + left <= posted, "{taken} + {left} of {posted}");
    assert!(
        taken + left + rounds(100) + 4 >= posted,
        "{taken} + {left} of {posted}"
    );
}

#[test]
fn a_stopped_waiter_goes_on() {
    let segment = segment();
    let signals = CountingSemaphore::create_in(&segment, "signals", 0).unwrap();
    let peer = Peer::ready(&segment, |segment, line| {
        line.say(1);
        counting(segment).wait().unwrap();
    });
    until("it sleeps", || peer.sleeps());
    peer.stop();
    signals.post(1).unwrap();
    signals.try_wait().unwrap();
    peer.resume();
    signals.post(1).unwrap();
    peer.join();
}

#[test]
fn a_forked_child_is_refused() {
    let segment = segment();
    let signals = CountingSemaphore::create_in(&segment, "signals", 1).unwrap();
    let gate = Latch::create_in(&segment, "latch", 0).unwrap();
    let child = Forked::run(|| {
        let forked = |result: Result<(), WaitError>| {
            let is = matches!(result, Err(WaitError::Segment(Error::Forked { .. })));
            assert!(is, "{result:?}");
        };
        forked(signals.wait());
        forked(signals.try_wait());
        forked(gate.wait());
        forked(gate.try_wait());
        assert!(signals.post(1).is_err() && signals.count().is_err());
        assert!(gate.count_down(1).is_err() && gate.count().is_err());
        0
    });
    assert_eq!(child.join(), Ok(0));
    assert_eq!(signals.count().unwrap(), 1);
}
