//! Every schedule of worlds small enough for it.

use crate::is_full;
use model::{World, everything};

/// From one in so many states all that must be possible is tried.
const SAMPLE: u64 = 64;

fn holds(world: World) {
    let found = everything(&world, SAMPLE);
    if let Some(trace) = found.violation {
        panic!("{world:?}\n{trace}");
    }
    println!(
        "{} states, {} transitions, tried from {}: {world:?}",
        found.states, found.transitions, found.checked
    );
}

#[test]
fn two_senders_and_one_receiver_of_whom_one_dies() {
    holds(World::new(2, &[1, 1], 1).kills(1, 0));
}

#[test]
fn two_messages_and_two_receivers() {
    holds(World::new(2, &[2], 2));
}

#[test]
fn two_receivers_of_whom_one_dies_and_is_replaced() {
    holds(World::new(2, &[1], 2).kills(1, 1));
}

#[test]
fn one_slot_and_somebody_dies_and_is_replaced() {
    holds(World::new(1, &[1, 1], 1).kills(1, 1));
}

#[test]
fn two_die_and_are_swept_in_one_pass_or_two() {
    holds(World::new(2, &[1], 1).kills(2, 1));
}

#[test]
fn fences_on_both_sides() {
    holds(World {
        symmetric: true,
        ..World::new(2, &[1, 1], 1)
    });
}

#[test]
fn three_slots_and_laps_that_go_round() {
    holds(World {
        first_lap: 255,
        ..World::new(3, &[1, 1], 1)
    });
    holds(World {
        first_lap: 255,
        ..World::new(1, &[2, 1], 1)
    });
}

#[test]
fn slices_and_grants_given_up_and_messages_given_back() {
    holds(World {
        slices: true,
        drops: true,
        releases_back: 1,
        refreshes: true,
        ..World::new(2, &[3], 1)
    });
}

#[test]
fn in_place_and_given_back() {
    holds(World {
        guards: true,
        releases_back: 1,
        refreshes: true,
        ..World::new(2, &[1], 2)
    });
}

#[test]
fn somebody_forgets_what_it_has_and_leaves_and_is_replaced() {
    let world = |producers, consumers| World {
        forgets: 1,
        leaves: 1,
        newcomers: 1,
        ..World::new(1, producers, consumers)
    };
    holds(world(&[1, 1], 1));
    holds(world(&[1], 2));
}

#[test]
fn the_end_told_to_two_receivers() {
    holds(ending(World::new(1, &[1], 2)));
}

#[test]
fn the_end_and_a_sender_that_dies() {
    holds(ending(World::new(1, &[1], 1)).kills(2, 1));
}

fn ending(world: World) -> World {
    World {
        closes: true,
        ..world
    }
}

/// A message was finished before its sender looked at its claim again; another sender is writing
/// to the slot.
pub fn two_laps_late() -> World {
    ending(World::new(1, &[1, 1], 2)).after(&[(0, 7), (2, 6), (1, 6)])
}

#[test]
fn the_end_and_a_sender_that_is_two_laps_late() {
    holds(two_laps_late());
}

#[test]
fn the_end_and_two_senders_and_two_slots() {
    holds(ending(World::new(2, &[1, 1], 1)));
}

#[test]
fn the_end_and_deaths() {
    holds(ending(World::new(1, &[1], 2)).kills(2, 0));
    holds(ending(World::new(2, &[1], 2)).kills(1, 0));
    holds(World {
        releases_back: 1,
        ..ending(World::new(1, &[1], 2)).kills(1, 0)
    });
}

#[test]
fn four_slots_and_a_death() {
    holds(World::new(4, &[3], 1).kills(1, 1));
}

fn asking(world: World) -> World {
    World {
        asks: true,
        ..world
    }
}

#[test]
fn what_is_over_stays_over() {
    holds(asking(World::new(2, &[1, 1], 1)));
    holds(asking(World::new(1, &[1, 1], 1)).kills(1, 0));
    holds(asking(World::new(1, &[2], 1)).kills(1, 1));
    holds(World {
        drops: true,
        releases_back: 1,
        ..asking(World::new(2, &[2], 1))
    });
}

#[test]
fn what_is_over_stays_over_also_at_the_end() {
    holds(asking(ending(World::new(1, &[1], 1))).kills(1, 0));
}

#[test]
fn full_what_is_over_stays_over_and_two_senders() {
    if is_full() {
        holds(asking(ending(World::new(1, &[1, 1], 1))));
        holds(asking(World::new(2, &[1, 1], 1)).kills(1, 0));
    }
}

#[test]
fn full_the_end_and_two_senders_and_two_receivers() {
    if is_full() {
        holds(ending(World::new(1, &[1, 1], 2)));
    }
}

#[test]
fn full_the_end_and_somebody_replaced() {
    if is_full() {
        holds(ending(World::new(1, &[2], 2)).kills(1, 1));
    }
}

#[test]
fn full_two_receivers_and_two_deaths() {
    if is_full() {
        holds(World::new(2, &[1], 2).kills(2, 2));
    }
}

#[test]
fn full_two_messages_and_two_receivers_of_whom_one_dies() {
    if is_full() {
        holds(World::new(2, &[2], 2).kills(1, 1));
    }
}

#[test]
fn full_two_senders_and_two_receivers() {
    if is_full() {
        holds(World::new(2, &[1, 1], 2));
    }
}
