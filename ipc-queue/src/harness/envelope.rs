//! What a message carries besides its contents, so that every one can be accounted for.

use bytemuck::{AnyBitPattern, NoUninit, Zeroable};
use ipc_core::Payload;

/// A stamped message. Packed, so that there is no padding whatever `T` is.
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub(crate) struct Envelope<T> {
    producer: u64,
    sequence: u64,
    checksum: u64,
    body: T,
}

// SAFETY: all zeros is a value of each field (`T: AnyBitPattern`, which is `Zeroable`).
unsafe impl<T: Payload> Zeroable for Envelope<T> {}
// SAFETY: any bits are a value of each field.
unsafe impl<T: Payload> AnyBitPattern for Envelope<T> {}
// SAFETY: packed, so without padding between or behind fields; `T` has none inside.
unsafe impl<T: Payload> NoUninit for Envelope<T> {}

/// What an envelope says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub producer: u64,
    /// Counted by the producer, from 0.
    pub sequence: u64,
}

impl Stamp {
    /// Bits of an id for the sequence: at a hundred million messages a second, those of a month.
    /// The rest is enough for the producers, of whom there are some hundred.
    const SEQUENCE_BITS: u32 = 48;

    /// The whole stamp in one word.
    #[inline]
    pub(crate) fn id(self) -> u64 {
        self.producer << Self::SEQUENCE_BITS | self.sequence & ((1 << Self::SEQUENCE_BITS) - 1)
    }
}

/// The contents are not those that were sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Torn;

impl<T: Payload> Envelope<T> {
    #[inline]
    pub(crate) fn seal(stamp: Stamp, body: T) -> Self {
        Self {
            producer: stamp.producer,
            sequence: stamp.sequence,
            checksum: checksum(stamp, &body),
            body,
        }
    }

    /// What it says of itself, whether or not that is true.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            producer: self.producer,
            sequence: self.sequence,
        }
    }

    #[inline]
    pub(crate) fn open(self) -> Result<(Stamp, T), Torn> {
        let stamp = self.stamp();
        let body = self.body;
        if self.checksum == checksum(stamp, &body) {
            Ok((stamp, body))
        } else {
            Err(Torn)
        }
    }
}

#[inline]
fn checksum<T: Payload>(stamp: Stamp, body: &T) -> u64 {
    let seed = stamp.sequence ^ stamp.producer.rotate_left(48);
    xxhash_rust::xxh3::xxh3_64_with_seed(bytemuck::bytes_of(body), seed)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_and_a_changed_bit_shows() {
        let stamp = Stamp {
            producer: 3,
            sequence: 9,
        };
        let sealed = Envelope::seal(stamp, [1u16, 2, 3]);
        assert_eq!(sealed.open(), Ok((stamp, [1, 2, 3])));
        let bytes = bytemuck::bytes_of(&sealed).to_owned();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed: Envelope<[u16; 3]> = bytemuck::pod_read_unaligned(&changed);
            assert_eq!(changed.open(), Err(Torn), "bit {bit}");
        }
    }
}
