//! The tables of participants and handles: their limits, and that all comes back.

#![cfg(not(loom))]

mod common;

use common::peer::{Peer, attach, attached, descriptor_and_line};
use common::words;
use ipc_core::{Error, Life, Owner, OwnerId, Place, Segment};
use ipc_process::{WorkResult, Worker, run_if_worker, test_name};
use std::collections::HashSet;
use std::sync::atomic::Ordering;

fn segment(participants: u32, handles: u32) -> Segment {
    Segment::builder(Place::memfd("tables"))
        .size(4096)
        .participants(participants)
        .handles(handles)
        .create()
        .unwrap()
}

fn another(segment: &Segment) -> Result<Segment, Error> {
    Segment::open(segment.descriptor().unwrap())
}

#[test]
fn a_full_table_of_participants_is_an_error_that_says_how_many_and_how_many_dead() {
    let segment = segment(3, 4);
    let (one, two) = (another(&segment).unwrap(), another(&segment).unwrap());
    for _ in 0..10 {
        let error = another(&segment).unwrap_err();
        assert!(
            matches!(
                error,
                Error::ParticipantsFull {
                    limit: 3,
                    dead: 0,
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.to_string().contains("3 participants"), "{error}");
    }
    assert_eq!(segment.participants().unwrap().len(), 3);
    drop(one);
    let three = another(&segment).unwrap();
    assert!(another(&segment).is_err());
    drop((two, three));
    assert_eq!(segment.participants().unwrap().len(), 1);
}

#[test]
fn the_entries_of_the_dead_are_reclaimed_by_who_joins() {
    run_if_worker(test_name!(), &[("attach", &attach)]);
    let segment = segment(4, 4);
    let mut dead: Vec<_> = (0..3)
        .map(|_| Peer::start(test_name!(), "attach", &segment))
        .collect();
    for peer in &dead {
        peer.line.expect(b'a');
    }
    assert!(another(&segment).is_err(), "all live");
    for peer in &mut dead {
        peer.kill();
    }
    let newcomer = another(&segment).unwrap();
    let all = newcomer.participants().unwrap();
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all.iter().all(|it| it.life == Life::Alive));
}

#[test]
fn one_participant_and_one_handle_are_enough() {
    let segment = segment(1, 1);
    assert!(matches!(
        another(&segment),
        Err(Error::ParticipantsFull { limit: 1, .. })
    ));
    let owner = segment.owner().unwrap();
    assert!(matches!(
        segment.owner(),
        Err(Error::HandlesFull { limit: 1, .. })
    ));
    drop(owner);
    segment.owner().unwrap();
}

#[test]
fn a_full_table_of_handles_is_an_error_of_its_own_and_dropping_one_makes_room() {
    let segment = segment(4, 5);
    let second = another(&segment).unwrap();
    let mut owners: Vec<Owner> = (0..5)
        .map(|at| {
            if at % 2 == 0 { &segment } else { &second }
                .owner()
                .unwrap()
        })
        .collect();
    for segment in [&segment, &second] {
        let error = segment.owner().unwrap_err();
        assert!(
            matches!(error, Error::HandlesFull { limit: 5, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("5 handles"), "{error}");
    }
    owners.pop();
    owners.push(second.owner().unwrap());
    assert!(segment.owner().is_err());
}

#[test]
fn an_id_is_not_given_out_twice() {
    let segment = segment(2, 3);
    let mut seen = HashSet::new();
    let _kept = segment.owner().unwrap();
    for _ in 0..50_000 {
        let id = segment.owner().unwrap().id();
        assert!(
            seen.insert(id),
            "{id:?} came again after {} others",
            seen.len()
        );
        assert_eq!(OwnerId::from_word(id.to_word()), Some(id));
    }
    assert!(OwnerId::from_word(0).is_none());
}

#[test]
fn an_id_that_cannot_exist_is_reported_and_one_given_back_is_nobodys() {
    let segment = segment(2, 3);
    let beyond = OwnerId::from_word(1 << 16 | 3).unwrap();
    assert!(matches!(
        segment.holder(beyond),
        Err(Error::Corrupted { .. })
    ));
    let id = segment.owner().unwrap().id();
    assert!(matches!(
        segment.holder(id).unwrap(),
        ipc_core::Holder::Nobody
    ));
}

#[test]
fn the_handles_of_the_dead_are_reclaimed_by_who_needs_one() {
    run_if_worker(
        test_name!(),
        &[("take all", &|worker| {
            let (segment, line) = attached(worker);
            let owners: Vec<_> = std::iter::from_fn(|| segment.owner().ok()).collect();
            line.say_word(owners.len() as u64);
            line.wait();
            Ok(())
        })],
    );
    let segment = segment(4, 7);
    let mut peer = Peer::start(test_name!(), "take all", &segment);
    assert_eq!(peer.line.hear_word(), 7);
    assert!(matches!(segment.owner(), Err(Error::HandlesFull { .. })));
    peer.kill();
    let owners: Vec<_> = (0..7).map(|_| segment.owner().unwrap()).collect();
    assert!(matches!(segment.owner(), Err(Error::HandlesFull { .. })));
    drop(owners);
}

#[test]
fn thousands_of_joins_and_kills_leave_exactly_the_living() {
    const JOINS: u64 = 3_000;
    const KILLS: usize = 60;
    const WORKERS: usize = 4;

    fn join_in_a_loop(worker: &mut Worker) -> WorkResult {
        words::WORDS.register();
        let seed = u64::from(std::process::id());
        let (descriptor, line) = descriptor_and_line(worker);
        line.say(b'a');
        for round in 0.. {
            let segment = Segment::open(descriptor.try_clone()?)?;
            let words = words::open(&segment, "words");
            let (one, two) = (segment.owner()?, segment.owner()?);
            for (at, owner) in [&one, &two].into_iter().enumerate() {
                // Somewhere that is free, as a lock would be taken.
                let mine = owner.id().to_word();
                let word = words[1..]
                    .iter()
                    .cycle()
                    .skip(seed as usize % 16 + at)
                    .find(|word| {
                        let take =
                            word.compare_exchange(0, mine, Ordering::AcqRel, Ordering::Relaxed);
                        take.is_ok()
                    });
                if round % 3 != 0 {
                    continue;
                }
                // Two rounds in three leave the words behind when they are killed here.
                let word = word.unwrap();
                word.compare_exchange(mine, 0, Ordering::AcqRel, Ordering::Relaxed)
                    .map_err(|seen| format!("{mine:x} was replaced by {seen:x} while it lived"))?;
            }
            for word in &words[1..] {
                for owner in [&one, &two] {
                    let mine = owner.id().to_word();
                    let _ = word.compare_exchange(mine, 0, Ordering::AcqRel, Ordering::Relaxed);
                }
            }
            words[0].fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
    run_if_worker(test_name!(), &[("join", &join_in_a_loop)]);
    words::WORDS.register();
    // Tight tables, so that the dead must be reclaimed for the loop to go on.
    let segment = segment(WORKERS as u32 * 2 + 1, 24);
    let words = words::create(&segment, "words", 33);
    let start = || Peer::start(test_name!(), "join", &segment);
    let mut peers: Vec<_> = (0..WORKERS).map(|_| start()).collect();
    for kill in 0..KILLS {
        // At a random point of its loop: after a number of joins of all together.
        let joined = words[0].load(Ordering::Relaxed);
        let until = JOINS * (kill as u64 + 1) / KILLS as u64;
        while words[0].load(Ordering::Relaxed).max(joined) < until {
            for peer in &mut peers {
                assert!(peer.process.is_alive(), "{}", peer.process.join().unwrap());
            }
            std::thread::yield_now();
        }
        let victim = &mut peers[kill * 7 % WORKERS];
        victim.kill();
        *victim = start();
        victim.line.expect(b'a');
    }
    drop(peers);

    assert!(words[0].load(Ordering::Relaxed) >= JOINS);
    segment.recover().unwrap();
    let all = segment.participants().unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(
        words[1..]
            .iter()
            .all(|word| word.load(Ordering::Acquire) == 0)
    );
    let owners: Vec<_> = (0..24).map(|_| segment.owner().unwrap()).collect();
    assert!(segment.owner().is_err());
    drop(owners);
    let others: Vec<_> = (0..WORKERS * 2)
        .map(|_| another(&segment).unwrap())
        .collect();
    assert!(another(&segment).is_err());
    drop(others);
}
