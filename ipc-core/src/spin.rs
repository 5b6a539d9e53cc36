//! How long the adaptive policy stays awake.
//!
//! Spinning is right while the awaited one runs on another core, and wrong while it waits for this
//! one. Nobody can be asked which of the two it is, but giving up the core for a moment tells:
//!
//! | it lasted | means | then |
//! |---|---|---|
//! | shorter than `NOTICEABLE` | nobody else wants the core | spin on, and ask again soon |
//! | longer | others had it, perhaps the awaited one | look once more, and sleep |
//! | longer than `DEAR` | among them one that keeps it for its whole time slice | the same, and do not ask again for `DEAR_FOR` times as long |
//!
//! Who may not ask spins all the same, unless that was in vain the last few times; then only now
//! and then, to see whether it still is.

use crate::deadline::{self, Deadline};
use crate::wait::SLICE;
use std::cell::Cell;
use std::time::Duration;

/// Polls before anything else. What comes at once is found by then.
const FIRST_POLLS: u32 = 64;
/// Polls between two yields, and how many times that: some tens of microseconds, about what a sleep
/// and a wake cost.
const POLLS: u32 = 256;
const ROUNDS: u32 = 8;

/// A yield that finds nobody else takes a tenth of this.
const NOTICEABLE: Duration = Duration::from_micros(5);
/// Less than a time slice, and more than somebody takes who answers soon.
const DEAR: Duration = Duration::from_micros(500);
/// So that yields that are too dear take a few percent of the time.
const DEAR_FOR: u64 = 32;

/// So many spins in vain are a coincidence.
const IN_VAIN: u32 = 4;
/// Of so many that are most likely in vain, one is made.
const ONE_IN: u32 = 32;

/// What a thread has learned of the core that it runs on, by what it saw last.
#[derive(Debug)]
struct Experience {
    /// In nanoseconds of the clock: until then nobody is asked.
    dear_until: Cell<u64>,
    /// Spins in a row.
    in_vain: Cell<u32>,
}

thread_local! {
    static EXPERIENCE: Experience = const { Experience::new() };
}

/// Who wants the core on which the caller runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Nobody else.
    ByNobody,
    /// Others, perhaps the awaited one, and they had it.
    ByOthers,
    /// Nobody was asked: it was dear lately, or there is no time for it.
    Unknown,
}

impl Experience {
    const fn new() -> Self {
        Self {
            dear_until: Cell::new(0),
            in_vain: Cell::new(0),
        }
    }

    fn may_yield(&self, now: u64) -> bool {
        now >= self.dear_until.get()
    }

    fn judge_yield(&self, before: u64, after: u64) -> Wanted {
        let lasted = after.saturating_sub(before);
        if lasted < NOTICEABLE.as_nanos() as u64 {
            return Wanted::ByNobody;
        }
        if lasted > DEAR.as_nanos() as u64 {
            self.dear_until
                .set(after.saturating_add(lasted.saturating_mul(DEAR_FOR)));
        }
        Wanted::ByOthers
    }

    fn is_worth_a_spin(&self) -> bool {
        let in_vain = self.in_vain.get();
        self.in_vain.set(in_vain.wrapping_add(1));
        in_vain < IN_VAIN || in_vain.is_multiple_of(ONE_IN)
    }

    fn was_worth_it(&self) {
        self.in_vain.set(0);
    }
}

/// Spins as long as that is worth while. `None`: sleep.
pub(crate) fn spin_a_while<T>(
    deadline: Deadline,
    ready: &mut impl FnMut() -> Option<T>,
) -> Option<T> {
    if let Some(found) = poll(FIRST_POLLS, ready) {
        return Some(found);
    }
    for _ in 0..ROUNDS {
        match give_way(deadline) {
            Wanted::ByNobody => {}
            Wanted::ByOthers => return ready(),
            Wanted::Unknown => return spin_if_worthwhile(ready),
        }
        if let Some(found) = poll(POLLS, ready) {
            return Some(found);
        }
    }
    None
}

fn poll<T>(times: u32, ready: &mut impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..times {
        if let Some(found) = ready() {
            return Some(found);
        }
        std::hint::spin_loop();
    }
    None
}

fn spin_if_worthwhile<T>(ready: &mut impl FnMut() -> Option<T>) -> Option<T> {
    if !EXPERIENCE.with(Experience::is_worth_a_spin) {
        return None;
    }
    let found = poll(ROUNDS * POLLS, ready);
    if found.is_some() {
        EXPERIENCE.with(Experience::was_worth_it);
    }
    found
}

/// Gives up the core for as long as others want it, if that was not too dear lately and the
/// deadline is not near: who else wants the core may have it for some milliseconds.
fn give_way(deadline: Deadline) -> Wanted {
    let before = deadline::now();
    if deadline.is_near(before, SLICE) || !EXPERIENCE.with(|it| it.may_yield(before)) {
        return Wanted::Unknown;
    }
    std::thread::yield_now();
    EXPERIENCE.with(|it| it.judge_yield(before, deadline::now()))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MICROSECOND: u64 = 1_000;

    #[test]
    fn a_short_yield_found_nobody_and_a_longer_one_others() {
        let experience = Experience::new();
        assert_eq!(experience.judge_yield(10, 10), Wanted::ByNobody);
        let judged = experience.judge_yield(10, 10 + MICROSECOND);
        assert_eq!(judged, Wanted::ByNobody);
        let judged = experience.judge_yield(10, 10 + 50 * MICROSECOND);
        assert_eq!(judged, Wanted::ByOthers);
        assert!(experience.may_yield(10 + 50 * MICROSECOND));
    }

    #[test]
    fn dear_yields_take_a_few_percent_of_the_time() {
        let experience = Experience::new();
        let (mut now, mut yielding) = (0, 0);
        while now < 10_000_000 * MICROSECOND {
            if experience.may_yield(now) {
                let after = now + 3_000 * MICROSECOND;
                assert_eq!(experience.judge_yield(now, after), Wanted::ByOthers);
                yielding += after - now;
                now = after;
            } else {
                now += 20 * MICROSECOND;
            }
        }
        assert!((1..now / 25).contains(&yielding), "{yielding} of {now}");
    }

    #[test]
    fn spins_in_vain_become_rare_and_one_that_was_not_ends_that() {
        let experience = Experience::new();
        let spins = (0..1_000).filter(|_| experience.is_worth_a_spin()).count();
        assert!((10..50).contains(&spins), "{spins} of 1000");
        experience.was_worth_it();
        assert!(experience.is_worth_a_spin());
    }
}
