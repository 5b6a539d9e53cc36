//! The protocol of readers and writers.
//!
//! The word `writer`: the owner id of whoever writes or is about to (its upper 60 bits), whether it
//! writes already, and the condition of the value.
//!
//! | `writer` | meaning | who leaves it, and how |
//! |---|---|---|
//! | nobody, condition | free for writers (unless unrecoverable), for readers if sound | a writer, by CAS to its id: it has *claimed* |
//! | id, condition | the owner waits until the readers have gone; no new ones come in | the owner, to *writing*, or giving up, to nobody; the sweep of the dead, to nobody with the same condition |
//! | id, condition, writing | the owner changes the value | the owner, to nobody with a new condition; the sweep of the dead, to nobody with *died* |
//!
//! | condition | meaning | who leaves it |
//! |---|---|---|
//! | sound | | a writer that dies or panics |
//! | died, panicked | the value may be half changed | the next writer, to sound (it has repaired the value) or unrecoverable (it has not) |
//! | unrecoverable | nobody gets in any more | nobody |
//!
//! Readers are counted in a row for each handle, the one with the index of its owner id:
//!
//! | row | meaning | who leaves it, and how |
//! |---|---|---|
//! | 48 bits of generation, 0 | the handle of this generation reads nothing | its threads, one step up for each reader; the next handle with this index, to its own generation |
//! | generation, `n` | it reads `n` times, or is about to see that it must not | its threads; the sweep of the dead, to 0 of the same generation |
//!
//! The word `joined`: so many rows, from the first on, have ever been used. Each handle sees to that
//! before it reads.
//!
//! A reader counts itself and then looks at `writer`; a writer claims and then looks at the rows: at
//! least one sees the other, and it is the reader that withdraws. So writers wait for those readers
//! only that were there before, and cannot be starved by them.

use ipc_core::OwnerId;
use ipc_core::atomic::{AtomicU64, Ordering, fence};

const WRITING: u64 = 1;
const CONDITION: u64 = 0b110;
const ID_SHIFT: u32 = 4;
const FLAGS: u64 = (1 << ID_SHIFT) - 1;
const COUNT: u64 = 0xFFFF;
/// Reading guards of one handle. Below what the count can hold, since those who find it too large
/// have counted themselves.
const MOST_READERS: u64 = 0xF000;

/// The condition of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Sound,
    Panicked,
    Died,
    Unrecoverable,
}

impl Condition {
    fn of(writer: u64) -> Self {
        match writer & CONDITION {
            0b000 => Self::Sound,
            0b010 => Self::Panicked,
            0b100 => Self::Died,
            _ => Self::Unrecoverable,
        }
    }

    #[inline(always)]
    fn to_bits(self) -> u64 {
        match self {
            Self::Sound => 0b000,
            Self::Panicked => 0b010,
            Self::Died => 0b100,
            Self::Unrecoverable => 0b110,
        }
    }
}

fn names(writer: u64, id: OwnerId) -> bool {
    // 44 bits of generation: they repeat after half a year of a million handles a second.
    writer & !FLAGS == id.to_word() << ID_SHIFT
}

fn is_taken(writer: u64) -> bool {
    writer & !FLAGS != 0
}

/// The shared words, wherever they are.
pub(crate) trait Memory {
    fn writer(&self) -> &AtomicU64;
    fn joined(&self) -> &AtomicU64;
    /// How many rows there are.
    fn rows(&self) -> usize;
    /// The row of an index, which is less than `rows`.
    fn row(&self, index: usize) -> &AtomicU64;
}

/// Between counting or claiming, and looking for the other side.
///
/// Both are read-modify-writes and loads with SeqCst, which have one order for all. loom takes SeqCst
/// for AcqRel, except in fences.
#[inline(always)]
fn barrier() {
    #[cfg(loom)]
    fence(Ordering::SeqCst);
}

/// Why somebody does not get in at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Somebody else is in, or about to be.
    Held,
    /// The value is not sound (for readers), or unrecoverable.
    Unsound(Condition),
    /// A handle has as many readers as it can count.
    TooMany,
}

/// The index of a handle's row.
pub(crate) fn row_index(id: OwnerId) -> usize {
    (id.to_word() & COUNT) as usize
}

fn row<M: Memory>(memory: &M, id: OwnerId) -> Option<&AtomicU64> {
    let index = row_index(id);
    (index < memory.rows()).then(|| memory.row(index))
}

fn row_of(id: OwnerId, readers: u64) -> u64 {
    id.to_word() & !COUNT | readers
}

/// A new handle takes its row. Whether there is one.
pub(crate) fn join<M: Memory>(memory: &M, id: OwnerId) -> bool {
    // Relaxed: who had the id before has left the row, or was swept from it, before the id was free.
    // (A read-modify-write, since loom lets another's compare-and-swap overwrite a plain store that
    // it does not read.)
    let Some(row) = row(memory, id) else {
        return false;
    };
    row.swap(row_of(id, 0), Ordering::Relaxed);
    // SeqCst: as the counting of its readers, which comes after it: see `barrier`.
    let used = row_index(id) as u64 + 1;
    memory.joined().fetch_max(used, Ordering::SeqCst);
    true
}

