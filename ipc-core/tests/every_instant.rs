//! A process may be killed at any instruction: after every single change that it makes to a
//! segment, the others find no half object, no name twice, and all room.

#![cfg(not(loom))]

mod common;

use common::toy::{TOY, set_word, spec, word};
use ipc_core::{Error, Segment, TypeTag};
use ipc_process::test_name;
use std::path::Path;
use test_kit::scratch::Scratch;
use test_kit::solo::{alone, skip};
use test_kit::stepped::contents_after_each_change;

const OBJECTS: usize = 4;
const LEN: u64 = 256;

fn create(path: &Path) -> Segment {
    Segment::builder(path)
        .objects(OBJECTS as u32)
        .participants(2)
        .handles(2)
        .size(OBJECTS * LEN as usize)
        .create()
        .unwrap()
}

/// Puts a segment with these contents at a place of its own, where nobody has a lock on it: who
/// was attached is dead. Opens it.
fn dead(scratch: &Scratch, contents: &[u8]) -> Segment {
    let path = scratch.join("dead");
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, contents).unwrap();
    Segment::open(&path).unwrap()
}

/// Whether the object is there; if it is, it is whole.
fn find_whole(segment: &Segment) -> bool {
    match segment.open_object("object", &TOY, &TypeTag::of::<u64>()) {
        Ok(object) => {
            assert_eq!(
                (word(&object, 0), word(&object, LEN - 8)),
                (1, 2),
                "half an object"
            );
            true
        }
        Err(Error::ObjectNotFound { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// What the others do first.
#[derive(Clone, Copy)]
enum First {
    /// They look for the object.
    Look,
    /// They recover.
    Recover,
    /// They create something else.
    Create,
}

/// After recovery, all entries and all room are there for others. Returns whether the object is.
fn check_recovered(segment: &Segment, first: First) -> bool {
    match first {
        First::Look => {
            find_whole(segment);
        }
        First::Recover => {}
        First::Create => {
            segment
                .create_object("early", &spec(LEN), |_| Ok(()))
                .unwrap();
        }
    }
    segment.recover().unwrap();
    let found = find_whole(segment);
    assert!(
        segment.participants().unwrap().len() == 1,
        "the dead is still there"
    );
    for i in segment.objects().unwrap().len()..OBJECTS {
        let object = segment
            .create_object(&format!("filler {i}"), &spec(LEN), |_| Ok(()))
            .unwrap();
        assert!(
            (0..LEN).step_by(8).all(|offset| word(&object, offset) == 0),
            "used room"
        );
        (0..LEN)
            .step_by(8)
            .for_each(|offset| set_word(&object, offset, u64::MAX));
    }
    let mut objects = segment.objects().unwrap();
    objects.sort_by_key(|info| info.offset);
    assert_eq!(objects.len(), OBJECTS);
    for pair in objects.windows(2) {
        assert!(
            pair[0].offset + pair[0].len <= pair[1].offset,
            "{pair:?} overlap"
        );
    }
    assert_eq!(find_whole(segment), found);
    found
}

fn check_every_instant<T>(
    path: &Path,
    before: impl FnOnce() -> T,
    work: impl FnOnce(T),
) -> Option<(usize, usize)> {
    let changes = contents_after_each_change(path, before, work)?;
    let scratch = Scratch::new();
    let mut with_object = 0;
    for contents in &changes {
        let exists = find_whole(&dead(&scratch, contents));
        for first in [First::Look, First::Recover, First::Create] {
            assert_eq!(check_recovered(&dead(&scratch, contents), first), exists);
        }
        with_object += usize::from(exists);
    }
    Some((changes.len(), with_object))
}

fn make_object(segment: &Segment) {
    let created = segment.create_object("object", &spec(LEN), |object| {
        set_word(object, 0, 1);
        set_word(object, LEN - 8, 2);
        Ok(())
    });
    created.unwrap();
}

#[test]
fn of_the_creation_of_an_object_in_new_room() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        drop(create(&path));
        let before = || Segment::open(&path).unwrap();
        match check_every_instant(&path, before, |segment| make_object(&segment)) {
            None => skip("this process may not trace"),
            // The changes: claim, room, description, contents, commit, and the leaving.
            Some((changes, with_object)) => {
                eprintln!("{changes} states, {with_object} with the object");
                assert!(changes > 15 && with_object > 1 && with_object < changes);
            }
        }
    });
}

#[test]
fn of_the_creation_of_an_object_in_used_room() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        let segment = create(&path);
        let failed = segment.create_object("failed", &spec(LEN), |object| {
            (0..LEN)
                .step_by(8)
                .for_each(|offset| set_word(object, offset, u64::MAX));
            Err(Error::InvalidName {
                name: String::new(),
                reason: "on purpose",
            })
        });
        assert!(failed.is_err());
        drop(segment);
        let before = || Segment::open(&path).unwrap();
        match check_every_instant(&path, before, |segment| make_object(&segment)) {
            None => skip("this process may not trace"),
            Some((changes, with_object)) => {
                eprintln!("{changes} states, {with_object} with the object");
                assert!(changes > 30 && with_object > 1 && with_object < changes);
            }
        }
    });
}

#[test]
fn of_coming_and_leaving() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        drop(create(&path));
        let come_and_leave = |()| {
            let segment = Segment::open(&path).unwrap();
            let owner = segment.owner().unwrap();
            drop(owner);
            drop(segment);
        };
        match check_every_instant(&path, || (), come_and_leave) {
            None => skip("this process may not trace"),
            Some((changes, _)) => assert!(changes >= 8, "{changes}"),
        }
    });
}

#[test]
fn of_the_sweep_of_a_dead_creator() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        drop(create(&path));
        let before = || Segment::open(&path).unwrap();
        let Some(changes) =
            contents_after_each_change(&path, before, |segment| make_object(&segment))
        else {
            return skip("this process may not trace");
        };
        // Every fourth state of a creation that was interrupted, and in it every state of the
        // recovery: two dead at once.
        for contents in changes.iter().step_by(4) {
            std::fs::write(scratch.join("swept"), contents).unwrap();
            let swept = scratch.join("swept");
            let before = || Segment::open(&swept).unwrap();
            let recover = |segment: Segment| {
                segment.recover().unwrap();
                std::mem::forget(segment);
            };
            check_every_instant(&swept, before, recover).unwrap();
            std::fs::remove_file(&swept).unwrap();
        }
    });
}
