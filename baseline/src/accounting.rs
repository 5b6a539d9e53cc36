//! Exact accounts of what went over a transport: stamped messages, and a ledger that checks them.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::intervals::{Insertion, IntervalSet};

/// A payload with who sent it and as which of its messages.
///
/// As bytes: the checksum (8, xxh3 of all that follows), the sequence number (8), the producer (4),
/// little-endian, and the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped<'a> {
    /// Who sent it.
    pub producer: u32,
    /// The number of the message among those of its producer, from 0 on without gaps.
    pub sequence: u64,
    /// What it says.
    pub payload: &'a [u8],
}

impl<'a> Stamped<'a> {
    /// The bytes that a stamp adds to a payload.
    pub const HEADER_LEN: usize = 20;

    /// Puts the message into `into`, in place of what was there.
    pub fn encode(&self, into: &mut Vec<u8>) {
        into.clear();
        into.reserve(Self::HEADER_LEN + self.payload.len());
        into.extend_from_slice(&[0; size_of::<u64>()]);
        into.extend_from_slice(&self.sequence.to_le_bytes());
        into.extend_from_slice(&self.producer.to_le_bytes());
        into.extend_from_slice(self.payload);
        let (checksum, checked) = into.split_at_mut(size_of::<u64>());
        checksum.copy_from_slice(&xxh3_64(checked).to_le_bytes());
    }

    /// Takes a message apart and checks it. `message` is the whole message and nothing else.
    ///
    /// # Errors
    ///
    /// When a byte is missing, added or other than it was sent.
    pub fn decode(message: &'a [u8]) -> Result<Self, TornError> {
        let parts = message.split_first_chunk().and_then(|(checksum, checked)| {
            let (sequence, rest) = checked.split_first_chunk()?;
            let (producer, payload) = rest.split_first_chunk()?;
            Some((checksum, checked, sequence, producer, payload))
        });
        let (checksum, checked, sequence, producer, payload) =
            parts.ok_or(TornError::TooShort {
                length: message.len(),
            })?;
        let stamped = Self {
            producer: u32::from_le_bytes(*producer),
            sequence: u64::from_le_bytes(*sequence),
            payload,
        };
        if xxh3_64(checked) != u64::from_le_bytes(*checksum) {
            return Err(TornError::Checksum {
                producer: stamped.producer,
                sequence: stamped.sequence,
            });
        }
        Ok(stamped)
    }
}

/// Why a message is not one that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TornError {
    /// It has no room for a stamp.
    #[error(
        "a message of {length} bytes has no stamp of {} bytes: the transport cut it, or its sender \
         did not stamp it",
        Stamped::HEADER_LEN
    )]
    TooShort {
        /// Its length, in bytes.
        length: usize,
    },
    /// Its bytes are not those that the checksum was made of.
    #[error(
        "a message claiming to be number {sequence} of producer {producer} does not match its \
         checksum: the transport changed it, or its sender did not stamp it"
    )]
    Checksum {
        /// The producer it claims to be from, which may be what was changed.
        producer: u32,
        /// The sequence number it claims, which may be what was changed.
        sequence: u64,
    },
}

/// What a ledger thinks of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Whole, and not seen before.
    New,
    /// Whole, and seen before.
    Doubled,
    /// Not as any producer sent it.
    Torn,
    /// Whole, but from another producer.
    Foreign,
}

/// Keeps account of the messages received from one producer, in any order.
///
/// Takes memory for the gaps between the sequence numbers seen, not for the numbers.
#[derive(Clone, Debug)]
pub struct Ledger {
    producer: u32,
    seen: IntervalSet,
    doubled: u64,
    torn: u64,
    foreign: u64,
    reordered: u64,
}

impl Ledger {
    /// An empty ledger for the messages of `producer`.
    pub fn new(producer: u32) -> Self {
        let seen = IntervalSet::default();
        Self {
            producer,
            seen,
            doubled: 0,
            torn: 0,
            foreign: 0,
            reordered: 0,
        }
    }

    /// Enters a message as it was received.
    pub fn record(&mut self, message: &[u8]) -> Verdict {
        let Ok(stamped) = Stamped::decode(message) else {
            self.torn += 1;
            return Verdict::Torn;
        };
        if stamped.producer != self.producer {
            self.foreign += 1;
            return Verdict::Foreign;
        }
        let late = self.seen.last().is_some_and(|last| stamped.sequence < last);
        match self.seen.insert(stamped.sequence) {
            Insertion::Repeated => {
                self.doubled += 1;
                Verdict::Doubled
            }
            Insertion::New => {
                self.reordered += u64::from(late);
                Verdict::New
            }
        }
    }

