//! The two words of a slot, and how positions map to slots and laps.
//!
//! ```text
//! claim   | lap 44 | owner 14 |  rejected revoked void passed |
//! slot    | lap 44 | owner 14 | redelivered 4 |     state 2 |
//! ```
//!
//! *Lap* `n` of slot `i` is position `n * slots + i` of the stream. In words laps are counted
//! modulo 2^44 and compared by their signed distance; what that means for how long somebody may be
//! stopped is said in the [module](super).
//!
//! An *owner* is a place in the queue's table of senders (in claims) or receivers (in slot words)
//! and four bits of who has it; zero is nobody.

/// Where the lap begins in both words.
pub(crate) const LAP_SHIFT: u32 = 20;
const LAP_BITS: u32 = 64 - LAP_SHIFT;
const OWNER_SHIFT: u32 = 6;
const OWNER_BITS: u32 = 14;
const PLACE_BITS: u32 = 10;
/// The owner's bits in both words.
pub(crate) const OWNER: u64 = ((1 << OWNER_BITS) - 1) << OWNER_SHIFT;
/// How many senders, and how many receivers, a queue can have.
pub(crate) const MOST_MEMBERS: usize = (1 << PLACE_BITS) - 1;

/// A consumer has gone on without waiting for this claim's message.
pub(crate) const PASSED: u64 = 1;
/// This lap of the slot holds no message. An owner, if any, is a writer of an earlier lap that is
/// still at it.
pub(crate) const VOID: u64 = 2;
/// The stream ends without this claim's message.
pub(crate) const REVOKED: u64 = 4;
/// Somebody got the revoked claim's message after the end was told, and did not keep it.
pub(crate) const REJECTED: u64 = 8;

const STATE: u64 = 3;
const FREE: u64 = 0;
const FULL: u64 = 1;
const READING: u64 = 2;
const REDELIVERED_SHIFT: u32 = 2;
const REDELIVERED: u64 = 15 << REDELIVERED_SHIFT;

/// An owner as it stands in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnerBits(u64);

impl OwnerBits {
    /// The owner at a place (below [`MOST_MEMBERS`]) whose full id has these low bits.
    pub(crate) fn new(place: usize, id: u64) -> Self {
        debug_assert!(place < MOST_MEMBERS);
        let generation = id & ((1 << (OWNER_BITS - PLACE_BITS)) - 1);
        Self((generation << PLACE_BITS | (place as u64 + 1)) << OWNER_SHIFT)
    }

    /// Whether a word names this owner.
    #[inline(always)]
    pub(crate) fn is_named_in(self, word: u64) -> bool {
        word & OWNER == self.0
    }

    /// The claim of this owner for a lap.
    #[inline(always)]
    pub(crate) fn claim(self, lap: u64) -> u64 {
        lap << LAP_SHIFT | self.0
    }

    /// The slot word of a message of this lap that the owner reads; `full` is its word so far.
    #[inline(always)]
    pub(crate) fn reading(self, full: u64) -> u64 {
        full & !(STATE | OWNER) | self.0 | READING
    }
}

/// The lap of either word.
#[inline(always)]
pub(crate) fn lap(word: u64) -> u64 {
    word >> LAP_SHIFT
}

/// Whether a word names somebody.
#[inline(always)]
pub(crate) fn has_owner(word: u64) -> bool {
    word & OWNER != 0
}

/// The slot word of a slot that is free, for this lap or a later one.
#[inline(always)]
pub(crate) fn free(lap: u64) -> u64 {
    lap << LAP_SHIFT | FREE
}

/// The slot word of a committed message.
#[inline(always)]
pub(crate) fn full(lap: u64) -> u64 {
    lap << LAP_SHIFT | FULL
}

/// What a slot's word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    Full,
    Reading,
}

/// The state in a slot's word; `None` for one that the protocol never writes.
#[inline(always)]
pub(crate) fn state(word: u64) -> Option<State> {
    match word & STATE {
        FREE => Some(State::Free),
        FULL => Some(State::Full),
        READING => Some(State::Reading),
        _ => None,
    }
}

/// How often a message was given back. Exact below 8; beyond, at least 8: there the count goes
/// round, so that a word changes with every redelivery, and by 7, so that it returns as late as
/// possible together with the 16 generations of an owner.
#[inline(always)]
pub(crate) fn redeliveries(word: u64) -> u32 {
    ((word & REDELIVERED) >> REDELIVERED_SHIFT) as u32
}

/// The word of a message that its reader, or the reader's sweep, gives back.
pub(crate) fn given_back(reading: u64) -> u64 {
    let count = match redeliveries(reading) {
        14.. => 8,
        count => count + 1,
    };
    reading & !(STATE | OWNER | REDELIVERED) | u64::from(count) << REDELIVERED_SHIFT | FULL
}

