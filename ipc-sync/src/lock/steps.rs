//! Taking, giving up, and taking from the dead: the steps on the [word](super::word).

use super::word::{
    CONDITION, CONTENDED, FINAL, HOLDER, Holder, OWNER_DIED, OwnerBits, PANICKED, SOUND, STARVING,
};
use crate::park::Park;
use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{Deadline, SLICE, Wait};

/// Polls before a waiter sleeps, as in the standard library: about as long as a short hold.
const SPINS: u32 = 100;
/// Polls of a busy waiter between two looks at the clock.
const POLLS_PER_LOOK: u32 = 256;

/// In which condition the protected was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Sound,
    /// A holder panicked, and nobody has repaired it since.
    Panicked,
    /// A holder died, and nobody has repaired it since.
    OwnerDied,
}

impl Condition {
    fn in_word(word: u64) -> Option<Self> {
        match word & CONDITION {
            SOUND => Some(Self::Sound),
            PANICKED => Some(Self::Panicked),
            OWNER_DIED => Some(Self::OwnerDied),
            _ => None,
        }
    }
}

/// How a holder leaves the protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    In(Condition),
    /// For good: nobody is to take the lock any more.
    Final,
}

impl Leave {
    fn bits(self) -> u64 {
        match self {
            Leave::In(Condition::Sound) => SOUND,
            Leave::In(Condition::Panicked) => PANICKED,
            Leave::In(Condition::OwnerDied) => OWNER_DIED,
            Leave::Final => FINAL,
        }
    }
}

/// Why a lock was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another holds it, and the time is up.
    Held,
    /// The calling thread holds it itself.
    Relocked,
    /// Nobody takes it any more.
    Final,
}

/// How long somebody has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Fresh,
    /// For more than a slice: it asks for the lock to be left to it.
    Starving,
}

/// The lock's word, and where its waiters sleep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lock<'a, P> {
    /// Also what the fresh sleep on.
    pub word: &'a AtomicU64,
    /// Counts how often the lock came free while somebody starved; what the starving sleep on.
    pub turn: &'a AtomicU64,
    pub park: &'a P,
}

