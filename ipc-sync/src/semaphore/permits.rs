//! The guard of permits.

use super::Handle;
use super::word::{Done, Operation, State, give_one_back_again, operate};

/// Permits, given back when dropped. They can be given back by another thread than the one that
/// acquired them.
///
/// Those of a guard that was forgotten come back when the last clone of its semaphore's handle is
/// dropped, or the process ends.
#[derive(Debug)]
#[must_use = "the permits are given back when this is dropped"]
pub struct Permits<'a> {
    pub(super) handle: &'a Handle,
    pub(super) grant: Grant,
}

/// A seat, and how much is held there. One word: two would be moved through memory.
///
/// For one permit, it is the state after that was taken, from which it is given back. Otherwise the
/// uppermost bit is set, which in that state is not: then the seat, and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant(u64);

const NOT_ONE: u64 = 1 << 63;

impl Grant {
    /// Of no permits, at no seat.
    pub(super) const NOTHING: Grant = Grant(NOT_ONE);

    /// Of one permit.
    #[inline(always)]
    pub(super) fn one(taken: State) -> Self {
        Self(taken.to_word())
    }

    /// Of so many permits.
    pub(super) fn new(taken: State, permits: u32) -> Self {
        match permits {
            1 => Self::one(taken),
            _ => Self(NOT_ONE | (taken.seat() as u64) << 32 | u64::from(permits)),
        }
    }

    /// The state after it was taken, if this is one permit.
    #[inline(always)]
    fn taken_one(self) -> Option<State> {
        (self.0 & NOT_ONE == 0).then(|| State::from_word(self.0))
    }

    fn seat(self) -> usize {
        match self.taken_one() {
            Some(taken) => taken.seat(),
            None => ((self.0 & !NOT_ONE) >> 32) as usize,
        }
    }

    fn permits(self) -> u32 {
        match self.taken_one() {
            Some(_) => 1,
            None => self.0 as u32,
        }
    }
}

impl Permits<'_> {
    /// How many there are.
    pub fn count(&self) -> u32 {
        self.grant.permits()
    }

    /// If there are several, or others interfered.
    #[cold]
    fn give_back(handle: &Handle, grant: Grant) {
        let (seat, permits) = (grant.seat(), grant.permits());
        if permits == 0 {
            return;
        }
        let last = match operate(&handle.shared, seat, Operation::GiveBack(permits)) {
            Ok(Done::Yes(last)) => last,
            // An error (damaged memory) can be told to nobody here.
            Ok(Done::Refused) | Err(_) => State::unknown(seat),
        };
        handle.seats.put(last);
        handle.ring();
    }
}

impl Drop for Permits<'_> {
    #[inline]
    fn drop(&mut self) {
        let handle = self.handle;
        // A forked child holds nothing.
        if !handle.attachment.is_mine() {
            return;
        }
        let taken = self.grant.taken_one();
        match taken.and_then(|taken| give_one_back_again(&handle.shared, taken)) {
            Some(last) => {
                handle.seats.put(last);
                handle.ring();
            }
            None => Self::give_back(handle, self.grant),
        }
    }
}
