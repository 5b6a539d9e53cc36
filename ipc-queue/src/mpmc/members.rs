//! Who the senders and the receivers are: a table for each role, whose places are the owners that
//! claims and slot words name.
//!
//! | `holder` | meaning | who leaves it, and how |
//! |---|---|---|
//! | 0 | nobody | a newcomer, by CAS to its owner id |
//! | owner id | that handle's owner | the owner when it leaves (to 0); the sweep of the dead, after its pass over all slots (to mark `k`) |
//! | mark `k` | the last owner died, as the `k`-th or later | a newcomer, after `deaths` has reached `k` |
//!
//! The mark makes a death and its count one step: a sweeper may die in between.

use super::sweep::Dead;
use super::word::OwnerBits;
use ipc_core::{Departed, OwnerId, SharedArray, SharedLayout};
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// In the low 16 bits, where an owner id has an index that is never this large.
const MARK: u64 = 0xFFFF;

/// One place. Its line is written by its holder only, but for the coming and going.
#[repr(C, align(64))]
pub(crate) struct Member {
    holder: AtomicU64,
    /// Messages committed, or finished, by all who ever had this place.
    pub messages: AtomicU64,
    /// How often they slept.
    pub sleeps: AtomicU64,
    reserved: [AtomicU64; 5],
}

const _: () = assert!(size_of::<Member>() == 64);

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Member {}

/// The table of one role.
#[derive(Debug)]
pub(crate) struct Members {
    pub places: SharedArray<Member>,
}

fn death_number(holder: u64) -> Option<u64> {
    (holder & MARK == MARK).then_some(holder >> 16)
}

fn owner_in(holder: u64) -> Option<OwnerId> {
    match death_number(holder) {
        Some(_) => None,
        None => OwnerId::from_word(holder),
    }
}

/// How an owner at a place stands in words.
pub(crate) fn bits(place: usize, id: OwnerId) -> OwnerBits {
    OwnerBits::new(place, id.to_word() >> 16)
}

impl Members {
    /// Takes a free place for `id`; `turn` is the queue's counter of who came.
    pub(crate) fn join(&self, turn: &AtomicU64, deaths: &AtomicU64, id: OwnerId) -> Option<usize> {
        let places = self.places.len();
        // In turn, so that a place is used again as late as possible.
        let start = turn.fetch_add(1, Ordering::Relaxed) as usize % places;
        (0..places).map(|step| (start + step) % places).find(|&at| {
            let holder = &self.places.at(at).holder;
            let seen = holder.load(Ordering::Acquire);
            if let Some(number) = death_number(seen) {
                count_death(deaths, number);
            } else if seen != 0 {
                return false;
            }
            // Acquire: pairs with the Release of who left and of the sweep: they hold nothing.
            holder
                .compare_exchange(seen, id.to_word(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// The holder leaves in order, and holds nothing.
    pub(crate) fn leave(&self, place: usize, id: OwnerId) {
        // Release: pairs with the Acquire in `join`. A failure means that the place is not ours
        // any more, and then neither is the duty.
        let _ = self.places.at(place).holder.compare_exchange(
            id.to_word(),
            0,
            Ordering::Release,
            Ordering::Relaxed,
        );
    }

    /// How many hold a place, dead or alive.
    pub(crate) fn count(&self) -> usize {
        let holders = self
            .places
            .iter()
            .map(|it| it.holder.load(Ordering::Acquire));
        holders.filter(|&it| owner_in(it).is_some()).count()
    }

    /// Those of the departed that have places.
    pub(crate) fn dead(&self, departed: &Departed<'_>) -> DeadMembers<'_> {
        let mut dead = Vec::new();
        for (place, member) in self.places.iter().enumerate() {
            if let Some(id) = owner_in(member.holder.load(Ordering::Acquire))
                && departed.owned(id)
            {
                dead.push((place, id));
            }
        }
        DeadMembers {
            members: self,
            dead,
        }
    }
}

/// The dead that a sweep is about.
pub(crate) struct DeadMembers<'a> {
    members: &'a Members,
    dead: Vec<(usize, OwnerId)>,
}

impl Dead for DeadMembers<'_> {
    fn are_named_in(&self, word: u64) -> bool {
        let named = self
            .dead
            .iter()
            .find(|&&(place, id)| bits(place, id).is_named_in(word));
        named.is_some_and(|&(place, id)| {
            // Acquire: the word was read while the place was still the dead's: it names the dead
            // and not a later holder.
            fence(Ordering::Acquire);
            self.members.places.at(place).holder.load(Ordering::Acquire) == id.to_word()
        })
    }
}

impl DeadMembers<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.dead.is_empty()
    }

    /// After the pass: frees their places. `deaths` counts them.
    pub(crate) fn bury(&self, deaths: &AtomicU64) {
        for &(place, id) in &self.dead {
            // `deaths` was brought up to date before the dead could take the place; several dead
            // may count as one, which changes it all the same.
            let number = deaths.load(Ordering::Acquire).wrapping_add(1) & (u64::MAX >> 16);
            let marked = self.members.places.at(place).holder.compare_exchange(
                id.to_word(),
                number << 16 | MARK,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if marked.is_ok() {
                count_death(deaths, number);
            }
        }
    }
}

/// Brings `deaths` up to a mark's number. Anybody may.
fn count_death(deaths: &AtomicU64, number: u64) {
    let _ = deaths.compare_exchange(
        number.wrapping_sub(1),
        number,
        Ordering::AcqRel,
        Ordering::Relaxed,
    );
}

/// What one receiver knows of the senders.
#[derive(Debug)]
pub(crate) struct Watch {
    senders: Members,
    /// The deaths that it has reported.
    reported: u64,
    /// Where somebody was last.
    seen_at: usize,
}

impl Watch {
    pub(crate) fn new(senders: Members) -> Self {
        Self {
            senders,
            reported: 0,
            seen_at: 0,
        }
    }

    /// How many senders have died, if that is to be reported: some since the last time, and nobody
    /// is left.
    pub(crate) fn unreported(&mut self, deaths: &AtomicU64) -> Option<u64> {
        if deaths.load(Ordering::Acquire) == self.reported {
            return None;
        }
        self.deaths_of_all(deaths)
            .filter(|&deaths| deaths != self.reported)
    }

    /// Counts deaths whose sweeper died before it did so, and returns how many have died if nobody
    /// is left.
    pub(crate) fn deaths_of_all(&mut self, deaths: &AtomicU64) -> Option<u64> {
        let places = &self.senders.places;
        for at in std::iter::once(self.seen_at).chain(0..places.len()) {
            let holder = places.at(at).holder.load(Ordering::Acquire);
            if let Some(number) = death_number(holder) {
                count_death(deaths, number);
            } else if holder != 0 {
                self.seen_at = at;
                return None;
            }
        }
        Some(deaths.load(Ordering::Acquire))
    }

    pub(crate) fn report(&mut self, deaths: u64) {
        self.reported = deaths;
    }
}
