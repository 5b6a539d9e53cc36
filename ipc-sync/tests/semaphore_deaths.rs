//! Holders and waiters of a semaphore are killed and stopped.

mod robust;

use ipc_core::{Segment, Wait};
use ipc_sync::{AcquireError, Semaphore, Value};
use robust::instants::at_every_instant;
use robust::{
    PATIENCE, POLICIES, Peer, SHORT, TWO_SLICES, is_prompt, kill_at_random, rounds, segment, until,
};
use std::time::Instant;

const NAME: &str = "semaphore";

fn open(segment: &Segment) -> Semaphore {
    Semaphore::open_in(segment, NAME).unwrap()
}

/// A process that holds so many, in guards of these sizes.
fn holder(segment: &Segment, counts: &[u32]) -> Peer {
    Peer::ready(segment, |segment, line| {
        let semaphore = open(segment);
        let held: Vec<_> = counts
            .iter()
            .map(|&count| semaphore.acquire_many(count).unwrap())
            .collect();
        line.say_and_wait(1);
        drop(held);
    })
}

#[test]
fn a_killed_holders_permits_come_back_exactly_and_once_however_many_notice() {
    let segment = segment();
    let semaphore = Semaphore::create_in(&segment, NAME, 8).unwrap();
    for round in 0..20 {
        let kept = semaphore.acquire().unwrap();
        let counts: &[u32] = [&[1][..], &[3, 2], &[1, 1, 1], &[7]][round % 4];
        let peer = holder(&segment, counts);
        let noticing: Vec<_> = (0..3)
            .map(|_| {
                Peer::ready(&segment, |segment, line| {
                    line.say_and_wait(1);
                    for _ in 0..20 {
                        segment.recover().unwrap();
                    }
                })
            })
            .collect();
        peer.kill();
        noticing.iter().for_each(|peer| peer.line.say(0));
        segment.recover().unwrap();
        noticing.into_iter().for_each(Peer::join);
        assert_eq!(semaphore.available().unwrap(), 7, "{counts:?}");
        drop(kept);
    }
}

#[test]
fn who_changed_the_number_of_permits_holds_none_of_them() {
    let segment = segment();
    let semaphore = Semaphore::create_in(&segment, NAME, 1).unwrap();
    for round in 1..10 {
        let peer = Peer::ready(&segment, |segment, line| {
            open(segment).add_permits(1).unwrap();
            let semaphore = open(segment);
            semaphore.add_permits(1).unwrap();
            line.say_and_wait(1);
        });
        peer.kill();
        segment.recover().unwrap();
        assert_eq!(semaphore.permits().unwrap(), 1 + 2 * round);
        assert_eq!(semaphore.available().unwrap(), 1 + 2 * round);
    }
}

#[test]
fn who_waits_has_a_dead_ones_permits_within_two_slices() {
    for (policy, wait) in POLICIES.into_iter().enumerate() {
        let segment = segment();
        let semaphore = Semaphore::create_in(&segment, NAME, 2).unwrap();
        is_prompt(wait, TWO_SLICES, || {
            let peer = holder(&segment, &[2]);
            let waiter = Peer::ready(&segment, |segment, line| {
                let mut semaphore = open(segment);
                semaphore.set_wait(POLICIES[policy]);
                line.say(1);
                let _all = semaphore.acquire_many(2).unwrap();
                line.say_and_wait(2);
            });
            if wait != Wait::Busy {
                until("it sleeps", || waiter.sleeps());
            }
            peer.kill();
            let start = Instant::now();
            assert_eq!(waiter.line.hear(), 2);
            let took = start.elapsed();
            waiter.line.say(0);
            waiter.join();
            took
        });
        assert_eq!(semaphore.available().unwrap(), 2);
    }
}