    /// Closes the account, given that the producer sent `sent` messages, numbered from 0.
    pub fn report(&self, sent: u64) -> Report {
        let received = self.seen.count_below(sent);
        Report {
            received,
            lost: sent - received,
            doubled: self.doubled,
            torn: self.torn,
            reordered: self.reordered,
            foreign: self.foreign,
            unsent: self.seen.count_from(sent),
        }
    }

    /// The sequence numbers that are lost if the producer sent `sent` messages, ascending.
    pub fn lost(&self, sent: u64) -> impl Iterator<Item = RangeInclusive<u64>> {
        self.seen.gaps_below(sent)
    }
}

/// What became of the messages of one producer, each counted in messages.
///
/// `received + lost` is what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Sent, and received whole at least once.
    pub received: u64,
    /// Sent, and never received whole. A message that was torn is lost too, for it does not tell
    /// which one it was.
    pub lost: u64,
    /// Received whole once more, each time.
    pub doubled: u64,
    /// Received with bytes missing, added or changed.
    pub torn: u64,
    /// Received for the first time after one with a higher number.
    pub reordered: u64,
    /// Received from another producer.
    pub foreign: u64,
    /// Received whole, with a number that was never sent.
    pub unsent: u64,
}

impl Report {
    /// Whether every message sent arrived whole, once and in order, and nothing else did.
    pub fn is_exactly_once(&self) -> bool {
        *self
            == Self {
                received: self.received,
                ..Self::default()
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(producer: u32, sequence: u64, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Stamped {
            producer,
            sequence,
            payload,
        }
        .encode(&mut bytes);
        bytes
    }

    #[test]
    fn a_stamped_message_comes_back() {
        for payload in [b"".as_slice(), b"payload", &[0xff; 3000]] {
            let bytes = message(7, u64::MAX, payload);
            assert_eq!(bytes.len(), Stamped::HEADER_LEN + payload.len());
            let expected = Stamped {
                producer: 7,
                sequence: u64::MAX,
                payload,
            };
            assert_eq!(Stamped::decode(&bytes), Ok(expected));
        }
    }

    #[test]
    fn every_changed_bit_and_every_other_length_is_torn() {
        let whole = message(7, 3, b"payload");
        for bit in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Stamped::decode(&changed).is_err(), "bit {bit}");
        }
        for length in 0..whole.len() {
            assert!(Stamped::decode(&whole[..length]).is_err(), "{length} bytes");
        }
        assert!(Stamped::decode(&[whole.as_slice(), b"\0"].concat()).is_err());
    }

    #[test]
    fn each_fault_is_counted_as_what_it_is() {
        let mut ledger = Ledger::new(7);
        let mut torn = message(7, 5, b"");
        torn[0] ^= 1;
        let entries = [
            (message(7, 0, b""), Verdict::New),
            (message(7, 3, b""), Verdict::New),
            (message(7, 1, b""), Verdict::New),
            (message(7, 3, b""), Verdict::Doubled),
            (message(7, 0, b""), Verdict::Doubled),
            (torn, Verdict::Torn),
            (message(8, 2, b""), Verdict::Foreign),
            (message(7, 9, b""), Verdict::New),
        ];
        for (entry, verdict) in entries {
            assert_eq!(ledger.record(&entry), verdict, "{entry:?}");
        }
        let report = ledger.report(6);
        let expected = Report {
            received: 3,
            lost: 3,
            doubled: 2,
            torn: 1,
            reordered: 1,
            foreign: 1,
            unsent: 1,
        };
        assert_eq!(report, expected);
        assert!(!report.is_exactly_once());
        assert_eq!(ledger.lost(6).collect::<Vec<_>>(), [2..=2, 4..=5]);
    }

    #[test]
    fn all_in_order_is_exactly_once_and_one_short_is_not() {
        let mut ledger = Ledger::new(0);
        for sequence in 0..100 {
            ledger.record(&message(0, sequence, b"x"));
        }
        assert!(ledger.report(100).is_exactly_once());
        assert!(!ledger.report(101).is_exactly_once());
        assert!(!ledger.report(99).is_exactly_once());
    }
}
