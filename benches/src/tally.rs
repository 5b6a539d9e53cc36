//! What passed through a queue with many ends, whose items arrive in no order that could be known.

use std::ops::Range;

/// Items from here on do not count: the bystanders'.
pub const FOREIGN: u64 = 1 << 63;

/// Tells one receiver that all items of a phase have been sent. Not less than [`FOREIGN`].
pub const END: u64 = u64::MAX;

/// The first item of one of several senders; its next ones follow in steps of one. No two senders
/// send the same item, and none sends a foreign one.
pub fn first_of(sender: usize) -> u64 {
    (sender as u64) << 48
}

/// Some items, whatever their order: equal if none was lost, doubled or changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Their sum, going round.
    pub sum: u64,
    /// Their exclusive or.
    pub xor: u64,
}

impl Tally {
    /// Of consecutive items.
    pub fn of(items: Range<u64>) -> Self {
        let mut tally = Self::default();
        for item in items {
            tally.add(item);
        }
        tally
    }

    /// Counts an item.
    #[inline(always)]
    pub fn add(&mut self, item: u64) {
        *self = self.and(Self {
            count: 1,
            sum: item,
            xor: item,
        });
    }

    /// Both together.
    #[inline(always)]
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum.wrapping_add(other.sum),
            xor: self.xor ^ other.xor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_does_not_matter_and_every_item_does() {
        let all = Tally::of(first_of(1)..first_of(1) + 9).and(Tally::of(0..9));
        let mut same = Tally::default();
        for item in (0..9).rev() {
            same.add(item);
            same.add(first_of(1) + item);
        }
        assert_eq!(same, all);
        let without = |lost: u64| Tally::of(0..lost).and(Tally::of(lost + 1..9));
        let mut doubled = without(3);
        doubled.add(4);
        assert_ne!(without(3), Tally::of(0..9));
        assert_ne!(doubled, Tally::of(0..9));
    }
}
