//! What can go wrong with a barrier.

use ipc_core::Error;

/// Why a party did not join or pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// A party has died, somebody broke the barrier by hand, or it was reset while this party
    /// waited.
    #[error(
        "the barrier {barrier} is broken: a party died, or somebody aborted or reset it; find out what is left to do, and reset it (Barrier::reset)"
    )]
    Broken {
        /// The barrier.
        barrier: String,
    },
    /// There are as many parties as the barrier is for.
    #[error("the barrier {barrier} has all its {parties} parties; drop one first")]
    Crowded {
        /// The barrier.
        barrier: String,
        /// How many there can be.
        parties: usize,
    },
    /// Not all others have arrived at this moment.
    #[error("not all other parties have arrived; wait for them, or try again")]
    NotAll,
    /// Not all others arrived until the time was up. This party has not arrived either.
    #[error("not all other parties arrived until the time was up")]
    TimedOut,
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] Error),
}
