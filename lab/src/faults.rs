//! Proof that the lab sees: faults planted in the libraries, and what it says of each.

use crate::case::Fate;
use crate::crew::{self, Job};
use crate::plan::Plan;
use crate::run::Runnable;
use crate::tally::Tally;
use ipc_core::planted::{Fault, choose};
use std::io::{Result, Write};

/// Each fault, and the operations that show it.
const FAULTS: [(Fault, &[&str]); 16] = [
    (Fault::PublishedFirst, &["spsc: Push, new"]),
    (Fault::PublishedInTwo, &["spsc: PushSlice, new"]),
    (Fault::RoleNotReleased, &["spsc: Push, new"]),
    (
        Fault::OwnerAfterClaim,
        &["mpmc: Push, new", "mpmc: Commit, wrapping"],
    ),
    (
        Fault::ClaimNotSwept,
        &["mpmc: Commit, new", "mpmc: Push, of one"],
    ),
    (Fault::MessageNotSwept, &["mpmc: Take, full"]),
    (
        Fault::LateNotRaised,
        &["mpmc: Take, full", "mpmc: TakeSlice, full"],
    ),
    (Fault::BlockNotSwept, &["mpmc bytes: Commit, new"]),
    (Fault::PermitsTwice, &["semaphore: Two, Free"]),
    (Fault::SoundAfterDeath, &["mutex: Lock, Free"]),
    (Fault::ReaderNotSwept, &["rwlock: Read, Free"]),
    (Fault::IndexBeforeCell, &["value: Set, 256 bytes"]),
    (Fault::DoneBeforeValue, &["once: Initialise"]),
    (Fault::HandlesNotSwept, &["mutex: Lock, Free"]),
    (Fault::BuriedFirst, &["mutex: Lock, Free"]),
    (Fault::CommittedBeforeContents, &["segment: CreateObject"]),
];

/// Plants each and says where a victim died and what broke. Returns how many were not seen.
pub fn show(all: &[Box<dyn Runnable>], at_once: usize, out: &mut impl Write) -> Result<u64> {
    let mut unseen = 0;
    for (fault, shown_by) in FAULTS {
        let is_wanted = |name: String| shown_by.iter().any(|it| name.starts_with(it));
        let wanted = all.iter().filter(|it| is_wanted(it.name()));
        let jobs: Vec<Job<'_>> = wanted
            .flat_map(|subject| {
                Fate::ALL.map(|fate| Job {
                    subject: &**subject,
                    fate,
                })
            })
            .collect();
        let mut tallies = Vec::new();
        let plan = Plan {
            enough: 2,
            ..Plan::new(1, 0)
        };
        choose(Some(fault));
        let played = crew::play(&jobs, plan, at_once, |_, it| tallies.push(it));
        choose(None);
        played?;
        unseen += u64::from(tallies.iter().all(|it| it.violations == 0));
        write!(out, "{}", describe(fault, &tallies))?;
    }
    writeln!(out, "{} faults, {unseen} not seen", FAULTS.len())?;
    Ok(unseen)
}

fn describe(fault: Fault, tallies: &[Tally]) -> String {
    let cases: u64 = tallies.iter().map(|it| it.cases).sum();
    let violations: u64 = tallies.iter().map(|it| it.violations).sum();
    let mut text = format!("{fault:?}: seen in {violations} of the first {cases} cases\n");
    let first = tallies.iter().find_map(|it| Some((it, it.first.first()?)));
    if let Some((tally, violation)) = first {
        let how = format!("{:?}", violation.fate).to_lowercase();
        let what = violation.what.replace('\n', " ");
        text += &format!("    {}: {how} at {}\n", tally.operation, violation.place);
        text += &format!("    {what}\n");
    }
    text
}
