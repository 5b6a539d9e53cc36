//! What is taken and given back: locks, and what is used like one.

use crate::failure::Failure;

/// A lock that processes or threads share.
///
/// The runner creates it. Each process then takes a handle in its own copy of the value, each thread
/// is given one that was taken for it.
pub trait Lock: Sized {
    /// What each of those who share it uses.
    type Handle: Pass;

    /// How the contender is used, in a line, for the report.
    fn how() -> String;

    /// Creates it.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn create() -> Result<Self, Failure>;

    /// A handle for the calling process, or for one of its threads.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn handle(&self) -> Result<Self::Handle, Failure>;
}

/// Taken and given back.
pub trait Pass {
    /// Takes it, waiting in the contender's own way, and gives it back.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn pass(&mut self) -> Result<(), Failure>;
}

/// A lock that protects a number.
pub trait Count: Pass {
    /// Takes the lock, adds one to the number, and gives the lock back.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn add_one(&mut self) -> Result<(), Failure>;

    /// The number, read under the lock.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn count(&mut self) -> Result<u64, Failure>;
}
