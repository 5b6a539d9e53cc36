//! An explicit-state model of the MPMC queue: its protocol table (`ipc_queue::mpmc`), in which each
//! access to shared memory is a step, with everything that can come between two steps.
//!
//! ```
//! use model::{Rule, World, everything, replay};
//!
//! // Two slots, two producers with a message each, a consumer; one of them may be killed.
//! let world = World::new(2, &[1, 1], 1).kills(1, 0);
//! // Without a rule of the protocol something goes wrong, and the way there can be gone again.
//! let broken = world.clone().without(Rule::SecondLookBeforePassing);
//! let trace = everything(&broken, 1).violation.expect("the rule is needed");
//! assert!(replay(&broken, &trace.schedule()).is_some());
//! assert!(replay(&world, &trace.schedule()).is_none());
//! ```
//!
//! # What can happen
//!
//! * Plain stores (commits, finished slots, hints) wait in their processor's buffer and drain one by
//!   one, at any time; a read-modify-write drains its own processor's, a `membarrier` everybody's.
//!   Where there is none ([`World::symmetric`]), both sides pay for a fence.
//! * A process can be killed between any two steps; the stores it has made become visible, and only
//!   then can anybody know that it is dead. Then anybody sweeps, for some of the dead or all: at
//!   once, twice, late, and dying over it.
//! * Somebody leaves in order, or forgets what it has in its hands, goes on, and gives it back when
//!   it leaves. A newcomer gets the very id of who was there before, as if all of its bits but the
//!   place were cut off: at sixteen generations the queue has it easier.
//! * Claims are given up, messages given back; slices, work in place, looks at all slots again; a
//!   stream is closed at any time. Laps go round ([`World::first_lap`]).
//! * Somebody asks whether a lap is over, to use a block of byte messages ([`World::asks`]): in two
//!   accesses, at any time.
//!
//! # What is checked
//!
//! | at each step | where |
//! |---|---|
//! | no sender writes where another writes, a receiver reads, or an unfinished message lies | `commit.rs` |
//! | no push returns `Ok` after the end, unless its message is finished | `commit.rs` |
//! | none is refused whose message somebody got | `commit.rs` |
//! | nobody says "full" while there was room when it looked | `push.rs` |
//! | no receiver is given what nobody committed, or anything after the end | `hold.rs` |
//! | nor one sender's messages out of order; redelivered ones are marked, and no others | `hold.rs` |
//! | nothing is finished twice | `hold.rs` |
//! | the end is told after every message whose push has returned is finished | `end.rs` |
//! | "all senders are gone" is told after what they committed is finished or in somebody's hands | `pop.rs` |
//! | no cursor is where nobody can have come | `push.rs`, `pop.rs` |
//! | a lap that was found over has no writer, no message and no reader, from then on | `over.rs` |
//!
//! | from each state that is tried (one in some, by chance) | where |
//! |---|---|
//! | each process alone ends its operation in 150 steps | `invariants.rs` |
//! | each receiver alone, and a newcomer, gets every message whose push has returned and that nobody else holds; and then the end of a closed stream | |
//! | full is full: no free slot is left over where all have come to rest | |
//! | one operation that stands still for ever costs one slot at most, to all others together | |
//! | if all die, the next to come lose nothing and have all slots | |
//! | claims go round in the order of positions | |
//! | when all have come to rest, or have died, and the dead are swept, each lap is over or a message | `over.rs` |
//!
//! # Where
//!
//! All schedules of these worlds hold (slots; messages of each producer; consumers); those
//! marked as full are searched with `MODEL_FULL=1` only.
//!
//! | world | with | states |
//! |---|---|---|
//! | 2; 1, 1; 1 | a kill | 450,701 |
//! | 2; 2; 2 | | 231,327 |
//! | 2; 1; 2 | a kill, a newcomer | 258,822 |
//! | 1; 1, 1; 1 | a kill, a newcomer | 377,090 |
//! | 2; 1; 1 | two kills, a newcomer | 5,860 |
//! | 2; 1, 1; 1 | fences on both sides | 48,586 |
//! | 3; 1, 1; 1 | laps that go round | 48,532 |
//! | 1; 2, 1; 1 | laps that go round | 139,004 |
//! | 2; 3; 1 | slices, claims given up, a message given back, looks at all again | 561,128 |
//! | 2; 1; 2 | work in place, a message given back, looks at all again | 117,156 |
//! | 1; 1, 1; 1 | something forgotten, somebody leaves, a newcomer | 224,874 |
//! | 1; 1; 2 | the same | 87,786 |
//! | 1; 1; 2 | closed | 316,857 |
//! | 1; 1; 1 | closed, two kills, a newcomer | 25,179 |
//! | 1; 1, 1; 2 | closed, after a sender has fallen two laps behind | 2,309,465 |
//! | 2; 1, 1; 1 | closed | 1,184,470 |
//! | 1; 1; 2 | closed, two kills | 695,390 |
//! | 2; 1; 2 | closed, a kill | 907,939 |
//! | 1; 1; 2 | closed, a kill, a message given back | 1,513,807 |
//! | 4; 3; 1 | a kill, a newcomer | 213,689 |
//! | 2; 1, 1; 1 | somebody asks | 711,422 |
//! | 1; 1, 1; 1 | somebody asks, a kill | 1,969,982 |
//! | 1; 2; 1 | somebody asks, a kill, a newcomer | 178,032 |
//! | 2; 2; 1 | somebody asks, claims given up, a message given back | 350,703 |
//! | 1; 1; 1 | somebody asks, closed, a kill | 61,683 |
//! | 1; 1, 1; 1 | somebody asks, closed (full) | 4,216,279 |
//! | 2; 1, 1; 1 | somebody asks, a kill (full) | 6,941,391 |
//! | 1; 1, 1; 2 | closed (full) | 41,627,139 |
//! | 1; 2; 2 | closed, a kill, a newcomer (full) | 17,713,628 |
//! | 2; 1; 2 | two kills, two newcomers (full) | 1,494,007 |
//! | 2; 2; 2 | a kill, a newcomer (full) | 5,446,088 |
//! | 2; 1, 1; 2 | (full) | 2,703,802 |
//!
//! Random schedules hold in worlds of up to 4 slots, 3 producers and 3 consumers, with 3 kills and all
//! of the above mixed: 400,000 steps of each in the normal run, 120 million with `MODEL_FULL=1`.
//!
//! States are known by 64 bits, from which is left out what makes no difference to what can follow
//! (`fingerprint.rs`; a test there compares what follows).
//!
//! # That it would be noticed
//!
//! Each [`Rule`] is taken away once, in `tests/protocol/mutations.rs`, and something must go wrong: in
//! some schedule of the smallest world known, or in a kept one, where the search takes long. The kept
//! ones break the world without the rule, and not the one that has it.
//!
//! | without | goes wrong with (slots; messages of each producer; consumers) |
//! |---|---|
//! | [`SecondLookAtTheClaim`](Rule::SecondLookAtTheClaim), [`AnnounceLateCommits`](Rule::AnnounceLateCommits), [`PassedOutlivesTheName`](Rule::PassedOutlivesTheName), [`SecondLookBeforeFull`](Rule::SecondLookBeforeFull), [`VoidKeepsTheWriter`](Rule::VoidKeepsTheWriter), [`LateAfterEachWord`](Rule::LateAfterEachWord), [`ScanForLate`](Rule::ScanForLate), [`CursorWaitsForItsOwnLap`](Rule::CursorWaitsForItsOwnLap), [`BarrierBeforePassing`](Rule::BarrierBeforePassing), [`SecondLookBeforePassing`](Rule::SecondLookBeforePassing), [`SweepMakesThePendingVoid`](Rule::SweepMakesThePendingVoid), [`SweepAnnounces`](Rule::SweepAnnounces) | 2; 1, 1; 1 |
//! | [`NameGoesAfterBeingPassed`](Rule::NameGoesAfterBeingPassed); kept: [`BarrierBeforeVoid`](Rule::BarrierBeforeVoid), [`ScanStopsAtTheCursor`](Rule::ScanStopsAtTheCursor) | 2; 1, 2; 1 |
//! | [`TrustsNobodysPassed`](Rule::TrustsNobodysPassed) | 2; 2; 2 |
//! | [`GivenUpIsVoid`](Rule::GivenUpIsVoid), [`ScanTakesTheOldest`](Rule::ScanTakesTheOldest) | 2; 2; 1, slices, claims given up |
//! | [`ForgottenIsNotPublished`](Rule::ForgottenIsNotPublished) | 2; 3; 1, the same, a message given back, looks at all again |
//! | [`WordAfterClaim`](Rule::WordAfterClaim), [`PendingByAnyEarlierLap`](Rule::PendingByAnyEarlierLap) | 1; 2; 1, a kill, a newcomer |
//! | [`SweepChecksTheTicket`](Rule::SweepChecksTheTicket) | the same, and one more to sweep |
//! | kept: [`RedeliveriesAreCounted`](Rule::RedeliveriesAreCounted) | 1; 1; 2, a kill, a newcomer, a message given back |
//! | kept: [`GivenBackIsOvertaken`](Rule::GivenBackIsOvertaken) | 2; 2; 2, a kill |
//! | kept: [`SeenTravelsWithThePosition`](Rule::SeenTravelsWithThePosition), [`SeenIsPrivate`](Rule::SeenIsPrivate) | 3; 1, 1, 1; 2 |
//! | kept: [`JumpForgets`](Rule::JumpForgets) | 3; 4, 2; 2 |
//! | kept: [`SecondLookBeforeWalkingOn`](Rule::SecondLookBeforeWalkingOn) | 3; 4, 4; 2, in place |
//! | [`LookAtTheEndAfterClaiming`](Rule::LookAtTheEndAfterClaiming), [`SenderSettlesWhatWasTaken`](Rule::SenderSettlesWhatWasTaken), [`SenderLooksWhoHasIt`](Rule::SenderLooksWhoHasIt), [`ReceiverLooksAtTheEnd`](Rule::ReceiverLooksAtTheEnd), [`NamelessRevokedAreSettled`](Rule::NamelessRevokedAreSettled), [`ReceiverSettlesWhatItAccepts`](Rule::ReceiverSettlesWhatItAccepts), [`RejectionIsMarked`](Rule::RejectionIsMarked), and those of the judge (E2 to E6) | 1; 1; 2, closed |
//! | [`OverReadsTheWordLast`](Rule::OverReadsTheWordLast), [`OverSparesWriters`](Rule::OverSparesWriters), [`OverSparesTheOvertaken`](Rule::OverSparesTheOvertaken) | 2; 1, 2; 1, somebody asks |
//! | kept: [`RevokedClaimsStay`](Rule::RevokedClaimsStay), [`SenderLooksWhoWasRejected`](Rule::SenderLooksWhoWasRejected) | 1; 1, 1; 2, closed |
//!
//! # What is not modelled
//!
//! * Sleeping and waking, and memory orders weaker than x86's: loom has those, in the queue.
//! * The counters that go round besides laps: 24 bits of `late`, 40 of the position in `head`, the
//!   count of redeliveries (here it only grows). And a stop of half a round of laps.
//! * Patience and the fast paths: they leave out what the rest does, or do it later. The bound on
//!   rounds, and damaged words.
//! * A place is taken, and all places are looked at for "all senders are gone", in one step.
//! * Several messages in one receiver's hands, but for forgotten ones.
//! * Blocks: whose they are follows from what is modelled (`over.rs`); loom has the steps that change
//!   their words.

mod commit;
mod end;
mod explore;
mod fingerprint;
mod geometry;
mod hold;
mod invariants;
mod join;
mod memory;
mod over;
mod pop;
mod progress;
mod push;
mod rules;
mod scan;
mod schedule;
mod state;
mod sweep;
mod trace;
mod world;

pub use explore::{Found, at_random, everything, replay};
pub use rules::Rule;
pub use schedule::{NotASchedule, Schedule};
pub use trace::Trace;
pub use world::{Role, Violation, World};
