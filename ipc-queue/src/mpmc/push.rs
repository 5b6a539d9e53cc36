//! The sending side of the protocol: claim a slot, write, commit.

use super::end::concede;
use super::memory::{Cursors, Memory, OPEN, Rounds, Trouble, changes_soon, first_unclaimed};
use super::seat::{Behind, Blocker, Seat, make_void, room_behind, seat};
use super::word::{Geometry, OWNER, OwnerBits, PASSED, REVOKED, VOID, free, full, lap};
use ipc_core::atomic::{AtomicU64, Ordering};

/// One sender's private view.
#[derive(Debug)]
pub(crate) struct Tail {
    next: u64,
    /// The slot that made the queue full when it was last found so.
    blocked_by: Blocker,
    me: OwnerBits,
}

/// A slot that belongs to this sender until it commits or gives it back.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Claim {
    position: u64,
    pub index: usize,
}

impl Claim {
    /// The lap of its slot.
    #[inline(always)]
    pub(crate) fn lap(&self, g: &Geometry) -> u64 {
        g.lap(self.position)
    }
}

/// Why no slot was claimed.
#[derive(Debug)]
pub(crate) enum Refusal {
    Full,
    Closed,
    Trouble(Trouble),
}

impl<E: Into<Trouble>> From<E> for Refusal {
    fn from(trouble: E) -> Self {
        Self::Trouble(trouble.into())
    }
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Committed {
    /// The message is there.
    Yes,
    /// The stream ended before it, and nobody has got it or will.
    TooLate,
}

impl Tail {
    /// Where the others are.
    pub(crate) fn join<M: Memory>(memory: &M, me: OwnerBits) -> Self {
        let hint = memory.cursors().tail.0.load(Ordering::Acquire);
        Self {
            next: first_unclaimed(memory, hint),
            blocked_by: Blocker::default(),
            me,
        }
    }

    /// Whether the slot that made the queue full still looks as it did.
    pub(crate) fn is_still_blocked<M: Memory>(&self, memory: &M) -> bool {
        let Blocker { index, word } = self.blocked_by;
        memory.word(index).load(Ordering::Relaxed) == word
    }

    /// Claims the next slot.
    #[inline]
    pub(crate) fn claim<M: Memory>(&mut self, memory: &M) -> Result<Claim, Refusal> {
        match self.claim_fast(memory) {
            Some(claim) => Ok(claim),
            None => self.claim_slow(memory),
        }
    }

    /// Claims the next slot, if that is a matter of one attempt.
    #[inline(always)]
    pub(crate) fn claim_fast<M: Memory>(&mut self, memory: &M) -> Option<Claim> {
        let g = memory.geometry();
        // P1. Acquire: pairs with the Release of P8: the claims before the hint are seen.
        let hint = memory.cursors().tail.0.load(Ordering::Acquire);
        if g.is_after(hint, self.next) && g.exists(hint) {
            self.next = hint;
        }
        let (index, n) = (g.index(self.next), g.lap(self.next));
        let claim = memory.claim(index);
        // P2. Acquire: the slot's word is looked at after this.
        let a = claim.load(Ordering::Acquire);
        // P3. Acquire: pairs with the Release of C7: the last reader is done.
        let d = memory.word(index).load(Ordering::Acquire);
        // Not void, so the slot's being free for this very lap shows that nobody is at it.
        if lap(a) == g.lap_plus(n, -1)
            && a & (VOID | REVOKED) == 0
            && d == free(n)
            && self.try_claim(claim, a, n)
        {
            self.claimed(memory)
        } else {
            None
        }
    }

    /// P4.
    #[inline(always)]
    fn try_claim(&self, claim: &AtomicU64, a: u64, n: u64) -> bool {
        if ipc_core::planted!(OwnerAfterClaim) {
            let nobody = self.me.claim(n) & !OWNER;
            let claimed = claim
                .compare_exchange(a, nobody, Ordering::SeqCst, Ordering::Relaxed)
                .is_ok();
            if claimed {
                claim.store(self.me.claim(n), Ordering::SeqCst);
            }
            return claimed;
        }
        // SeqCst: ordered against the look at `end` that follows. Relaxed on failure: all is read
        // again.
        claim
            .compare_exchange(a, self.me.claim(n), Ordering::SeqCst, Ordering::Relaxed)
            .is_ok()
    }

    /// P5: a claim made after the stream was closed is given back.
    #[inline(always)]
    fn claimed<M: Memory>(&mut self, memory: &M) -> Option<Claim> {
        let g = memory.geometry();
        let claim = Claim {
            position: self.next,
            index: g.index(self.next),
        };
        self.next = g.next(self.next);
        // loom takes SeqCst for AcqRel where it is not a fence.
        #[cfg(loom)]
        loom::sync::atomic::fence(Ordering::SeqCst);
        // SeqCst: either this sees the stream closed, or who looks for claims after closing it
        // (E2) sees ours.
        if memory.cursors().end.load(Ordering::SeqCst) == OPEN {
            Some(claim)
        } else {
            self.give_back(memory, claim);
            None
        }
    }