#[inline(always)]
fn admits_readers(writer: u64) -> Result<(), Refusal> {
    if is_taken(writer) {
        Err(Refusal::Held)
    } else if writer & CONDITION != 0 {
        Err(Refusal::Unsound(Condition::of(writer)))
    } else {
        Ok(())
    }
}

/// One reader more, of the handle whose row this is. After a refusal the bell for writers has to be
/// rung.
#[inline(always)]
pub(crate) fn try_read<M: Memory>(memory: &M, row: &AtomicU64) -> Result<(), Refusal> {
    admits_readers(memory.writer().load(Ordering::Relaxed))?;
    let before = row.fetch_add(1, Ordering::SeqCst);
    barrier();
    // Pairs with the Release of the writer before, and with its claim: see `barrier`.
    let admitted = if before & COUNT >= MOST_READERS {
        Err(Refusal::TooMany)
    } else {
        admits_readers(memory.writer().load(Ordering::SeqCst))
    };
    if admitted.is_err() {
        row.fetch_sub(1, Ordering::Release);
    }
    admitted
}

/// One reader less. The bell for writers has to be rung.
#[inline(always)]
pub(crate) fn end_read(row: &AtomicU64) {
    // Release: pairs with the Acquire in `first_reader`: what was read was read before.
    row.fetch_sub(1, Ordering::Release);
}

/// The first row from `from` on that has a reader.
#[inline(always)]
pub(crate) fn first_reader<M: Memory>(memory: &M, from: usize) -> Option<usize> {
    let used = memory.joined().load(Ordering::SeqCst) as usize;
    (from..used.min(memory.rows())).find(|&at| memory.row(at).load(Ordering::SeqCst) & COUNT != 0)
}

/// Keeps everybody else out from now on. The condition of the value is returned.
pub(crate) fn try_claim<M: Memory>(memory: &M, id: OwnerId) -> Result<Condition, Refusal> {
    let seen = memory.writer().load(Ordering::Relaxed);
    let condition = Condition::of(seen);
    if is_taken(seen) {
        return Err(Refusal::Held);
    }
    if condition == Condition::Unrecoverable {
        return Err(Refusal::Unsound(condition));
    }
    claim(memory, id, condition)
}

/// As [`try_claim`], if the value is in this condition, without a look before.
#[inline(always)]
pub(crate) fn claim<M: Memory>(
    memory: &M,
    id: OwnerId,
    condition: Condition,
) -> Result<Condition, Refusal> {
    // SeqCst: pairs with the Release of the writer before; see `barrier` for the readers.
    memory
        .writer()
        .compare_exchange(
            condition.to_bits(),
            claimed(id, condition),
            Ordering::SeqCst,
            Ordering::Relaxed,
        )
        .map_err(|_| Refusal::Held)?;
    barrier();
    Ok(condition)
}

#[inline(always)]
fn claimed(id: OwnerId, condition: Condition) -> u64 {
    id.to_word() << ID_SHIFT | condition.to_bits()
}

/// Whoever has claimed, and found this condition, begins to write: there is no reader left.
#[inline(always)]
pub(crate) fn begin_write<M: Memory>(memory: &M, id: OwnerId, condition: Condition) {
    // A plain store: nobody else changes the word of a claimant that lives. Relaxed, and a fence:
    // whoever sees a changed value, after our death, sees this.
    memory
        .writer()
        .store(claimed(id, condition) | WRITING, Ordering::Relaxed);
    fence(Ordering::Release);
}

/// Whoever has claimed, or writes, leaves. Both bells have to be rung.
#[inline(always)]
pub(crate) fn end_write<M: Memory>(memory: &M, condition: Condition) {
    // Release: pairs with the loads of whoever comes in next.
    memory
        .writer()
        .store(condition.to_bits(), Ordering::Release);
}

/// Takes a dead handle out of all words. Any number may do so at once. Both bells have to be rung.
pub(crate) fn sweep<M: Memory>(memory: &M, id: OwnerId) {
    if let Some(row) = row(memory, id) {
        // By CAS: the row may be a later handle's. One attempt: the dead changes it no more, and
        // whoever else did has done the same.
        let seen = row.load(Ordering::Acquire);
        if seen & !COUNT == row_of(id, 0) && !ipc_core::planted!(ReaderNotSwept) {
            let _ = row.compare_exchange(seen, row_of(id, 0), Ordering::AcqRel, Ordering::Relaxed);
        }
    }
    let writer = memory.writer();
    let seen = writer.load(Ordering::Acquire);
    if names(seen, id) {
        let condition = if seen & WRITING != 0 {
            Condition::Died
        } else {
            Condition::of(seen)
        };
        // AcqRel: who comes in next comes after the dead.
        let _ = writer.compare_exchange(
            seen,
            condition.to_bits(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
    }
}
