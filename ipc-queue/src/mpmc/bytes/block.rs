//! A block's word, and the steps that change it.
//!
//! | word | means | who leaves it, and how |
//! |---|---|---|
//! | 0 | free | who has claimed a slot, by CAS to its [`Tenancy`] |
//! | a tenancy | taken for that lap of that slot | anybody once the lap is over, by CAS to 0 or to a tenancy of its own |

use crate::mpmc::memory::Memory;
use crate::mpmc::word::{LAP_SHIFT, State, lap, state};
use ipc_core::atomic::{AtomicU64, Ordering};
use std::ops::Range;

const FREE: u64 = 0;
const SLOT: u64 = (1 << LAP_SHIFT) - 1;
/// How many slots a queue of byte messages can have.
pub(super) const MOST_SLOTS: u64 = SLOT;

/// What a block is taken for: a lap of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tenancy(u64);

impl Tenancy {
    /// For a slot (below [`MOST_SLOTS`]) and one of its laps.
    #[inline(always)]
    pub(super) fn new(index: usize, lap: u64) -> Self {
        debug_assert!((index as u64) < MOST_SLOTS);
        Self(lap << LAP_SHIFT | (index as u64 + 1))
    }

    /// In a block's word.
    #[inline(always)]
    pub(super) fn word(self) -> u64 {
        self.0
    }
}

/// What a block is used for at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Free,
    /// A sender has it.
    Writing,
    /// A message is in it.
    Message,
    /// Not for anything any more: it can be taken as if it were free.
    Over,
    /// Its word is none that exists.
    Damaged,
}

/// B2: looks at the slot of a block's word.
pub(super) fn look<M: Memory>(memory: &M, word: u64) -> Use {
    if word == FREE {
        return Use::Free;
    }
    let g = memory.geometry();
    // The word of a tenancy, or damaged.
    let (slot, n) = (word & SLOT, lap(word));
    if !(1..=g.slots()).contains(&slot) {
        return Use::Damaged;
    }
    let index = slot as usize - 1;
    // Acquire: the slot's word is looked at after this. One older than the block's own claim is of
    // an earlier lap, which is not over.
    let a = memory.claim(index).load(Ordering::Acquire);
    // Acquire: pairs with the Release of C7: the last reader of the block is done.
    let d = memory.word(index).load(Ordering::Acquire);
    if g.is_over(n, a, d) {
        Use::Over
    } else if lap(d) == n && matches!(state(d), Some(State::Full | State::Reading)) {
        Use::Message
    } else {
        Use::Writing
    }
}

/// A block's words, wherever they are.
pub(super) trait Blocks {
    /// The word of a block; the number comes from a range of blocks that exist.
    fn block(&self, number: usize) -> &AtomicU64;
}

/// A block that could be taken a moment ago, and its word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub block: usize,
    seen: u64,
}

/// B1: the first free block of a range, from `start` in it on and round its end.
#[inline]
pub(super) fn find_free<B: Blocks>(
    blocks: &B,
    range: Range<usize>,
    start: usize,
) -> Option<Candidate> {
    let is_free = |&block: &usize| {
        // Relaxed: the exchange that takes it decides.
        blocks.block(block).load(Ordering::Relaxed) == FREE
    };
    (start..range.end)
        .chain(range.start..start)
        .find(is_free)
        .map(|block| Candidate { block, seen: FREE })
}

/// B1 and B2: the first block of a range whose use is over though nobody has freed it.
#[cold]
pub(super) fn find_over<B: Blocks, M: Memory>(
    blocks: &B,
    memory: &M,
    range: Range<usize>,
) -> Option<Candidate> {
    range
        .map(|block| Candidate {
            block,
            // Relaxed: as in `find_free`; and see B2.
            seen: blocks.block(block).load(Ordering::Relaxed),
        })
        .find(|it| matches!(look(memory, it.seen), Use::Free | Use::Over))
}

/// B4: takes a block for the caller's claim. Fails if it is not what it was any more.
#[inline]
pub(super) fn take<B: Blocks>(blocks: &B, candidate: Candidate, tenancy: Tenancy) -> bool {
    // Acquire: pairs with the Release of who freed it: its last use is over. (Of one whose use was
    // found over, B2 has said so.)
    blocks
        .block(candidate.block)
        .compare_exchange(
            candidate.seen,
            tenancy.word(),
            Ordering::Acquire,
            Ordering::Relaxed,
        )
        .is_ok()
}

/// B6, B8: frees a block whose use is over. Whether this call did; not if another was faster.
#[inline]
pub(super) fn release<B: Blocks>(blocks: &B, block: usize, tenancy: Tenancy) -> bool {
    free(blocks, block, tenancy.word())
}

/// B9: frees whatever block's use is over. Any number may do so at once.
pub(super) fn collect<B: Blocks, M: Memory>(blocks: &B, memory: &M, range: Range<usize>) {
    for block in range {
        // Relaxed: see B2, and the exchange decides.
        let seen = blocks.block(block).load(Ordering::Relaxed);
        if look(memory, seen) == Use::Over {
            free(blocks, block, seen);
        }
    }
}

#[inline]
fn free<B: Blocks>(blocks: &B, block: usize, seen: u64) -> bool {
    // Release: its next user comes after its last, also where that one's end was seen in the slot
    // (B2).
    blocks
        .block(block)
        .compare_exchange(seen, FREE, Ordering::Release, Ordering::Relaxed)
        .is_ok()
}
