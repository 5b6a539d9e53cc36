//! Each rule of the protocol is needed: the checks catch a world without it.

use crate::exhaustive::two_laps_late;
use crate::is_full;
use model::{Found, Rule, World, everything, replay};

/// The smallest world that breaks, as far as is known, and how that is shown.
enum Shown {
    /// By a search of all that can happen.
    Everything(World),
    /// By a schedule that such a search found, or that was thought out: searching takes long.
    Schedule(World, &'static str),
}
use Shown::{Everything, Schedule};

fn is_needed(rule: Rule, shown: &Shown) {
    let (Everything(world) | Schedule(world, _)) = shown;
    let broken = world.clone().without(rule);
    let violation = match shown {
        Everything(_) => everything(&broken, 1).violation,
        Schedule(_, kept) => replay(&broken, &kept.parse().expect("it is a schedule")),
    };
    let trace = violation.unwrap_or_else(|| panic!("nothing goes wrong without {rule:?}"));
    println!("{rule:?}: {}", trace.violation);
    let schedule = match shown {
        Everything(_) => trace.schedule(),
        Schedule(_, kept) => kept.parse().expect("it is a schedule"),
    };
    if let Some(trace) = replay(world, &schedule) {
        panic!("{rule:?} is kept, and yet:\n{trace}");
    }
}

macro_rules! without {
    ($($test:ident: $rule:ident, $shown:expr;)*) => {
        $(#[test]
        fn $test() {
            is_needed(Rule::$rule, &$shown);
        })*

        fn all() -> Vec<(Rule, Shown)> {
            vec![$((Rule::$rule, $shown)),*]
        }
    };
}

#[test]
fn no_rule_is_left_out() {
    let all = all();
    for rule in Rule::ALL {
        let tests = all.iter().filter(|(it, _)| it == rule).count();
        assert_eq!(tests, 1, "{rule:?}");
    }
}

/// What the kept schedules show is found by searching, too.
#[test]
fn full_schedules_are_found() {
    if !is_full() {
        return;
    }
    for (rule, shown) in all() {
        let too_large = [Rule::JumpForgets, Rule::SecondLookBeforeWalkingOn];
        if let Schedule(world, _) = shown
            && !too_large.contains(&rule)
        {
            let Found {
                states, violation, ..
            } = everything(&world.without(rule), 64);
            match violation {
                Some(trace) => println!("{rule:?}: {states} states, {}", trace.schedule()),
                None => panic!("nothing goes wrong without {rule:?} in {states} states"),
            }
        }
    }
}

fn two_senders() -> World {
    World::new(2, &[1, 1], 1)
}

/// One of whom goes on when the other is done.
fn two_senders_and_more() -> World {
    World::new(2, &[1, 2], 1)
}

fn asking() -> World {
    World {
        asks: true,
        ..two_senders_and_more()
    }
}

fn slices() -> World {
    World {
        slices: true,
        drops: true,
        ..World::new(2, &[2], 1)
    }
}

fn slices_afresh() -> World {
    World {
        releases_back: 1,
        refreshes: true,
        slices: true,
        drops: true,
        ..World::new(2, &[3], 1)
    }
}

fn ending() -> World {
    World {
        closes: true,
        ..World::new(1, &[1], 2)
    }
}

fn ending_with_two_senders() -> World {
    World {
        closes: true,
        ..World::new(1, &[1, 1], 2)
    }
}

fn sender_replaced() -> World {
    World::new(1, &[2], 1).kills(1, 1)
}

/// There is another sender, who has nothing to do but to sweep.
fn sender_replaced_and_swept_twice() -> World {
    World::new(1, &[2, 0], 1).kills(1, 1)
}

fn receiver_replaced() -> World {
    World {
        releases_back: 1,
        ..World::new(1, &[1], 2).kills(1, 1)
    }
}

/// Two senders are writing, a third has pushed behind them. One receiver is about to look at the
/// first, the other has gone past both, has the third's message, and has not said so.
fn overtaken() -> World {
    World::new(3, &[1, 1, 1], 2).after(&[(0, 5), (1, 6), (2, 9), (3, 1), (4, 14)])
}

/// The other has said so.
fn overtaken_and_said() -> World {
    World::new(3, &[1, 1, 1], 2).after(&[(0, 5), (1, 6), (2, 9), (3, 1), (4, 16)])
}

without! {
    without_a_barrier_before_void: BarrierBeforeVoid, Schedule(
        two_senders_and_more(),
        "0*7 1*9 2*4 1*3 2*13 d2 1*5 2*6",
    );
    without_the_word_after_the_claim: WordAfterClaim, Everything(sender_replaced());
    without_pending_by_any_earlier_lap: PendingByAnyEarlierLap, Everything(sender_replaced());
    without_a_look_at_the_end_after_claiming: LookAtTheEndAfterClaiming, Everything(ending());
    without_a_second_look_at_the_claim: SecondLookAtTheClaim, Everything(two_senders());
    without_keeping_revoked_claims: RevokedClaimsStay, Schedule(
        ending_with_two_senders(),
        "0*3 1 2*3 0*3 1 2*2 3 close 2*5 0 2*2 d0 2 3*6 1 3 d3 1*2",
    );
    without_settling_what_was_taken: SenderSettlesWhatWasTaken, Everything(ending());
    without_looking_who_has_it: SenderLooksWhoHasIt, Everything(ending());
    without_looking_who_was_rejected: SenderLooksWhoWasRejected, Schedule(
        two_laps_late(),
        "0 1 2*10 3 close 2*4 0*2 2 1 2*3 0*2 d1 3*6 0",
    );
    without_announcing_late_commits: AnnounceLateCommits, Everything(two_senders());
    with_passed_taken_out_with_the_name: PassedOutlivesTheName, Everything(two_senders());
    with_the_name_left_in: NameGoesAfterBeingPassed, Everything(two_senders_and_more());
    with_a_claim_given_up_and_not_void: GivenUpIsVoid, Everything(slices());
    without_a_second_look_before_full: SecondLookBeforeFull, Everything(two_senders());
    with_what_was_given_back_waited_for: GivenBackIsOvertaken, Schedule(
        World::new(2, &[2], 2).kills(1, 0),
        "0*8 d0 1*4 k1 2",
    );
    with_the_writer_forgotten_by_void: VoidKeepsTheWriter, Everything(two_senders());
    with_a_position_adopted_without_seen: SeenTravelsWithThePosition, Schedule(
        overtaken(),
        "0*5 1*5 3*9 d3 4 d4",
    );
    with_a_shared_seen: SeenIsPrivate, Schedule(
        overtaken_and_said(),
        "0*3 1*3 4*4 0 1*2 3*10 d3*2",
    );
    with_late_loaded_once_for_a_slice: LateAfterEachWord, Everything(two_senders());
    without_a_scan_for_late_ones: ScanForLate, Everything(two_senders());
    with_a_cursor_that_does_not_wait: CursorWaitsForItsOwnLap, Everything(two_senders());
    // Sender 0 pushes twice, 1 claims the slot behind. Receiver 2 sees the first message; 3 takes
    // both and passes 1. Sender 0 pushes into the second lap, 3 takes that, too. Sender 1 commits,
    // late, and pushes again, behind the front of the second lap; 0 goes round 1's late message and
    // pushes into the third. Receiver 2 finds the slot that it looks at two laps on.
    with_a_jump_that_remembers: JumpForgets, Schedule(
        World::new(3, &[4, 2], 2),
        "0*14 d0*2 1*5 2*2 3*16 0*8 d0*2 3*4 d3 1*13 d1*2 0*11 2*16",
    );
    without_a_look_at_the_end_after_taking: ReceiverLooksAtTheEnd, Everything(ending());
    with_nameless_revoked_ones_had: NamelessRevokedAreSettled, Everything(ending());
    without_settling_what_is_accepted: ReceiverSettlesWhatItAccepts, Everything(ending());
    with_rejections_unmarked: RejectionIsMarked, Everything(ending());
    // Found by random schedules.
    without_a_second_look_before_walking_on: SecondLookBeforeWalkingOn, Schedule(
        World {
            guards: true,
            ..World::new(3, &[4, 4], 2)
        },
        "2*2 3 0 2*3 3 2*2 0 3 0*5 3 2 3 2*2 0 3 2 0 3 2 0 3 0*2 2*2 3 0 2 1 2 1 2*2 3 1*4 2 1 2 \
         1*2 2 1*4 3 1*4 3 1*2 3 1*2 3 2 1*7 3 1*3 2*4 1 2 1 3 2 1 2*2 1*9 3 1 2 1 3 2 1*14 2 1*2",
    );
    without_a_barrier_before_passing: BarrierBeforePassing, Everything(two_senders());
    with_trust_in_anothers_passed: TrustsNobodysPassed, Everything(World::new(2, &[2], 2));
    without_a_second_look_before_passing: SecondLookBeforePassing, Everything(two_senders());
    with_a_forgotten_seen_published: ForgottenIsNotPublished, Everything(slices_afresh());
    with_a_scan_past_the_cursor: ScanStopsAtTheCursor, Schedule(
        two_senders_and_more(),
        "1*6 2*4 1*2 2*4 1*5 2*5 1 0*3 1*2 2*2 d2 0*5 d0*2 2*2 d1",
    );
    with_a_scan_for_any_late_one: ScanTakesTheOldest, Everything(slices());
    with_an_end_despite_readers: EndWaitsForReaders, Everything(ending());
    with_an_end_despite_pending_ones: EndRevokesThePending, Everything(ending());
    without_a_barrier_before_the_end: BarrierBeforeTheEnd, Everything(ending());
    without_a_second_look_before_the_end: SecondLookBeforeTheEnd, Everything(ending());
    with_an_end_that_counts_nothing: EndCountsWhatWasSettled, Everything(ending());
    with_sweeps_of_newcomers: SweepChecksTheTicket, Everything(sender_replaced_and_swept_twice());
    with_the_pending_left_by_a_sweep: SweepMakesThePendingVoid, Everything(two_senders());
    with_redeliveries_flagged_not_counted: RedeliveriesAreCounted, Schedule(
        receiver_replaced(),
        "0*7 d0 1*4 1- 1*6 k1 0/1 0 2/1 2*4 j1 1*9 2*2",
    );
    with_silent_sweeps: SweepAnnounces, Everything(two_senders());
    with_the_word_read_before_the_claim: OverReadsTheWordLast, Everything(asking());
    with_blocks_taken_from_writers: OverSparesWriters, Everything(asking());
    with_blocks_taken_from_the_overtaken: OverSparesTheOvertaken, Everything(asking());
}
