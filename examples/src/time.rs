//! How long an example, and a wait in it, may take before it counts as hanging.

use std::time::Duration;

/// The variable that says how many seconds an example may take, on a machine that is very busy.
const VARIABLE: &str = "EXAMPLE_SECONDS";

/// Without it: every example ends within half a minute.
const SECONDS: u32 = 28;

/// What an example may take: 28 seconds, unless the environment variable `EXAMPLE_SECONDS` says
/// otherwise.
pub fn time_limit() -> Duration {
    let seconds = std::env::var(VARIABLE).ok().and_then(|it| it.parse().ok());
    Duration::from_secs(seconds.unwrap_or(SECONDS).into())
}

/// What a single wait may take: three quarters of that, so that it is the wait that is complained of.
pub fn patience() -> Duration {
    time_limit() * 3 / 4
}
