//! Barriers: parties that arrive, leave, give up, die and are stopped.

mod robust;

use ipc_core::{Error, Segment, Wait};
use ipc_sync::{Arrival, Barrier, BarrierError, Party, Value};
use robust::instants::at_every_instant;
use robust::{
    Forked, Line, PATIENCE, POLICIES, Peer, SHORT, TWO_SLICES, is_prompt, rounds, segment, until,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

fn open(segment: &Segment) -> Barrier {
    Barrier::open_in(segment, "barrier").unwrap()
}

fn broken(result: Result<Arrival, BarrierError>) {
    assert!(
        matches!(result, Err(BarrierError::Broken { .. })),
        "{result:?}"
    );
}

#[test]
fn all_arrive_before_any_goes_on_and_one_leads() {
    for wait in POLICIES {
        let segment = segment();
        Barrier::create_in(&segment, "barrier", 4).unwrap();
        let (arrived, leaders) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut barrier = open(&segment);
                    barrier.set_wait(wait);
                    let mut party = barrier.join().unwrap();
                    for round in 1..=100 {
                        arrived.fetch_add(1, Ordering::SeqCst);
                        if party.wait().unwrap() == Arrival::Leader {
                            leaders.fetch_add(1, Ordering::SeqCst);
                        }
                        let now = arrived.load(Ordering::SeqCst);
                        assert!(
                            (4 * round..4 * round + 4).contains(&now),
                            "{now} in {round}"
                        );
                    }
                });
            }
        });
        assert_eq!(leaders.load(Ordering::SeqCst), 100);
    }
}

#[test]
fn places_are_as_many_as_parties() {
    let segment = segment();
    let barrier = Barrier::create_in(&segment, "barrier", 2).unwrap();
    assert_eq!(barrier.parties(), 2);
    let parties = [barrier.join().unwrap(), open(&segment).join().unwrap()];
    assert!(matches!(
        barrier.join(),
        Err(BarrierError::Crowded { parties: 2, .. })
    ));
    drop(parties);
    drop([barrier.join().unwrap(), barrier.join().unwrap()]);
    let alone = Barrier::create_in(&segment, "alone", 1).unwrap();
    let mut party = alone.join().unwrap();
    for _ in 0..3 {
        assert_eq!(party.wait().unwrap(), Arrival::Leader);
        assert_eq!(party.try_wait().unwrap(), Arrival::Leader);
    }
    for parties in [0, 65_536] {
        let refused = Barrier::create_in(&segment, "impossible", parties);
        assert!(matches!(refused, Err(Error::OutOfRange { .. })));
    }
}

#[test]
fn who_gives_up_has_not_arrived() {
    let segment = segment();
    let barrier = Barrier::create_in(&segment, "barrier", 2).unwrap();
    let mut first = barrier.join().unwrap();
    let mut second = barrier.join().unwrap();
    assert!(matches!(first.try_wait(), Err(BarrierError::NotAll)));
    for timeout in [Duration::ZERO, SHORT] {
        let start = Instant::now();
        let late = first.wait_timeout(timeout);
        assert!(matches!(late, Err(BarrierError::TimedOut)), "{late:?}");
        assert!(start.elapsed() >= timeout);
        assert_eq!(barrier.waiting().unwrap(), 0);
        assert!(matches!(second.try_wait(), Err(BarrierError::NotAll)));
    }
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| first.wait_timeout(Duration::MAX).unwrap());
        until("one waits", || barrier.waiting().unwrap() == 1);
        assert_eq!(second.try_wait().unwrap(), Arrival::Leader);
        assert_eq!(waiter.join().unwrap(), Arrival::Follower);
    });
}

#[test]
fn giving_up_and_arriving_at_once_agree() {
    // One that passes means that the other did: nobody is left alone.
    let segment = segment();
    let barrier = Barrier::create_in(&segment, "barrier", 2).unwrap();
    let passes = |party: &mut Party| {
        (0..3_000)
            .filter(|_| party.wait_timeout(Duration::from_micros(30)).is_ok())
            .count()
    };
    let (mut one, mut other) = (barrier.join().unwrap(), barrier.join().unwrap());
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(move || passes(&mut one));
        (passes(&mut other), one.join().unwrap())
    });
    assert_eq!(one, other);
    assert_eq!(barrier.waiting().unwrap(), 0);
}

