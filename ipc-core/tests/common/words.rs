//! A toy kind of object: words that hold owner ids, and are emptied when the owner has died.

use super::line::Line;
use ipc_core::{Departed, Kind, Object, ObjectSpec, OwnerId, Result, Segment, SharedRef, TypeTag};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub static WORDS: Kind = Kind {
    name: "test words v1",
    sweep,
};

/// How often this process has swept an object of the kind.
pub static SWEEPS: AtomicU32 = AtomicU32::new(0);

/// Where the sweeps of this process halt: each says `h` there between reading a word of the dead
/// and emptying it, and goes on when it hears something.
pub static HALT: Mutex<Option<Line>> = Mutex::new(None);

fn sweep(object: &Object, departed: &Departed<'_>) -> Result<()> {
    SWEEPS.fetch_add(1, Ordering::Relaxed);
    for index in 0..object.info().config[0] {
        let word = object.structure::<AtomicU64>(index * 8)?;
        let seen = word.load(Ordering::Acquire);
        if OwnerId::from_word(seen).is_some_and(|id| departed.owned(id)) {
            if let Some(line) = &*HALT.lock().unwrap() {
                line.say(b'h');
                line.hear();
            }
            let _ = word.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Creates an object of `count` words.
pub fn create(segment: &Segment, name: &str, count: u64) -> Vec<SharedRef<AtomicU64>> {
    let spec = ObjectSpec {
        kind: &WORDS,
        element: TypeTag::of::<u64>(),
        config: [count, 0, 0, 0],
        len: count * 8,
    };
    words_of(&segment.create_object(name, &spec, |_| Ok(())).unwrap())
}

pub fn open(segment: &Segment, name: &str) -> Vec<SharedRef<AtomicU64>> {
    words_of(
        &segment
            .open_object(name, &WORDS, &TypeTag::of::<u64>())
            .unwrap(),
    )
}

fn words_of(object: &Object) -> Vec<SharedRef<AtomicU64>> {
    (0..object.info().config[0])
        .map(|index| object.structure(index * 8).unwrap())
        .collect()
}

/// An object of `len` bytes that hold no ids.
pub fn create_bytes(segment: &Segment, name: &str, len: u64) -> Object {
    let spec = ObjectSpec {
        kind: &WORDS,
        element: TypeTag::of::<u8>(),
        config: [0; 4],
        len,
    };
    segment.create_object(name, &spec, |_| Ok(())).unwrap()
}

pub fn open_bytes(segment: &Segment, name: &str) -> Object {
    segment
        .open_object(name, &WORDS, &TypeTag::of::<u8>())
        .unwrap()
}
