//! How records lie in the bytes: the arithmetic, and the check of lengths that were read there.

use ipc_core::{Error, Result};

/// What cursors count, in bytes. A record begins with one unit that holds its length.
pub(super) const UNIT: usize = 8;

/// The largest capacity, and the longest record with its length, in bytes.
const MOST: usize = 1 << 40;

/// Units that a record of this many bytes takes.
#[inline(always)]
pub(super) fn units(len: usize) -> u64 {
    1 + len.div_ceil(UNIT) as u64
}

/// The sizes of a ring, fixed at its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// In units.
    pub capacity: u64,
    /// The longest record, in bytes.
    pub max_record: usize,
    /// A position's place is its lower bits.
    mask: u64,
}

impl Shape {
    /// For a capacity and a longest record in bytes.
    pub fn new(capacity: usize, max_record: usize) -> Result<Self> {
        let out_of_range = |what, asked: usize, least: usize, most: usize| Error::OutOfRange {
            what,
            asked: asked as u128,
            least: least as u128,
            most: most as u128,
        };
        if max_record > MOST - UNIT {
            let what = "a byte ring's longest record";
            return Err(out_of_range(what, max_record, 0, MOST - UNIT));
        }
        let least = units(max_record) as usize * UNIT;
        if capacity < least || capacity > MOST {
            let what = "a byte ring's capacity (which must hold its longest record)";
            return Err(out_of_range(what, capacity, least, MOST));
        }
        let capacity = capacity.div_ceil(UNIT) as u64;
        Ok(Self {
            capacity,
            max_record,
            mask: capacity.next_power_of_two() - 1,
        })
    }

    /// Bytes of memory: a place for each position, and room beyond them for the longest record that
    /// begins at the last.
    pub fn bytes(&self) -> u64 {
        (self.mask + units(self.max_record)) * UNIT as u64
    }

    /// Where the record of a position begins, in bytes.
    #[inline(always)]
    pub fn offset(&self, position: u64) -> usize {
        (position & self.mask) as usize * UNIT
    }

    /// The length of a record, from its first word, if a record of that length can be among the
    /// `available` units.
    #[inline(always)]
    pub fn check(&self, word: u64, available: u64) -> Option<usize> {
        let len = usize::try_from(word)
            .ok()
            .filter(|&len| len <= self.max_record)?;
        (units(len) <= available).then_some(len)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_record_takes_its_length_and_whole_units() {
        for (len, expected) in [(0, 1), (1, 2), (7, 2), (8, 2), (9, 3), (16, 3), (17, 4)] {
            assert_eq!(units(len), expected, "{len}");
        }
    }

    #[test]
    fn every_record_that_a_ring_takes_lies_within_its_memory() {
        for capacity in 8..200 {
            for max_record in 0..=capacity {
                let Ok(shape) = Shape::new(capacity, max_record) else {
                    assert!(units(max_record) as usize * UNIT > capacity);
                    continue;
                };
                let end = (0..=2 * shape.mask)
                    .map(|position| shape.offset(position) as u64 + units(max_record) * 8)
                    .max();
                assert_eq!(end, Some(shape.bytes()), "{shape:?}");
            }
        }
    }

    #[test]
    fn a_length_that_cannot_be_is_none() {
        let shape = Shape::new(800, 100).unwrap();
        assert_eq!(shape.check(0, 1), Some(0));
        assert_eq!(shape.check(0, 0), None);
        assert_eq!(shape.check(8, 2), Some(8));
        assert_eq!(shape.check(9, 2), None);
        assert_eq!(shape.check(100, 100), Some(100));
        for word in [101, 1 << 32, 1 << 63, u64::MAX, u64::MAX - 7] {
            assert_eq!(shape.check(word, 100), None, "{word}");
        }
    }

    #[test]
    fn impossible_sizes_are_refused_and_the_largest_are_not() {
        assert!(Shape::new(MOST, MOST - UNIT).is_ok());
        for (capacity, max_record) in [
            (0, 0),
            (7, 0),
            (8, 1),
            (16, 9),
            (MOST + 1, 0),
            (usize::MAX, 0),
            (MOST, MOST - UNIT + 1),
            (usize::MAX, usize::MAX),
        ] {
            assert!(Shape::new(capacity, max_record).is_err(), "{capacity}");
        }
    }
}
