//! Readers and writers are killed and stopped.

mod robust;

use ipc_core::{Segment, Wait};
use ipc_sync::{RwLock, RwLockError, Value, WriteLockError};
use robust::instants::at_every_instant;
use robust::{
    Line, PATIENCE, POLICIES, Peer, SHORT, TWO_SLICES, is_prompt, kill_at_random, rounds, segment,
    until,
};
use std::time::Instant;

type Pair = [u64; 2];

fn create(segment: &Segment) -> RwLock<Pair> {
    RwLock::create_in(segment, "lock", [1, 1]).unwrap()
}

fn open(segment: &Segment) -> RwLock<Pair> {
    RwLock::open_in(segment, "lock").unwrap()
}

fn reader(segment: &Segment) -> Peer {
    Peer::ready(segment, |segment, line| {
        let lock = open(segment);
        let _readings = [lock.read().unwrap(), lock.read().unwrap()];
        line.say_and_wait(1);
    })
}

fn writer(segment: &Segment) -> Peer {
    Peer::ready(segment, |segment, line| {
        let lock = open(segment);
        let mut writing = lock.write().unwrap();
        writing[0] += 1;
        line.say_and_wait(1);
        writing[1] += 1;
    })
}

#[test]
fn dead_readers_are_counted_no_longer() {
    let segment = segment();
    let lock = create(&segment);
    for _ in 0..20 {
        let others = [reader(&segment), reader(&segment)];
        assert!(lock.try_write().is_err());
        others.into_iter().for_each(Peer::kill);
        drop(lock.write_timeout(PATIENCE).unwrap());
    }
    segment.recover().unwrap();
    assert_eq!(segment.participants().unwrap().len(), 1);
}

