//! What the dead held is given back exactly once, whoever is stopped or killed meanwhile, and a
//! new participant never loses anything to a sweep for an old one.

#![cfg(not(loom))]

mod common;

use common::peer::{Peer, attach, attached};
use common::words;
use ipc_core::{Error, Holder, Kind, Life, ObjectSpec, OwnerId, Place, Recovery, Segment, TypeTag};
use ipc_process::{WorkResult, Worker, run_if_worker, test_name};
use std::sync::atomic::Ordering;

/// Four participants with one handle each at most, so that table entries are reused at once.
fn segment() -> Segment {
    Segment::builder(Place::memfd("sweeping"))
        .size(1 << 16)
        .participants(4)
        .handles(4)
        .create()
        .unwrap()
}

/// A role: takes an id for each of the given words, writes it there, and tells the ids.
fn hold(worker: &mut Worker) -> WorkResult {
    let places = worker.params().to_vec();
    let (segment, line) = attached(worker);
    let words = words::open(&segment, "words");
    let owners: Vec<_> = places.iter().map(|_| segment.owner().unwrap()).collect();
    for (&place, owner) in places.iter().zip(&owners) {
        words[usize::from(place)].store(owner.id().to_word(), Ordering::Release);
        line.say_word(owner.id().to_word());
    }
    line.wait();
    for place in places {
        words[usize::from(place)].store(0, Ordering::Release);
    }
    Ok(())
}

fn holder_of(test: &str, segment: &Segment, places: &[u8]) -> (Peer, Vec<u64>) {
    let peer = Peer::start_with(test, "hold", segment.descriptor().unwrap(), places);
    let ids = places.iter().map(|_| peer.line.hear_word()).collect();
    (peer, ids)
}

/// A role: sweeps, halting between reading a word of the dead and emptying it.
fn sweep_and_halt(worker: &mut Worker) -> WorkResult {
    words::WORDS.register();
    let (segment, line) = attached(worker);
    line.say(b'a');
    line.expect(b's');
    *words::HALT.lock().unwrap() = Some(line);
    let done = segment.recover()?;
    let line = words::HALT.lock().unwrap().take().unwrap();
    line.say_word(done.swept.into());
    line.wait();
    Ok(())
}

fn entries(segment: &Segment) -> Vec<(u64, Life)> {
    let all = segment.participants().unwrap();
    all.into_iter().map(|it| (it.ticket, it.life)).collect()
}

fn is_dead(segment: &Segment, id: u64) -> bool {
    let id = OwnerId::from_word(id).unwrap();
    segment.holder(id).unwrap().is_dead()
}

#[test]
fn the_words_of_the_dead_are_emptied_and_no_others() {
    run_if_worker(test_name!(), &[("hold", &hold)]);
    let segment = segment();
    let words = words::create(&segment, "words", 4);
    let (mut victim, ids) = holder_of(test_name!(), &segment, &[0, 2]);
    let (_bystander, kept) = holder_of(test_name!(), &segment, &[1]);
    let mine = segment.owner().unwrap();
    words[3].store(mine.id().to_word(), Ordering::Release);
    assert!(!is_dead(&segment, ids[0]));

    victim.kill();
    assert!(is_dead(&segment, ids[0]) && is_dead(&segment, ids[1]));
    let done = segment.recover().unwrap();
    assert_eq!((done.swept, done.waiting), (1, 0));
    let left: Vec<_> = words.iter().map(|w| w.load(Ordering::Acquire)).collect();
    assert_eq!(left, [0, kept[0], 0, mine.id().to_word()]);
    for id in ids {
        let holder = segment.holder(OwnerId::from_word(id).unwrap()).unwrap();
        assert!(matches!(holder, Holder::Nobody));
    }
    assert_eq!(segment.recover().unwrap(), Recovery::default(), "only once");
}

