//! What the slot at the tail means to a sender, and how senders go round slow ones.

use super::memory::{Memory, Trouble, first_unclaimed};
use super::word::{Geometry, LAP_SHIFT, OWNER, PASSED, State, VOID, lap, redeliveries, state};
use ipc_core::atomic::Ordering;

/// What the slot at the tail means to a sender.
pub(super) enum Seat {
    /// It can be claimed.
    Room,
    /// It holds a message of the last lap, or one that is just being written: the queue is full.
    Kept,
    /// Somebody slow, stopped or dead is at it, and the others do not wait.
    Slow,
}

pub(super) fn seat(g: &Geometry, claim: u64, slot: u64) -> Result<Seat, Trouble> {
    // A message that was given back lies behind the receivers, as one that was passed.
    let overtaken = claim & (PASSED | VOID) != 0 || redeliveries(slot) > 0;
    Ok(match state(slot) {
        Some(State::Free) if !g.is_pending(claim, slot) => Seat::Room,
        Some(State::Free | State::Full) if !overtaken => Seat::Kept,
        Some(_) => Seat::Slow,
        None => return Err(Trouble::Corrupted("a slot's state is none that exists")),
    })
}

/// A slot that makes the queue full, and its word.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blocker {
    pub index: usize,
    pub word: u64,
}

/// What lies behind a slot at which somebody slow is.
pub(super) enum Behind {
    /// A slot that can be claimed, with none but slow ones before it.
    Room,
    /// This slot, before any that can be claimed.
    Kept(Blocker),
    /// Others have claimed there meanwhile.
    Moved,
}

/// P15.
pub(super) fn room_behind<M: Memory>(memory: &M, tail: u64) -> Result<Behind, Trouble> {
    let g = memory.geometry();
    let mut p = tail;
    for _ in 1..g.slots() {
        p = g.next(p);
        let index = g.index(p);
        let a = memory.claim(index).load(Ordering::Acquire);
        if g.ahead(lap(a), g.lap(p)) != -1 {
            return Ok(Behind::Moved);
        }
        let word = memory.word(index).load(Ordering::Acquire);
        match seat(g, a, word)? {
            Seat::Room => return Ok(Behind::Room),
            Seat::Kept => return Ok(Behind::Kept(Blocker { index, word })),
            Seat::Slow => {}
        }
    }
    let index = g.index(tail);
    let word = memory.word(index).load(Ordering::Relaxed);
    Ok(Behind::Kept(Blocker { index, word }))
}

/// V1..V3: makes the lap at position `p` void, given its slot's claim and word, so that the others walk over it.
pub(super) fn make_void<M: Memory>(
    memory: &M,
    p: u64,
    a: u64,
    mut d: u64,
) -> Result<bool, Trouble> {
    let g = memory.geometry();
    let (index, n) = (g.index(p), g.lap(p));
    let word = memory.word(index);
    if g.is_pending(a, d) && a & VOID == 0 {
        // V1, V2. The commit may still be on its way from the owner's processor, and he may
        // have looked at his claim before it was marked: he would not take his name out of
        // ours. After the barrier one of us sees the other.
        memory.heavy()?;
        d = word.load(Ordering::Acquire);
        if !g.is_pending(a, d) {
            return Ok(false);
        }
    }
    let kept = if g.is_pending(a, d) { a & OWNER } else { 0 };
    // V3. AcqRel: who sees the void lap sees what we saw.
    Ok(memory
        .claim(index)
        .compare_exchange(
            a,
            n << LAP_SHIFT | kept | VOID,
            Ordering::AcqRel,
            Ordering::Relaxed,
        )
        .is_ok())
}

/// Whether a sender would find room at this moment.
pub(crate) fn has_room<M: Memory>(memory: &M) -> Result<bool, Trouble> {
    let g = memory.geometry();
    let hint = memory.cursors().tail.0.load(Ordering::Acquire);
    let p = first_unclaimed(memory, hint);
    let a = memory.claim(g.index(p)).load(Ordering::Acquire);
    let d = memory.word(g.index(p)).load(Ordering::Acquire);
    Ok(match seat(g, a, d)? {
        Seat::Room => true,
        Seat::Kept => false,
        Seat::Slow => matches!(room_behind(memory, p)?, Behind::Room),
    })
}