#[test]
fn a_dead_writer_is_told_once_and_repaired_or_the_lock_is_unrecoverable() {
    let segment = segment();
    let lock = create(&segment);
    for round in 0..10 {
        let before = lock.get().unwrap()[1];
        writer(&segment).kill();
        if round % 2 == 0 {
            // A reader who waits is told, and cannot read.
            let told = lock.read_timeout(PATIENCE);
            assert!(
                matches!(told, Err(RwLockError::OwnerDied { .. })),
                "{told:?}"
            );
        }
        match lock.write_timeout(PATIENCE) {
            Err(WriteLockError::OwnerDied(mut guard)) => {
                assert_eq!(*guard, [before + 1, before]);
                guard[1] += 1;
                drop(guard.repaired());
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(*lock.read().unwrap(), [before + 1, before + 1]);
    }
    writer(&segment).kill();
    let other = Peer::ready(&segment, |segment, line| {
        let lock = open(segment);
        match lock.write_timeout(PATIENCE) {
            Err(WriteLockError::OwnerDied(guard)) => drop(guard),
            other => panic!("{other:?}"),
        };
        line.say(1);
    });
    other.join();
    assert!(matches!(
        lock.read(),
        Err(RwLockError::Unrecoverable { .. })
    ));
    let refused = lock.write();
    assert!(matches!(
        refused,
        Err(WriteLockError::Refused(RwLockError::Unrecoverable { .. }))
    ));
}

#[test]
fn a_repairers_death_leaves_the_repair_to_the_next() {
    let segment = segment();
    let lock = create(&segment);
    writer(&segment).kill();
    let repairer = Peer::ready(&segment, |segment, line| {
        let lock = open(segment);
        match lock.write_timeout(PATIENCE) {
            Err(WriteLockError::OwnerDied(_guard)) => line.say_and_wait(1),
            other => panic!("{other:?}"),
        };
    });
    repairer.kill();
    let found = lock.write_timeout(PATIENCE);
    assert!(
        matches!(found, Err(WriteLockError::OwnerDied(_))),
        "{found:?}"
    );
}

#[test]
fn who_waits_is_served_within_two_slices_of_a_death() {
    for (policy, wait) in POLICIES.into_iter().enumerate() {
        for victim in [reader, writer] {
            is_prompt(wait, TWO_SLICES, || {
                let segment = segment();
                let _lock = create(&segment);
                let victim = victim(&segment);
                let waiter = Peer::ready(&segment, |segment, line| {
                    let mut lock = open(segment);
                    lock.set_wait(POLICIES[policy]);
                    line.say(1);
                    let _guard = lock.write().map_err(drop);
                    line.say_and_wait(2);
                });
                if wait != Wait::Busy {
                    until("it sleeps", || waiter.sleeps());
                }
                victim.kill();
                let start = Instant::now();
                assert_eq!(waiter.line.hear(), 2);
                let took = start.elapsed();
                waiter.kill();
                took
            });
        }
    }
}

#[test]
fn killed_waiters_leave_nothing_behind() {
    let segment = segment();
    let lock = create(&segment);
    for round in 0..15 {
        let waiting = |segment: &Segment, line: &Line| {
            let mut lock = open(segment);
            lock.set_wait(Wait::Park);
            line.say(1);
            let _guard = lock.write();
        };
        let reading = lock.read().unwrap();
        // One has claimed and waits for the reader; the other waits for that one.
        let waiters = [
            Peer::ready(&segment, waiting),
            Peer::ready(&segment, waiting),
        ];
        waiters
            .iter()
            .for_each(|waiter| until("it sleeps", || waiter.sleeps()));
        assert!(matches!(lock.try_read(), Err(RwLockError::Held)));
        if round % 3 == 0 {
            drop(reading);
            waiters.into_iter().for_each(Peer::kill);
            lock.repair(|_| ()).unwrap();
        } else {
            waiters.into_iter().for_each(Peer::kill);
            // Nobody has written: nothing is to be repaired.
            drop(lock.read_timeout(PATIENCE).unwrap());
            drop(reading);
        }
        drop(lock.write_timeout(PATIENCE).unwrap());
        assert_eq!(lock.get().unwrap(), [1, 1]);
    }
    segment.recover().unwrap();
    assert_eq!(segment.participants().unwrap().len(), 1);
}

#[test]
fn who_is_stopped_keeps_what_it_has_and_timeouts_work() {
    let segment = segment();
    let lock = create(&segment);
    let stopped = reader(&segment);
    stopped.stop();
    let start = Instant::now();
    assert!(lock.write_timeout(SHORT).is_err());
    assert!(start.elapsed() >= SHORT);
    drop(lock.read().unwrap());
    segment.recover().unwrap();
    assert!(lock.try_write().is_err(), "a stopped process lives");
    stopped.resume();
    stopped.line.say(0);
    drop(lock.write_timeout(PATIENCE).unwrap());
    stopped.join();

    let stopped = writer(&segment);
    stopped.stop();
    assert!(matches!(
        lock.read_timeout(SHORT),
        Err(RwLockError::TimedOut)
    ));
    assert!(lock.write_timeout(SHORT).is_err());
    stopped.resume();
    stopped.line.say(0);
    assert_eq!(*lock.read_timeout(PATIENCE).unwrap(), [2, 2]);
    stopped.join();
}

#[test]
fn a_death_at_any_instant_is_seen_for_what_it_was() {
    let mut told = 0;
    let states = at_every_instant(
        create,
        open,
        |lock| {
            drop(lock.read().unwrap());
            let mut writing = lock.write().unwrap();
            writing[0] += 1;
            writing[1] += 1;
            drop(writing);
            lock.update(|it| *it = [8, 8]).unwrap();
            std::mem::forget(lock.read().unwrap());
        },
        |segment| {
            let lock = open(segment);
            match lock.write_timeout(PATIENCE) {
                Ok(pair) => assert_eq!(pair[0], pair[1], "half a change, and nobody told"),
                Err(WriteLockError::OwnerDied(mut guard)) => {
                    told += 1;
                    *guard = [5, 5];
                    drop(guard.repaired());
                }
                Err(other) => panic!("{other}"),
            }
            let pair = lock.read_timeout(PATIENCE).unwrap();
            assert_eq!(pair[0], pair[1]);
        },
    );
    match states {
        None => eprintln!("skipped: this process may not trace"),
        Some(states) => {
            println!("{states} states, {told} told");
            assert!(told >= 4 && told < states, "{told} of {states}");
        }
    }
}

#[test]
fn four_go_on_while_they_are_killed_at_random_again_and_again() {
    let segment = segment();
    let lock = create(&segment);
    let done = Value::<u64>::create_in(&segment, "done", 0).unwrap();
    let repairs = Value::<u64>::create_in(&segment, "repairs", 0).unwrap();
    let body = |segment: &Segment, number: u64| {
        let lock = open(segment);
        let done = Value::<u64>::open_in(segment, "done").unwrap();
        let repairs = Value::<u64>::open_in(segment, "repairs").unwrap();
        for round in number.. {
            if round % 3 == 0 {
                match lock.write() {
                    Ok(mut pair) => {
                        assert_eq!(pair[0], pair[1]);
                        pair[0] += 1;
                        // Long enough to be killed here.
                        (0..50).for_each(|_| std::hint::spin_loop());
                        pair[1] += 1;
                    }
                    Err(WriteLockError::OwnerDied(mut guard)) => {
                        repairs.fetch_add(1).unwrap();
                        guard[1] = guard[0];
                        drop(guard.repaired());
                    }
                    Err(other) => panic!("{other}"),
                }
            } else {
                match lock.read() {
                    Ok(pair) => assert_eq!(pair[0], pair[1]),
                    Err(RwLockError::OwnerDied { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            done.fetch_add(1).unwrap();
        }
    };
    kill_at_random(rounds(150), &segment, body, || {
        let before = done.get().unwrap();
        until("somebody goes on", || done.get().unwrap() > before);
    });
    println!("{} repairs", repairs.get().unwrap());
    lock.repair(|it| it[1] = it[0]).unwrap();
    drop(lock.try_write().unwrap());
    assert_eq!(segment.participants().unwrap().len(), 1);
}