/// How positions of the stream map to laps and slots: a position is the lap above the slot's
/// index, so positions compare as numbers, for any number of slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    slots: u64,
    index_bits: u32,
    index_mask: u64,
    lap_mask: u64,
    /// Bits of a word above the lap's, once it stands at the bottom.
    lap_spare: u32,
}

/// The most slots: a position keeps 32 bits of lap then.
pub(crate) const MOST_SLOTS: u64 = 1 << 32;

impl Geometry {
    /// For this many slots, 1 to [`MOST_SLOTS`].
    pub(crate) fn new(slots: u64) -> Self {
        debug_assert!((1..=MOST_SLOTS).contains(&slots));
        let index_bits = slots.next_power_of_two().trailing_zeros();
        let lap_bits = LAP_BITS.min(64 - index_bits);
        Self {
            slots,
            index_bits,
            index_mask: (1 << index_bits) - 1,
            lap_mask: u64::MAX >> (64 - lap_bits),
            lap_spare: 64 - lap_bits,
        }
    }

    pub(crate) fn slots(&self) -> u64 {
        self.slots
    }

    /// The slot of a position.
    #[inline(always)]
    pub(crate) fn index(&self, position: u64) -> usize {
        (position & self.index_mask) as usize
    }

    /// Whether the position's slot exists: one read from shared memory may be anything.
    #[inline(always)]
    pub(crate) fn exists(&self, position: u64) -> bool {
        position & self.index_mask < self.slots
    }

    /// The lap of a position, as it stands in words.
    #[inline(always)]
    pub(crate) fn lap(&self, position: u64) -> u64 {
        position >> self.index_bits & self.lap_mask
    }

    /// The lap before or after, as it stands in words.
    #[inline(always)]
    pub(crate) fn lap_plus(&self, lap: u64, laps: i64) -> u64 {
        lap.wrapping_add_signed(laps) & self.lap_mask
    }

    /// How many laps `lap` lies after `base`; negative if before.
    #[inline(always)]
    pub(crate) fn ahead(&self, lap: u64, base: u64) -> i64 {
        (lap.wrapping_sub(base) << self.lap_spare).cast_signed() >> self.lap_spare
    }

    /// The position of a slot's lap.
    #[cfg(any(test, loom))]
    pub(crate) fn position(&self, lap: u64, index: usize) -> u64 {
        lap << self.index_bits | index as u64
    }

    /// The position of another slot in the lap of `position`.
    pub(crate) fn in_lap_of(&self, position: u64, index: usize) -> u64 {
        position & !self.index_mask | index as u64
    }

    /// The position of the same slot some laps later.
    pub(crate) fn plus_laps(&self, position: u64, laps: i64) -> u64 {
        position.wrapping_add(laps.cast_unsigned() << self.index_bits)
    }

    #[inline(always)]
    pub(crate) fn next(&self, position: u64) -> u64 {
        if (position & self.index_mask) + 1 == self.slots {
            (position | self.index_mask).wrapping_add(1)
        } else {
            position + 1
        }
    }

    pub(crate) fn previous(&self, position: u64) -> u64 {
        if position & self.index_mask == 0 {
            self.plus_laps(position, -1) | (self.slots - 1)
        } else {
            position - 1
        }
    }

    /// Whether `a` lies after `b` in the stream.
    #[inline(always)]
    pub(crate) fn is_after(&self, a: u64, b: u64) -> bool {
        a.wrapping_sub(b).cast_signed() > 0
    }

    /// Whether a claim's owner may still be writing, given the slot's word as read *after* the
    /// claim.
    #[inline(always)]
    pub(crate) fn is_pending(&self, claim: u64, slot: u64) -> bool {
        has_owner(claim)
            && slot & STATE == FREE
            && (claim & VOID != 0 || self.ahead(lap(slot), lap(claim)) <= 0)
    }

