//! What the two ends of a channel do, and what of it is timed.

mod batches;
mod messages;
mod one_way;
mod requests;
mod round_trip;
mod slices;
mod untouched;

use std::path::Path;
use std::time::Duration;

pub use batches::Batches;
pub use messages::Messages;
pub use one_way::OneWay;
pub use requests::Requests;
pub use round_trip::RoundTrip;
pub use slices::Slices;
pub use untouched::Untouched;

use crate::failure::Failure;

/// What one phase gave.
pub struct Timed {
    /// How long it took.
    pub elapsed: Duration,
    /// Its figures, in the order of the measure's metrics.
    pub figures: Vec<f64>,
}

/// What a runner and its peer do with the channels of a contender.
///
/// The runner creates the workload, each side takes its ends, and then both go through the same
/// phases, each of a number of steps that both know. The runner's side holds the watch.
pub trait Workload: Sized {
    /// The ends that the peer holds.
    type Peer;
    /// The ends that the runner holds.
    type Runner;

    /// How the contender is used, in a line.
    fn how() -> String;

    /// Creates the channels; `scratch` is an empty directory for those that need files.
    ///
    /// # Errors
    /// Those of the contender.
    fn create(scratch: &Path) -> Result<Self, Failure>;

    /// Takes the ends of the peer, called by the peer (or for it, where it is a thread).
    ///
    /// # Errors
    /// Those of the contender.
    fn peer(&mut self) -> Result<Self::Peer, Failure>;

    /// Takes the ends of the runner, called by the runner.
    ///
    /// # Errors
    /// Those of the contender.
    fn runner(&mut self) -> Result<Self::Runner, Failure>;

    /// The peer's part of a phase of `count` steps.
    ///
    /// # Errors
    /// Those of the contender.
    fn answer(peer: &mut Self::Peer, count: u64) -> Result<(), Failure>;

    /// The runner's part of a phase of `count` steps, timed and checked.
    ///
    /// # Errors
    /// Those of the contender, and [`Failure::WrongItems`].
    fn drive(runner: &mut Self::Runner, count: u64) -> Result<Timed, Failure>;
}

/// Millions of items in a second.
pub(crate) fn millions_per_second(items: u64, elapsed: Duration) -> f64 {
    items as f64 / elapsed.as_secs_f64() / 1e6
}
