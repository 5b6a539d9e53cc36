//! What can go wrong with a semaphore.

use ipc_core::Error;

/// Why permits were not acquired. None was taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// There are not as many free permits at this moment.
    #[error("not as many permits are free; wait for them, or try again")]
    NoPermits,
    /// The time was up before as many permits were free.
    #[error("not as many permits became free until the time was up")]
    TimedOut,
    /// Permits are acquired at as many places as the semaphore can tell apart.
    #[error(
        "the semaphore {semaphore} knows {limit} holders at a time and all places are taken; \
         acquire several permits at once, or create its segment with more handles \
         (SegmentBuilder::handles)"
    )]
    Crowded {
        /// The semaphore.
        semaphore: String,
        /// How many guards and idle threads it can tell apart.
        limit: usize,
    },
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] Error),
}
