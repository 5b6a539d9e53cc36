//! Waiting for another process: spinning while that is cheap, then sleeping on a futex, and never
//! missing a wake for longer than one slice.

use crate::atomic::{AtomicU32, Ordering};
use crate::deadline::Deadline;
use crate::fence::Fences;
#[cfg(not(loom))]
use crate::futex;
use std::time::Duration;

/// How a blocking call waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// Spins until the end. The shortest reaction, and a whole core while waiting.
    Busy,
    /// Spins for some tens of microseconds, about what a sleep and a wake cost, then sleeps.
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
/// Polls of the adaptive policy before it gives up its core, and before it sleeps.
const SPINS: u32 = 2_000;
const YIELDS: u32 = 8;

/// A word of shared memory that says whether somebody sleeps, and on which they sleep.
///
/// | value | meaning | who leaves it |
/// |---|---|---|
/// | 0 | nobody waits | a waiter, before it sleeps (to 1) |
/// | 1 | somebody may be asleep | whoever publishes something (to 0, then it wakes all) |
///
/// A waiter that was killed leaves a 1 behind, which costs the next publisher one wake too many,
/// once.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Bell {
    word: AtomicU32,
}

const QUIET: u32 = 0;
const AWAITED: u32 = 1;

// SAFETY: `repr(C)`, one atomic. (Under loom nothing is ever mapped.)
unsafe impl crate::SharedLayout for Bell {}

impl Bell {
    /// A bell that nobody waits for. (A zeroed one is the same.)
    pub fn new() -> Self {
        Self {
            word: AtomicU32::new(QUIET),
        }
    }

    /// Called after something was published: wakes those who sleep. If nobody does, this is one
    /// load of a line that is rarely written.
    #[inline(always)]
    pub fn ring(&self, fences: Fences) {
        // Between the caller's publishing store and this load; pairs with `announce`.
        fences.light();
        if self.word.load(Ordering::Relaxed) != QUIET {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // Relaxed: the sleepers look for what was published through its own orderings; the futex
        // call orders the value of the word against their sleep.
        self.word.store(QUIET, Ordering::Relaxed);
        #[cfg(not(loom))]
        futex::wake_all(&self.word);
    }

    /// Says that the caller is about to sleep. Look for the awaited once more after this.
    fn announce(&self, fences: Fences) {
        self.word.store(AWAITED, Ordering::Relaxed);
        // Between this store and the caller's next look; pairs with `ring`. If the barrier has
        // become impossible, a wake can be missed, and the slice ends the sleep.
        let _ = fences.heavy();
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
                if let Some(found) = spin_a_while(&mut ready) {
                    return Ok(Some(found));
                }
            }
            Wait::Park => {}
        }
        let mut next_slice = Deadline::after(SLICE);
        loop {
            // Anew each time: of several waiters, one may have been passed over by a ring that
            // found it between two sleeps.
            self.announce(fences);
            if let Some(found) = ready() {
                return Ok(Some(found));
            }
            if deadline.has_passed() {
                return Ok(None);
            }
            self.sleep(deadline.sooner(next_slice));
            // By the clock, not by how the sleep ended: rings for others and signals may end all
            // sleeps early.
            if next_slice.has_passed() {
                slice()?;
                next_slice = Deadline::after(SLICE);
            }
        }
    }

    #[cfg(not(loom))]
    fn sleep(&self, until: Deadline) {
        futex::wait(&self.word, AWAITED, until);
    }

    /// loom knows no futex: a sleeper spins while the word is set.
    #[cfg(loom)]
    fn sleep(&self, _until: Deadline) {
        while self.word.load(Ordering::Relaxed) == AWAITED {
            loom::thread::yield_now();
        }
    }
}

fn spin<T, E>(
    deadline: Deadline,
    mut ready: impl FnMut() -> Option<T>,
    mut slice: impl FnMut() -> Result<(), E>,
) -> Result<Option<T>, E> {
    let mut next_slice = Deadline::after(SLICE);
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
        if next_slice.has_passed() {
            slice()?;
            next_slice = Deadline::after(SLICE);
        }
    }
}

fn spin_a_while<T>(ready: &mut impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..SPINS {
        if let Some(found) = ready() {
            return Some(found);
        }
        std::hint::spin_loop();
    }
    // More processes than cores: let the one that is awaited run.
    for _ in 0..YIELDS {
        std::thread::yield_now();
        if let Some(found) = ready() {
            return Some(found);
        }
    }
    None
}
