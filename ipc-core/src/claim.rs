//! Claiming an entry of the directory, and room for the object that is to be made in it.

use crate::deadline::Deadline;
use crate::directory::{
    CLAIMED, Directory, FREE, STATE_BITS, STATE_MASK, Tagged, store_all, text_of, words,
};
use crate::error::{Error, Result};
use crate::header::GRAIN;
use crate::text;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long somebody who is creating an object of the same name is waited for. Longer means that
/// it is stopped.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a claimed entry's memory held before.
#[derive(Clone, Copy)]
pub(crate) enum Room {
    /// Nothing: it is zero as the segment was created.
    Fresh,
    /// Whatever an abandoned creation left.
    Used,
}

/// What becomes of others who are creating an object of the same name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rivals {
    /// They are let finish.
    First,
    /// They had their time.
    Ignored,
}

/// A claimed entry; given up when dropped, if it was not committed by then.
pub(crate) struct Claim<'a> {
    directory: &'a Directory<'a>,
    pub index: u32,
    pub room: Room,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.directory.unclaim(self.index);
    }
}

impl Directory<'_> {
    /// Claims an entry with room. Two that create the same object would need its room twice, and
    /// where there is not as much, the slower one would be told so and not that the object
    /// exists. So whoever sees another at it waits, for as long as a creation may take: a stopped
    /// one holds up nobody for longer.
    pub(crate) fn claim_patiently(&self, name: &str, space: u64) -> Result<Claim<'_>> {
        let deadline = Deadline::after(PATIENCE);
        let mut swept = false;
        loop {
            self.refuse_existing(name)?;
            let rivals = match deadline.has_passed() {
                false => Rivals::First,
                true => Rivals::Ignored,
            };
            let waits = || rivals == Rivals::First && self.is_being_created(name);
            if !waits() {
                match self.claim(name, space, rivals) {
                    Ok(Some(claim)) => return Ok(claim),
                    Ok(None) => {}
                    Err(full) if is_full(&full) && (!swept || waits()) => {}
                    Err(error) => {
                        // It may have been the other who took the last room, and be done by now.
                        self.refuse_existing(name)?;
                        return Err(error);
                    }
                }
            }
            // The other may be dead, or room may be held by the dead. If nothing can be said about
            // the dead, there is still the deadline.
            let _ = crate::sweep::sweep_all(self.attachment);
            if swept {
                // A poll: creations are too rare for a word to wait on.
                std::thread::sleep(Duration::from_micros(200));
            }
            swept = true;
        }
    }

    /// Whether a claimed entry has this name. A hint: the name may be just being written, or that
    /// of an earlier claim.
    fn is_being_created(&self, name: &str) -> bool {
        self.rival(name, self.count()).is_some()
    }

    /// The first entry below `end` that is claimed for this name.
    fn rival(&self, name: &str, end: u32) -> Option<u32> {
        (0..end).find(|&index| {
            let entry = self.entry(index);
            entry.state.load(Ordering::Relaxed) & STATE_MASK == CLAIMED
                && text_of(&entry.name) == name
        })
    }

    fn claimed_by_me(&self) -> u64 {
        self.attachment.ticket() << STATE_BITS | CLAIMED
    }

    /// Claims an entry and sees to it that it has room: what an abandoned creation of this size
    /// left, else new room, else the least of what larger ones left. `None`: yielded to a rival.
    fn claim(&self, name: &str, space: u64, rivals: Rivals) -> Result<Option<Claim<'_>>> {
        if let Some(claim) = self.claim_with_room(name, space, space) {
            return Ok(Some(claim));
        }
        match self.claim_without_room(name, space, rivals) {
            Err(full) if is_full(&full) => self
                .claim_with_room(name, space, u64::MAX)
                .map(Some)
                .ok_or(full),
            claimed => claimed,
        }
    }

    /// Claims the free entry with the least room from `least` to `most`.
    fn claim_with_room(&self, name: &str, least: u64, most: u64) -> Option<Claim<'_>> {
        loop {
            let (_, index) = (0..self.count())
                .filter_map(|index| {
                    let entry = self.entry(index);
                    // Acquire: pairs with the CAS in `finish_alloc`: its room is fixed.
                    let free = entry.offset.load(Ordering::Acquire) != 0
                        && entry.state.load(Ordering::Relaxed) == FREE;
                    let space = entry.space.load(Ordering::Relaxed);
                    (free && (least..=most).contains(&space)).then_some((space, index))
                })
                .min()?;
            // A failure means that somebody else took it: look again.
            if let Some(claim) = self.try_claim(index, name, Room::Used) {
                return Some(claim);
            }
        }
    }

    fn claim_without_room(
        &self,
        name: &str,
        space: u64,
        rivals: Rivals,
    ) -> Result<Option<Claim<'_>>> {
        for index in 0..self.count() {
            let entry = self.entry(index);
            if entry.offset.load(Ordering::Acquire) != 0 {
                continue;
            }
            let Some(mut claim) = self.try_claim(index, name, Room::Fresh) else {
                continue;
            };
            // It is ours now; it may have got room between the look and the claim.
            if entry.offset.load(Ordering::Acquire) == 0 {
                // Of two that claimed entries for one name at the same time, the upper yields
                // (mostly; if neither sees the other in time, one more room is used for a while).
                std::sync::atomic::fence(Ordering::SeqCst);
                if rivals == Rivals::First && self.rival(name, index).is_some() {
                    return Ok(None);
                }
                self.allocate(index, name, space)?;
                return Ok(Some(claim));
            }
            if entry.space.load(Ordering::Relaxed) == space {
                claim.room = Room::Used;
                return Ok(Some(claim));
            }
        }
        Err(Error::ObjectsFull {
            place: self.attachment.place().to_owned(),
            limit: self.count(),
        })
    }

    fn try_claim(&self, index: u32, name: &str, room: Room) -> Option<Claim<'_>> {
        let entry = self.entry(index);
        entry
            .state
            // Acquire: pairs with the Release in `unclaim` and `sweep`.
            .compare_exchange(
                FREE,
                self.claimed_by_me(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .ok()?;
        store_all(&entry.name, &words(text::encode::<64>(name)));
        Some(Claim {
            directory: self,
            index,
            room,
        })
    }

    fn allocate(&self, index: u32, name: &str, space: u64) -> Result<()> {
        self.entry(index).space.store(space, Ordering::Relaxed);
        let heap = self.attachment.header().heap;
        loop {
            let seen = self.finish_alloc()?;
            let used = Tagged::from_word(seen).value;
            let end = used.saturating_mul(GRAIN).saturating_add(space);
            if end > heap {
                return Err(self.full(name, space));
            }
            let next = Tagged::word(end / GRAIN, index);
            // Release: the entry's space is visible to whoever sees the word.
            if self
                .attachment
                .vitals()
                .alloc
                .compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return self.finish_alloc().map(drop);
            }
        }
    }

    pub(crate) fn full(&self, name: &str, asked: u64) -> Error {
        let used = Tagged::from_word(self.attachment.vitals().alloc.load(Ordering::Relaxed)).value;
        let heap = self.attachment.header().heap;
        Error::SegmentFull {
            place: self.attachment.place().to_owned(),
            object: name.to_owned(),
            asked,
            free: heap.saturating_sub(used.saturating_mul(GRAIN)),
        }
    }

    fn unclaim(&self, index: u32) {
        if !self.attachment.is_mine() {
            return;
        }
        // Release: pairs with the Acquire in `claim`.
        let _ = self.entry(index).state.compare_exchange(
            self.claimed_by_me(),
            FREE,
            Ordering::Release,
            Ordering::Relaxed,
        );
    }
}

fn is_full(error: &Error) -> bool {
    matches!(error, Error::ObjectsFull { .. } | Error::SegmentFull { .. })
}
