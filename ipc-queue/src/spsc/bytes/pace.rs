//! How long a consumer that has caught up leaves the producer alone before it looks again.
//!
//! Each look at the producer's cursor takes its line away from the producer, which then waits for it at
//! its next publication: a consumer that looks as soon as it has caught up makes both exchange that line
//! for every record. In a stream it is better to come back when there are some more.
//!
//! Whether it is a stream is seen from what a look finds. If that is no more than what was taken last,
//! as it is with requests and replies, or with records that come seldom, the next look comes sooner, and
//! soon at once. Records shorter than a cache line are looked for at once, too: several of them come with
//! the same line.

use super::shape::UNIT;
use std::hint::spin_loop;

/// Units to a cache line.
const LINE: u64 = 64 / UNIT as u64;

/// The most pauses before a look: one or two microseconds.
const MOST: u32 = 64;

/// A consumer's pace.
#[derive(Debug, Default)]
pub(super) struct Pace {
    pauses: u32,
    /// How many units were given back last.
    taken: u64,
}

impl Pace {
    /// Before the first look after all was taken that was known of.
    #[inline(always)]
    pub fn before_look(&self) {
        for _ in 0..self.pauses {
            spin_loop();
        }
    }

    /// What the next look finds is compared with this.
    #[inline(always)]
    pub fn taken(&mut self, count: u64) {
        self.taken = count;
    }

    /// A look has found so many units in a ring that holds so many.
    #[inline(always)]
    pub fn found(&mut self, count: u64, capacity: u64) {
        if count <= self.taken || self.taken < LINE || count > capacity / 4 {
            // Not a stream that would gain; or the producer is so far ahead that it may soon have to wait.
            self.pauses /= 2;
        } else if count < capacity / 8 {
            self.pauses = (2 * self.pauses + 1).min(MOST);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const CAPACITY: u64 = 1024 * LINE;

    /// In units, each time after a record of a line.
    fn after(finds: impl IntoIterator<Item = u64>) -> u32 {
        let mut pace = Pace::default();
        for units in finds {
            pace.taken(LINE);
            pace.found(units, CAPACITY);
        }
        pace.pauses
    }

    #[test]
    fn single_records_are_looked_for_at_once() {
        assert_eq!(after([LINE; 100]), 0);
    }

    #[test]
    fn in_a_stream_it_looks_less_often_but_never_stops_looking() {
        assert_eq!(after([2 * LINE]), 1);
        assert_eq!(after([3 * LINE; 4]), 15);
        assert_eq!(after([3 * LINE; 100]), MOST);
    }

    #[test]
    fn when_the_stream_ends_it_is_soon_at_once_again() {
        assert_eq!(after([[3 * LINE; 10], [LINE; 10]].concat()), 0);
    }

    #[test]
    fn a_ring_that_fills_up_is_looked_at_more_often() {
        assert_eq!(after([[3 * LINE; 10], [CAPACITY / 2; 10]].concat()), 0);
        assert_eq!(after([3 * LINE, 3 * LINE, CAPACITY / 5]), 3);
    }

    #[test]
    fn records_shorter_than_a_line_are_looked_for_at_once() {
        let mut pace = Pace::default();
        pace.taken(LINE - 1);
        pace.found(100, CAPACITY);
        assert_eq!(pace.pauses, 0);
        pace.taken(LINE);
        pace.found(100, CAPACITY);
        assert_eq!(pace.pauses, 1);
    }

    #[test]
    fn a_ring_for_few_records_is_never_paused_for() {
        let mut pace = Pace::default();
        pace.taken(LINE);
        for units in 1..=8 * LINE {
            pace.found(units, 8 * LINE);
            assert_eq!(pace.pauses, 0);
        }
    }
}
