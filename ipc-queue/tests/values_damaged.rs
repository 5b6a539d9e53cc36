//! Bytes that are not the value that is asked for: errors that name the type, and nothing worse.

mod common;

use common::{Random, from_env};
use ipc_core::Place;
use ipc_queue::channel::Channel;
use ipc_queue::mpmc::bytes::Queue;
use ipc_queue::spsc::bytes::ByteRing;
use ipc_queue::values::RecvValueError;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Message {
    Text(String),
    Numbers { all: Vec<u64>, sum: i128 },
    Map(BTreeMap<String, Option<char>>),
    Flags(bool, bool, [u16; 5]),
}

fn messages() -> Vec<Message> {
    vec![
        Message::Text("some words, ünd others".repeat(4)),
        Message::Numbers {
            all: (0..40).map(|it| it << it).collect(),
            sum: -7,
        },
        Message::Map(BTreeMap::from([
            ("x".into(), Some('✶')),
            ("y".into(), None),
        ])),
        Message::Flags(true, false, [1, 2, 300, 4, u16::MAX]),
    ]
}

/// The encoding of a value.
fn encoded(value: &Message) -> Vec<u8> {
    let ring = ByteRing::create(Place::memfd("test"), 2000, 1000).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.send_value(value).unwrap();
    rx.take().unwrap().unwrap().to_vec()
}

/// The error of a handle, for an undecodable message of that many bytes.
macro_rules! undecodable {
    ($rx:expr, $type:ty, $len:expr) => {
        let error = $rx.try_recv_value::<$type>().unwrap_err();
        let named = std::any::type_name::<$type>();
        assert!(
            matches!(&error, RecvValueError::Decode { type_name, len, .. }
                if (*type_name, *len) == (named, $len)),
            "{error}"
        );
        let message = error.to_string();
        assert!(message.contains(named), "{message}");
        assert!(message.contains(&$len.to_string()), "{message}");
    };
}

#[test]
fn of_what_is_no_value_every_kind_says_the_type_and_goes_on() {
    let ring = ByteRing::create(Place::memfd("test"), 2000, 1000).unwrap();
    let (mut ring_tx, mut ring_rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let queue = Queue::create(Place::memfd("test"), 8, 1000).unwrap();
    let (mut queue_tx, mut queue_rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let channel = Channel::create(Place::memfd("test"), 2000, 1000).unwrap();
    let (mut first, mut second) = (channel.first().unwrap(), channel.second().unwrap());
    let whole = encoded(&messages()[0]);
    let cut = whole[..whole.len() - 1].to_vec();
    let longer = [&whole[..], b"x"].concat();
    let mut no_variant = whole.clone();
    no_variant[0] = 4;
    let mut no_text = whole.clone();
    no_text[5] = 0xFF;
    for bytes in [Vec::new(), cut, longer, no_variant, no_text] {
        ring_tx.push(&bytes).unwrap();
        ring_tx.send_value(&5u8).unwrap();
        undecodable!(ring_rx, Message, bytes.len());
        assert_eq!(ring_rx.recv_value::<u8>().unwrap(), Some(5));
        queue_tx.push(&bytes).unwrap();
        queue_tx.send_value(&5u8).unwrap();
        undecodable!(queue_rx, Message, bytes.len());
        assert_eq!(queue_rx.recv_value::<u8>().unwrap(), Some(5));
        first.send(&bytes).unwrap();
        first.send_value(&5u8).unwrap();
        undecodable!(second, Message, bytes.len());
        assert_eq!(second.recv_value::<u8>().unwrap(), Some(5));
    }
}

#[test]
fn a_length_beyond_the_bytes_makes_nothing_of_that_length() {
    let ring = ByteRing::create(Place::memfd("test"), 2000, 1000).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    // 2^63 and 2^64 - 1, and 2^70.
    let huge: [&[u8]; 3] = [
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
        &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
    ];
    for len in huge {
        let bytes = [len, b"a few bytes"].concat();
        for _ in 0..4 {
            tx.push(&bytes).unwrap();
        }
        undecodable!(rx, String, bytes.len());
        undecodable!(rx, Vec<u64>, bytes.len());
        undecodable!(rx, BTreeMap<u64, String>, bytes.len());
        undecodable!(rx, Box<[u8]>, bytes.len());
    }
}

#[test]
fn damaged_bytes_are_an_error_or_another_value() {
    let ring = ByteRing::create(Place::memfd("test"), 2000, 1000).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let mut random = Random::new(from_env("IPC_QUEUE_SEED", 1));
    let (mut refused, mut taken) = (0, 0);
    for round in 0..from_env("IPC_QUEUE_FUZZ", 20_000) {
        let message = &messages()[round as usize % 4];
        let mut bytes = encoded_once(round as usize % 4);
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(4) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = random.below(256) as u8,
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, random.below(256) as u8),
            }
        }
        let whole = bytes == encoded_once(round as usize % 4);
        tx.push(&bytes).unwrap();
        match rx.try_recv_value::<Message>() {
            Ok(Some(value)) => {
                assert!(!whole || value == *message);
                taken += 1;
            }
            Err(RecvValueError::Decode { len, .. }) => {
                assert!(!whole && len == bytes.len());
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
        assert!(rx.is_empty().unwrap());
    }
    assert!(refused > 0 && taken > 0, "{refused} {taken}");
}

fn encoded_once(which: usize) -> Vec<u8> {
    static ALL: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    ALL.get_or_init(|| messages().iter().map(encoded).collect())[which].clone()
}

/// Panics when it is decoded.
#[derive(Debug)]
struct Explosive;

impl<'de> Deserialize<'de> for Explosive {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("as it must")
    }
}

#[test]
fn a_deserialize_that_panics_takes_its_message_and_no_other() {
    let ring = ByteRing::create(Place::memfd("test"), 2000, 1000).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let queue = Queue::create(Place::memfd("test"), 8, 1000).unwrap();
    let (mut queue_tx, mut queue_rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    for number in 0..2 {
        tx.send_value(&number).unwrap();
        queue_tx.send_value(&number).unwrap();
    }
    let exploded = catch_unwind(AssertUnwindSafe(|| rx.recv_value::<Explosive>()));
    assert!(exploded.is_err());
    let exploded = catch_unwind(AssertUnwindSafe(|| queue_rx.recv_value::<Explosive>()));
    assert!(exploded.is_err());
    assert_eq!(rx.recv_value().unwrap(), Some(1));
    assert_eq!(queue_rx.recv_value().unwrap(), Some(1));
}
