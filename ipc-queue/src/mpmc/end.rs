//! The end of the stream.
//!
//! The word `end` becomes `CLOSED` by whoever closes: no claim made after that becomes a message
//! (P5). A claim made before may: its owner may be about to commit, or stopped for ever. So that
//! nobody waits for it, a receiver that finds the closed queue empty *revokes* it: the owner, when
//! it sees that, takes its message back unless somebody has got it. When no slot holds a message,
//! none is being read (its reader may die, and then somebody must be there to get it), and every
//! claim that might still become one is revoked, `end` becomes `ENDED`, for ever. From `CLOSED` on
//! each slot passes these tests once and for all, but for one thing: a receiver may get a message
//! whose claim was revoked before its owner takes it back. That is settled by raising the count in
//! `CLOSED` ([`accept`]), which makes the judges before it start again.

use super::memory::{ENDED, EndWord, Memory, OPEN, Trouble, closed};
use super::word::{OWNER, REJECTED, REVOKED, State, free, lap, state};
use ipc_core::atomic::Ordering;

/// How a queue that was found empty stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Not closed.
    Open,
    /// There is a message after all, perhaps behind the cursor.
    Messages,
    /// Closed, but somebody still has a message; or others are at work: ask again.
    NotYet,
    /// The end.
    Ended,
}

/// Closes the stream. Whether this call did.
pub(crate) fn close<M: Memory>(memory: &M) -> bool {
    // SeqCst: see P5.
    memory
        .cursors()
        .end
        .compare_exchange(OPEN, closed(0), Ordering::SeqCst, Ordering::SeqCst)
        .is_ok()
}

/// Whether the stream has been closed.
pub(crate) fn is_closed<M: Memory>(memory: &M) -> bool {
    memory.cursors().end.load(Ordering::Acquire) != OPEN
}

/// Judges a queue that was found empty.
pub(crate) fn judge<M: Memory>(memory: &M) -> Result<End, Trouble> {
    // E1. SeqCst: see P5.
    match EndWord::from_word(memory.cursors().end.load(Ordering::SeqCst))? {
        EndWord::Open => Ok(End::Open),
        EndWord::Closed { settled } => judge_closed(memory, settled),
        EndWord::Ended => Ok(End::Ended),
    }
}

/// One more thing was settled. Whether that was possible: not if others were faster.
fn settle<M: Memory>(memory: &M, settled: u64) -> bool {
    memory
        .cursors()
        .end
        .compare_exchange(
            closed(settled),
            closed(settled.wrapping_add(1)),
            Ordering::SeqCst,
            Ordering::Relaxed,
        )
        .is_ok()
}

/// A receiver has taken a message of a closed stream. Whether it may have it: not if its claim was
/// revoked and the end has been told.
#[cold]
pub(crate) fn accept<M: Memory>(memory: &M, index: usize) -> Result<bool, Trouble> {
    let claim = memory.claim(index);
    loop {
        // A1. SeqCst: see C4.
        let settled = match EndWord::from_word(memory.cursors().end.load(Ordering::SeqCst))? {
            EndWord::Open => return Ok(true),
            EndWord::Closed { settled } => settled,
            EndWord::Ended => {
                reject(memory, index);
                return Ok(false);
            }
        };
        // A2. Revoked by a judge who may be about to tell the end, whether or not the owner's name
        // is still there.
        let c = claim.load(Ordering::Acquire);
        if c & REVOKED == 0 {
            return Ok(true);
        }
        // A3, A4: whoever passed this slot before starts again; and the owner learns it.
        if settle(memory, settled)
            && claim
                .compare_exchange(
                    c,
                    c & !(OWNER | REVOKED),
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                )
                .is_ok()
        {
            return Ok(true);
        }
    }
}

