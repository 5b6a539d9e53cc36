//! What a message carries besides its contents, so that every one can be accounted for.

use bytemuck::{AnyBitPattern, NoUninit, Zeroable};
use ipc_core::Payload;

/// What stands before a message.
#[derive(Clone, Copy, bytemuck::Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Head {
    producer: u64,
    sequence: u64,
    checksum: u64,
}

/// A stamped message. Packed, so that there is no padding whatever `T` is.
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct Envelope<T> {
    head: Head,
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
pub struct Stamp {
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
pub struct Torn;

impl Head {
    /// In bytes.
    pub(crate) const LEN: usize = size_of::<Self>();

    #[inline]
    fn seal(stamp: Stamp, body: &[u8]) -> Self {
        Self {
            producer: stamp.producer,
            sequence: stamp.sequence,
            checksum: checksum(stamp, body),
        }
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        bytemuck::pod_read_unaligned(bytes)
    }

    /// What it says of itself, whether or not that is true.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            producer: self.producer,
            sequence: self.sequence,
        }
    }

    #[inline]
    fn open(&self, body: &[u8]) -> Result<Stamp, Torn> {
        let stamp = self.stamp();
        if self.checksum == checksum(stamp, body) {
            Ok(stamp)
        } else {
            Err(Torn)
        }
    }
}

impl<T: Payload> Envelope<T> {
    #[inline]
    pub(crate) fn seal(stamp: Stamp, body: T) -> Self {
        Self {
            head: Head::seal(stamp, bytemuck::bytes_of(&body)),
            body,
        }
    }

    /// As [`Head::stamp`].
    pub(crate) fn stamp(&self) -> Stamp {
        let head = self.head;
        head.stamp()
    }

    #[inline]
    pub(crate) fn open(self) -> Result<(Stamp, T), Torn> {
        let Self { head, body } = self;
        Ok((head.open(bytemuck::bytes_of(&body))?, body))
    }
}

/// Seals a byte message, which stands in `room` behind the place for its head. Without such a place
/// nothing happens.
#[inline]
pub(crate) fn seal_bytes(stamp: Stamp, room: &mut [u8]) {
    if let Some((head, body)) = room.split_first_chunk_mut::<{ Head::LEN }>() {
        head.copy_from_slice(bytemuck::bytes_of(&Head::seal(stamp, body)));
    }
}

#[inline]
pub(crate) fn open_bytes(sealed: &[u8]) -> Result<(Stamp, &[u8]), Torn> {
    let (head, body) = sealed.split_first_chunk().ok_or(Torn)?;
    Ok((Head::from_bytes(head).open(body)?, body))
}

#[inline]
fn checksum(stamp: Stamp, body: &[u8]) -> u64 {
    let seed = stamp.sequence ^ stamp.producer.rotate_left(48);
    xxhash_rust::xxh3::xxh3_64_with_seed(body, seed)
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

    #[test]
    fn so_do_bytes_of_any_length() {
        let stamp = Stamp {
            producer: 3,
            sequence: 9,
        };
        for len in [0, 1, 7, 64, 300] {
            let mut sealed = vec![0xa5; Head::LEN + len];
            seal_bytes(stamp, &mut sealed);
            assert_eq!(open_bytes(&sealed), Ok((stamp, &[0xa5; 300][..len])));
            for bit in 0..sealed.len() * 8 {
                sealed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open_bytes(&sealed), Err(Torn), "bit {bit} of {len} bytes");
                sealed[bit / 8] ^= 1 << (bit % 8);
            }
            for short in 0..sealed.len() {
                assert_eq!(open_bytes(&sealed[..short]), Err(Torn), "{short} of {len}");
            }
            sealed.push(0);
            assert_eq!(open_bytes(&sealed), Err(Torn), "longer than {len}");
        }
    }
}
