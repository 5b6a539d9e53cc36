//! What the protocol runs on: the mapping, or loom's atomics when it is checked.

use super::word::{self, Geometry};
use ipc_core::Bell;
use ipc_core::atomic::{AtomicU64, Ordering};
use std::io;

/// A word alone on its cache lines: two, because processors fetch them in pairs.
#[repr(C, align(128))]
#[derive(Default)]
pub(crate) struct Line<T>(pub T);

/// The words of the protocol that belong to no slot.
///
/// | word | meaning | written by |
/// |---|---|---|
/// | `tail` | a position before which all are claimed (about the last) | senders, plain stores |
/// | `head` | 40 bits of a position before which all are taken, void or passed, above 24 bits of the `late` that its writer had dealt with | receivers, plain stores |
/// | `late` | how often a message appeared behind receivers | whoever commits after being passed, gives back, or sweeps |
/// | `end` | an [`EndWord`] | whoever closes; the receiver that finds nothing left; who settles about a revoked message |
#[repr(C)]
#[derive(Default)]
pub(crate) struct Cursors {
    pub tail: Line<AtomicU64>,
    pub head: Line<AtomicU64>,
    pub late: AtomicU64,
    pub end: AtomicU64,
    /// Receivers sleep here until there are messages. (Here, because whoever publishes looks at
    /// this line anyway.)
    pub messages: Bell,
    /// Senders sleep here until there is room.
    pub room: Bell,
}

/// Messages may follow.
pub(crate) const OPEN: u64 = 0;
/// All messages have been finished, and no more will appear.
pub(crate) const ENDED: u64 = 2;

/// The word `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndWord {
    /// Messages may follow.
    Open,
    /// No claim made from now on becomes a message. Counts what was settled since, see
    /// [`end`](super::end).
    Closed { settled: u64 },
    /// All messages have been finished, and no more will appear.
    Ended,
}

impl EndWord {
    #[inline]
    pub(crate) fn from_word(word: u64) -> Result<Self, Trouble> {
        match word & 3 {
            0 => Ok(Self::Open),
            1 => Ok(Self::Closed { settled: word >> 2 }),
            2 => Ok(Self::Ended),
            _ => Err(Trouble::Corrupted("its end is none that exists")),
        }
    }
}

/// The word of a closed stream.
pub(crate) fn closed(settled: u64) -> u64 {
    settled << 2 | 1
}

/// The shared words, wherever they are.
pub(crate) trait Memory {
    fn geometry(&self) -> &Geometry;
    fn cursors(&self) -> &Cursors;
    /// `claim[index]`; the index comes from [`Geometry::index`] of a position that exists.
    fn claim(&self, index: usize) -> &AtomicU64;
    /// `slot[index].word`; as above.
    fn word(&self, index: usize) -> &AtomicU64;
    /// The frequent side of the barrier between a store and a load.
    fn light(&self);
    /// The rare side. Without it nothing may be concluded.
    fn heavy(&self) -> io::Result<()>;
}

/// Why the protocol cannot go on.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The words contradict each other.
    Corrupted(&'static str),
    /// The barrier has become impossible.
    NoBarrier(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::NoBarrier(error)
    }
}

/// Bounds a loop over shared words that others may change at any time.
pub(crate) struct Rounds {
    left: u64,
}

impl Rounds {
    /// Enough to walk round a queue several times and to lose many races.
    pub(crate) fn of(geometry: &Geometry) -> Self {
        Self {
            left: 4 * geometry.slots() + (1 << 14),
        }
    }

    /// One more round.
    pub(crate) fn count(&mut self) -> Result<(), Trouble> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(Trouble::Corrupted("its words never come to rest"))?;
        Ok(())
    }
}

/// Polls a slot's word for a moment. Whether it changed from `seen`.
#[cold]
pub(crate) fn changes_soon(word: &AtomicU64, seen: u64) -> bool {
    // Some microseconds: what a writer or reader that runs needs for a message of a few kilobytes,
    // and less than going on without it costs.
    const POLLS: u32 = if cfg!(loom) { 0 } else { 200 };
    for _ in 0..POLLS {
        if word.load(Ordering::Relaxed) != seen {
            return true;
        }
        pause();
    }
    false
}

/// One pause between two polls.
#[inline(always)]
pub(crate) fn pause() {
    #[cfg(not(loom))]
    std::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// The first position that nobody has claimed, from the claims themselves; `near` is any position
/// not long ago. Others may have claimed further meanwhile.
#[cold]
pub(crate) fn first_unclaimed<M: Memory>(memory: &M, near: u64) -> u64 {
    let g = memory.geometry();
    let lap_of = |index| word::lap(memory.claim(index).load(Ordering::Acquire));
    // Claims are made in the order of positions: the slots before the border are one lap ahead of
    // those after it.
    let first = lap_of(0);
    let (mut ahead, mut behind) = (0, g.slots() as usize);
    while behind - ahead > 1 {
        let middle = ahead + (behind - ahead) / 2;
        if g.ahead(lap_of(middle), first) < 0 {
            behind = middle;
        } else {
            ahead = middle;
        }
    }
    let last = g.in_lap_of(near, ahead);
    g.next(g.plus_laps(last, g.ahead(first, g.lap(last))))
}
