//! Two processes at work on an object whose memory is damaged meanwhile.

use crate::anatomy::Anatomy;
use crate::memory::Memory;
use crate::mutation::Mutation;
use crate::progress::{Count, Progress};
use crate::random::Random;
use crate::subject::{Failure, OBJECT, Outcome, Subject};
use crate::watch::{Verdict, Watch};
use ipc_core::Segment;
use ipc_process::{Process, WorkResult, Worker};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

const WORKERS: usize = 2;
/// How many mutations are remembered for a finding.
const REMEMBERED: usize = 40;
/// After so many bursts of damage the memory is made whole again: what is damaged beyond use is
/// not worked on.
const BURSTS: usize = 12;
/// The longest time between two looks at workers that make no progress.
const LOOK: Duration = Duration::from_millis(5);

/// What came of it.
pub(crate) struct Outcomes {
    pub mutations: u64,
    pub operations: u64,
    pub found: Option<(Verdict, Vec<String>)>,
}

/// Damages the memory under two workers so many times.
pub(crate) fn damage(
    subject: &'static Subject,
    mutations: u64,
    random: &mut Random,
    start: impl Fn(&[(&str, BorrowedFd<'_>)]) -> Result<Process, Failure>,
) -> Result<Outcomes, Failure> {
    let segment = subject.segment()?;
    let memory = Memory::of(&segment)?;
    let file = segment.descriptor()?;
    let mut past = vec![memory.snapshot()];
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let progress = Progress::new()?;
        let fds = [("progress", progress.as_fd()), ("segment", file.as_fd())];
        let process = start(&fds)?;
        workers.push((Watch::new(process), progress));
    }
    let mut done = 0;
    let mut recent = VecDeque::new();
    let mut found = watch_until(&mut workers, Who::Each, 200)?;
    past.push(memory.snapshot());
    let anatomy = Anatomy::of(&segment, OBJECT, &past)?;
    while done < mutations && found.is_none() {
        for _ in 0..BURSTS {
            for _ in 0..1 + random.below(6) {
                let mutation = Mutation::draw(random, &memory, &anatomy, &past);
                if recent.len() == REMEMBERED {
                    recent.pop_front();
                }
                recent.push_back(mutation.shown(&memory).to_string());
                mutation.apply(&memory);
                done += 1;
            }
            found = watch_until(&mut workers, Who::Together, random.below(40))?;
            if found.is_some() {
                break;
            }
        }
        if found.is_none() {
            memory.restore(&past[random.below(past.len() as u64) as usize]);
            recent.push_back("all restored".to_owned());
        }
    }
    for (_, progress) in &workers {
        progress.set(Count::Stop, 1);
    }
    let mut operations = 0;
    for (watch, progress) in &mut workers {
        if found.is_none() {
            let verdict = watch.end(progress)?;
            found = (verdict != Verdict::Done).then_some(verdict);
        }
        operations += progress.get(Count::Operations);
    }
    Ok(Outcomes {
        mutations: done,
        operations,
        found: found.map(|verdict| (verdict, recent.into())),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Every worker has to make so many calls.
    Each,
    /// All of them have.
    Together,
}

/// Waits until the workers have made so many more calls; the verdict of one that ended or got stuck
/// instead.
fn watch_until(
    workers: &mut [(Watch, Progress)],
    who: Who,
    calls: u64,
) -> Result<Option<Verdict>, Failure> {
    let before: Vec<u64> = workers.iter().map(|(_, it)| it.calls()).collect();
    for looks in 0_u64.. {
        let made = workers.iter().zip(&before);
        let mut made = made.map(|((_, progress), before)| progress.calls() - before);
        let enough = match who {
            Who::Each => made.all(|it| it >= calls),
            Who::Together => made.sum::<u64>() >= calls,
        };
        if enough {
            break;
        }
        // Nobody wakes whoever waits here: nothing but the damage is to disturb the workers.
        std::thread::yield_now();
        if looks % 64 == 63 {
            for (watch, progress) in workers.iter_mut() {
                let patience = Duration::from_micros(looks);
                if let Some(verdict) = watch.look(progress, patience.min(LOOK))? {
                    return Ok(Some(verdict));
                }
            }
        }
    }
    Ok(None)
}

/// The role of each of the two: opens, uses, and comes back when nothing goes any more.
pub(crate) fn work(worker: &mut Worker, subject: &Subject, seed: u64) -> WorkResult {
    let mut random = Random::of_part(seed, std::process::id().into());
    let progress = Progress::of(worker.take_fd("progress")?)?;
    let file = worker.take_fd("segment")?;
    while progress.get(Count::Stop) == 0 {
        let opened = Segment::open(file.try_clone()?);
        progress.add(Count::Opens, 1);
        let Ok(segment) = opened else { continue };
        let Ok(mut handles) = (subject.attach)(&segment, &mut random) else {
            continue;
        };
        let mut refused = 0;
        for _ in 0..random.below(300) {
            let outcome = handles.step(&mut random, &mut std::thread::yield_now);
            progress.count(outcome);
            refused = match outcome {
                Outcome::Worked => 0,
                Outcome::Refused => refused + 1,
            };
            if refused > 50 {
                break;
            }
        }
        if random.once_in(4) {
            std::hint::black_box(segment.recover().is_ok());
        }
    }
    Ok(())
}
