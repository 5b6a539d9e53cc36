//! Giving back what dead senders and receivers held.

use super::memory::Memory;
use super::word::{LAP_SHIFT, OWNER, OwnerBits, State, VOID, given_back, state};
use ipc_core::atomic::Ordering;

/// The dead, of one role.
pub(crate) trait Dead {
    /// Whether a word just read names one of them: they are dead, and their places in the queue's
    /// table have not been given to others. Ask after reading the word, and change exactly the
    /// word that was read.
    fn are_named_in(&self, word: u64) -> bool;
}

/// One owner, who is the caller itself.
impl Dead for OwnerBits {
    fn are_named_in(&self, word: u64) -> bool {
        self.is_named_in(word)
    }
}

/// Nobody.
impl Dead for () {
    fn are_named_in(&self, _: u64) -> bool {
        false
    }
}

/// Goes through all slots once. Any number of sweepers may do so at once, and stop or die anywhere.
/// Returns how many messages this one gave back. Ring both bells after this.
pub(crate) fn sweep<M: Memory>(memory: &M, senders: &impl Dead, receivers: &impl Dead) -> u64 {
    let g = memory.geometry();
    let mut redelivered = 0;
    for index in 0..g.slots() as usize {
        let claim = memory.claim(index);
        // S1. Acquire: the slot's word is looked at after this.
        let mut a = claim.load(Ordering::Acquire);
        while a & OWNER != 0 && senders.are_named_in(a) && !ipc_core::planted!(ClaimNotSwept) {
            // S2. The dead's commit is visible: it was made before its life lock went.
            let d = memory.word(index).load(Ordering::Acquire);
            let swept = if g.is_pending(a, d) {
                a >> LAP_SHIFT << LAP_SHIFT | VOID
            } else {
                a & !OWNER
            };
            // S3. AcqRel: the next owner of the slot comes after the dead.
            match claim.compare_exchange(a, swept, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => a = now,
            }
        }
        let word = memory.word(index);
        // S4.
        let d = word.load(Ordering::Acquire);
        if state(d) == Some(State::Reading)
            && receivers.are_named_in(d)
            && !ipc_core::planted!(MessageNotSwept)
            // S5. AcqRel: as S3. If it fails, another sweeper did it.
            && word
                .compare_exchange(d, given_back(d), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        {
            redelivered += 1;
        }
    }
    // S6. Always: a dead sender may have committed late and died before it said so. Release: pairs
    // with C3.
    if !ipc_core::planted!(LateNotRaised) {
        memory.cursors().late.fetch_add(1, Ordering::Release);
    }
    redelivered
}
