//! The simplest kind of object: bytes.

use ipc_core::{Departed, Kind, Object, ObjectSpec, Result, Segment, TypeTag};
use std::sync::atomic::{AtomicU64, Ordering};

pub static TOY: Kind = Kind {
    name: "toy",
    sweep: nothing_to_sweep,
};

pub static OTHER: Kind = Kind {
    name: "other",
    sweep: nothing_to_sweep,
};

fn nothing_to_sweep(_: &Object, _: &Departed<'_>) -> Result<()> {
    Ok(())
}

pub fn spec(len: u64) -> ObjectSpec {
    ObjectSpec {
        kind: &TOY,
        element: TypeTag::of::<u64>(),
        config: [1, 2, 3, 4],
        len,
    }
}

pub fn word(object: &Object, offset: u64) -> u64 {
    object
        .structure::<AtomicU64>(offset)
        .unwrap()
        .load(Ordering::Acquire)
}

pub fn set_word(object: &Object, offset: u64, value: u64) {
    object
        .structure::<AtomicU64>(offset)
        .unwrap()
        .store(value, Ordering::Release);
}

/// The first contents that tests create a segment with, and look for in what they open.
pub const CONTENTS: u64 = 0x600D_F00D;

pub fn fill(segment: &Segment) -> Result<()> {
    segment
        .create_object("first", &spec(128), |object| {
            set_word(object, 0, CONTENTS);
            Ok(())
        })
        .map(drop)
}

pub fn check_filled(segment: &Segment) {
    let object = segment
        .open_object("first", &TOY, &TypeTag::of::<u64>())
        .unwrap();
    assert_eq!(word(&object, 0), CONTENTS);
}
