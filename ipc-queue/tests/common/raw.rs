//! A ring's words behind the back of its handles, through the file.

use ipc_core::{Payload, Segment};
use ipc_queue::spsc::Ring;
use std::fs::File;
use std::os::unix::fs::FileExt;

// Where the words lie in the object. If the layout changes, `the_words_lie_where_the_tests_think`
// fails first.
pub const TAIL: u64 = 0;
pub const HEAD: u64 = 128;
pub const CLOSED: u64 = 256;
pub const PRODUCER: u64 = 384;
pub const PRODUCER_DEATHS: u64 = 392;
pub const PRODUCER_DEATHS_SEEN: u64 = 400;
pub const CONSUMER: u64 = 408;
pub const CONSUMER_DEATHS: u64 = 416;
pub const CONSUMER_DEATHS_SEEN: u64 = 424;
pub const BELLS: u64 = 432;
pub const SLOTS: u64 = 512;
/// In a bell's word, which else only counts.
const AWAITED: u64 = 1;

/// The words of the first ring of a segment.
pub struct Raw {
    file: File,
    base: u64,
}

impl Raw {
    pub fn of<T: Payload>(ring: &Ring<T>) -> Self {
        Self::first_of(ring.segment())
    }

    pub fn first_of(segment: &Segment) -> Self {
        Self::first_of_at(segment, 0)
    }

    /// Of the ring that begins there in the first object.
    pub fn first_of_at(segment: &Segment, offset: u64) -> Self {
        let objects = segment.objects().unwrap();
        Self {
            file: segment.descriptor().unwrap().into(),
            base: objects[0].offset + offset,
        }
    }

    pub fn get(&self, word: u64) -> u64 {
        let mut bytes = [0; 8];
        self.file
            .read_exact_at(&mut bytes, self.base + word)
            .unwrap();
        u64::from_ne_bytes(bytes)
    }

    pub fn set(&self, word: u64, value: u64) {
        self.file
            .write_all_at(&value.to_ne_bytes(), self.base + word)
            .unwrap();
    }

    /// Whether a consumer has announced that it goes to sleep.
    pub fn consumer_sleeps(&self) -> bool {
        self.get(BELLS) & AWAITED != 0
    }

    /// Whether a producer has announced that it goes to sleep.
    pub fn producer_sleeps(&self) -> bool {
        self.get(BELLS) >> 32 & AWAITED != 0
    }
}
