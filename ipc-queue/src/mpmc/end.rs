//! The end of the stream.
//!
//! The word `end` becomes [`CLOSED`] by whoever closes: no claim made after that becomes a message
//! (P5). A claim made before may: its owner may be about to commit, or stopped for ever. So that
//! nobody waits for it, a receiver that finds the closed queue empty *revokes* it: the owner, when
//! it sees that, takes its message back unless somebody has got it. When no slot holds a message,
//! none is being read (its reader may die, and then somebody must be there to get it), and every
//! claim that might still become one is revoked, `end` becomes [`ENDED`], for ever. From `CLOSED`
//! on each slot passes these tests once and for all, so one pass over them in any order is enough.

use super::memory::{CLOSED, ENDED, Memory, OPEN, Trouble};
use super::word::{REVOKED, State, state};
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
        .compare_exchange(OPEN, CLOSED, Ordering::SeqCst, Ordering::SeqCst)
        .is_ok()
}

/// Whether the stream has been closed.
pub(crate) fn is_closed<M: Memory>(memory: &M) -> bool {
    memory.cursors().end.load(Ordering::Acquire) != OPEN
}

/// Judges a queue that was found empty.
pub(crate) fn judge<M: Memory>(memory: &M) -> Result<End, Trouble> {
    let end = &memory.cursors().end;
    // E1. SeqCst: see P5.
    match end.load(Ordering::SeqCst) {
        OPEN => Ok(End::Open),
        CLOSED => judge_closed(memory),
        ENDED => Ok(End::Ended),
        _ => Err(Trouble::Corrupted("its end is none that exists")),
    }
}

#[cold]
fn judge_closed<M: Memory>(memory: &M) -> Result<End, Trouble> {
    let g = memory.geometry();
    let slots = 0..g.slots() as usize;
    // loom takes SeqCst for AcqRel where it is not a fence.
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
    let mut pending = false;
    for index in slots.clone() {
        // E2. SeqCst: see P5.
        let a = memory.claim(index).load(Ordering::SeqCst);
        let d = memory.word(index).load(Ordering::Acquire);
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
            // E5.
            let a = memory.claim(index).load(Ordering::SeqCst);
            let d = memory.word(index).load(Ordering::Acquire);
            match state(d) {
                Some(State::Full) => return Ok(End::Messages),
                Some(State::Reading) => return Ok(End::NotYet),
                _ if g.is_pending(a, d) && a & REVOKED == 0 => return Ok(End::NotYet),
                _ => {}
            }
        }
    }
    // E6. AcqRel: the end is after all that was read.
    let _ =
        memory
            .cursors()
            .end
            .compare_exchange(CLOSED, ENDED, Ordering::AcqRel, Ordering::Acquire);
    Ok(End::Ended)
}
