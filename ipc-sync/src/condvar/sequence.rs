//! The condvar's word: announcing, sleeping, notifying. See the [module](super).

use super::Waited;
use crate::park::Park;
use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{Deadline, SLICE};

const AWAITED: u64 = 1;

/// What a waiter announced: the number that it sleeps on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced(u64);

pub(super) struct Sequence<'a, P> {
    pub word: &'a AtomicU64,
    pub park: &'a P,
}

impl<P: Park> Sequence<'_, P> {
    /// Says that the caller, who holds the mutex, is about to sleep.
    pub(super) fn announce(&self) -> Announced {
        // Relaxed: the mutex orders it before the notifier's look.
        Announced(self.word.fetch_or(AWAITED, Ordering::Relaxed) | AWAITED)
    }

    /// Sleeps until the number is another. `slice` is called about every [`SLICE`]; its error ends
    /// the wait.
    pub(super) fn sleep<E>(
        &self,
        announced: Announced,
        deadline: Deadline,
        mut slice: impl FnMut() -> Result<(), E>,
    ) -> Result<Waited, E> {
        let mut next_slice = Deadline::after(SLICE);
        loop {
            self.park
                .sleep(self.word, announced.0, deadline.sooner(next_slice));
            // Relaxed: the mutex is what passes on the notifier's changes.
            if self.word.load(Ordering::Relaxed) != announced.0 {
                return Ok(Waited::Notified);
            }
            if deadline.has_passed() {
                return Ok(Waited::TimedOut);
            }
            if next_slice.has_passed() {
                slice()?;
                next_slice = Deadline::after(SLICE);
            }
        }
    }

    /// Wakes one of those who wait.
    #[inline]
    pub(super) fn notify_one(&self) {
        // Relaxed: as in `announce`.
        if self.word.load(Ordering::Relaxed) & AWAITED != 0 {
            self.wake_one();
        }
    }

    #[cold]
    fn wake_one(&self) {
        let before = self.word.fetch_add(2, Ordering::Relaxed);
        if self.park.wake_one(self.word) == 0 && before & AWAITED != 0 {
            // Nobody slept: who had announced to has seen the new number, or is dead. If somebody
            // announces and falls asleep on it before this, the wake is for it.
            let mine = before.wrapping_add(2);
            let quiet = self.word.compare_exchange(
                mine,
                mine.wrapping_add(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if quiet.is_ok() {
                self.park.wake_all(self.word);
            }
        }
    }

    /// Wakes all who wait.
    #[inline]
    pub(super) fn notify_all(&self) {
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen & AWAITED != 0 {
            match self.word.compare_exchange(
                seen,
                seen.wrapping_add(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.park.wake_all(self.word);
                    return;
                }
                Err(now) => seen = now,
            }
        }
    }
}
