//! How a runner tells its peer what to do next, and nothing of it while items flow.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::shared::ForkShared;
use crate::spin;

/// Phases announced by the runner to one peer, through shared memory.
///
/// A measurement has several phases, to warm up, to find how many items fill the time, and then to
/// measure; each moves a number of items that both sides know beforehand.
#[derive(Default)]
#[repr(align(128))]
pub struct Control {
    ready: AtomicU64,
    phase: AtomicU64,
    count: AtomicU64,
}

// SAFETY: three atomics, no pointers.
unsafe impl ForkShared for Control {}

impl Control {
    /// Peer: says that it is ready for the first phase.
    pub fn ready(&self) {
        self.ready.store(1, Ordering::Release);
    }

    /// Runner: waits, spinning, until the peer is ready.
    pub fn wait_until_ready(&self) {
        spin::until::<1, _>(|| (self.ready.load(Ordering::Acquire) == 1).then_some(()));
    }

    /// Runner: begins a phase of `count` items; `count` 0 is the end.
    pub fn begin(&self, count: u64) {
        self.count.store(count, Ordering::Relaxed);
        // Pairs with the load in `next`: who sees the new phase sees its count.
        self.phase.fetch_add(1, Ordering::Release);
    }

    /// Peer: waits, spinning, for the phase after `seen`, counts it there, and gives the number of
    /// its items; `None` after the last phase.
    pub fn next(&self, seen: &mut u64) -> Option<u64> {
        let before = *seen;
        *seen = spin::until::<1, _>(|| {
            let phase = self.phase.load(Ordering::Acquire);
            (phase != before).then_some(phase)
        });
        let count = self.count.load(Ordering::Relaxed);
        (count != 0).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_sees_every_phase_and_the_end() {
        let control = Control::default();
        std::thread::scope(|scope| {
            let peer = scope.spawn(|| {
                let (mut seen, mut counts) = (0, Vec::new());
                control.ready();
                while let Some(count) = control.next(&mut seen) {
                    counts.push(count);
                    control.ready.store(1, Ordering::Release);
                }
                counts
            });
            for count in [64, 256, 7] {
                control.wait_until_ready();
                control.ready.store(0, Ordering::Release);
                control.begin(count);
            }
            control.wait_until_ready();
            control.begin(0);
            assert_eq!(peer.join().expect("the peer does not panic"), [64, 256, 7]);
        });
    }
}
