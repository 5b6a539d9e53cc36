//! What all subjects need.

use crate::play::LABEL;
use ipc_core::{Place, Segment};
use ipc_sync::{Mutex, Value};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// More than a victim and its survivors ever have at once.
pub const HANDLES: u32 = 16;

/// A small segment without a name.
pub fn segment(bytes: usize) -> Segment {
    Segment::builder(Place::memfd(LABEL))
        .participants(6)
        .handles(HANDLES)
        .objects(8)
        .size(bytes)
        .create()
        .expect("a new segment")
}

/// How a victim comes in.
pub fn door(segment: &Segment) -> OwnedFd {
    segment.descriptor().expect("a descriptor")
}

/// Whether nobody's belongings are left, after all but the caller have left and the caller has
/// dropped its handles.
pub fn check_clean(segment: &Segment) {
    segment.recover().expect("recovery");
    let participants = segment.participants().expect("a list");
    assert_eq!(
        participants.len(),
        1,
        "the dead are still there: {participants:?}"
    );
    let all = segment.handle_limit() as usize;
    let handles: Vec<_> = (0..all).map(|_| segment.owner()).collect();
    let taken = handles.iter().filter(|it| it.is_ok()).count();
    assert_eq!(taken, all, "handles have not come back");
}

/// A number, and what shows that it is whole.
pub type Message = [u64; 2];

/// The victim's messages are numbered from here.
pub const MINE: u64 = 1000;

/// The message with this number.
pub fn message(number: u64) -> Message {
    [number, !number]
}

/// A message is one that somebody pushed.
pub fn check_whole(it: Message) {
    assert_eq!(it, message(it[0]), "torn");
}

/// A time within which whoever waits has noticed a death, had it the processor: many slices.
pub const SOON: Duration = Duration::from_secs(5);

/// A time that is over before anything happens.
pub const MOMENT: Duration = Duration::from_micros(1);

/// Objects that the victim has nothing to do with.
#[derive(Debug)]
pub struct Bystanders {
    mutex: Mutex<u64>,
    value: Value<[u64; 16]>,
    used: u64,
}

impl Bystanders {
    /// In the segment.
    pub fn new(segment: &Segment) -> Self {
        Self {
            mutex: Mutex::create_in(segment, "other mutex", 0).expect("room"),
            value: Value::create_in(segment, "other value", [0; 16]).expect("room"),
            used: 0,
        }
    }

    /// Uses all of them, at once.
    pub fn use_all(&mut self) {
        self.used += 1;
        let used = self.used;
        *self.mutex.try_lock().expect("nobody has it") = used;
        self.value.try_set([used; 16]).expect("nobody writes");
        assert_eq!(
            self.mutex.try_update(|it| *it).expect("nobody has it"),
            used
        );
        assert_eq!(self.value.get().expect("a sound segment"), [used; 16]);
    }
}

/// A segment with room for one more object of this size.
pub fn segment_with_bystanders(bytes: usize) -> (Segment, Bystanders) {
    let room = Mutex::<u64>::SIZE + Value::<[u64; 16]>::size() + 512;
    let segment = segment(bytes + room);
    let bystanders = Bystanders::new(&segment);
    (segment, bystanders)
}

/// The victim's way in.
pub fn enter(door: OwnedFd) -> Segment {
    Segment::open(door).expect("a segment")
}

/// A message of bytes with this number.
pub fn message_of<const LEN: usize>(number: u64) -> [u8; LEN] {
    std::array::from_fn(|at| (number >> (at % 8 * 8)) as u8 ^ (at / 8) as u8)
}

/// The number of a message of bytes, which is one that somebody pushed.
pub fn check_whole_bytes(bytes: &[u8]) -> u64 {
    let mut number = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let (shift, byte) = (at % 8 * 8, u64::from(byte ^ (at / 8) as u8));
        if at < 8 {
            number |= byte << shift;
        }
        assert_eq!(number >> shift & 0xFF, byte, "torn: {bytes:?}");
    }
    number
}
