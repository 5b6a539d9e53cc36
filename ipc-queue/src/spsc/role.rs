//! Who is the producer, who is the consumer, and what happens when one dies.
//!
//! | `holder` | meaning | who leaves it, and how |
//! |---|---|---|
//! | 0 | nobody | a newcomer, by CAS to its owner id |
//! | owner id | that handle's owner | the owner when it leaves (to 0); anybody who knows it dead (to mark `k`) |
//! | mark `k` | the last owner died; it was the `k`-th to die | a newcomer, after `deaths` has reached `k` |
//!
//! The mark counts, so that the other side can tell a death that it has reported from one that it
//! has not, whoever came and died in between: `deaths_seen` is what it has reported.

use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{Departed, Holder, Life, Object, Owner, OwnerId};

use super::error::OpenError;

/// In the low 16 bits, where an owner id has an index that is never this large.
const MARK: u64 = 0xFFFF;

#[repr(C)]
#[derive(Default)]
pub(crate) struct Role {
    holder: AtomicU64,
    deaths: AtomicU64,
    deaths_seen: AtomicU64,
}

/// What came of trying to become the holder.
pub(super) enum Attempt {
    Claimed,
    /// By somebody not known to be dead.
    HeldBy(OwnerId),
    /// Somebody else changed it meanwhile.
    Overtaken,
}

/// The number of a holder's death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Death(u64);

fn death_number(word: u64) -> Option<u64> {
    (word & MARK == MARK).then_some(word >> 16)
}

impl Role {
    /// Makes `mine` the holder, unless there is one who has neither left nor been found dead.
    pub(super) fn try_claim(&self, mine: OwnerId) -> Attempt {
        // Acquire: pairs with the Release of who left, and of who found the last one dead: we go
        // on where it stopped.
        let word = self.holder.load(Ordering::Acquire);
        if let Some(number) = death_number(word) {
            self.count_death(number);
        } else if let Some(id) = OwnerId::from_word(word) {
            return Attempt::HeldBy(id);
        }
        let claimed =
            self.holder
                .compare_exchange(word, mine.to_word(), Ordering::AcqRel, Ordering::Relaxed);
        match claimed {
            Ok(_) => Attempt::Claimed,
            Err(_) => Attempt::Overtaken,
        }
    }

    /// Makes `owner` the holder, if nobody who lives is.
    pub(crate) fn claim(
        &self,
        owner: &Owner,
        object: &Object,
        role: &'static str,
    ) -> Result<(), OpenError> {
        loop {
            let id = match self.try_claim(owner.id()) {
                Attempt::Claimed => return Ok(()),
                Attempt::Overtaken => continue,
                Attempt::HeldBy(id) => id,
            };
            match object.segment().holder(id)? {
                Holder::Process(who) if who.life == Life::Alive => {
                    // Left while we asked?
                    if self.holder.load(Ordering::Acquire) != id.to_word() {
                        continue;
                    }
                    return Err(OpenError::RoleTaken {
                        ring: object.to_string(),
                        role,
                        pid: who.pid.unwrap_or(0),
                    });
                }
                Holder::Process(_) => {
                    object.segment().recover()?;
                    // A sweep that could not finish elsewhere has still been here.
                    self.mark_dead(id);
                }
                Holder::Nobody => self.mark_dead(id),
            }
        }
    }

    /// The owner leaves in order.
    pub(crate) fn release(&self, owner: OwnerId) {
        if ipc_core::planted!(RoleNotReleased) {
            return;
        }
        // Release: pairs with the Acquire in `claim`.
        let _ =
            self.holder
                .compare_exchange(owner.to_word(), 0, Ordering::Release, Ordering::Relaxed);
    }

    /// Takes the role from a dead holder.
    pub(crate) fn sweep(&self, departed: &Departed<'_>) {
        let word = self.holder.load(Ordering::Acquire);
        if death_number(word).is_none()
            && let Some(id) = OwnerId::from_word(word)
            && departed.owned(id)
        {
            self.mark_dead(id);
        }
    }

    pub(super) fn mark_dead(&self, id: OwnerId) {
        // `deaths` does not change while `id` holds the role: it was brought up to date before
        // `id` could claim. Relaxed: who calls this has seen that claim, with Acquire.
        let number = self.deaths.load(Ordering::Relaxed).wrapping_add(1) & (u64::MAX >> 16);
        let marked = self.holder.compare_exchange(
            id.to_word(),
            number << 16 | MARK,
            // Release: pairs with the Acquire in `try_claim` and `deaths`. The last that the dead
            // stored comes before the kernel's word that it is dead, and so before the mark.
            Ordering::Release,
            Ordering::Relaxed,
        );
        if marked.is_ok() {
            self.count_death(number);
        }
    }

    /// Brings `deaths` up to a mark's number. Anybody may.
    fn count_death(&self, number: u64) {
        let _ = self.deaths.compare_exchange(
            number.wrapping_sub(1),
            number,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
    }

    pub(super) fn deaths(&self) -> u64 {
        // The holder first: once a mark is overwritten, its number is in `deaths`.
        match death_number(self.holder.load(Ordering::Acquire)) {
            Some(number) => number,
            None => self.deaths.load(Ordering::Acquire),
        }
    }

    /// The last death, if the other side has not reported it yet.
    pub(crate) fn unreported_death(&self) -> Option<Death> {
        let last = self.deaths();
        (last != self.deaths_seen.load(Ordering::Relaxed)).then_some(Death(last))
    }

    /// Notes that this death and those before have been reported. Only the other side calls this,
    /// with a death that it knew of before it looked for what the dead had left: of one that came
    /// after, it may not have seen everything yet.
    pub(crate) fn report(&self, Death(number): Death) {
        self.deaths_seen.store(number, Ordering::Relaxed);
    }
}
