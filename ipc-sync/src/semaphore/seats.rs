//! Who holds a semaphore's permits: a table of seats, each used by one guard at a time.
//!
//! | `holder` | meaning | who leaves it, and how |
//! |---|---|---|
//! | 0 | nobody | a handle that needs a seat, by CAS to its owner id |
//! | owner id | that handle's, whether permits are held there or not | the handle when it goes (to 0); the sweep of the dead, after it gave back what is held there (to 0) |
//!
//! A handle keeps its seats until it goes: one for each thread, reached without any shared write,
//! and a pool of the others.

use super::thread_number::{NUMBERS, thread_number};
use super::word::{Seat, State};
use ipc_core::{OwnerId, SharedArray};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// No state after which a seat holds nothing (its epoch is odd), and not one with a free permit.
const NONE: u64 = u64::MAX;

/// The seats that a handle has and does not use at this moment.
#[derive(Debug)]
pub(crate) struct Seats {
    spare: [Spare; NUMBERS],
    pool: Mutex<Vec<u32>>,
    /// Where the next search in the table starts.
    next: AtomicUsize,
}

/// A seat, as the state after its last operation, from which the next one is tried.
///
/// Read and written only by the thread that has the number at this moment. (Threads with the same
/// number come one after the other.)
#[derive(Debug)]
#[repr(align(64))]
struct Spare(AtomicU64);

impl Seats {
    /// `start` is where this handle looks first in the table: different ones for different handles.
    pub(crate) fn new(start: usize) -> Self {
        Self {
            spare: [const { Spare(AtomicU64::new(NONE)) }; NUMBERS],
            pool: Mutex::new(Vec::new()),
            next: AtomicUsize::new(start),
        }
    }

    #[inline(always)]
    fn spare(&self) -> Option<&AtomicU64> {
        self.spare.get(thread_number()?).map(|it| &it.0)
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The spare seat of the calling thread, if it has one, for the caller alone.
    #[inline(always)]
    pub(crate) fn take_spare(&self) -> Option<State> {
        let spare = self.spare()?;
        let last = spare.load(Ordering::Relaxed);
        if last == NONE {
            return None;
        }
        spare.store(NONE, Ordering::Relaxed);
        Some(State::from_word(last))
    }

    /// A seat of the handle, for the caller alone. `None` if the table is full.
    pub(crate) fn take(&self, table: &SharedArray<Seat>, id: OwnerId) -> Option<usize> {
        if let Some(spare) = self.take_spare() {
            return Some(spare.seat());
        }
        let pooled = self.pool().pop();
        pooled
            .map(|seat| seat as usize)
            .or_else(|| self.join(table, id))
    }

    /// The caller uses the seat of this state no more, which is the state after its last operation,
    /// or [unknown](State::unknown).
    #[inline(always)]
    pub(crate) fn put(&self, last: State) {
        match self.spare() {
            Some(spare) if spare.load(Ordering::Relaxed) == NONE => {
                spare.store(last.to_word(), Ordering::Relaxed);
            }
            _ => self.put_into_pool(last.seat()),
        }
    }

    #[cold]
    fn put_into_pool(&self, seat: usize) {
        self.pool().push(seat as u32);
    }

    #[cold]
    fn join(&self, table: &SharedArray<Seat>, id: OwnerId) -> Option<usize> {
        let start = self.next.load(Ordering::Relaxed);
        let found = (0..table.len())
            .map(|step| start.wrapping_add(step) % table.len())
            .find(|&at| {
                let holder = &table.at(at).holder;
                // Acquire: pairs with the Release of whoever left: nothing is held there.
                holder.load(Ordering::Relaxed) == 0
                    && holder
                        .compare_exchange(0, id.to_word(), Ordering::AcqRel, Ordering::Relaxed)
                        .is_ok()
            })?;
        self.next.store(found + 1, Ordering::Relaxed);
        Some(found)
    }
}

/// Whether a seat belongs to `id`.
pub(crate) fn is_of(seat: &Seat, id: OwnerId) -> bool {
    seat.holder.load(Ordering::Acquire) == id.to_word()
}

/// Frees a seat of `id` where nothing is held.
pub(crate) fn leave(seat: &Seat, id: OwnerId) {
    // Release: pairs with the Acquire in `join`. A failure means that somebody else did it.
    let _ = seat
        .holder
        .compare_exchange(id.to_word(), 0, Ordering::AcqRel, Ordering::Relaxed);
}
