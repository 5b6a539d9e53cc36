//! Owner ids: what a word of an object holds to say who holds it.
//!
//! Each handle that can hold something (a queue role, a lock) has one. The handle table says which
//! participant an id belongs to, so that everything a dead process held can be found:
//!
//! | state | meaning | who leaves it, and how |
//! |---|---|---|
//! | `FREE(g)` | used `g` times so far | a participant, by CAS to `USED(g + 1, its entry)` |
//! | `USED(g, e)` | id `(g, index)` belongs to the participant at entry `e` | its owner (to `FREE(g)`), or a sweeper of `e` after its complete pass |
//!
//! Taking and recording are one step: there is no moment at which an id has no owner on record.

use crate::attachment::Attachment;
use crate::error::{Error, Result};
use crate::participant::{self, Life, Participant};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const USED: u64 = 1;
const ENTRY_SHIFT: u32 = 1;
const ENTRY_BITS: u32 = 12;
const GENERATION_SHIFT: u32 = ENTRY_SHIFT + ENTRY_BITS;
/// Of the generation as it stands in an [`OwnerId`]. At a million handles a second made from one
/// table entry, it repeats after eight years.
const GENERATION_BITS: u32 = 48;
const INDEX_BITS: u32 = 16;

const _: () = assert!(GENERATION_SHIFT + GENERATION_BITS <= 64);
const _: () = assert!(crate::header::MOST_PARTICIPANTS <= 1 << ENTRY_BITS);
const _: () = assert!(crate::header::MOST_HANDLES < 1 << INDEX_BITS);

/// The name under which one handle holds things. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnerId(NonZeroU64);

impl OwnerId {
    fn new(index: u32, generation: u64) -> Option<Self> {
        let generation = generation & ((1 << GENERATION_BITS) - 1);
        NonZeroU64::new(generation << INDEX_BITS | u64::from(index)).map(Self)
    }

    /// The id as it stands in a word; `None` for zero.
    pub fn from_word(word: u64) -> Option<Self> {
        NonZeroU64::new(word).map(Self)
    }

    /// The id as a word: 48 bits of generation above 16 bits of table index.
    pub fn to_word(self) -> u64 {
        self.0.get()
    }

    fn index(self) -> u32 {
        (self.0.get() & ((1 << INDEX_BITS) - 1)) as u32
    }

    fn generation(self) -> u64 {
        self.0.get() >> INDEX_BITS
    }
}

/// An owner id in use. Given back when dropped; by then nothing may name it any more.
#[derive(Debug)]
pub struct Owner {
    id: OwnerId,
    attachment: Arc<Attachment>,
}

impl Owner {
    /// The id to put into words.
    pub fn id(&self) -> OwnerId {
        self.id
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.attachment.is_mine() {
            release(&self.attachment, self.id, self.attachment.entry());
        }
    }
}

/// Whose an id is.
#[derive(Clone, Debug)]
pub enum Holder {
    /// Nobody's: it was given back.
    Nobody,
    /// A process that lives, or that died and is not swept yet.
    Process(Participant),
}

impl Holder {
    /// Whether the holder is a process that has died.
    pub fn is_dead(&self) -> bool {
        matches!(self, Holder::Process(who) if who.life == Life::Dead)
    }
}

fn word(attachment: &Attachment, index: u32) -> &AtomicU64 {
    attachment.fixed(attachment.layout().handles + u64::from(index) * 8)
}

fn used_word(generation: u64, entry: u32) -> u64 {
    generation << GENERATION_SHIFT | u64::from(entry) << ENTRY_SHIFT | USED
}

fn entry_of(word: u64) -> u32 {
    ((word >> ENTRY_SHIFT) & ((1 << ENTRY_BITS) - 1)) as u32
}

fn generation_of(word: u64) -> u64 {
    (word >> GENERATION_SHIFT) & ((1 << GENERATION_BITS) - 1)
}

/// Takes a free id for the calling process.
pub(crate) fn take(attachment: &Arc<Attachment>) -> Result<Owner> {
    attachment.check_fork()?;
    let id = match try_take(attachment) {
        Some(id) => id,
        None => {
            crate::sweep::sweep_all(attachment)?;
            try_take(attachment).ok_or_else(|| Error::HandlesFull {
                place: attachment.place().to_owned(),
                limit: attachment.header().handles,
            })?
        }
    };
    Ok(Owner {
        id,
        attachment: attachment.clone(),
    })
}

fn try_take(attachment: &Attachment) -> Option<OwnerId> {
    let count = u64::from(attachment.header().handles);
    let start = attachment
        .vitals()
        .next_handle
        .fetch_add(1, Ordering::Relaxed);
    for step in 0..count {
        let index = (start.wrapping_add(step) % count) as u32;
        let word = word(attachment, index);
        let seen = word.load(Ordering::Relaxed);
        // Generations go round from the largest to 1: an id is never zero.
        let generation = (generation_of(seen) + 1) & ((1 << GENERATION_BITS) - 1);
        let taken = used_word(generation.max(1), attachment.entry());
        // Acquire: pairs with the Release of who gave it back.
        if seen & USED == 0
            && word
                .compare_exchange(seen, taken, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        {
            return OwnerId::new(index, generation.max(1));
        }
    }
    None
}

/// Gives an id back. Does nothing if somebody did so before.
pub(crate) fn release(attachment: &Attachment, id: OwnerId, entry: u32) {
    let used = used_word(id.generation(), entry);
    let free = id.generation() << GENERATION_SHIFT;
    // Release: what was done under the id comes before its reuse.
    let _ = word(attachment, id.index()).compare_exchange(
        used,
        free,
        Ordering::Release,
        Ordering::Relaxed,
    );
}

/// All ids of the participant at an entry.
pub(crate) fn all_of(attachment: &Attachment, entry: u32) -> Vec<OwnerId> {
    (0..attachment.header().handles)
        .filter_map(|index| {
            let seen = word(attachment, index).load(Ordering::Acquire);
            let is_its = seen & USED != 0 && entry_of(seen) == entry;
            is_its.then(|| OwnerId::new(index, generation_of(seen)))?
        })
        .collect()
}

/// Asks whose an id is, and whether that process lives.
pub(crate) fn holder(attachment: &Attachment, id: OwnerId) -> Result<Holder> {
    attachment.check_fork()?;
    if id.index() >= attachment.header().handles {
        return Err(attachment.corrupted("an owner id is beyond the handle table"));
    }
    let word = word(attachment, id.index());
    let seen = word.load(Ordering::Acquire);
    if seen & USED == 0 || generation_of(seen) != id.generation() {
        return Ok(Holder::Nobody);
    }
    let entry = entry_of(seen);
    if entry >= attachment.header().participants {
        return Err(attachment.corrupted("a handle belongs to a participant beyond the table"));
    }
    let found = attachment.with_judge(|asking| participant::life_at(attachment, asking, entry))?;
    match found {
        // The entry was the holder's as long as the handle was.
        Some(who) if word.load(Ordering::Acquire) == seen => Ok(Holder::Process(who)),
        _ => Ok(Holder::Nobody),
    }
}