#[test]
fn killed_waiters_leave_nothing_behind() {
    let segment = segment();
    let semaphore = Semaphore::create_in(&segment, NAME, 2).unwrap();
    for round in 0..20 {
        let held = semaphore.acquire().unwrap();
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                Peer::ready(&segment, |segment, line| {
                    let mut semaphore = open(segment);
                    semaphore.set_wait(Wait::Park);
                    line.say(1);
                    let _all = semaphore.acquire_many(2).unwrap();
                    line.say_and_wait(2);
                })
            })
            .collect();
        waiters
            .iter()
            .for_each(|waiter| until("it sleeps", || waiter.sleeps()));
        // Killed while it sleeps, or while it is being woken.
        if round % 2 == 0 {
            drop(held);
            waiters.into_iter().for_each(Peer::kill);
        } else {
            waiters.into_iter().for_each(Peer::kill);
            drop(held);
        }
        drop(semaphore.acquire_many_timeout(2, PATIENCE).unwrap());
        segment.recover().unwrap();
        assert_eq!(semaphore.available().unwrap(), 2);
        assert_eq!(segment.participants().unwrap().len(), 1);
    }
}

#[test]
fn one_woken_waiters_death_does_not_strand_the_others() {
    let segment = segment();
    let semaphore = Semaphore::create_in(&segment, NAME, 1).unwrap();
    for _ in 0..20 {
        let held = semaphore.acquire().unwrap();
        let wait = |segment: &Segment, line: &robust::Line| {
            let mut semaphore = open(segment);
            semaphore.set_wait(Wait::Park);
            line.say(1);
            drop(semaphore.acquire().unwrap());
        };
        let (victim, survivor) = (Peer::ready(&segment, wait), Peer::ready(&segment, wait));
        until("both sleep", || victim.sleeps() && survivor.sleeps());
        drop(held);
        victim.kill();
        survivor.join();
    }
}

#[test]
fn a_stopped_holder_keeps_its_permits_and_nobody_else_waiting() {
    let segment = segment();
    let semaphore = Semaphore::create_in(&segment, NAME, 3).unwrap();
    let peer = holder(&segment, &[2]);
    peer.stop();
    let start = Instant::now();
    let refused = semaphore.acquire_many_timeout(2, SHORT);
    assert!(matches!(refused, Err(AcquireError::TimedOut)));
    assert!(start.elapsed() >= SHORT);
    for _ in 0..1000 {
        drop(semaphore.acquire().unwrap());
    }
    segment.recover().unwrap();
    assert_eq!(semaphore.available().unwrap(), 1, "a stopped process lives");
    peer.resume();
    peer.line.say(0);
    drop(semaphore.acquire_many_timeout(3, PATIENCE).unwrap());
    peer.join();
}

#[test]
fn a_waiter_outlives_a_storm_of_signals() {
    let segment = segment();
    let semaphore = Semaphore::create_in(&segment, NAME, 1).unwrap();
    let held = semaphore.acquire().unwrap();
    let peer = Peer::ready(&segment, |segment, line| {
        let mut semaphore = open(segment);
        semaphore.set_wait(Wait::Park);
        line.say(1);
        assert!(semaphore.acquire_timeout(4 * SHORT).is_err());
        line.say(2);
        drop(semaphore.acquire().unwrap());
    });
    // Stopping and continuing ends sleeps in the kernel.
    let start = Instant::now();
    while start.elapsed() < 3 * SHORT {
        peer.stop();
        peer.resume();
    }
    assert_eq!(peer.line.hear(), 2);
    assert!(start.elapsed() >= 3 * SHORT);
    drop(held);
    peer.join();
}

/// Permits are right whatever instruction a process dies at.
fn check_every_instant(held_before: u32, work: impl FnOnce(Semaphore)) {
    let mut seen = std::collections::HashSet::new();
    let states = at_every_instant(
        |segment| {
            let semaphore = Semaphore::create_in(segment, NAME, 5).unwrap();
            // The first use, by another seat.
            drop(semaphore.acquire().unwrap());
            semaphore
        },
        |segment| {
            let semaphore = open(segment);
            std::mem::forget(semaphore.acquire_many(held_before).unwrap());
            semaphore
        },
        work,
        |segment| {
            let semaphore = open(segment);
            seen.insert(semaphore.available().unwrap());
            // Without an explicit recovery: whoever needs them gets them.
            drop(semaphore.acquire_many_timeout(5, PATIENCE).unwrap());
            segment.recover().unwrap();
            assert_eq!(semaphore.available().unwrap(), 5);
            assert_eq!(segment.participants().unwrap().len(), 1);
        },
    );
    match states {
        None => eprintln!("skipped: this process may not trace"),
        Some(states) => {
            println!("{states} states, {seen:?} free");
            assert!(states > 2 && seen.len() > 1, "{states} {seen:?}");
        }
    }
}

