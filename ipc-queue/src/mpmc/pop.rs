//! The receiving side of the protocol: take a message, finish it or give it back.

use super::end::accept;
use super::memory::{Memory, OPEN, Rounds, Trouble, changes_soon, first_unclaimed};
use super::word::{
    Geometry, OwnerBits, PASSED, State, VOID, free, full, given_back, has_owner, lap, redeliveries,
    state,
};
use ipc_core::atomic::Ordering;

/// Bits of `late` that one remembers.
const SEEN: u64 = (1 << SEEN_BITS) - 1;
const SEEN_BITS: u32 = 24;
const HINT_BITS: u32 = 64 - SEEN_BITS;
/// A `seen` that equals no `late`.
const FORGOTTEN: u64 = u64::MAX;

/// One receiver's private view.
#[derive(Debug)]
pub(crate) struct Head {
    next: u64,
    /// The `late` up to which there was nothing behind `next`.
    seen: u64,
    /// The position whose slot was free for its lap when there was no message. Behind `next` if
    /// messages have been taken since.
    awaits: u64,
    me: OwnerBits,
}

/// A message that belongs to this receiver until it finishes it or gives it back.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Taken {
    pub index: usize,
    reading: u64,
}

impl Taken {
    pub(crate) fn redeliveries(&self) -> u32 {
        redeliveries(self.reading)
    }

    /// The lap of its slot.
    #[inline(always)]
    pub(crate) fn lap(&self) -> u64 {
        lap(self.reading)
    }
}

/// A message in a slot of a lap of at most `n` is one that a receiver at lap `n` may take.
fn is_message(g: &Geometry, slot: u64, n: u64) -> bool {
    state(slot) == Some(State::Full) && g.ahead(lap(slot), n) <= 0
}

impl Head {
    /// Where the others are; or at the oldest message there can be.
    pub(crate) fn join<M: Memory>(memory: &M, me: OwnerBits) -> Self {
        let g = memory.geometry();
        let cursors = memory.cursors();
        // Before the claims: then it is not beyond them.
        let head = cursors.head.0.load(Ordering::Acquire);
        let tail = first_unclaimed(memory, cursors.tail.0.load(Ordering::Acquire));
        let mut joined = Self {
            next: g.plus_laps(tail, -1),
            seen: FORGOTTEN,
            awaits: g.plus_laps(tail, -1),
            me,
        };
        let (position, seen) = joined.read_hint(head);
        if g.exists(position) && !g.is_after(joined.next, position) && !g.is_after(position, tail) {
            joined.next = position;
            joined.seen = seen;
        }
        joined
    }

    /// The hint's position nearest to our own, and its `seen`.
    #[inline(always)]
    fn read_hint(&self, hint: u64) -> (u64, u64) {
        let distance = (hint >> SEEN_BITS).wrapping_sub(self.next) << (64 - HINT_BITS);
        let distance = distance.cast_signed() >> (64 - HINT_BITS);
        (self.next.wrapping_add_signed(distance), hint & SEEN)
    }

    /// Takes the next message, if there is one. [`publish`](Self::publish) after this.
    #[inline]
    pub(crate) fn take<M: Memory>(&mut self, memory: &M) -> Result<Option<Taken>, Trouble> {
        match self.take_fast(memory) {
            Some(taken) => Ok(Some(taken)),
            None => self.take_slow(memory),
        }
    }

    /// Takes the next message, if that is a matter of one attempt.
    #[inline(always)]
    pub(crate) fn take_fast<M: Memory>(&mut self, memory: &M) -> Option<Taken> {
        let g = memory.geometry();
        let cursors = memory.cursors();
        // C1. Acquire: pairs with the Release of C8: what its writer walked over is seen, so that
        // its `seen` means the same to us.
        let (position, seen) = self.read_hint(cursors.head.0.load(Ordering::Acquire));
        if g.is_after(position, self.next) && g.exists(position) {
            self.next = position;
            self.seen = seen;
        }
        let (index, n) = (g.index(self.next), g.lap(self.next));
        let word = memory.word(index);
        // C2. Acquire: pairs with the Release of P6: the payload is seen.
        let d = word.load(Ordering::Acquire);
        // C3. After C2: a late message that the same sender committed before this one is seen.
        // Acquire: pairs with the Release of P11.
        if d == full(n)
            && cursors.late.load(Ordering::Acquire) & SEEN == self.seen
            && let Some(taken) = self.try_take(memory, index, d)
        {
            self.next = g.next(self.next);
            Some(taken)
        } else {
            None
        }
    }

    /// C4.
    #[inline(always)]
    fn try_take<M: Memory>(&self, memory: &M, index: usize, d: u64) -> Option<Taken> {
        let reading = self.me.reading(d);
        // Acquire: the payload is read after this. (What was committed passes on: the exchange
        // continues the release sequence of P6.) SeqCst: with the look at `end` that follows.
        // Either this sees the stream closed, or a judge (E2, E5) sees us reading.
        let exchanged =
            memory
                .word(index)
                .compare_exchange(d, reading, Ordering::SeqCst, Ordering::Relaxed);
        exchanged.ok()?;
        let taken = Taken { index, reading };
        // loom takes SeqCst for AcqRel where it is not a fence.
        #[cfg(loom)]
        loom::sync::atomic::fence(Ordering::SeqCst);
        if memory.cursors().end.load(Ordering::SeqCst) == OPEN {
            return Some(taken);
        }
        self.accept(memory, taken)
    }