#[test]
fn recover_if_due_looks_once_in_its_interval() {
    run_if_worker(test_name!(), &[("attach", &attach)]);
    let segment = segment();
    let long = std::time::Duration::from_secs(3600);
    segment.recover_if_due(long).unwrap();
    let mut victim = Peer::start(test_name!(), "attach", &segment);
    victim.line.expect(b'a');
    victim.kill();
    assert_eq!(segment.recover_if_due(long).unwrap().swept, 0);
    let now = std::time::Duration::ZERO;
    assert_eq!(segment.recover_if_due(now).unwrap().swept, 1);
}

#[test]
fn a_sweeper_that_was_stopped_takes_nothing_from_the_next_user_of_the_entry() {
    run_if_worker(test_name!(), &[("hold", &hold), ("sweep", &sweep_and_halt)]);
    let segment = segment();
    let words = words::create(&segment, "words", 4);
    let mut slow = Peer::start(test_name!(), "sweep", &segment);
    slow.line.expect(b'a');
    // All entries and all handles but one are taken from now on.
    let others: Vec<_> = (0..1).map(|_| second_attachment(&segment)).collect();
    let _ids: Vec<_> = (0..2).map(|_| segment.owner().unwrap()).collect();
    let (mut victim, old) = holder_of(test_name!(), &segment, &[0, 1]);
    victim.kill();

    slow.line.say(b's');
    slow.line.expect(b'h');
    slow.process.stop().unwrap();

    // Somebody else does the whole sweep, and the entry and the handles are used again.
    assert_eq!(segment.recover().unwrap().swept, 1);
    assert_eq!(words[0].load(Ordering::Acquire), 0);
    let (mut newcomer, new) = holder_of(test_name!(), &segment, &[0, 1]);
    let slots = |ids: &[u64]| {
        let mut slots: Vec<_> = ids.iter().map(|id| id & 0xFFFF).collect();
        slots.sort();
        slots
    };
    assert_eq!(
        slots(&old),
        slots(&new),
        "the same table slots, or this tests nothing"
    );
    assert!(old.iter().all(|id| !new.contains(id)));
    let before = entries(&segment);
    assert_eq!(before.len(), 4);

    slow.process.resume().unwrap();
    // Through both words and to the end of its sweep.
    slow.line.say(b'.');
    loop {
        match slow.line.hear() {
            b'h' => slow.line.say(b'.'),
            rest => {
                // The first byte of the word that says how many it swept.
                assert!(rest <= 1);
                for _ in 1..8 {
                    slow.line.hear();
                }
                break;
            }
        }
    }
    assert_eq!(
        entries(&segment),
        before,
        "the newcomer's entry is untouched"
    );
    for (word, id) in words.iter().zip(&new) {
        assert_eq!(word.load(Ordering::Acquire), *id, "and so are its words");
        let holder = segment.holder(OwnerId::from_word(*id).unwrap()).unwrap();
        assert!(matches!(holder, Holder::Process(who) if who.life == Life::Alive));
    }
    newcomer.line.say(b'.');
    newcomer.finish();
    slow.line.say(b'.');
    slow.finish();
    drop(others);
    assert_eq!(entries(&segment).len(), 1);
}

/// Another participant in this process.
fn second_attachment(segment: &Segment) -> Segment {
    Segment::open(segment.descriptor().unwrap()).unwrap()
}

#[test]
fn a_sweeper_that_is_killed_half_way_leaves_the_rest_to_the_next() {
    run_if_worker(test_name!(), &[("hold", &hold), ("sweep", &sweep_and_halt)]);
    let segment = segment();
    let words = words::create(&segment, "words", 4);
    let mut sweeper = Peer::start(test_name!(), "sweep", &segment);
    sweeper.line.expect(b'a');
    let (mut victim, _) = holder_of(test_name!(), &segment, &[0, 1, 3]);
    victim.kill();
    sweeper.line.say(b's');
    sweeper.line.expect(b'h');
    sweeper.line.say(b'.');
    // It has emptied the first word and read the second one.
    sweeper.line.expect(b'h');
    assert_eq!(words[0].load(Ordering::Acquire), 0);
    assert_ne!(words[1].load(Ordering::Acquire), 0);
    sweeper.kill();

    assert_eq!(
        segment.recover().unwrap().swept,
        2,
        "the victim and the sweeper"
    );
    assert!(words.iter().all(|word| word.load(Ordering::Acquire) == 0));
    assert_eq!(entries(&segment).len(), 1);
    let all: Vec<_> = (0..4).map(|_| segment.owner()).collect();
    assert!(all.iter().all(Result::is_ok), "all handles are back");
}