impl<P: Park> Lock<'_, P> {
    /// Takes the lock if it is free, sound, and nobody waits.
    #[inline(always)]
    pub(crate) fn take_at_once(&self, me: Holder) -> bool {
        // Acquire: pairs with the Release of whoever gave it up.
        self.word
            .compare_exchange(0, me.bits(), Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Takes the lock if nobody holds it. Who waits for a free lock to come round is passed over,
    /// once: a caller that never waits must not depend on whether the waiters still live.
    pub(crate) fn try_take(&self, me: Holder) -> Result<Condition, Refusal> {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if seen & HOLDER != 0 {
                return Err(if me.is_in(seen) {
                    Refusal::Relocked
                } else {
                    Refusal::Held
                });
            }
            match self.take_free(seen, me, 0) {
                Taken::Yes(condition) => return Ok(condition),
                Taken::No(now) => seen = now,
                Taken::Never => return Err(Refusal::Final),
            }
        }
    }

    /// From a word without a holder. Its marks stay; its condition is the taker's to know.
    fn take_free(&self, seen: u64, me: Holder, marks: u64) -> Taken {
        let Some(condition) = Condition::in_word(seen) else {
            return Taken::Never;
        };
        let taken = me.bits() | marks | seen & (CONTENDED | STARVING);
        // Acquire: as in `take_at_once`.
        match self
            .word
            .compare_exchange(seen, taken, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(_) => Taken::Yes(condition),
            Err(now) => Taken::No(now),
        }
    }

    /// Waits until the lock is taken, or cannot be, or the deadline passes. `slice` is called about
    /// every [`SLICE`], to look after the dead; its error ends the wait.
    pub(crate) fn take<E>(
        &self,
        me: Holder,
        policy: Wait,
        deadline: Deadline,
        slice: impl FnMut() -> Result<(), E>,
    ) -> Result<Result<Condition, Refusal>, E> {
        self.take_with(me, policy, deadline, Patience::Fresh, slice)
    }

    pub(super) fn take_with<E>(
        &self,
        me: Holder,
        policy: Wait,
        deadline: Deadline,
        mut patience: Patience,
        mut slice: impl FnMut() -> Result<(), E>,
    ) -> Result<Result<Condition, Refusal>, E> {
        if deadline == Deadline::PAST {
            return Ok(self.try_take(me));
        }
        let mut next_slice = end_of_slice();
        // After a sleep, others may sleep that this one's mark was for too.
        let mut others = 0;
        loop {
            // Before the word, so that the count changes if the lock comes free after this look.
            // Acquire: pairs with the Release of the count.
            let turn = self.turn.load(Ordering::Acquire);
            let seen = self.look(policy, patience);
            if seen & HOLDER == 0 {
                // A free lock is left to the starving. They may be dead, so whoever has waited for
                // a slice, and thus starves too, takes it, and whoever's time is up.
                if seen & STARVING == 0 || patience == Patience::Starving || deadline.has_passed() {
                    match self.take_free(seen, me, others) {
                        Taken::Yes(condition) => return Ok(Ok(condition)),
                        Taken::No(_) => continue,
                        Taken::Never => return Ok(Err(Refusal::Final)),
                    }
                }
            } else if me.is_in(seen) {
                return Ok(Err(Refusal::Relocked));
            }
            if deadline.has_passed() {
                return Ok(Err(Refusal::Held));
            }
            let until = deadline.sooner(next_slice);
            match (policy, patience) {
                (Wait::Busy, _) => self.poll_while(seen),
                (_, Patience::Fresh) => {
                    if !self.mark(seen, CONTENDED) {
                        continue;
                    }
                    self.park.sleep(self.word, seen | CONTENDED, until);
                    others = CONTENDED;
                }
                (_, Patience::Starving) => {
                    // After a new mark once more round: the lock may come free while this one
                    // polls, and is its own then.
                    if !self.mark(seen, STARVING) || seen & STARVING == 0 {
                        continue;
                    }
                    self.park.sleep(self.turn, turn, until);
                }
            }
            // By the clock, not by how the sleep ended.
            if next_slice.has_passed() {
                slice()?;
                patience = Patience::Starving;
                next_slice = end_of_slice();
            }
        }
    }

    /// Marks the word that was seen, so that whoever frees the lock wakes. Whether it is marked.
    fn mark(&self, seen: u64, mark: u64) -> bool {
        seen & mark != 0
            || self
                .word
                // Relaxed: who acts on the mark of a starving one adds to `turn`, which that one has
                // loaded before.
                .compare_exchange(seen, seen | mark, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// The word, after some polls if it is worth while to wait for a change.
    fn look(&self, policy: Wait, patience: Patience) -> u64 {
        // Acquire: whoever finds it final sees what was done before.
        let mut seen = self.word.load(Ordering::Acquire);
        if policy == Wait::Adaptive {
            for _ in 0..SPINS {
                // Where others sleep, the lock is not held for as short as that. But who starves has
                // just got its core back, and the lock is its own when it comes free.
                if seen & HOLDER == 0 || seen & CONTENDED != 0 && patience == Patience::Fresh {
                    break;
                }
                pause();
                seen = self.word.load(Ordering::Acquire);
            }
        }
        seen
    }

    fn poll_while(&self, same: u64) {
        for _ in 0..POLLS_PER_LOOK {
            if self.word.load(Ordering::Relaxed) != same {
                return;
            }
            pause();
        }
    }

    /// Whether nobody takes the lock any more. What was done before is visible then.
    #[inline(always)]
    pub(crate) fn is_final(&self) -> bool {
        // Acquire: pairs with the Release of the last holder.
        self.word.load(Ordering::Acquire) & (CONDITION | HOLDER) == FINAL
    }

    /// Gives the lock up, sound as it was found.
    #[inline(always)]
    pub(crate) fn give_up(&self, me: Holder) {
        // Release: pairs with the Acquire of whoever takes it.
        if self
            .word
            .compare_exchange(me.bits(), 0, Ordering::Release, Ordering::Relaxed)
            .is_err()
        {
            self.give_up_as(me, Leave::In(Condition::Sound));
        }
    }

    /// Gives the lock up with what is to be said of the protected.
    #[cold]
    pub(crate) fn give_up_as(&self, me: Holder, leave: Leave) {
        self.free_from(|word| word & HOLDER == me.bits(), leave);
    }

    /// Takes the lock from a holder that is gone. `is_gone` is asked about the owner in a word
    /// just read, and exactly that word is changed. Any number may do this at once, and stop or die
    /// anywhere: who waits wakes within a slice.
    pub(crate) fn take_from(&self, is_gone: impl Fn(OwnerBits) -> bool) {
        self.free_from(
            |word| word & HOLDER != 0 && is_gone(OwnerBits::in_word(word)),
            Leave::In(if ipc_core::planted!(SoundAfterDeath) {
                Condition::Sound
            } else {
                Condition::OwnerDied
            }),
        );
    }

    fn free_from(&self, applies: impl Fn(u64) -> bool, leave: Leave) {
        // Acquire: what `applies` looks at is looked at after this.
        let mut seen = self.word.load(Ordering::Acquire);
        while applies(seen) {
            let marks = match leave {
                Leave::Final => 0,
                // Whoever frees it after the starving wakes the others.
                Leave::In(_) if seen & STARVING != 0 => seen & (STARVING | CONTENDED),
                Leave::In(_) => 0,
            };
            // Release: pairs with the Acquire of whoever takes it. Acquire: the dead did all before
            // this.
            match self.word.compare_exchange(
                seen,
                leave.bits() | marks,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) if leave == Leave::Final => return self.wake_everybody(),
                Ok(_) => return self.wake_next(seen),
                Err(now) => seen = now,
            }
        }
    }

    /// Wakes whose turn it is, by the marks that the lock had when it came free: the one that
    /// starves longest; if none does, the one that has slept longest.
    fn wake_next(&self, mut seen: u64) {
        if seen & STARVING != 0 {
            // Release: whoever has this count sees that the lock came free before.
            self.turn.fetch_add(1, Ordering::Release);
            if self.park.wake_one(self.turn) > 0 {
                return;
            }
            // All of them are awake, or dead.
            seen = self.word.load(Ordering::Relaxed);
            loop {
                if seen & HOLDER != 0 || seen & STARVING == 0 {
                    // Whoever has taken it does the rest.
                    return;
                }
                match self.word.compare_exchange(
                    seen,
                    seen & !(STARVING | CONTENDED),
                    // Relaxed: the Release of the last holder goes on through this.
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => break,
                    Err(now) => seen = now,
                }
            }
        }
        if seen & CONTENDED != 0 {
            self.park.wake_one(self.word);
        }
    }

    fn wake_everybody(&self) {
        // Release: as in `wake_next`.
        self.turn.fetch_add(1, Ordering::Release);
        self.park.wake_all(self.turn);
        self.park.wake_all(self.word);
    }
}

/// What came of a CAS on a free lock.
enum Taken {
    Yes(Condition),
    /// The word has changed to this.
    No(u64),
    /// It is final.
    Never,
}

fn end_of_slice() -> Deadline {
    // No time passes under loom: what depends on the clock would not be explored.
    if cfg!(loom) {
        Deadline::NEVER
    } else {
        Deadline::after(SLICE)
    }
}

fn pause() {
    #[cfg(not(loom))]
    std::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}
