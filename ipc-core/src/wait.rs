//! Waiting for another process: spinning while that is cheap, then sleeping on a futex, and never
//! missing a wake for longer than one slice.

use crate::atomic::{AtomicU32, Ordering};
use crate::deadline::Deadline;
use crate::fence::Fences;
#[cfg(not(loom))]
use crate::futex;
use crate::spin::spin_a_while;
use std::time::Duration;

/// How a blocking call waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// Spins until the end. The shortest reaction, and a whole core while waiting.
    Busy,
    /// Spins for some tens of microseconds, about what a sleep and a wake cost, then sleeps. Sleeps
    /// sooner where others want the core: perhaps the awaited one does.
    #[default]
    Adaptive,
    /// Sleeps at once. The least processor time, and a wake for each message.
    Park,
}

/// A sleep lasts no longer than this before the state and the participants are looked at again: a
/// process may die between its last visible step and the wake that it owed.
pub const SLICE: Duration = Duration::from_millis(10);

/// Polls between two looks at the clock while spinning.
const POLLS_PER_LOOK: u32 = 256;

/// A word of shared memory that says whether somebody sleeps, and on which they sleep.
///
/// | value | meaning | who leaves it |
/// |---|---|---|
/// | even | nobody waits | a waiter, before it sleeps (to the odd number above) |
/// | odd | somebody may be asleep | whoever publishes something (to the even number above, then it wakes all) |
///
/// The number grows so that of several waiters, one that was overtaken by a wake does not fall
/// asleep on the mark of the next. A waiter that was killed leaves its mark behind, which costs the
/// next publisher one wake too many, once.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Bell {
    word: AtomicU32,
    #[cfg(loom)]
    asleep: model::Futex,
}

const AWAITED: u32 = 1;

// SAFETY: `repr(C)`, one atomic. (Under loom nothing is ever mapped.)
unsafe impl crate::SharedLayout for Bell {}

impl Bell {
    /// A bell that nobody waits for. (A zeroed one is the same.)
    pub fn new() -> Self {
        Self {
            word: AtomicU32::new(0),
            #[cfg(loom)]
            asleep: model::Futex::default(),
        }
    }

    /// Called after something was published: wakes those who sleep. If nobody does, this is one
    /// load of a line that is rarely written.
    #[inline(always)]
    pub fn ring(&self, fences: Fences) {
        // Between the caller's publishing store and this load; pairs with `announce`.
        fences.light();
        let seen = self.word.load(Ordering::Relaxed);
        if seen & AWAITED != 0 {
            self.wake(seen);
        }
    }

    #[cold]
    fn wake(&self, seen: u32) {
        // Relaxed: the sleepers look for what was published through its own orderings; the futex
        // call orders the value of the word against their sleep. A failure means that another
        // publisher was faster; it may have been killed before its wake, so ours is not left out.
        let _ = self.word.compare_exchange(
            seen,
            seen.wrapping_add(1),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        #[cfg(not(loom))]
        futex::wake_all(&self.word);
        #[cfg(loom)]
        self.asleep.wake_all();
    }

    /// Says that the caller is about to sleep, and returns the value to sleep on. Look for the
    /// awaited once more after this.
    fn announce(&self, fences: Fences) -> u32 {
        let marked = self.word.fetch_or(AWAITED, Ordering::Relaxed) | AWAITED;
        // Between this store and the caller's next look; pairs with `ring`. If the barrier has
        // become impossible, a wake can be missed, and the slice ends the sleep.
        let _ = fences.heavy();
        marked
    }

    /// Waits until `ready` returns something or the deadline passes (`Ok(None)`).
    ///
    /// `ready` is called often and must be cheap. `slice` is called about every [`SLICE`] while
    /// nothing happens, to look after the dead; its error ends the wait.
    ///
    /// # Errors
    /// What `slice` returns.
    pub fn wait<T, E>(
        &self,
        policy: Wait,
        fences: Fences,
        deadline: Deadline,
        mut ready: impl FnMut() -> Option<T>,
        mut slice: impl FnMut() -> Result<(), E>,
    ) -> Result<Option<T>, E> {
        match policy {
            Wait::Busy => return spin(deadline, ready, slice),
            Wait::Adaptive => {
                if let Some(found) = spin_a_while(deadline, &mut ready) {
                    return Ok(Some(found));
                }
            }
            Wait::Park => {}
        }
        let mut next_slice = Deadline::after(SLICE);
        loop {
            let marked = self.announce(fences);
            if let Some(found) = ready() {
                return Ok(Some(found));
            }
            if deadline.has_passed() {
                return Ok(None);
            }
            self.sleep(marked, deadline.sooner(next_slice));
            // By the clock, not by how the sleep ended: rings for others and signals may end all
            // sleeps early.
            if next_slice.has_passed() {
                slice()?;
                next_slice = Deadline::after(SLICE);
            }
        }
    }

    #[cfg(not(loom))]
    fn sleep(&self, marked: u32, until: Deadline) {
        futex::wait(&self.word, marked, until);
    }

    #[cfg(loom)]
    fn sleep(&self, marked: u32, _until: Deadline) {
        self.asleep.wait(&self.word, marked);
    }
}

/// What the kernel does, for loom: looking at the word and falling asleep are one step for wakers.
/// No time passes here, so a lost wake is a deadlock, which loom reports.
#[cfg(loom)]
mod model {
    use super::{AtomicU32, Ordering};
    use loom::sync::{Condvar, Mutex};

    #[derive(Debug, Default)]
    pub(super) struct Futex {
        bucket: Mutex<()>,
        sleepers: Condvar,
    }

    impl Futex {
        pub(super) fn wait(&self, word: &AtomicU32, expected: u32) {
            let bucket = self.bucket.lock().unwrap();
            if word.load(Ordering::Relaxed) == expected {
                drop(self.sleepers.wait(bucket).unwrap());
            }
        }

        pub(super) fn wake_all(&self) {
            drop(self.bucket.lock().unwrap());
            self.sleepers.notify_all();
        }
    }
}

fn spin<T, E>(
    deadline: Deadline,
    mut ready: impl FnMut() -> Option<T>,
    mut slice: impl FnMut() -> Result<(), E>,
) -> Result<Option<T>, E> {
    // Set at the first look at the clock: reading it takes about as long as a message.
    let mut next_slice = None;
    loop {
        for _ in 0..POLLS_PER_LOOK {
            if let Some(found) = ready() {
                return Ok(Some(found));
            }
            std::hint::spin_loop();
        }
        if deadline.has_passed() {
            return Ok(None);
        }
        match next_slice {
            Some(due) if !Deadline::has_passed(due) => {}
            due => {
                if due.is_some() {
                    slice()?;
                }
                next_slice = Some(Deadline::after(SLICE));
            }
        }
    }
}
