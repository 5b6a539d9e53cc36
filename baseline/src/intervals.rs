//! A set of numbers that are mostly in a row, kept as intervals.

use std::{collections::BTreeMap, ops::RangeInclusive};

/// Disjoint intervals that do not touch, by their first number: takes as much memory as there are
/// gaps.
#[derive(Clone, Debug, Default)]
pub(crate) struct IntervalSet(BTreeMap<u64, u64>);

/// Whether a number was new to a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    New,
    Repeated,
}

impl IntervalSet {
    pub(crate) fn insert(&mut self, number: u64) -> Insertion {
        let before = self.0.range_mut(..=number).next_back();
        let extended = match before {
            Some((_, last)) if *last >= number => return Insertion::Repeated,
            Some((&first, last)) if *last + 1 == number => {
                *last = number;
                Some(first)
            }
            _ => None,
        };
        let first = extended.unwrap_or_else(|| {
            self.0.insert(number, number);
            number
        });
        let joined = number.checked_add(1).and_then(|next| self.0.remove(&next));
        if let Some(last) = joined {
            self.0.insert(first, last);
        }
        Insertion::New
    }

    pub(crate) fn last(&self) -> Option<u64> {
        self.0.last_key_value().map(|(_, &last)| last)
    }

    /// How many numbers are below `end`.
    pub(crate) fn count_below(&self, end: u64) -> u64 {
        // An interval of all numbers below `end` has at most `end` of them, so nothing overflows.
        self.0
            .range(..end)
            .map(|(&first, &last)| last.min(end - 1) - first + 1)
            .sum()
    }

    /// How many numbers are at `start` or above, at most `u64::MAX`.
    pub(crate) fn count_from(&self, start: u64) -> u64 {
        self.0
            .values()
            .zip(self.0.keys())
            .filter(|&(&last, _)| last >= start)
            .map(|(&last, &first)| (last - first.max(start)).saturating_add(1))
            .fold(0, u64::saturating_add)
    }

    /// The intervals of numbers below `end` that are not in the set, ascending.
    pub(crate) fn gaps_below(&self, end: u64) -> impl Iterator<Item = RangeInclusive<u64>> {
        // The start of the next gap, or none when the numbers are used up.
        let mut next = Some(0);
        let stop = std::iter::once((end, u64::MAX));
        self.0
            .range(..end)
            .map(|(&first, &last)| (first, last))
            .chain(stop)
            .filter_map(move |(first, last)| {
                let start = next?;
                next = last.checked_add(1);
                (start < first && start < end).then(|| start..=first - 1)
            })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Compares with a plain set of numbers, after each insertion and for each bound.
    fn check(numbers: &[u64]) {
        let mut intervals = IntervalSet::default();
        let mut plain = BTreeSet::new();
        for &number in numbers {
            let expected = if plain.insert(number) {
                Insertion::New
            } else {
                Insertion::Repeated
            };
            assert_eq!(
                intervals.insert(number),
                expected,
                "{number} of {numbers:?}"
            );
            assert_eq!(intervals.last(), plain.last().copied());
            for end in 0..12 {
                assert_eq!(
                    intervals.count_below(end),
                    plain.range(..end).count() as u64
                );
                assert_eq!(intervals.count_from(end), plain.range(end..).count() as u64);
                let missing: Vec<u64> = (0..end).filter(|n| !plain.contains(n)).collect();
                let gaps: Vec<u64> = intervals.gaps_below(end).flatten().collect();
                assert_eq!(gaps, missing, "below {end} after {numbers:?}");
            }
        }
        let touching = intervals.0.iter().zip(intervals.0.keys().skip(1));
        for ((_, &last), &first) in touching {
            assert!(last + 1 < first, "{:?} is not joined", intervals.0);
        }
    }

    #[test]
    fn every_order_of_a_few_numbers_agrees_with_a_plain_set() {
        // All sequences of 5 numbers out of 0..6: every gap, repeat and order there is.
        for code in 0..6u64.pow(5) {
            let numbers: Vec<u64> = (0..5).map(|place| code / 6u64.pow(place) % 6).collect();
            check(&numbers);
        }
    }

    #[test]
    fn the_ends_of_the_range_do_not_overflow() {
        let mut set = IntervalSet::default();
        assert_eq!(set.insert(u64::MAX), Insertion::New);
        assert_eq!(set.insert(u64::MAX - 1), Insertion::New);
        assert_eq!(set.insert(u64::MAX), Insertion::Repeated);
        assert_eq!(set.insert(0), Insertion::New);
        assert_eq!(set.count_from(1), 2);
        assert_eq!(set.count_below(u64::MAX), 2);
        assert_eq!(
            set.gaps_below(u64::MAX).collect::<Vec<_>>(),
            [1..=u64::MAX - 2]
        );
    }
}
