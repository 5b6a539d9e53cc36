//! How far apart the two CPUs are at the moment: the time of a cache line there and back.
//!
//! On a virtual machine this changes while measuring, by a factor of three and more within
//! seconds, when its CPUs are moved between near and far cores. Every queue between the two then
//! changes with it, so that figures are comparable only if taken at the same distance. It is
//! therefore taken before and after each measurement, by the same peers on the same CPUs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::shared::ForkShared;
use crate::spin;

/// Trips in one look, less than two milliseconds of them.
const TRIPS: u64 = 2_000;

/// Distances that differ by less than this factor count as equal; the two states of a machine seen
/// so far differ by three, and looks at one state by a fifth.
const EQUAL_WITHIN: f64 = 1.5;

/// One line, with the one that CPUs prefetch along with it.
#[derive(Default)]
#[repr(align(128))]
struct Line(AtomicU64);

/// Two lines, one for each direction.
#[derive(Default)]
pub struct Distance {
    there: Line,
    back: Line,
}

// SAFETY: two atomics, no pointers.
unsafe impl ForkShared for Distance {}

impl Distance {
    /// Runner: the mean of a round trip in ns. Blocks until the peer is in [`Distance::answer`].
    pub fn look(&self) -> f64 {
        let first = self.there.0.load(Ordering::Relaxed) + 1;
        // The first trip waits for the peer to come, and is not timed.
        self.trip(first);
        let start = Instant::now();
        for trip in first + 1..=first + TRIPS {
            self.trip(trip);
        }
        start.elapsed().as_nanos() as f64 / TRIPS as f64
    }

    fn trip(&self, number: u64) {
        self.there.0.store(number, Ordering::Release);
        spin::until::<1, _>(|| (self.back.0.load(Ordering::Acquire) == number).then_some(()));
    }

    /// Peer: its part of [`Distance::look`].
    pub fn answer(&self) {
        let first = self.back.0.load(Ordering::Relaxed) + 1;
        for number in first..=first + TRIPS {
            spin::until::<1, _>(|| (self.there.0.load(Ordering::Acquire) == number).then_some(()));
            self.back.0.store(number, Ordering::Release);
        }
    }
}

/// Whether all distances are equal, within the factor that tells states of a machine apart.
pub fn equal(distances: &[f64]) -> bool {
    let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
    distances.iter().all(|&each| each < least * EQUAL_WITHIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far_are_told_apart() {
        assert!(equal(&[120.0, 111.0, 140.0]));
        assert!(!equal(&[120.0, 120.0, 351.0]));
    }

    #[test]
    fn two_looks_follow_each_other() {
        let distance = Distance::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                distance.answer();
                distance.answer();
            });
            assert!(distance.look() > 0.0);
            assert!(distance.look() > 0.0);
        });
    }
}