    /// A message of a closed stream, unless the end has been told without it.
    #[cold]
    #[inline(never)]
    fn accept<M: Memory>(&self, memory: &M, taken: Taken) -> Option<Taken> {
        // Of damaged words, the next look at them tells.
        if accept(memory, taken.index).unwrap_or(true) {
            Some(taken)
        } else {
            // A6.
            self.finish(memory, taken);
            None
        }
    }

    /// Takes the next message, or says that there is none: for who was just refused by
    /// [`take_fast`](Self::take_fast).
    #[cold]
    #[inline(never)]
    pub(crate) fn take_slow<M: Memory>(&mut self, memory: &M) -> Result<Option<Taken>, Trouble> {
        let g = memory.geometry();
        let mut rounds = Rounds::of(g);
        loop {
            rounds.count()?;
            let p = self.next;
            let (index, n) = (g.index(p), g.lap(p));
            let (claim, word) = (memory.claim(index), memory.word(index));
            let d = word.load(Ordering::Acquire); // C2
            let Some(state) = state(d) else {
                return Err(Trouble::Corrupted("a slot's state is none that exists"));
            };
            let laps = g.ahead(lap(d), n);
            if state == State::Full && laps <= 0 {
                let late = memory.cursors().late.load(Ordering::Acquire) & SEEN; // C3
                if late != self.seen {
                    match self.take_late(memory, late)? {
                        Some(taken) => return Ok(Some(taken)),
                        None => continue,
                    }
                }
                if laps < 0 {
                    let claimed = g.ahead(lap(claim.load(Ordering::Acquire)), n);
                    if claimed < -1 || claimed == -1 && !self.is_at_the_tail(memory) {
                        self.start_over(memory);
                        continue;
                    }
                }
                if let Some(taken) = self.try_take(memory, index, d) {
                    // An older lap's message was late, and this position is still to come.
                    if laps == 0 {
                        self.next = g.next(p);
                    }
                    return Ok(Some(taken));
                }
                continue;
            }
            if laps > 0 {
                // Free for a lap: the one before was claimed.
                let claimed = laps - i64::from(state == State::Free);
                self.walk_on(g, claimed);
                continue;
            }
            if laps == 0 && state == State::Reading {
                self.walk_on(g, 0);
                continue;
            }
            // C5. Acquire: the slot's word is looked at again after this.
            let a = claim.load(Ordering::Acquire);
            let claimed = g.ahead(lap(a), n);
            if claimed < 0 {
                if claimed != -1 || !self.is_at_the_tail(memory) {
                    self.start_over(memory);
                    continue;
                }
                let late = memory.cursors().late.load(Ordering::Acquire) & SEEN; // C3
                if late != self.seen {
                    if let Some(taken) = self.take_late(memory, late)? {
                        return Ok(Some(taken));
                    }
                    // The scan took its time.
                    continue;
                }
                self.awaits = if d == free(n) {
                    p
                } else {
                    self.find_awaited(memory)
                };
                return Ok(None);
            }
            if claimed > 0 || a & VOID != 0 {
                if !is_message(g, word.load(Ordering::Acquire), n) {
                    self.walk_on(g, claimed);
                }
                continue;
            }
            if state == State::Free && has_owner(a) {
                let passed = self.pass(memory, a, d)?;
                if passed {
                    self.walk_on(g, 0);
                }
            }
            // Else the slot's word was read before its message was committed, or by an earlier
            // reader: again.
        }
    }

    /// C6: goes on without a message that is being written. Whether it is still not there.
    fn pass<M: Memory>(&self, memory: &M, a: u64, d: u64) -> Result<bool, Trouble> {
        let index = memory.geometry().index(self.next);
        let (claim, word) = (memory.claim(index), memory.word(index));
        if a & PASSED == 0 {
            if changes_soon(word, d) {
                return Ok(false);
            }
            // AcqRel: who sees the mark sees what we saw.
            let marked = claim.compare_exchange(a, a | PASSED, Ordering::AcqRel, Ordering::Relaxed);
            if marked.is_err() {
                return Ok(false);
            }
        }
        // Also where another made the mark: he may have stopped before his barrier. After it,
        // either the commit is here, or its writer sees the mark (P7).
        memory.heavy()?;
        Ok(word.load(Ordering::Acquire) == d)
    }

    /// Goes to the next position; further, if the slot here was claimed for a lap so much later
    /// that what lies between must have been dealt with, or lies behind us for a scan to find.
    fn walk_on(&mut self, g: &Geometry, claimed_laps_ahead: i64) {
        let next = g.next(self.next);
        let oldest = g.plus_laps(next, claimed_laps_ahead - 1);
        if g.is_after(oldest, next) {
            self.next = oldest;
            self.seen = FORGOTTEN;
        } else {
            self.next = next;
        }
    }

