//! How a contender without a wait of its own waits: it tries again.

use std::hint::spin_loop;
use std::thread;

/// Calls `attempt` until it gives a value, with `PAUSES` pause instructions between two tries.
///
/// Few pauses notice a change soon, many leave the line that is polled to the other CPU for
/// longer, so that it can fill or drain more before the line goes back; which is best differs from
/// queue to queue. Never returns while `attempt` gives `None`.
#[inline(always)]
pub fn until<const PAUSES: u32, T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        for _ in 0..PAUSES {
            spin_loop();
        }
    }
}

/// The most pauses between two tries, as an exponent of two, before the CPU is given up.
const MOST_PAUSES_LOG2: u32 = 6;

/// Calls `attempt` until it gives a value; after each refusal twice as many pause instructions, and
/// after 64 of them the CPU is given up each time. For more peers than CPUs: the one that is
/// awaited may have to run. Never returns while `attempt` gives `None`.
#[inline(always)]
pub fn snoozing<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut step = 0;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        if step <= MOST_PAUSES_LOG2 {
            for _ in 0..1 << step {
                spin_loop();
            }
            step += 1;
        } else {
            thread::yield_now();
        }
    }
}

/// A way to try again, the same for every contender of a measure.
pub trait Retry {
    /// Calls `attempt` until it gives a value.
    fn until<T>(attempt: impl FnMut() -> Option<T>) -> T;

    /// What it does between two tries, in words.
    fn how() -> String;
}

/// Tries again after `PAUSES` pause instructions: [`until`].
pub enum Pauses<const PAUSES: u32> {}

impl<const PAUSES: u32> Retry for Pauses<PAUSES> {
    #[inline(always)]
    fn until<T>(attempt: impl FnMut() -> Option<T>) -> T {
        until::<PAUSES, T>(attempt)
    }

    fn how() -> String {
        format!("tried again after {PAUSES} spin_loop while full or empty")
    }
}

/// Tries again after more and more pause instructions, then gives the CPU up: [`snoozing`].
pub enum Snooze {}

impl Retry for Snooze {
    #[inline(always)]
    fn until<T>(attempt: impl FnMut() -> Option<T>) -> T {
        snoozing(attempt)
    }

    fn how() -> String {
        "tried again after 1, 2, 4 .. 64 spin_loop, then sched_yield, while full or empty".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_try_until_there_is_a_value() {
        fn tries<R: Retry>() {
            // More refusals than there are steps before the CPU is given up.
            let mut left = 20;
            let found = R::until(|| {
                left -= 1;
                (left == 0).then_some(7)
            });
            assert_eq!((found, left), (7, 0));
        }
        tries::<Pauses<1>>();
        tries::<Snooze>();
    }
}
