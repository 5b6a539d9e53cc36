//! Words of an object, looked at through the file.

use ipc_core::Segment;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bits of a lock's word: see `src/lock/word.rs`.
pub const CONTENDED: u64 = 1 << 2;
pub const STARVING: u64 = 1 << 3;
pub const HOLDER: u64 = u64::MAX << 4;

fn offset_of(segment: &Segment, name: &str) -> u64 {
    let objects = segment.objects().unwrap();
    objects.iter().find(|it| it.name == name).unwrap().offset
}

/// The first word of an object.
pub fn word(segment: &Segment, name: &str) -> u64 {
    let mut word = [0; 8];
    File::from(segment.descriptor().unwrap())
        .read_exact_at(&mut word, offset_of(segment, name))
        .unwrap();
    u64::from_ne_bytes(word)
}

/// Changes the first word of an object, as a process does that is killed before its next step.
pub fn set_word(segment: &Segment, name: &str, word: u64) {
    File::from(segment.descriptor().unwrap())
        .write_all_at(&word.to_ne_bytes(), offset_of(segment, name))
        .unwrap();
}

/// Whether somebody has announced to sleep until the lock is free.
pub fn is_contended(segment: &Segment, name: &str) -> bool {
    word(segment, name) & CONTENDED != 0
}

pub fn is_held(segment: &Segment, name: &str) -> bool {
    word(segment, name) & HOLDER != 0
}
