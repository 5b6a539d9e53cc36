//! Who has arrived, and who are the parties.
//!
//! `state` counts, in one word:
//!
//! | field | meaning | who changes it, by CAS |
//! |---|---|---|
//! | passes (24 bits) | how often all had arrived | the last party to arrive: one more, and nobody has arrived |
//! | resets (23 bits) | how often it was reset | whoever resets: one more, and nobody has arrived |
//! | aborted (1 bit) | somebody broke it by hand | whoever does; whoever resets |
//! | arrived (16 bits) | parties that wait for the rest | a party that arrives, or whose time is up |
//!
//! Each party has a place, a word of its own:
//!
//! | place | meaning | who leaves it, and how |
//! |---|---|---|
//! | 0 | free | a party that joins, by CAS to its owner id |
//! | owner id | a party's | the party when it leaves (to 0); the sweep of the dead (to dead) |
//! | dead, of this id | its party died; the barrier is broken | whoever found it so before a reset of `state`, after that (to 0) |
//!
//! An arrival is one step, and so is giving it up. Which parties have arrived is recorded nowhere: a
//! dead one breaks the barrier in either case, and the reset forgets all arrivals.

use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{OwnerId, SharedLayout};

const ARRIVED: u64 = 0xFFFF;
pub(super) const ABORTED: u64 = 1 << 16;
const RESET_SHIFT: u32 = 17;
const PASS_SHIFT: u32 = 40;
const RESETS: u64 = ((1 << PASS_SHIFT) - 1) & !((1 << RESET_SHIFT) - 1);
pub(super) const MOST_PARTIES: u32 = ARRIVED as u32;

/// The word `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(pub(super) u64);

impl State {
    pub(super) fn arrived(self) -> u64 {
        self.0 & ARRIVED
    }

    pub(super) fn is_aborted(self) -> bool {
        self.0 & ABORTED != 0
    }

    pub(super) fn passes(self) -> u64 {
        self.0 >> PASS_SHIFT
    }

    pub(super) fn resets(self) -> u64 {
        self.0 & RESETS
    }

    /// All have arrived.
    pub(super) fn passed(self) -> Self {
        let passes = self.passes().wrapping_add(1);
        Self(passes << PASS_SHIFT | self.resets())
    }

    pub(super) fn reset(self) -> Self {
        let resets = self.0.wrapping_add(1 << RESET_SHIFT) & RESETS;
        Self(self.passes() << PASS_SHIFT | resets)
    }
}

/// In the low 16 bits of a place, where an owner id has an index that is never this large.
const DEAD: u64 = 0xFFFF;

#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct Place(AtomicU64);

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Place {}

/// What stands in the place of a dead party. Each one's is another, so that a slow reset does not
/// take one who died later for one whom it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u64);

impl Place {
    pub(super) fn take(&self, id: OwnerId) -> bool {
        self.0.load(Ordering::Relaxed) == 0 && self.change(0, id.to_word())
    }

    /// A failure means that it is not the party's any more.
    pub(super) fn leave(&self, id: OwnerId) {
        self.change(id.to_word(), 0);
    }

    /// The party that `is_dead`, if it is this one's, has died.
    pub(super) fn bury(&self, is_dead: impl Fn(OwnerId) -> bool) {
        let seen = self.0.load(Ordering::Acquire);
        if seen & DEAD != DEAD && OwnerId::from_word(seen).is_some_and(is_dead) {
            self.change(seen, seen << 16 | DEAD);
        }
    }

    pub(super) fn dead(&self) -> Option<Mark> {
        let seen = self.0.load(Ordering::Acquire);
        (seen & DEAD == DEAD).then_some(Mark(seen))
    }

    pub(super) fn clear(&self, mark: Mark) {
        self.change(mark.0, 0);
    }

    fn change(&self, from: u64, to: u64) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reset_clears_nobody_who_died_after_its_look() {
        let place = Place::default();
        let ids = [1 << 16, 2 << 16, 1 << 16 | 1].map(|it| OwnerId::from_word(it).unwrap());
        let mut seen = Vec::new();
        for id in ids {
            assert!(place.take(id));
            place.bury(|it| it == id);
            let mark = place.dead().unwrap();
            seen.iter().for_each(|&old| place.clear(old));
            assert_eq!(place.dead(), Some(mark));
            // Nor does who comes next, or leaves late.
            assert!(!place.take(id));
            place.leave(id);
            assert_eq!(place.dead(), Some(mark));
            place.clear(mark);
            seen.push(mark);
        }
        assert_eq!(place.dead(), None);
    }
}
