//! Waiting for messages or room: poll one word while that is cheap, then sleep.

use super::memory::pause;
use ipc_core::{Bell, Deadline, Fences, Result, SLICE, Segment, Wait};
use std::cell::Cell;

/// Somebody who waits.
pub(crate) trait Waiter {
    type Found;

    /// Whether one of the few words in which what is awaited shows first, mostly, is not what the
    /// last attempt saw. Loads no others: a poller takes their lines from those who write them.
    fn has_changed(&self) -> bool;

    /// Called about every slice of a wait: what was found dealt with is looked at again, since who
    /// was to announce a change may be stopped.
    fn refresh(&mut self);

    /// Looks everywhere. `None`: wait on.
    fn attempt(&mut self) -> Option<Self::Found>;
}

/// How to wait.
pub(crate) struct Waiting<'a> {
    pub bell: &'a Bell,
    pub segment: &'a Segment,
    pub fences: Fences,
    pub policy: Wait,
    pub deadline: Deadline,
}

/// How a wait went.
pub(crate) struct Waited<R> {
    /// `None`: the deadline passed.
    pub found: Option<R>,
    pub slept: bool,
}

/// Polls without a change before all is looked at: what the polled words do not show.
const POLLS_PER_ATTEMPT: u32 = 64;
/// Polls between two looks at the clock.
const POLLS_PER_CLOCK: u32 = 256;
/// Polls of the adaptive policy before it gives up its core, and times it does so before it
/// sleeps. Few polls: where there are more processes than cores, whoever is awaited does not run
/// meanwhile; where there are not, giving up a core that nobody else wants takes about as long as
/// a few polls.
const SPINS: u32 = 32;
const YIELDS: u32 = 128;
/// Each poll takes the line from whoever writes to it: polls before there is one pause more
/// between two of them, and the most. What comes at once is seen at once.
const POLLS_PER_PAUSE: u32 = 16;
const MOST_PAUSES: u32 = 8;

impl Waiting<'_> {
    /// Waits until an attempt succeeds.
    pub(crate) fn run<W: Waiter>(&self, waiter: &mut W) -> Result<Waited<W::Found>> {
        let awake = |found| Waited {
            found,
            slept: false,
        };
        match self.policy {
            Wait::Busy => return self.spin(waiter).map(awake),
            Wait::Adaptive => {
                if let Some(found) = spin_a_while(waiter, self.deadline) {
                    return Ok(awake(Some(found)));
                }
            }
            _ => {}
        }
        let slice_passed = Cell::new(false);
        let found = self.bell.wait(
            Wait::Park,
            self.fences,
            self.deadline,
            || {
                if slice_passed.take() {
                    waiter.refresh();
                }
                waiter.attempt()
            },
            || {
                slice_passed.set(true);
                self.segment.recover_if_due(SLICE / 2).map(drop)
            },
        )?;
        Ok(Waited { found, slept: true })
    }

    fn spin<W: Waiter>(&self, waiter: &mut W) -> Result<Option<W::Found>> {
        let mut next_slice = Deadline::after(SLICE);
        loop {
            if let Some(found) = poll(waiter, POLLS_PER_CLOCK) {
                return Ok(Some(found));
            }
            if self.deadline.has_passed() {
                return Ok(None);
            }
            if next_slice.has_passed() {
                self.segment.recover_if_due(SLICE / 2)?;
                waiter.refresh();
                next_slice = Deadline::after(SLICE);
            }
        }
    }
}

fn spin_a_while<W: Waiter>(waiter: &mut W, deadline: Deadline) -> Option<W::Found> {
    if let Some(found) = poll(waiter, SPINS) {
        return Some(found);
    }
    // More processes than cores: let the one that is awaited run.
    // A yield lasts for as long as the others want, so not when the time is short.
    for _ in 0..YIELDS {
        if deadline < Deadline::after(SLICE) {
            break;
        }
        std::thread::yield_now();
        if let Some(found) = waiter.attempt() {
            return Some(found);
        }
    }
    None
}

/// Begins with the few words: a look at everything would take the claims' line from the sender that
/// is about to come.
fn poll<W: Waiter>(waiter: &mut W, polls: u32) -> Option<W::Found> {
    for count in 0..polls {
        if (count % POLLS_PER_ATTEMPT == POLLS_PER_ATTEMPT - 1 || waiter.has_changed())
            && let Some(found) = waiter.attempt()
        {
            return Some(found);
        }
        for _ in 0..(count / POLLS_PER_PAUSE).clamp(1, MOST_PAUSES) {
            pause();
        }
    }
    None
}