#[test]
fn a_death_at_any_instant_of_taking_and_giving_back_loses_nothing() {
    for held_before in [0, 1, 2] {
        check_every_instant(held_before, |semaphore| {
            drop(semaphore.acquire().unwrap());
            // From what is remembered of that.
            drop(semaphore.acquire().unwrap());
            drop(semaphore.acquire_many(3).unwrap());
            std::mem::forget(semaphore.acquire_many(2).unwrap());
        });
    }
}

#[test]
fn a_death_at_any_instant_of_changing_their_number_leaves_it_exact() {
    let mut seen = std::collections::HashSet::new();
    let states = at_every_instant(
        |segment| Semaphore::create_in(segment, NAME, 5).unwrap(),
        open,
        |semaphore| {
            semaphore.add_permits(3).unwrap();
            semaphore.reduce_permits(7).unwrap();
            assert!(semaphore.reduce_permits(2).is_err());
        },
        |segment| {
            let semaphore = open(segment);
            let permits = semaphore.permits().unwrap();
            assert_eq!(semaphore.available().unwrap(), permits);
            seen.insert(permits);
            segment.recover().unwrap();
            drop(semaphore.acquire().unwrap());
            semaphore.add_permits(1).unwrap();
            assert_eq!(semaphore.permits().unwrap(), permits + 1);
            assert_eq!(semaphore.available().unwrap(), permits + 1);
        },
    );
    match states {
        None => eprintln!("skipped: this process may not trace"),
        Some(_) => assert_eq!(seen, [5, 8, 1].into()),
    }
}

#[test]
fn a_death_at_any_instant_of_leaving_loses_nothing() {
    check_every_instant(3, |semaphore| {
        std::mem::forget(semaphore.acquire().unwrap());
        drop(semaphore);
    });
}

#[test]
fn a_sweeper_may_die_at_any_instant_too() {
    let states = at_every_instant(
        |segment| Semaphore::create_in(segment, NAME, 5).unwrap(),
        |segment| {
            let dead = Peer::ready(segment, |segment, line| {
                let semaphore = open(segment);
                std::mem::forget(semaphore.acquire_many(2).unwrap());
                let _held = semaphore.acquire().unwrap();
                line.say_and_wait(1);
            });
            let semaphore = open(segment);
            drop(semaphore.acquire().unwrap());
            dead.kill();
            segment.clone()
        },
        |segment| {
            segment.recover().unwrap();
        },
        |segment| {
            let semaphore = open(segment);
            segment.recover().unwrap();
            assert_eq!(semaphore.available().unwrap(), 5);
            drop(semaphore.acquire_many(5).unwrap());
        },
    );
    match states {
        None => eprintln!("skipped: this process may not trace"),
        Some(states) => assert!(states > 5, "{states}"),
    }
}

#[test]
fn four_go_on_while_they_are_killed_at_random_again_and_again() {
    const PERMITS: u32 = 5;
    let segment = segment();
    let semaphore = Semaphore::create_in(&segment, NAME, PERMITS).unwrap();
    let done = Value::<u64>::create_in(&segment, "done", 0).unwrap();
    let kills = rounds(150);
    let body = |segment: &Segment, number: u64| {
        let semaphore = open(segment);
        let done = Value::<u64>::open_in(segment, "done").unwrap();
        for round in number.. {
            let count = 1 + (round % 3) as u32;
            let permits = semaphore.acquire_many(count).unwrap();
            drop(permits);
            done.fetch_add(1).unwrap();
        }
    };
    kill_at_random(kills, &segment, body, || {
        // The others go on, and all permits are to be had.
        let before = done.get().unwrap();
        until("somebody goes on", || done.get().unwrap() > before);
        assert!(semaphore.available().unwrap() <= PERMITS);
    });
    assert_eq!(semaphore.available().unwrap(), PERMITS);
    drop(semaphore.try_acquire_many(PERMITS).unwrap());
    assert_eq!(segment.participants().unwrap().len(), 1);
}
