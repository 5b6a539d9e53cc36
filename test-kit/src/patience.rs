//! Waiting for what nobody tells.

use std::time::{Duration, Instant};

/// What takes longer hangs. A test that passes never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls for what another process does without telling anybody.
///
/// # Panics
/// After [`PATIENCE`].
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_micros(100));
    }
}
