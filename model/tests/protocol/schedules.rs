//! Random schedules of worlds too large to be searched in full.

use crate::is_full;
use model::{World, at_random};

/// Steps of each world: about a second, or some minutes.
const STEPS: u64 = 400_000;
const FULL_STEPS: u64 = 60_000_000;
/// Once in so many steps, all that must be possible is tried.
const SAMPLE: u64 = 100;

fn worlds() -> impl Iterator<Item = World> {
    let with =
        |slots, producers: &[u8], consumers| World::new(slots, producers, consumers).kills(3, 3);
    [
        with(1, &[3, 3, 3], 3),
        with(2, &[3, 3, 3], 3),
        World {
            slices: true,
            drops: true,
            first_lap: 255,
            ..with(3, &[4, 4, 4], 3)
        },
        World {
            guards: true,
            asks: true,
            releases_back: 3,
            refreshes: true,
            ..with(4, &[5, 5], 3)
        },
        World {
            symmetric: true,
            releases_back: 1,
            ..with(2, &[4, 4], 3)
        },
        World {
            closes: true,
            asks: true,
            slices: true,
            drops: true,
            releases_back: 2,
            ..with(2, &[2, 2, 2], 3)
        },
        World {
            closes: true,
            releases_back: 2,
            ..with(1, &[2, 2, 2], 3)
        },
        World {
            closes: true,
            asks: true,
            drops: true,
            releases_back: 1,
            forgets: 2,
            leaves: 2,
            newcomers: 4,
            ..with(2, &[3, 3], 3)
        },
    ]
    .into_iter()
}

fn hold(steps: u64, seed: u64) {
    for world in worlds() {
        let found = at_random(&world, steps, SAMPLE, seed);
        if let Some(trace) = found.violation {
            panic!("seed {seed}, {world:?}\n{trace}");
        }
    }
}

#[test]
fn hold_in_larger_worlds() {
    hold(STEPS, 1);
}

#[test]
fn full_hold_for_long() {
    if is_full() {
        (2..4).for_each(|seed| hold(FULL_STEPS, seed));
    }
}