#[test]
fn breaking_by_hand_and_reset_tell_those_who_wait() {
    let segment = segment();
    let barrier = Barrier::create_in(&segment, "barrier", 2).unwrap();
    let (mut first, mut second) = (barrier.join().unwrap(), barrier.join().unwrap());
    for by_reset in [false, true, false] {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| first.wait());
            until("one waits", || barrier.waiting().unwrap() == 1);
            if by_reset {
                barrier.reset().unwrap();
            } else {
                barrier.abort().unwrap();
            }
            broken(waiter.join().unwrap());
        });
        assert_eq!(barrier.is_broken().unwrap(), !by_reset);
        if !by_reset {
            broken(second.try_wait());
            broken(first.wait());
            barrier.reset().unwrap();
        }
        assert_eq!(barrier.waiting().unwrap(), 0);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| first.wait().unwrap());
            second.wait().unwrap();
            waiter.join().unwrap();
        });
    }
}

/// A party that waits with the rest, tells how it ended, and waits to go.
fn waiter(policy: usize) -> impl Fn(&Segment, &Line) {
    move |segment, line| {
        let mut barrier = open(segment);
        barrier.set_wait(POLICIES[policy]);
        let mut party = barrier.join().unwrap();
        line.say(1);
        let ended = party.wait();
        line.say_and_wait(match ended {
            Ok(_) => 2,
            Err(BarrierError::Broken { .. }) => 3,
            Err(other) => panic!("{other}"),
        });
    }
}

#[test]
fn a_dead_party_breaks_it_within_two_slices_whether_it_waited_or_not() {
    for (policy, wait) in POLICIES.into_iter().enumerate() {
        for waited in [true, false] {
            let segment = segment();
            let barrier = Barrier::create_in(&segment, "barrier", 4).unwrap();
            is_prompt(wait, TWO_SLICES, || {
                let victim = Peer::ready(&segment, |segment, line| {
                    let mut party = open(segment).join().unwrap();
                    line.say(1);
                    if !waited {
                        line.hear();
                    }
                    let _ = party.wait();
                });
                let others = [
                    Peer::ready(&segment, waiter(policy)),
                    Peer::ready(&segment, waiter(policy)),
                ];
                let waiting = 2 + usize::from(waited);
                until("they wait", || barrier.waiting().unwrap() == waiting);
                if wait == Wait::Park {
                    until("they sleep", || others.iter().all(Peer::sleeps));
                }
                victim.kill();
                let start = Instant::now();
                for other in &others {
                    assert_eq!(other.line.hear(), 3);
                }
                let took = start.elapsed();
                assert!(barrier.is_broken().unwrap());
                for other in others {
                    other.line.say(0);
                    other.join();
                }
                let mut mine = barrier.join().unwrap();
                broken(mine.wait());
                barrier.reset().unwrap();
                assert!(!barrier.is_broken().unwrap());
                assert_eq!(barrier.waiting().unwrap(), 0);
                took
            });
        }
    }
}

#[test]
fn all_have_passed_though_one_dies_while_it_is_woken() {
    let segment = segment();
    let barrier = Barrier::create_in(&segment, "barrier", 3).unwrap();
    for _ in 0..15 {
        let mut mine = barrier.join().unwrap();
        let (victim, other) = (
            Peer::ready(&segment, waiter(2)),
            Peer::ready(&segment, waiter(2)),
        );
        until("they sleep", || victim.sleeps() && other.sleeps());
        // So that its death is known before it looks.
        other.stop();
        assert_eq!(mine.wait().unwrap(), Arrival::Leader);
        victim.kill();
        segment.recover().unwrap();
        assert!(barrier.is_broken().unwrap());
        other.resume();
        assert_eq!(other.line.hear(), 2);
        other.line.say(0);
        other.join();
        drop(mine);
        barrier.reset().unwrap();
    }
}

#[test]
fn a_full_barrier_of_dead_parties_is_broken_and_can_be_reset() {
    let segment = segment();
    let barrier = Barrier::create_in(&segment, "barrier", 2).unwrap();
    for _ in 0..5 {
        let victims = [Peer::ready(&segment, |segment, line| {
            let _parties = [open(segment).join().unwrap(), open(segment).join().unwrap()];
            line.say_and_wait(1);
        })];
        victims.into_iter().for_each(Peer::kill);
        assert!(matches!(barrier.join(), Err(BarrierError::Broken { .. })));
        barrier.reset().unwrap();
        drop([barrier.join().unwrap(), barrier.join().unwrap()]);
    }
}