    /// Claims the next slot, or says why not: for who was just refused by
    /// [`claim_fast`](Self::claim_fast).
    #[cold]
    #[inline(never)]
    pub(crate) fn claim_slow<M: Memory>(&mut self, memory: &M) -> Result<Claim, Refusal> {
        if memory.cursors().end.load(Ordering::Acquire) != OPEN {
            return Err(Refusal::Closed);
        }
        let g = memory.geometry();
        let mut rounds = Rounds::of(g);
        let mut patient = true;
        loop {
            rounds.count()?;
            let p = self.next;
            let (index, n) = (g.index(p), g.lap(p));
            let (claim, word) = (memory.claim(index), memory.word(index));
            let a = claim.load(Ordering::Acquire); // P2
            match g.ahead(lap(a), n) {
                -1 => {}
                // Everything up to there is claimed.
                laps @ 0.. => {
                    self.next = g.next(g.plus_laps(p, laps));
                    continue;
                }
                // Nobody can have come here: the cursor is from another age.
                _ => {
                    self.next = first_unclaimed(memory, p);
                    continue;
                }
            }
            let d = word.load(Ordering::Acquire); // P3
            if a & REVOKED != 0 {
                // Only of a closed stream. Its owner must find the mark.
                return Err(Refusal::Closed);
            }
            match seat(g, a, d)? {
                Seat::Room => {
                    if self.try_claim(claim, a, n) {
                        return self.claimed(memory).ok_or(Refusal::Closed);
                    }
                }
                Seat::Kept => {
                    self.blocked_by = Blocker { index, word: d };
                    if let Some(refusal) = refused(memory.cursors(), claim, a) {
                        return Err(refusal);
                    }
                }
                Seat::Slow => match room_behind(memory, p)? {
                    Behind::Moved => {}
                    Behind::Kept(blocker) => {
                        self.blocked_by = blocker;
                        if let Some(refusal) = refused(memory.cursors(), claim, a) {
                            return Err(refusal);
                        }
                    }
                    // A lap made void is lost if the slot comes free right after. Who has been
                    // overtaken before was given his time then.
                    Behind::Room if patient && a & (PASSED | VOID) == 0 => {
                        patient = changes_soon(word, d);
                    }
                    Behind::Room => {
                        if make_void(memory, p, a, d)? {
                            self.next = g.next(p);
                        }
                    }
                },
            }
        }
    }

    /// Makes what was written into the claimed slot a message. Ring the receivers' bell after
    /// this.
    #[inline(always)]
    pub(crate) fn commit<M: Memory>(&mut self, memory: &M, claim: Claim) -> Committed {
        let g = memory.geometry();
        let n = g.lap(claim.position);
        // P6. Release: pairs with the Acquire of C2: the payload is seen. A plain store: while our
        // claim is pending, nobody else changes this word.
        memory.word(claim.index).store(full(n), Ordering::Release);
        // Between this store and the next load; pairs with the `heavy` between C5 and C6.
        memory.light();
        // P7. Relaxed: nothing is read through it on the fast path.
        let committed = if memory.claim(claim.index).load(Ordering::Relaxed) == self.me.claim(n) {
            Committed::Yes
        } else {
            self.commit_late(memory, claim)
        };
        // P8. Release: pairs with P1.
        memory.cursors().tail.0.store(self.next, Ordering::Release);
        committed
    }

    /// The receivers went on without this message, or the lap was made void.
    #[cold]
    #[inline(never)]
    fn commit_late<M: Memory>(&self, memory: &M, claim: Claim) -> Committed {
        let n = memory.geometry().lap(claim.position);
        let mut announced = false;
        loop {
            let c = memory.claim(claim.index).load(Ordering::Acquire); // P9
            if c & REVOKED != 0 {
                // P10. Unless somebody took it before this.
                let withdrawn = memory.word(claim.index).compare_exchange(
                    full(n),
                    free(memory.geometry().lap_plus(n, 1)),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                let stays = withdrawn.is_err() && concede(memory, claim.index, n);
                self.take_name_out(memory, claim.index, 0);
                return if stays {
                    Committed::Yes
                } else {
                    Committed::TooLate
                };
            }
            if !announced {
                // P11. Release: pairs with the Acquire of C3 and C9: the message is seen. Before
                // any later message of ours, so that none of those is taken first.
                memory.cursors().late.fetch_add(1, Ordering::Release);
                announced = true;
            }
            // P12. Fails if the claim was revoked meanwhile: then the stream's end decides.
            if !self.me.is_named_in(c)
                || memory
                    .claim(claim.index)
                    .compare_exchange(c, c & !OWNER, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
            {
                return Committed::Yes;
            }
        }
    }

    /// Gives a claimed slot back unwritten. Ring both bells after this.
    #[cold]
    pub(crate) fn give_back<M: Memory>(&self, memory: &M, claim: Claim) {
        self.take_name_out(memory, claim.index, VOID);
    }

    /// P13.
    fn take_name_out<M: Memory>(&self, memory: &M, index: usize, also: u64) {
        let claim = memory.claim(index);
        let mut c = claim.load(Ordering::Relaxed);
        // Others change it at most once for each lap: this ends.
        while self.me.is_named_in(c) {
            // AcqRel: our use of the slot is over.
            match claim.compare_exchange(c, c & !OWNER | also, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(now) => c = now,
            }
        }
    }
}

/// Full, or closed, as long as there is not what else a message needs: no slot is to be claimed
/// then.
pub(super) fn ready<M: Memory>(
    memory: &M,
    is_ready: &mut impl FnMut() -> bool,
) -> Result<(), Refusal> {
    if is_ready() {
        Ok(())
    } else if memory.cursors().end.load(Ordering::Acquire) == OPEN {
        Err(Refusal::Full)
    } else {
        Err(Refusal::Closed)
    }
}

/// P14. Full, if the claim at the tail is still what it was when its slot was found taken.
fn refused(cursors: &Cursors, claim: &AtomicU64, a: u64) -> Option<Refusal> {
    if claim.load(Ordering::Acquire) != a {
        return None;
    }
    Some(match cursors.end.load(Ordering::Acquire) {
        OPEN => Refusal::Full,
        _ => Refusal::Closed,
    })
}
