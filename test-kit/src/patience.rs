//! Waiting for what nobody tells.

use std::fmt::Debug;
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

/// Fails if something takes `limit` or longer again and again. What is measured may have had to wait
/// for a core as well, so that three measurements in time are enough, of a hundred if need be.
///
/// # Panics
/// After a hundred that took too long.
#[track_caller]
pub fn is_prompt(what: impl Debug, limit: Duration, mut measure: impl FnMut() -> Duration) {
    let (mut in_time, mut late) = (0, Vec::new());
    while in_time < 3 {
        match measure() {
            took if took < limit => in_time += 1,
            took => late.push(took),
        }
        assert!(late.len() < 100, "{what:?}: not within {limit:?}: {late:?}");
    }
}
