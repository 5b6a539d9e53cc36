//! Copies that race with a writer in another process give mixtures of what was written, and
//! nothing worse.

#![cfg(not(loom))]

mod common;

use common::peer::{Peer, attached};
use common::words;
use ipc_core::{Payload, Place, Segment, SharedSlots};
use ipc_process::{WorkResult, Worker, run_if_worker, test_name};
use std::time::{Duration, Instant};

const SLOTS: u64 = 4;
const PATTERNS: [u8; 3] = [0, 0x5A, 0xFF];

/// Runs for each size of payload, from one byte to several lines: [`Race`] says what.
macro_rules! for_all_payloads {
    ($race:expr) => {{
        let race = $race;
        race.run::<u8>("u8", 1);
        race.run::<u16>("u16", 2);
        race.run::<[u8; 3]>("three bytes", 1);
        race.run::<u32>("u32", 4);
        race.run::<u64>("u64", 8);
        race.run::<[u8; 13]>("13 bytes", 1);
        race.run::<[u16; 7]>("7 u16", 2);
        race.run::<[u64; 2]>("2 u64", 8);
        race.run::<[u64; 8]>("8 u64", 8);
        race.run::<[u8; 65]>("65 bytes", 1);
        race.run::<[u64; 33]>("33 u64", 1);
    }};
}

fn pattern<T: Payload>(byte: u8) -> T {
    let mut value = T::zeroed();
    // SAFETY: any bytes are a `T`, and `T` has no padding.
    unsafe { std::ptr::write_bytes(&raw mut value, byte, 1) };
    value
}

fn slots<T: Payload>(segment: &Segment, name: &str) -> SharedSlots<T> {
    words::open_bytes(segment, name).slots(0, SLOTS).unwrap()
}

struct Write<'a>(&'a Segment);

impl Write<'_> {
    fn run<T: Payload>(&self, name: &str, _unit: usize) {
        let slots = slots::<T>(self.0, name);
        let values: Vec<T> = (0..SLOTS).map(|_| T::zeroed()).collect();
        for round in 0..50u64 {
            let byte = PATTERNS[round as usize % PATTERNS.len()];
            slots.write(round, &pattern(byte));
            let mut values = values.clone();
            values.fill(pattern(byte));
            slots.write_slice(round, &values);
        }
    }
}

struct Read<'a>(&'a Segment);

impl Read<'_> {
    /// Every `unit` bytes were written at once.
    fn run<T: Payload>(&self, name: &str, unit: usize) {
        let slots = slots::<T>(self.0, name);
        let mut values = vec![T::zeroed(); SLOTS as usize];
        for round in 0..200u64 {
            slots.read_slice(round, &mut values);
            values[0] = slots.read(round);
            for bytes in bytemuck::cast_slice::<T, u8>(&values).chunks(unit) {
                let whole = PATTERNS.iter().any(|p| bytes.iter().all(|byte| byte == p));
                assert!(whole, "{name}: {bytes:x?}");
            }
        }
    }
}

#[test]
fn a_racing_writer_leaves_mixtures_and_never_tears_a_word() {
    fn write(worker: &mut Worker) -> WorkResult {
        let (segment, line) = attached(worker);
        for round in 0.. {
            for_all_payloads!(Write(&segment));
            if round == 0 {
                line.say(b'w');
            }
        }
        Ok(())
    }
    run_if_worker(test_name!(), &[("write", &write)]);
    let segment = Segment::create(Place::memfd("copies"), 1 << 16).unwrap();
    struct Create<'a>(&'a Segment);
    impl Create<'_> {
        fn run<T: Payload>(&self, name: &str, _unit: usize) {
            let bytes = SharedSlots::<T>::bytes(SLOTS as usize).unwrap();
            words::create_bytes(self.0, name, bytes as u64);
        }
    }
    for_all_payloads!(Create(&segment));
    let mut writer = Peer::start(test_name!(), "write", &segment);
    writer.line.expect(b'w');
    for _ in 0..25 {
        for_all_payloads!(Read(&segment));
    }
    assert!(
        writer.process.is_alive(),
        "{}",
        writer.process.join().unwrap()
    );
    // Killed in the middle of a copy or not: what is left is a mixture too.
    writer.kill();
    for_all_payloads!(Read(&segment));
}

#[test]
fn a_word_that_changes_all_the_time_is_never_seen_in_halves() {
    run_if_worker(
        test_name!(),
        &[("write", &|worker| {
            let (segment, line) = attached(worker);
            let slots = slots::<u64>(&segment, "word");
            line.say(b'w');
            loop {
                slots.write(0, &0);
                slots.write(0, &u64::MAX);
            }
        })],
    );
    let segment = Segment::create(Place::memfd("word"), 4096).unwrap();
    words::create_bytes(&segment, "word", 8 * SLOTS);
    let slots = slots::<u64>(&segment, "word");
    let mut writer = Peer::start(test_name!(), "write", &segment);
    writer.line.expect(b'w');
    let mut seen = [0u32; 2];
    // Both values were seen, so the two ran at the same time or in turns.
    let start = Instant::now();
    while seen.iter().any(|&times| times < 200_000) {
        assert!(start.elapsed() < Duration::from_secs(30), "{seen:?}");
        match slots.read(0) {
            0 => seen[0] += 1,
            u64::MAX => seen[1] += 1,
            torn => panic!("{torn:x} was never written"),
        }
    }
    writer.kill();
}

#[test]
fn a_slice_goes_round_at_the_end_and_touches_no_other_slot() {
    fn check<T: Payload + PartialEq + std::fmt::Debug>(segment: &Segment, name: &str) {
        let bytes = SharedSlots::<T>::bytes(8).unwrap();
        let object = words::create_bytes(segment, name, bytes as u64);
        let slots: SharedSlots<T> = object.slots(0, 8).unwrap();
        for start in [0, 5, 7, 8, u64::MAX - 3, u64::MAX] {
            for len in 0..=10 {
                for at in 0..8 {
                    slots.write(at, &pattern(0xEE));
                }
                let values: Vec<T> = (1..=len).map(pattern).collect();
                slots.write_slice(start, &values);
                let kept = values.len().min(8);
                let mut back = vec![pattern(0); kept];
                slots.read_slice(start, &mut back);
                assert_eq!(back, values[..kept]);
                for (at, value) in (0..).zip(&back) {
                    assert_eq!(slots.read(start.wrapping_add(at)), *value);
                }
                for beyond in kept as u64..8 {
                    assert_eq!(slots.read(start.wrapping_add(beyond)), pattern(0xEE));
                }
            }
        }
    }
    let segment = Segment::create(Place::memfd("round"), 1 << 16).unwrap();
    check::<u8>(&segment, "u8");
    check::<[u8; 3]>(&segment, "three bytes");
    check::<u64>(&segment, "u64");
    check::<[u8; 13]>(&segment, "13 bytes, with gaps");
    check::<[u64; 20]>(&segment, "20 words");
}
