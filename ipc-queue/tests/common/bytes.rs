//! Byte records, and rings for them.

use ipc_core::Place;
use ipc_queue::spsc::bytes::ByteRing;

/// A byte ring without a name.
pub fn unnamed(capacity: usize, max_record: usize) -> ByteRing {
    ByteRing::create(Place::memfd("test"), capacity, max_record).unwrap()
}

/// The sizes of a ring.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub capacity: usize,
    pub max_record: usize,
}

impl Sizes {
    /// Around powers of two and multiples of the unit, with records as long as the ring and short
    /// ones.
    pub fn around_boundaries() -> Vec<Self> {
        let mut all = Vec::new();
        for capacity in [
            8usize, 9, 16, 17, 23, 24, 25, 31, 32, 33, 63, 64, 65, 127, 128, 136,
        ] {
            let longest = capacity.next_multiple_of(8) - 8;
            for max_record in [
                0,
                1,
                7,
                8,
                9,
                longest / 2,
                longest - longest.min(1),
                longest,
            ] {
                if max_record.next_multiple_of(8) + 8 <= capacity {
                    all.push(Self {
                        capacity,
                        max_record,
                    });
                }
            }
        }
        all
    }
}

/// The bytes of a record, which are made of its number and length: anything lost, doubled, torn or
/// cut shows. From 8 bytes on they begin with the number.
pub fn record(number: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    let mut word = number;
    while bytes.len() < len {
        bytes.extend_from_slice(&word.to_le_bytes());
        word = (word ^ len as u64)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(29);
    }
    bytes.truncate(len);
    bytes
}

/// The number of a record of at least 8 bytes, if it is whole.
#[track_caller]
pub fn number_of(bytes: &[u8]) -> u64 {
    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes == record(number, bytes.len()), "a torn record");
    number
}

/// The length of a record, by its number: all lengths from `least` to `most`, without a pattern.
pub fn len_of(number: u64, least: usize, most: usize) -> usize {
    let spread = number
        .wrapping_mul(0xD6E8_FEB8_6659_FD93)
        .rotate_left(32)
        .wrapping_mul(0xD6E8_FEB8_6659_FD93);
    least + (spread >> 16) as usize % (most - least + 1)
}
