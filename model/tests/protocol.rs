//! The protocol holds in every schedule of small worlds and in random ones of larger worlds, and
//! does not without its rules.
//!
//! `MODEL_FULL=1 cargo test -p model` searches the larger worlds too.

use model::explore::{Found, at_random, everything};
use model::rules::Rule;
use model::world::World;

/// What a world is besides its slots, producers' messages and consumers.
#[derive(Clone, Copy, Default)]
struct With {
    kills: u8,
    newcomers: u8,
    closes: bool,
    back: u8,
}

fn world(slots: u8, producers: &[u8], consumers: usize, with: With) -> World {
    let mut world = World::new(slots, producers, consumers);
    world.kills = with.kills;
    world.newcomers = with.newcomers;
    world.closes = with.closes;
    world.releases_back = with.back;
    world
}

fn holds(name: &str, found: &Found) {
    println!(
        "{name}: {} states, {} transitions, {} checked",
        found.states, found.transitions, found.checked
    );
    if let Some(trace) = &found.violation {
        panic!("{name}: {trace}");
    }
}

/// Every schedule: each is within some seconds.
fn small() -> Vec<(&'static str, World)> {
    let plain = With::default();
    let closes = With {
        closes: true,
        ..plain
    };
    let killed = With {
        kills: 1,
        newcomers: 1,
        back: 1,
        ..plain
    };
    vec![
        ("two producers", world(2, &[1, 1], 1, plain)),
        (
            "two producers, one with two messages",
            world(2, &[1, 2], 1, plain),
        ),
        ("two consumers", world(2, &[2], 2, plain)),
        ("the end, two consumers", world(1, &[1], 2, closes)),
        (
            "a kill, a newcomer, a message given back",
            world(1, &[1], 2, killed),
        ),
        (
            "a kill among two producers",
            world(1, &[1, 1], 1, With { kills: 1, ..plain }),
        ),
    ]
}

#[test]
fn every_schedule_of_small_worlds_holds() {
    for (name, world) in small() {
        holds(name, &everything(&world, 64));
    }
}

#[test]
fn random_schedules_of_a_larger_world_hold() {
    let steps = if std::env::var_os("MODEL_FULL").is_some() {
        60_000_000
    } else {
        2_000_000
    };
    let with = With {
        kills: 3,
        newcomers: 2,
        back: 1,
        ..With::default()
    };
    holds(
        "random",
        &at_random(&world(3, &[2, 2, 2], 2, with), steps, 64, 1),
    );
}

/// Without the rule, one of the small worlds breaks.
fn is_needed(rule: Rule) {
    for (name, mut world) in small() {
        world.without = Some(rule);
        if let Some(trace) = everything(&world, 64).violation {
            println!("{rule:?}: {name}: {} steps", trace.steps.len());
            return;
        }
    }
    panic!("nothing breaks without {rule:?}");
}

macro_rules! needed {
    ($($name:ident: $rule:ident,)*) => {
        $(#[test]
        fn $name() {
            is_needed(Rule::$rule);
        })*
    };
}

needed! {
    a_barrier_comes_before_a_void: BarrierBeforeVoid,
    the_word_is_read_after_the_claim: WordAfterClaim,
    the_end_is_looked_at_after_claiming: LookAtTheEndAfterClaiming,
    the_claim_is_looked_at_again: SecondLookAtTheClaim,
    the_sender_settles_what_was_taken: SenderSettlesWhatWasTaken,
    the_sender_looks_who_has_it: SenderLooksWhoHasIt,
    late_commits_are_announced: AnnounceLateCommits,
    passed_outlives_the_name: PassedOutlivesTheName,
    the_name_goes_after_being_passed: NameGoesAfterBeingPassed,
    there_is_a_second_look_before_full: SecondLookBeforeFull,
    a_void_keeps_the_writer: VoidKeepsTheWriter,
}
