//! The table of participants: one entry for each process attached to the segment.
//!
//! | state | meaning | who leaves it, and how |
//! |---|---|---|
//! | `FREE` | nobody | a joiner, by CAS to `ALIVE` with its own ticket, whose byte it has locked before |
//! | `ALIVE` | somebody who attached; lives if and only if its ticket's byte is locked | itself when it leaves (to `FREE`), anybody who finds the byte unlocked (to `DEAD`) |
//! | `DEAD` | somebody who died | any sweeper after a complete pass over everything that can name the dead (to `FREE`) |
//!
//! The word holds the ticket in all states, so no CAS can hit a later user of the entry.

use crate::attachment::Attachment;
use crate::error::{Error, Result};
use crate::header::{Layout, Vitals};
use crate::liveness::{self, TICKET_LIMIT};
use crate::shared::SharedLayout;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const NO_ENTRY: u32 = u32::MAX;

const FREE: u64 = 0;
const ALIVE: u64 = 1;
const DEAD: u64 = 2;
const STATE_BITS: u32 = 2;
const IMPOSSIBLE_STATE: &str = "a participant's state is none that exists";

#[repr(C)]
pub(crate) struct Entry {
    word: AtomicU64,
    /// For people: process id, id of its pid namespace, and the ticket that the two belong to,
    /// stored last.
    pid: AtomicU64,
    pid_namespace: AtomicU64,
    described: AtomicU64,
    reserved: [AtomicU64; 4],
}

const _: () = assert!(size_of::<Entry>() == 64);

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Entry {}
// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Vitals {}

/// What is known of an entry's user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Its lock is held: running or stopped.
    Alive,
    /// It ended without leaving, and what it held has not been given back everywhere yet.
    Dead,
}

/// A process attached to the segment, as [`crate::Segment::participants`] lists it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Participant {
    /// A number that no other participant of this segment ever had or will have.
    pub ticket: u64,
    /// Its process id as it sees it itself. For people: nothing is ever decided by it. `None` in
    /// the instant before it has been written.
    pub pid: Option<u32>,
    /// The inode number of its pid namespace: equal numbers mean that process ids can be compared.
    pub pid_namespace: Option<u64>,
    /// Whether it lives.
    pub life: Life,
}

fn word_of(ticket: u64, state: u64) -> u64 {
    ticket << STATE_BITS | state
}

fn state_of(word: u64) -> u64 {
    word & ((1 << STATE_BITS) - 1)
}

fn ticket_of(word: u64) -> u64 {
    word >> STATE_BITS
}

fn entry(attachment: &Attachment, index: u32) -> &Entry {
    debug_assert!(index < attachment.header().participants);
    attachment.fixed(attachment.layout().participants + u64::from(index) * 64)
}

/// Takes the next ticket, before anything else exists of the participant.
pub(crate) fn draw_ticket(map: &memmap2::MmapRaw, layout: &Layout, place: &str) -> Result<u64> {
    // SAFETY: the checked layout puts the vitals, aligned, within the mapping, which outlives the
    // borrow.
    let vitals = unsafe { &*map.as_ptr().add(layout.vitals as usize).cast::<Vitals>() };
    // Relaxed: only uniqueness matters.
    let ticket = vitals
        .ticket
        .fetch_add(1, Ordering::Relaxed)
        .wrapping_add(1);
    if ticket == 0 || ticket >= TICKET_LIMIT {
        return Err(Error::Corrupted {
            place: place.to_owned(),
            what: "its counter of participants is beyond what can be reached",
        });
    }
    Ok(ticket)
}

/// Claims an entry for the caller, whose life lock is held already.
pub(crate) fn join(attachment: &Arc<Attachment>) -> Result<u32> {
    if let Some(index) = try_join(attachment) {
        return Ok(index);
    }
    // Nothing is assumed about who is dead before our own lock was seen through our descriptor.
    crate::sweep::sweep_all(attachment)?;
    try_join(attachment).ok_or_else(|| {
        let dead = words(attachment)
            .filter(|&(_, w)| state_of(w) == DEAD)
            .count();
        Error::ParticipantsFull {
            place: attachment.place().to_owned(),
            limit: attachment.header().participants,
            dead: dead as u32,
        }
    })
}

