//! A queue's words behind the back of its handles, through the file.

use ipc_core::{Payload, Segment};
use ipc_queue::mpmc::Queue;
use std::fs::File;
use std::os::unix::fs::FileExt;

pub const TAIL: u64 = 0;
pub const HEAD: u64 = 128;
pub const LATE: u64 = 256;
pub const END: u64 = 264;
pub const MESSAGES_BELL: u64 = 272;
const PLACES: u64 = 512;

/// The words of the queue of a segment that has only this one object.
pub struct Raw {
    file: File,
    base: u64,
    claims: u64,
    slots: u64,
    stride: u64,
    extra: u64,
    pub len: u64,
}

impl Raw {
    pub fn of<T: Payload>(queue: &Queue<T>) -> Self {
        Self::of_segment(queue.segment())
    }

    /// Also of a queue of byte messages.
    pub fn of_segment(segment: &Segment) -> Self {
        let objects = segment.objects().unwrap();
        let [slots, members, stride, extra] = objects[0].config;
        let claims = (PLACES + members * 128).next_multiple_of(128);
        Self {
            file: segment.descriptor().unwrap().into(),
            base: objects[0].offset,
            claims,
            slots: (claims + slots * 8).next_multiple_of(128),
            stride,
            extra,
            len: objects[0].len,
        }
    }

    pub fn claim(&self, index: u64) -> u64 {
        self.claims + index * 8
    }

    pub fn slot(&self, index: u64) -> u64 {
        self.slots + index * self.stride
    }

    /// Where the pool of a queue of byte messages begins.
    pub fn pool(&self) -> u64 {
        self.len - self.extra
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

    /// Whether a receiver has announced that it goes to sleep.
    pub fn receiver_sleeps(&self) -> bool {
        self.get(MESSAGES_BELL) as u32 != 0
    }

    /// Whether a sender has announced that it goes to sleep.
    pub fn sender_sleeps(&self) -> bool {
        self.get(MESSAGES_BELL) >> 32 != 0
    }
}