#[test]
fn a_stopped_party_is_waited_for_and_goes_on() {
    let segment = segment();
    let barrier = Barrier::create_in(&segment, "barrier", 2).unwrap();
    let peer = Peer::ready(&segment, waiter(2));
    until("it waits", || barrier.waiting().unwrap() == 1);
    peer.stop();
    let mut party = barrier.join().unwrap();
    // It has arrived.
    assert_eq!(party.wait().unwrap(), Arrival::Leader);
    // The next time it has not.
    let late = party.wait_timeout(SHORT);
    assert!(matches!(late, Err(BarrierError::TimedOut)), "{late:?}");
    assert!(!barrier.is_broken().unwrap(), "a stopped process lives");
    peer.resume();
    assert_eq!(peer.line.hear(), 2);
    peer.line.say(0);
    peer.join();
}

#[test]
fn a_death_at_any_instant_leaves_a_barrier_that_can_be_reset() {
    let states = at_every_instant(
        |segment| Barrier::create_in(segment, "barrier", 2).unwrap(),
        |segment| {
            let mut barrier = open(segment);
            // Nothing that is repeated: it is done step by step.
            barrier.set_wait(Wait::Park);
            let parties = [barrier.join().unwrap(), barrier.join().unwrap()];
            (barrier, parties)
        },
        |(barrier, [mut one, two])| {
            assert!(one.wait_timeout(Duration::from_micros(1)).is_err());
            barrier.abort().unwrap();
            barrier.reset().unwrap();
            drop((one, two));
            drop(barrier.join().unwrap());
        },
        |segment| {
            let barrier = open(segment);
            segment.recover().unwrap();
            barrier.reset().unwrap();
            assert_eq!(barrier.waiting().unwrap(), 0);
            let (mut one, mut two) = (barrier.join().unwrap(), barrier.join().unwrap());
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| one.wait_timeout(PATIENCE).unwrap());
                two.wait_timeout(PATIENCE).unwrap();
                waiter.join().unwrap();
            });
        },
    );
    match states {
        None => eprintln!("skipped: this process may not trace"),
        Some(states) => assert!(states > 6, "{states}"),
    }
}

#[test]
fn parties_are_killed_at_random_and_the_rest_resets_and_goes_on() {
    let segment = segment();
    let barrier = Barrier::create_in(&segment, "barrier", 4).unwrap();
    let passes = Value::<u64>::create_in(&segment, "passes", 0).unwrap();
    let body = |segment: &Segment, _: u64| {
        let barrier = open(segment);
        let passes = Value::<u64>::open_in(segment, "passes").unwrap();
        let mut party = loop {
            match barrier.join() {
                Ok(party) => break party,
                Err(BarrierError::Broken { .. }) => barrier.reset().unwrap(),
                Err(BarrierError::Crowded { .. }) => std::thread::yield_now(),
                Err(other) => panic!("{other}"),
            }
        };
        loop {
            match party.wait() {
                Ok(Arrival::Leader) => drop(passes.fetch_add(1).unwrap()),
                Ok(Arrival::Follower) => {}
                Err(BarrierError::Broken { .. }) => {
                    if barrier.is_broken().unwrap() {
                        barrier.reset().unwrap();
                    }
                }
                Err(other) => panic!("{other}"),
            }
        }
    };
    robust::kill_at_random(rounds(60), &segment, body, || {
        let before = passes.get().unwrap();
        until("they pass", || passes.get().unwrap() > before);
    });
    barrier.reset().unwrap();
    drop([(); 4].map(|()| barrier.join().unwrap()));
    assert_eq!(segment.participants().unwrap().len(), 1);
}

#[test]
fn a_forked_child_is_refused() {
    let segment = segment();
    let barrier = Barrier::create_in(&segment, "barrier", 2).unwrap();
    let mut party = Some(barrier.join().unwrap());
    let child = Forked::run(|| {
        assert!(matches!(
            barrier.join(),
            Err(BarrierError::Segment(Error::Forked { .. }))
        ));
        let refused = party.as_mut().unwrap().wait();
        assert!(matches!(
            refused,
            Err(BarrierError::Segment(Error::Forked { .. }))
        ));
        assert!(barrier.reset().is_err() && barrier.abort().is_err());
        assert!(barrier.is_broken().is_err() && barrier.waiting().is_err());
        drop(party.take());
        0
    });
    assert_eq!(child.join(), Ok(0));
    // The parent's place is still its.
    let _second = barrier.join().unwrap();
    assert!(matches!(barrier.join(), Err(BarrierError::Crowded { .. })));
}