fn try_join(attachment: &Attachment) -> Option<u32> {
    let count = attachment.header().participants;
    // Free entries are taken in turn, so that an index comes back as late as possible.
    let start = attachment
        .vitals()
        .next_entry
        .fetch_add(1, Ordering::Relaxed);
    for step in 0..u64::from(count) {
        let index = (start.wrapping_add(step) % u64::from(count)) as u32;
        let entry = entry(attachment, index);
        let word = entry.word.load(Ordering::Relaxed);
        let mine = word_of(attachment.ticket(), ALIVE);
        // Acquire: pairs with the Release of the sweep that freed the entry: all that the dead
        // held has been given back before. Release: pairs with the Acquire of whoever judges us.
        if state_of(word) == FREE
            && entry
                .word
                .compare_exchange(word, mine, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        {
            describe_self(entry, attachment.ticket());
            return Some(index);
        }
    }
    None
}

fn describe_self(entry: &Entry, ticket: u64) {
    use std::os::unix::fs::MetadataExt;
    let namespace = std::fs::metadata("/proc/self/ns/pid").map_or(0, |it| it.ino());
    entry
        .pid
        .store(u64::from(std::process::id()), Ordering::Relaxed);
    entry.pid_namespace.store(namespace, Ordering::Relaxed);
    // Release: pairs with the Acquire in `describe`.
    entry.described.store(ticket, Ordering::Release);
}

/// Frees the caller's own entry. Nothing names the caller any more.
pub(crate) fn leave(attachment: &Attachment) {
    let word = &entry(attachment, attachment.entry()).word;
    let mine = word_of(attachment.ticket(), ALIVE);
    // Release: what we did in the segment comes before the entry's reuse. A failure means that the
    // word is not ours any more, and then neither is the duty.
    let _ = word.compare_exchange(
        mine,
        word_of(attachment.ticket(), FREE),
        Ordering::Release,
        Ordering::Relaxed,
    );
}

fn words(attachment: &Attachment) -> impl Iterator<Item = (u32, u64)> + '_ {
    (0..attachment.header().participants).map(|index| {
        // Acquire: pairs with the Release in `try_join` and `mark_dead`.
        let word = entry(attachment, index).word.load(Ordering::Acquire);
        (index, word)
    })
}

/// Marks those whose lock is gone, and returns all marked entries with their tickets.
pub(crate) fn find_dead(
    attachment: &Attachment,
    asking: BorrowedFd<'_>,
) -> Result<Vec<(u32, u64)>> {
    let mut dead = Vec::new();
    for (index, word) in words(attachment) {
        let ticket = ticket_of(word);
        match state_of(word) {
            FREE => {}
            DEAD => dead.push((index, ticket)),
            ALIVE if ticket == attachment.ticket() => {}
            ALIVE => {
                if !lives(attachment, asking, ticket)? && mark_dead(attachment, index, ticket) {
                    dead.push((index, ticket));
                }
            }
            _ => return Err(attachment.corrupted(IMPOSSIBLE_STATE)),
        }
    }
    Ok(dead)
}

fn lives(attachment: &Attachment, asking: BorrowedFd<'_>, ticket: u64) -> Result<bool> {
    if ticket == 0 || ticket >= TICKET_LIMIT {
        return Err(attachment.corrupted("a participant has a ticket that was never handed out"));
    }
    liveness::is_alive(asking, ticket)
        .map_err(|source| Error::os(attachment.place(), "asking for the locks of", source))
}

fn mark_dead(attachment: &Attachment, index: u32, ticket: u64) -> bool {
    // Exactly the ticket that was asked about: it may have left in order meanwhile.
    // AcqRel: what the dead stored is visible (its lock went after it); pairs with `words`.
    entry(attachment, index)
        .word
        .compare_exchange(
            word_of(ticket, ALIVE),
            word_of(ticket, DEAD),
            Ordering::AcqRel,
            Ordering::Relaxed,
        )
        .is_ok()
}

