//! What the word of a robust lock holds, and who changes it.
//!
//! ```text
//! 63           24 23           4  3        2         1 0
//! owner (40 bits) thread (20 bits) starving contended condition
//! ```
//!
//! | holder (owner, thread) | condition | meaning | who leaves it, and how |
//! |---|---|---|---|
//! | none | `SOUND` | free | anybody, by CAS to itself as the holder |
//! | none | `PANICKED`, `OWNER_DIED` | free; the last holder left things half done | anybody, by CAS to itself, who knows by that |
//! | none | `FINAL` | nobody takes it any more: a mutex is unrecoverable, a once is done | nobody |
//! | an owner | `SOUND` | held | the holder, by CAS to none with the condition it leaves; after its death any sweeper, by CAS to none with `OWNER_DIED` |
//!
//! Taking and recording who took are one CAS, giving up and recording how are one. `contended`:
//! somebody may be asleep, and whoever gives up wakes one. `starving`: somebody has waited for more
//! than a slice; the lock, when it is free, is left to those, the longest sleeper first, until one
//! who gives up finds none of them asleep. (The kernel knows who sleeps: a count in shared memory
//! would be wrong after the first death.)
//!
//! The owner is an [`OwnerId`] with the low 24 bits of its generation: as an id in use is not given
//! out again before the sweep of its dead is complete, a word names the wrong one only to a sweeper
//! that slept between two instructions while one table entry was used 16 million times and then got
//! this lock. The thread is for the detection of relocking only.

use ipc_core::OwnerId;

pub(crate) const CONDITION: u64 = 0b11;
pub(crate) const SOUND: u64 = 0;
pub(crate) const PANICKED: u64 = 1;
pub(crate) const OWNER_DIED: u64 = 2;
pub(crate) const FINAL: u64 = 3;
pub(crate) const CONTENDED: u64 = 1 << 2;
pub(crate) const STARVING: u64 = 1 << 3;

const THREAD_SHIFT: u32 = 4;
/// Threads whose relocking is noticed have numbers of this many bits, from 1.
pub(crate) const THREAD_BITS: u32 = 20;
const THREAD: u64 = ((1 << THREAD_BITS) - 1) << THREAD_SHIFT;
const OWNER_SHIFT: u32 = THREAD_SHIFT + THREAD_BITS;
const OWNER: u64 = u64::MAX << OWNER_SHIFT;
pub(crate) const HOLDER: u64 = OWNER | THREAD;

/// An owner as it stands in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnerBits(u64);

impl OwnerBits {
    pub(crate) fn new(id: OwnerId) -> Self {
        Self(id.to_word() << OWNER_SHIFT)
    }

    pub(crate) fn in_word(word: u64) -> Self {
        Self(word & OWNER)
    }

    /// The owner's whole id, if its generation has not outgrown the word.
    pub(crate) fn id(self) -> Option<OwnerId> {
        OwnerId::from_word(self.0 >> OWNER_SHIFT)
    }

    /// One of its threads as a holder.
    #[inline(always)]
    pub(crate) fn holder(self, thread: u32) -> Holder {
        Holder(self.0 | (u64::from(thread) << THREAD_SHIFT & THREAD))
    }

    /// Whether the id cannot be told from none: its index and what is kept of its generation are
    /// zero.
    pub(crate) fn is_nobody(self) -> bool {
        self.0 == 0
    }
}

/// An owner and one of its threads, as they stand in words. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder(u64);

impl Holder {
    #[inline(always)]
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// Whether this very thread of this owner holds the lock. Not of a thread without a number.
    pub(crate) fn is_in(self, word: u64) -> bool {
        self.0 & THREAD != 0 && word & HOLDER == self.0
    }

    /// Whether the word names a thread with the same number, of whatever process.
    pub(crate) fn has_thread_of(self, word: u64) -> bool {
        self.0 & THREAD != 0 && (self.0 ^ word) & THREAD == 0
    }
}