    /// Whether the position before ours was claimed. If not, nobody can have come here: the cursor
    /// is from another age.
    fn is_at_the_tail<M: Memory>(&self, memory: &M) -> bool {
        let g = memory.geometry();
        let before = g.previous(self.next);
        let claim = memory.claim(g.index(before)).load(Ordering::Acquire);
        g.ahead(lap(claim), g.lap(before)) >= 0
    }

    #[cold]
    fn start_over<M: Memory>(&mut self, memory: &M) {
        let tail = first_unclaimed(memory, self.next);
        self.next = memory.geometry().plus_laps(tail, -1);
        self.seen = FORGOTTEN;
    }

    /// C9: takes the oldest message behind the cursor. If there is none, what happened up to
    /// `late` is dealt with.
    #[cold]
    fn take_late<M: Memory>(&mut self, memory: &M, late: u64) -> Result<Option<Taken>, Trouble> {
        let g = memory.geometry();
        let mut rounds = Rounds::of(g);
        loop {
            let mut oldest: Option<(u64, usize, u64)> = None;
            let mut p = self.next;
            // Newest first: of two messages of one sender, the later one was committed later.
            for _ in 0..g.slots() {
                p = g.previous(p);
                let index = g.index(p);
                // Acquire: as C2.
                let d = memory.word(index).load(Ordering::Acquire);
                if !is_message(g, d, g.lap(p)) {
                    continue;
                }
                // It may be of an earlier lap than the last.
                let position = g.plus_laps(p, g.ahead(lap(d), g.lap(p)));
                if oldest.is_none_or(|(other, ..)| g.is_after(other, position)) {
                    oldest = Some((position, index, d));
                }
            }
            let Some((_, index, d)) = oldest else {
                self.seen = late;
                return Ok(None);
            };
            if let Some(taken) = self.try_take(memory, index, d) {
                return Ok(Some(taken));
            }
            rounds.count()?;
        }
    }

    /// Makes the next look go through all slots.
    pub(crate) fn forget(&mut self) {
        self.seen = FORGOTTEN;
    }

    /// Tells the others how far we are.
    #[inline(always)]
    pub(crate) fn publish<M: Memory>(&self, memory: &M) {
        if self.seen != FORGOTTEN {
            // C8. Release: pairs with C1.
            memory
                .cursors()
                .head
                .0
                .store(self.next << SEEN_BITS | self.seen, Ordering::Release);
        }
    }

    /// A message has been read: its slot is free. Ring the senders' bell after this.
    #[inline(always)]
    pub(crate) fn finish<M: Memory>(&self, memory: &M, taken: Taken) {
        let n = memory.geometry().lap_plus(lap(taken.reading), 1);
        // C7. Release: pairs with the Acquire of P3: our reading is over. A plain store: while the
        // word names us, nobody else changes it.
        memory.word(taken.index).store(free(n), Ordering::Release);
    }

    /// Gives a message back unfinished. Ring the receivers' bell after this.
    #[cold]
    pub(crate) fn give_back<M: Memory>(&self, memory: &M, taken: Taken) {
        // C10. Release: our reading is over; and the payload passes on. Then its announcement.
        memory
            .word(taken.index)
            .store(given_back(taken.reading), Ordering::Release);
        memory.cursors().late.fetch_add(1, Ordering::Release);
    }

    /// Whether something has happened since there was no message, as far as two words show: the
    /// slot word at the cursor, or of a later slot if the last look found the one here held.
    pub(crate) fn has_news<M: Memory>(&self, memory: &M) -> bool {
        let g = memory.geometry();
        let awaited = if g.is_after(self.next, self.awaits) {
            self.next
        } else {
            self.awaits
        };
        memory.word(g.index(awaited)).load(Ordering::Relaxed) != free(g.lap(awaited))
            || memory.cursors().late.load(Ordering::Relaxed) & SEEN != self.seen
    }

    /// Finds where the next message shows first, mostly: in the first slot from the cursor on that
    /// nobody slow holds.
    #[inline]
    fn find_awaited<M: Memory>(&self, memory: &M) -> u64 {
        /// Beyond so many slow ones, the looks at everything have to do.
        const MOST: usize = 8;
        let g = memory.geometry();
        let mut p = self.next;
        for _ in 0..MOST {
            if memory.word(g.index(p)).load(Ordering::Relaxed) == free(g.lap(p)) {
                break;
            }
            p = g.next(p);
        }
        p
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_hint_means_the_nearest_position() {
        let edge = 1 << HINT_BITS;
        for next in [5, edge - 3, edge, 7 * edge + 2, u64::MAX - 1, 0] {
            let head = Head {
                next,
                seen: FORGOTTEN,
                awaits: next,
                me: OwnerBits::new(0, 1),
            };
            for distance in [-1000, -1, 0, 1, 1000] {
                let position = next.wrapping_add_signed(distance);
                assert_eq!(head.read_hint(position << SEEN_BITS | 9), (position, 9));
            }
        }
    }
}
