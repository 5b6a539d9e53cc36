//! Runs of bytes in an object: within its bounds, and every copy in its place.

#![cfg(not(loom))]

mod common;

use common::words;
use ipc_core::{Error, Place, Segment};
use std::sync::atomic::Ordering;

const LEN: u64 = 512;

#[test]
fn a_run_lies_within_its_object_or_is_refused() {
    let segment = Segment::create(Place::memfd("bytes"), 1 << 14).unwrap();
    let object = words::create_bytes(&segment, "run", LEN);
    for (offset, len) in [(0, LEN), (0, 8), (128, LEN - 128), (384, 128), (384, 9)] {
        assert_eq!(object.bytes(offset, len).unwrap().len() as u64, len);
    }
    for (offset, len) in [
        (0, 0),
        (0, 7),
        (0, LEN + 1),
        (128, LEN - 127),
        (512, 8),
        (8, 8),
        (64, 8),
        (u64::MAX - 127, 128),
        (0, u64::MAX),
        (128, u64::MAX - 127),
    ] {
        let error = object.bytes(offset, len).unwrap_err();
        let named = matches!(&error, Error::Corrupted { place, .. } if place.contains("run"));
        assert!(named, "{offset} {len}: {error}");
    }
}

#[test]
fn every_length_goes_in_and_out_at_every_offset_and_touches_nothing_else() {
    let segment = Segment::create(Place::memfd("bytes"), 1 << 14).unwrap();
    let object = words::create_bytes(&segment, "run", LEN);
    let bytes = object.bytes(0, LEN).unwrap();
    let source: Vec<u8> = (0..200).map(|n| n as u8 | 1).collect();
    for len in 0..source.len() {
        for at in (0..40).chain(LEN as usize - len..=LEN as usize - len) {
            let (mut whole, clean) = (vec![0; LEN as usize], vec![0; LEN as usize]);
            bytes.write(0, &clean);
            bytes.write(at, &source[..len]);
            bytes.read(0, &mut whole);
            assert_eq!(whole[at..at + len], source[..len]);
            let around = whole[..at].iter().chain(&whole[at + len..]);
            assert!(around.copied().all(|byte| byte == 0), "{at} {len}");
            let mut appended = vec![9; 3];
            bytes.append_to(&mut appended, at, len);
            assert_eq!(appended[..3], [9; 3]);
            assert_eq!(appended[3..], source[..len]);
            let range = bytes.range(at, len);
            assert_eq!(range.len(), len);
            // SAFETY: valid as long as `bytes`, and nobody else writes.
            assert_eq!(unsafe { range.as_ref() }, &source[..len]);
        }
    }
}

#[test]
fn words_are_the_bytes_at_their_offset_and_others_see_them() {
    let segment = Segment::create(Place::memfd("bytes"), 1 << 14).unwrap();
    let ours = words::create_bytes(&segment, "run", LEN)
        .bytes(0, LEN)
        .unwrap();
    let other = Segment::open(segment.descriptor().unwrap()).unwrap();
    let theirs = words::open_bytes(&other, "run").bytes(0, LEN).unwrap();
    for at in (0..LEN as usize).step_by(8) {
        ours.word(at).store(at as u64 + 1, Ordering::Relaxed);
    }
    for at in (0..LEN as usize).step_by(8) {
        assert_eq!(theirs.word(at).load(Ordering::Relaxed), at as u64 + 1);
        let mut bytes = [0; 8];
        theirs.read(at, &mut bytes);
        assert_eq!(u64::from_ne_bytes(bytes), at as u64 + 1);
    }
}
