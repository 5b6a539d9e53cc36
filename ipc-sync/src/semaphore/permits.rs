//! The guard of permits.

use super::Handle;
use super::word::{Operation, operate, operate_again};

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
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant(u64);

impl Grant {
    /// Of no permits, at no seat.
    pub(super) const NOTHING: Grant = Grant(0);

    #[inline(always)]
    pub(super) fn new(seat: usize, permits: u32) -> Self {
        Self((seat as u64) << 32 | u64::from(permits))
    }

    #[inline(always)]
    fn seat(self) -> usize {
        (self.0 >> 32) as usize
    }

    #[inline(always)]
    fn permits(self) -> u32 {
        self.0 as u32
    }
}

impl Permits<'_> {
    /// How many there are.
    pub fn count(&self) -> u32 {
        self.grant.permits()
    }

    /// If others interfered.
    #[cold]
    fn give_back(handle: &Handle, grant: Grant) {
        let operation = Operation::GiveBack(grant.permits());
        // An error (damaged memory) can be told to nobody here.
        let _ = operate(&handle.shared, grant.seat(), operation);
    }
}

impl Drop for Permits<'_> {
    #[inline]
    fn drop(&mut self) {
        let (handle, grant) = (self.handle, self.grant);
        // A forked child holds nothing.
        if grant.permits() == 0 || !handle.attachment.is_mine() {
            return;
        }
        let shared = &handle.shared;
        let operation = Operation::GiveBack(grant.permits());
        if !operate_again(shared, grant.seat(), operation) {
            Self::give_back(handle, grant);
        }
        handle.seats.put(grant.seat());
        shared.words.bell.ring(handle.attachment.fences());
    }
}
