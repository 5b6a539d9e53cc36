//! What is tried: something that processes wait for.

use std::thread;

use super::Moment;
use crate::failure::Failure;

/// Who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The process that is killed.
    Victim,
    /// One of those that are to go on.
    Other(usize),
}

/// Who comes first, when the victim is to be killed while it has what the others wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// The victim; the others find it taken.
    Victim,
    /// The others; they wait for something that the victim is about to do.
    Others,
}

/// A primitive, and what is done with it.
pub trait Subject: Sized {
    /// What each process uses.
    type Handle;
    /// What having it, waiting for it, and going on mean, in a line.
    const HOW: &'static str;
    /// Who comes first.
    const FIRST: First = First::Victim;

    /// Creates it. The runner does that, and the processes that it forks use it.
    ///
    /// # Errors
    /// What the primitive says, see [`Failure`]; as with all that follows.
    fn create(moment: Moment) -> Result<Self, Failure>;

    /// What the calling process uses.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    fn handle(&self) -> Result<Self::Handle, Failure>;

    /// Has it while `meanwhile` runs, and then lets go, so that one who waits goes on.
    ///
    /// # Errors
    /// That of `meanwhile`; as [`create`](Self::create).
    fn have(
        handle: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure>;

    /// Has it, calls `say`, and has it until the calling process is killed.
    ///
    /// # Errors
    /// That of `say`; as [`create`](Self::create).
    fn have_until_killed(
        handle: &Self::Handle,
        say: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        Self::have(handle, || {
            say()?;
            until_killed()
        })
    }

    /// Waits until it may go on, goes on, and lets the next one go on.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    fn go_on(handle: &Self::Handle, who: Who) -> Result<(), Failure>;

    /// What somebody else does after the victim, which had it, was killed; the others wait for that
    /// then.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    fn after_death(_handle: &Self::Handle) -> Result<(), Failure> {
        Ok(())
    }
}

/// Never returns.
pub(super) fn until_killed() -> ! {
    loop {
        thread::park();
    }
}
