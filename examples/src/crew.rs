//! Several worker processes at once.

use crate::{Failure, patience};
use ipc_process::{Builder, Process};

/// Starts so many workers; `describe` gets their indices. They are killed when dropped.
///
/// # Errors
/// The first that could not be started; the others are killed.
pub fn spawn_all(
    count: usize,
    describe: impl Fn(usize) -> Result<Builder, Failure>,
) -> Result<Vec<Process>, Failure> {
    (0..count)
        .map(|index| Ok(describe(index)?.spawn()?))
        .collect()
}

/// Waits until all have ended, and gives their results in this order.
///
/// # Errors
/// The first that failed, was killed, or has not ended after [`patience`].
pub fn join_all(workers: &mut [Process]) -> Result<Vec<Vec<u8>>, Failure> {
    let join = |worker: &mut Process| match worker.join_timeout(patience())? {
        Some(exit) => Ok(exit.into_result()?),
        None => Err(format!("worker `{}` does not end", worker.name()).into()),
    };
    workers.iter_mut().map(join).collect()
}