#[test]
fn an_entry_comes_back_only_after_every_object_was_swept_for_it() {
    run_if_worker(test_name!(), &[("hold", &hold), ("sweep", &sweep_and_halt)]);
    let segment = segment();
    let words = words::create(&segment, "words", 4);
    let second = words::create(&segment, "more words", 4);
    let mut sweeper = Peer::start(test_name!(), "sweep", &segment);
    sweeper.line.expect(b'a');
    let (mut victim, ids) = holder_of(test_name!(), &segment, &[0]);
    second[3].store(ids[0], Ordering::Release);
    let victim_ticket = entries(&segment).iter().map(|it| it.0).max().unwrap();
    victim.kill();

    sweeper.line.say(b's');
    for object in [&words[0], &second[3]] {
        sweeper.line.expect(b'h');
        assert_eq!(object.load(Ordering::Acquire), ids[0]);
        assert!(is_dead(&segment, ids[0]), "the handle is still the dead's");
        assert!(entries(&segment).contains(&(victim_ticket, Life::Dead)));
        sweeper.line.say(b'.');
    }
    assert_eq!(sweeper.line.hear_word(), 1);
    assert_eq!(second[3].load(Ordering::Acquire), 0);
    assert_eq!(entries(&segment).len(), 2);
    sweeper.line.say(b'.');
    sweeper.finish();
}

#[test]
fn the_dead_wait_for_a_program_that_knows_their_objects() {
    static SECRET: Kind = Kind {
        name: "a kind of one role",
        sweep: |_, _| Ok(()),
    };
    fn secret_holder(worker: &mut Worker) -> WorkResult {
        let with_id = worker.params() == [1];
        let (segment, line) = attached(worker);
        let spec = ObjectSpec {
            kind: &SECRET,
            element: TypeTag::of::<u64>(),
            config: [0; 4],
            len: 8,
        };
        if segment.objects()?.is_empty() {
            segment.create_object("secret", &spec, |_| Ok(()))?;
        }
        let _owner = with_id.then(|| segment.owner().unwrap());
        line.say(b'a');
        line.wait();
        Ok(())
    }
    fn knows_it(worker: &mut Worker) -> WorkResult {
        SECRET.register();
        let (segment, line) = attached(worker);
        line.say_word(segment.recover()?.swept.into());
        Ok(())
    }
    run_if_worker(
        test_name!(),
        &[
            ("secret", &secret_holder),
            ("knows it", &knows_it),
            ("attach", &attach),
        ],
    );
    let segment = segment();
    let descriptor = segment.descriptor().unwrap();
    let die = |params: &[u8]| {
        let mut peer = Peer::start_with(test_name!(), "secret", &descriptor, params);
        peer.line.expect(b'a');
        peer.kill();
    };
    die(&[1]);
    for _ in 0..3 {
        let done = segment.recover().unwrap();
        assert_eq!((done.swept, done.waiting), (0, 1));
    }
    // Who had no id can have held nothing, whatever objects there are.
    die(&[]);
    let done = segment.recover().unwrap();
    assert_eq!((done.swept, done.waiting), (1, 1));

    // Full, with one that waits: the error says so.
    let one = second_attachment(&segment);
    let two = second_attachment(&segment);
    let error = Segment::open(segment.descriptor().unwrap()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::ParticipantsFull {
                limit: 4,
                dead: 1,
                ..
            }
        ),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("4 participants") && text.contains("1 of them dead"),
        "{text}"
    );
    drop((one, two));

    let mut expert = Peer::start(test_name!(), "knows it", &segment);
    assert_eq!(expert.line.hear_word(), 1);
    expert.finish();
    assert_eq!(segment.recover().unwrap(), Recovery::default());
    assert_eq!(entries(&segment).len(), 1);
}
