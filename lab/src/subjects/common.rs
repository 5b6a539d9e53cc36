//! What all subjects need.

use crate::play::LABEL;
use ipc_core::{Place, Segment};
use std::os::fd::OwnedFd;

/// More than a victim and its survivors ever have at once.
pub const HANDLES: u32 = 16;

/// A small segment without a name.
pub fn segment(bytes: usize) -> Segment {
    Segment::builder(Place::memfd(LABEL))
        .participants(6)
        .handles(HANDLES)
        .objects(4)
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
    let handles: Vec<_> = (0..HANDLES).map(|_| segment.owner()).collect();
    let taken = handles.iter().filter(|it| it.is_ok()).count();
    assert_eq!(taken, HANDLES as usize, "handles have not come back");
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