/// Whether the entry still belongs to the dead holder of this ticket.
pub(crate) fn is_still_dead(attachment: &Attachment, index: u32, ticket: u64) -> bool {
    // Acquire: what was read before this load was read while the entry was not reused.
    std::sync::atomic::fence(Ordering::Acquire);
    entry(attachment, index).word.load(Ordering::Acquire) == word_of(ticket, DEAD)
}

/// Frees the entry of a dead participant after a complete sweep.
pub(crate) fn bury(attachment: &Attachment, index: u32, ticket: u64) -> bool {
    // Release: pairs with the Acquire of the next joiner: it finds nothing of the dead.
    entry(attachment, index)
        .word
        .compare_exchange(
            word_of(ticket, DEAD),
            word_of(ticket, FREE),
            Ordering::AcqRel,
            Ordering::Relaxed,
        )
        .is_ok()
}

/// Everybody who is attached, or died and is not swept everywhere.
pub(crate) fn list(attachment: &Attachment, asking: BorrowedFd<'_>) -> Result<Vec<Participant>> {
    let mut all = Vec::new();
    for (index, word) in words(attachment) {
        let ticket = ticket_of(word);
        let life = match state_of(word) {
            FREE => continue,
            DEAD => Life::Dead,
            ALIVE if ticket == attachment.ticket() => Life::Alive,
            ALIVE if lives(attachment, asking, ticket)? => Life::Alive,
            // Left in order between the two looks: its word has changed, and it is not dead.
            ALIVE if entry(attachment, index).word.load(Ordering::Acquire) != word => continue,
            ALIVE => Life::Dead,
            _ => return Err(attachment.corrupted(IMPOSSIBLE_STATE)),
        };
        all.push(describe(attachment, index, ticket, life));
    }
    Ok(all)
}

/// Whether any participant but the caller lives.
pub(crate) fn anybody_alive(attachment: &Attachment, asking: BorrowedFd<'_>) -> Result<bool> {
    for (_, word) in words(attachment) {
        let ticket = ticket_of(word);
        if state_of(word) == ALIVE
            && ticket != attachment.ticket()
            && lives(attachment, asking, ticket)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is known of the participant with this entry, if it is still its.
pub(crate) fn describe(
    attachment: &Attachment,
    index: u32,
    ticket: u64,
    life: Life,
) -> Participant {
    let entry = entry(attachment, index);
    // Acquire: pairs with the Release in `describe_self`.
    let known = entry.described.load(Ordering::Acquire) == ticket;
    let pid = entry.pid.load(Ordering::Relaxed) as u32;
    let namespace = entry.pid_namespace.load(Ordering::Relaxed);
    Participant {
        ticket,
        pid: known.then_some(pid),
        pid_namespace: (known && namespace != 0).then_some(namespace),
        life,
    }
}

/// Whether the holder of an entry lives: asked of the kernel, never guessed.
pub(crate) fn life_at(
    attachment: &Attachment,
    asking: BorrowedFd<'_>,
    index: u32,
) -> Result<Option<Participant>> {
    let word = entry(attachment, index).word.load(Ordering::Acquire);
    let ticket = ticket_of(word);
    let life = match state_of(word) {
        FREE => return Ok(None),
        ALIVE if ticket == attachment.ticket() || lives(attachment, asking, ticket)? => Life::Alive,
        ALIVE | DEAD => Life::Dead,
        _ => return Err(attachment.corrupted(IMPOSSIBLE_STATE)),
    };
    Ok(Some(describe(attachment, index, ticket, life)))
}

/// Whether a word of the table is none that the protocol writes.
pub(crate) fn is_impossible(word: u64) -> bool {
    state_of(word) > DEAD
}

/// The state of a table that the caller is not a participant of, read from raw words.
pub(crate) fn survey(
    words: impl Iterator<Item = u64>,
    mut lives: impl FnMut(u64) -> std::io::Result<bool>,
) -> std::io::Result<Survey> {
    let mut survey = Survey::default();
    for word in words {
        match state_of(word) {
            FREE => {}
            ALIVE if lives(ticket_of(word))? => survey.alive += 1,
            _ => survey.dead += 1,
        }
    }
    Ok(survey)
}

/// How many participants of a segment live and how many died without being swept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    pub alive: u32,
    pub dead: u32,
}
