//! Points in time on the monotonic clock, and "never".

use std::time::Duration;

/// A point on `CLOCK_MONOTONIC`, or never. It lives in one process: no absolute time is ever put
/// into shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    nanos: u64,
}

impl Deadline {
    /// Later than everything.
    pub const NEVER: Deadline = Deadline { nanos: u64::MAX };
    /// Before everything: a wait with this deadline looks once and returns.
    pub const PAST: Deadline = Deadline { nanos: 0 };

    /// The point that lies `wait` from now. `Duration::ZERO` has passed already; a duration of
    /// more than 292 years is [`NEVER`](Self::NEVER).
    pub fn after(wait: Duration) -> Self {
        let nanos = match u64::try_from(wait.as_nanos()) {
            Ok(0) => return Self::PAST,
            Ok(nanos) => now().saturating_add(nanos),
            Err(_) => return Self::NEVER,
        };
        if nanos > i64::MAX as u64 {
            Self::NEVER
        } else {
            Self { nanos }
        }
    }

    /// `None` is never.
    pub fn after_option(wait: Option<Duration>) -> Self {
        wait.map_or(Self::NEVER, Self::after)
    }

    /// Whether the point has passed.
    pub fn has_passed(self) -> bool {
        self != Self::NEVER && now() >= self.nanos
    }

    /// The earlier of the two.
    pub fn sooner(self, other: Self) -> Self {
        self.min(other)
    }

    /// Whether it lies less than `wait` behind `now`, in nanoseconds of the clock.
    pub(crate) fn is_near(self, now: u64, wait: Duration) -> bool {
        self.nanos < now.saturating_add(wait.as_nanos() as u64)
    }

    pub(crate) fn as_timespec(self) -> Option<libc::timespec> {
        (self != Self::NEVER).then_some(libc::timespec {
            tv_sec: (self.nanos / 1_000_000_000) as libc::time_t,
            tv_nsec: (self.nanos % 1_000_000_000) as libc::c_long,
        })
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of ours; CLOCK_MONOTONIC exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_has_passed_and_max_never_does() {
        assert!(Deadline::after(Duration::ZERO).has_passed());
        assert_eq!(Deadline::after(Duration::MAX), Deadline::NEVER);
        assert!(!Deadline::NEVER.has_passed());
        assert!(!Deadline::after(Duration::from_secs(3600)).has_passed());
        assert_eq!(
            Deadline::NEVER.sooner(Deadline::PAST),
            Deadline::PAST,
            "never is later than everything"
        );
    }

    #[test]
    fn near_is_what_comes_within_the_wait() {
        let wait = Duration::from_nanos(10);
        assert!(Deadline::PAST.is_near(1, wait));
        assert!(Deadline { nanos: 110 }.is_near(101, wait));
        assert!(!Deadline { nanos: 110 }.is_near(100, wait));
        assert!(!Deadline::NEVER.is_near(u64::MAX - 1, wait));
    }

    #[test]
    fn the_nanoseconds_of_a_timespec_are_below_a_second() {
        let time = Deadline::after(Duration::from_nanos(1_999_999_999))
            .as_timespec()
            .unwrap();
        assert!((0..1_000_000_000).contains(&time.tv_nsec));
    }
}