    /// Whether nobody writes, holds or will get a message of lap `n` of a slot any more, given its
    /// claim and its word as read *after* the claim. Once it is so, it stays so. The cases are in [`bytes`](super::bytes).
    pub(crate) fn is_over(&self, n: u64, claim: u64, slot: u64) -> bool {
        if self.ahead(lap(slot), n) > 0 {
            return true;
        }
        let is_void = claim & VOID != 0;
        slot & STATE == FREE
            && match self.ahead(lap(claim), n) {
                ..0 => false,
                0 => is_void,
                _ => !(is_void && has_owner(claim)),
            }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn positions_walk_round_any_number_of_slots() {
        for slots in [1, 2, 3, 5, 8, 1000] {
            let g = Geometry::new(slots);
            // Across the edge of the lap's field and of the whole word.
            for start in [0, 1, (1 << 44) - 2, u64::MAX >> g.index_bits] {
                let mut position = g.position(start, 0);
                for step in 0..3 * slots {
                    assert_eq!(g.index(position) as u64, step % slots);
                    let lap = start.wrapping_add(step / slots) & g.lap_mask;
                    assert_eq!(g.lap(position), lap);
                    let next = g.next(position);
                    assert!(g.exists(next));
                    assert!(g.is_after(next, position));
                    assert_eq!(g.previous(next), position);
                    position = next;
                }
            }
        }
    }

    #[test]
    fn laps_compare_across_the_edge() {
        for slots in [1, 7, 1 << 20, 1 << 24, 1 << 32] {
            let g = Geometry::new(slots);
            let last = g.lap_mask;
            assert_eq!(g.ahead(0, last), 1);
            assert_eq!(g.ahead(last, 0), -1);
            assert_eq!(g.ahead(5, 5), 0);
            assert_eq!(g.lap_plus(last, 1), 0);
            assert_eq!(g.lap_plus(0, -1), last);
            let position = g.plus_laps(g.position(last, 0), 1);
            assert_eq!(g.lap(position), 0);
        }
    }

    #[test]
    fn the_fields_of_words_do_not_touch() {
        let owner = OwnerBits::new(MOST_MEMBERS - 1, u64::MAX);
        let lap_field = (1 << 44) - 1;
        let claim = owner.claim(lap_field) | PASSED | VOID | REVOKED | REJECTED;
        assert_eq!(lap(claim), lap_field);
        assert!(owner.is_named_in(claim));
        let reading = owner.reading(full(lap_field));
        assert_eq!(state(reading), Some(State::Reading));
        assert_eq!(lap(reading), lap_field);
        assert!(owner.is_named_in(reading));
        let back = given_back(reading);
        assert_eq!(state(back), Some(State::Full));
        assert!(!has_owner(back));
        assert_eq!(redeliveries(back), 1);
    }

    #[test]
    fn the_count_of_redeliveries_changes_each_time_and_never_returns_to_zero() {
        let owner = OwnerBits::new(3, 9);
        let mut word = full(7);
        for round in 1..40 {
            let back = given_back(owner.reading(word));
            assert_ne!(redeliveries(back), redeliveries(word));
            assert!(redeliveries(back) >= round.min(8));
            word = back;
        }
    }

    #[test]
    fn who_may_still_be_writing() {
        let g = Geometry::new(4);
        let x = OwnerBits::new(0, 1);
        let claim = x.claim(5);
        assert!(g.is_pending(claim, free(5)));
        assert!(g.is_pending(claim, free(3)), "laps before were void");
        assert!(g.is_pending(claim | PASSED, free(5)));
        assert!(!g.is_pending(claim, full(5)));
        assert!(!g.is_pending(claim, free(6)), "finished");
        assert!(!g.is_pending(claim & !OWNER, free(5)));
        assert!(g.is_pending(claim | VOID, free(6)), "not proved finished");
    }

    #[test]
    fn when_a_lap_is_over() {
        let g = Geometry::new(4);
        let x = OwnerBits::new(0, 1);
        let of_nobody = |lap: u64| x.claim(lap) & !OWNER;
        // The slot moved on, whatever the claim says.
        for claim in [x.claim(5), of_nobody(5), x.claim(7) | VOID] {
            assert!(g.is_over(5, claim, free(6)));
            assert!(g.is_over(5, claim, full(7)));
            assert!(g.is_over(5, claim, x.reading(full(6))));
            assert!(!g.is_over(5, claim, full(5)));
            assert!(!g.is_over(5, claim, x.reading(full(5))));
            assert!(!g.is_over(5, claim, full(5) | 3), "no state at all");
        }
        for slot in [free(5), free(3)] {
            assert!(!g.is_over(5, x.claim(5), slot), "being written");
            assert!(!g.is_over(5, x.claim(5) | PASSED | REVOKED, slot));
            assert!(!g.is_over(5, of_nobody(5), slot), "never written so");
            assert!(g.is_over(5, of_nobody(5) | VOID, slot), "given up");
            assert!(g.is_over(5, x.claim(5) | VOID, slot), "an earlier one's");
            assert!(g.is_over(5, x.claim(7), slot));
            assert!(g.is_over(5, of_nobody(7) | VOID, slot));
            assert!(!g.is_over(5, x.claim(7) | VOID, slot), "perhaps its own");
            assert!(!g.is_over(5, of_nobody(4), slot), "not claimed yet");
        }
        // Across the edge of the lap's field.
        let last = g.lap_plus(0, -1);
        assert!(g.is_over(last, x.claim(last), free(0)));
        assert!(g.is_over(last, x.claim(0), free(last)));
        assert!(!g.is_over(0, x.claim(last), free(last)));
    }
}