/// A5: tells the owner of a revoked claim that nobody will have its message.
fn reject<M: Memory>(memory: &M, index: usize) {
    let claim = memory.claim(index);
    let mut c = claim.load(Ordering::Acquire);
    while c & (REVOKED | REJECTED) == REVOKED {
        let rejected = c & !OWNER | REJECTED;
        match claim.compare_exchange(c, rejected, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => break,
            Err(now) => c = now,
        }
    }
}

/// The message of lap `n`, whose claim was revoked, could not be taken back by its sender, for
/// somebody has taken it. Whether it stays a message.
#[cold]
pub(crate) fn concede<M: Memory>(memory: &M, index: usize, n: u64) -> bool {
    loop {
        // P16.
        if let Ok(EndWord::Closed { settled }) =
            EndWord::from_word(memory.cursors().end.load(Ordering::SeqCst))
        {
            // P17. Every judge from now on sees who has it.
            if settle(memory, settled) {
                return true;
            }
            continue;
        }
        // P18. Acquire: the claim is looked at after this.
        let word = memory.word(index);
        let d = word.load(Ordering::Acquire);
        if lap(d) == n {
            // Whoever has it still got it after the end and will not keep it.
            return false;
        }
        let gone = free(memory.geometry().lap_plus(n, 1));
        // P19. It is gone: it was finished before the end, or rejected. Acquire: the slot's word is
        // looked at after this.
        if d != gone || memory.claim(index).load(Ordering::Acquire) & REJECTED == 0 {
            return true;
        }
        // P20. The mark can be that of a message of a later lap. That one was in the slot when it
        // was marked (A5), and its lap's end is what A6 writes after it: the word is not ours any
        // more, and never will be. Where it still is, nobody has claimed the slot since, for
        // nobody ever claims one that is revoked.
        return word.load(Ordering::Relaxed) != gone;
    }
}

#[cold]
fn judge_closed<M: Memory>(memory: &M, settled: u64) -> Result<End, Trouble> {
    let g = memory.geometry();
    let slots = 0..g.slots() as usize;
    // loom takes SeqCst for AcqRel where it is not a fence.
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
    let mut pending = false;
    for index in slots.clone() {
        // E2. SeqCst: see P5 and C4.
        let a = memory.claim(index).load(Ordering::SeqCst);
        let d = memory.word(index).load(Ordering::SeqCst);
        match state(d) {
            Some(State::Free) => {}
            Some(State::Full) => return Ok(End::Messages),
            Some(State::Reading) => return Ok(End::NotYet),
            None => return Err(Trouble::Corrupted("a slot's state is none that exists")),
        }
        if !g.is_pending(a, d) {
            continue;
        }
        pending = true;
        // E3. AcqRel: who sees it sees that the stream is closed.
        if a & REVOKED == 0
            && memory
                .claim(index)
                .compare_exchange(a, a | REVOKED, Ordering::AcqRel, Ordering::Relaxed)
                .is_err()
        {
            return Ok(End::NotYet);
        }
    }
    if pending {
        // E4. After this either the commit is here, or its writer sees that it is revoked (P7).
        // Also where another revoked: he may have stopped before his barrier.
        memory.heavy()?;
        for index in slots {
            // E5. SeqCst: see C4.
            let a = memory.claim(index).load(Ordering::SeqCst);
            let d = memory.word(index).load(Ordering::SeqCst);
            match state(d) {
                Some(State::Full) => return Ok(End::Messages),
                Some(State::Reading) => return Ok(End::NotYet),
                _ if g.is_pending(a, d) && a & REVOKED == 0 => return Ok(End::NotYet),
                _ => {}
            }
        }
    }
    // E6. AcqRel: the end is after all that was read.
    let ended = memory.cursors().end.compare_exchange(
        closed(settled),
        ENDED,
        Ordering::AcqRel,
        Ordering::Acquire,
    );
    Ok(match ended {
        Ok(_) | Err(ENDED) => End::Ended,
        Err(_) => End::NotYet,
    })
}
