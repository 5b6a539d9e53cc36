//! All kinds of objects at once, by workers that are killed, stopped, leave and come back at random
//! moments, with an account that must come out.
//!
//! Time is cut into epochs. At the end of each all workers are asked to leave, what is left is
//! taken out, and everything is counted: no message lost, doubled or torn, every permit, role,
//! block, handle and place free again, every change there once. While they work, the workers check
//! what must be true at any time: the order of rings and channels, that who has a lock is alone,
//! that nobody reads half a change.

mod jobs;
mod ledger;
mod post;
mod worker;
mod world;

use crate::random::Random;
use crate::subject::Failure;
use ipc_core::{Owner, Segment};
use ipc_process::{Exit, ExitStatusKind, Process, Role, run_if_worker};
use ipc_queue::harness::Harness;
use ledger::{Common, KINDS, Ledger, Own, SEATS};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

const SCOPE: &str = "chaos";
const ROLE: &str = "worker";
/// Between two settlements.
const EPOCH: Duration = Duration::from_secs(2);
/// Between two disturbances, at most.
const QUIET: Duration = Duration::from_millis(25);
/// How long a worker is stopped, at most.
const STOPPED: Duration = Duration::from_millis(60);
/// The time in which a worker that runs does something, whatever else the machine has to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// Every so many epochs the harness has its turn.
const HARNESS_TURN: u64 = 4;
const HARNESS_MESSAGES: u64 = 2_000;

/// Something that must not be.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub struct Violation {
    what: String,
}

impl Violation {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// What is to be done.
#[derive(Clone, Debug)]
#[must_use]
pub struct Chaos {
    seed: u64,
    time: Duration,
    under_test: Option<String>,
}

/// How it stands.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tally {
    /// How long it has gone on.
    pub elapsed: Duration,
    /// Settlements.
    pub epochs: u64,
    /// Workers killed.
    pub kills: u64,
    /// Workers stopped and continued.
    pub stops: u64,
    /// Workers that left because they were asked to.
    pub leaves: u64,
    /// Workers that came.
    pub joins: u64,
    /// Messages of queues and channels that were accounted for one by one.
    pub settled: u64,
    /// Messages of the harness, all accounted for.
    pub harness: u64,
    /// What was done of each kind.
    pub done: Vec<(&'static str, u64)>,
    /// What must not be.
    pub violations: Vec<Violation>,
}

/// Does the work of a chaos run's processes, in those; returns in all others. Belongs at the
/// beginning of `main`, or of a test.
pub fn run_if_chaos(test: Option<&str>) {
    let role: Role<'_> = &worker::work;
    run_if_worker(SCOPE, &[(ROLE, role)]);
    harness(test).run_if_worker();
}

fn harness<'a>(test: Option<&str>) -> Harness<'a, u64> {
    let harness = Harness::new("chaos harness")
        .producers(2, |source| {
            let mut number = source.skip_sent();
            while number < HARNESS_MESSAGES || source.is_asked_for_more() {
                source.send(number)?;
                number += 1;
            }
            Ok(())
        })
        .consumers(2, |sink| {
            while let Some(batch) = sink.batch()? {
                let count = batch.len() as u64;
                batch.commit(&count.to_ne_bytes())?;
            }
            Ok(())
        })
        .capacity(64)
        .disturb(4, 2);
    match test {
        Some(test) => harness.under_test(test),
        None => harness,
    }
}

struct Seat {
    process: Process,
    number: u64,
    stopped_until: Option<Instant>,
    asked: bool,
    seen: (u64, Instant),
}

struct Run<'a> {
    chaos: &'a Chaos,
    random: Random,
    segment: Segment,
    file: OwnedFd,
    ledger: Ledger,
    numbers: [u64; SEATS],
    tally: Tally,
    /// Owner ids that can be taken when nobody is there.
    free_handles: usize,
}

impl Chaos {
    /// For this long, by this seed. It determines who is killed and who does what, but not when.
    pub fn new(seed: u64, time: Duration) -> Self {
        Self {
            seed,
            time,
            under_test: None,
        }
    }

    /// Workers are this test of a test program.
    pub fn under_test(mut self, test: &str) -> Self {
        self.under_test = Some(test.to_owned());
        self
    }

    /// Does it; `watch` is told how it stands about ten times a second. Ends early at the first
    /// violation.
    ///
    /// # Errors
    /// If processes or segments cannot be made.
    pub fn run(&self, mut watch: impl FnMut(&Tally)) -> Result<Tally, Failure> {
        let segment = world::create()?;
        let mut run = Run {
            chaos: self,
            random: Random::new(self.seed),
            file: segment.descriptor()?,
            free_handles: free_handles(&segment),
            segment,
            ledger: Ledger::new()?,
            numbers: [0; SEATS],
            tally: Tally::default(),
        };
        let start = Instant::now();
        while start.elapsed() < self.time && run.tally.violations.is_empty() {
            let left = self.time.saturating_sub(start.elapsed());
            run.ledger
                .common(Common::Epoch)
                .store(run.tally.epochs, SeqCst);
            let outcome = run.epoch(left.min(EPOCH), start, &mut watch)?;
            let outcome = outcome.and_then(|()| run.settle());
            if let Err(violation) = outcome {
                run.tally.violations.push(violation);
                break;
            }
            run.tally.epochs += 1;
            if run.tally.epochs.is_multiple_of(HARNESS_TURN) {
                run.harness();
            }
            run.look(start, &mut watch);
        }
        Ok(run.tally)
    }
}

impl Seat {
    /// Lets it go on; one that is dead needs no letting.
    fn resume(&mut self) {
        let _ = self.process.resume();
        self.stopped_until = None;
    }
}

impl Run<'_> {
    fn look(&mut self, start: Instant, watch: &mut impl FnMut(&Tally)) {
        self.tally.elapsed = start.elapsed();
        let names = jobs::JOBS.iter().enumerate();
        self.tally.done = names
            .map(|(kind, (name, _))| (*name, self.ledger.done(kind).load(SeqCst)))
            .collect();
        watch(&self.tally);
    }

    /// Lets workers work and disturbs them, until the time is up and all have left.
    fn epoch(
        &mut self,
        time: Duration,
        start: Instant,
        watch: &mut impl FnMut(&Tally),
    ) -> Result<Result<(), Violation>, Failure> {
        let end = Instant::now() + time;
        let mut seats = Vec::new();
        for seat in 0..SEATS {
            seats.push(self.start(seat)?);
        }
        let mut looked = Instant::now();
        while Instant::now() < end {
            let quiet = QUIET.as_micros() as u64;
            // The rhythm of the disturbances; nothing is waited for.
            std::thread::sleep(Duration::from_micros(self.random.below(quiet)));
            if let Err(violation) = self.disturb(&mut seats)? {
                return Ok(Err(violation));
            }
            if looked.elapsed() > Duration::from_millis(100) {
                looked = Instant::now();
                self.look(start, watch);
            }
        }
        for (index, seat) in seats.iter_mut().enumerate() {
            seat.resume();
            self.ledger
                .own(index, Own::Leave)
                .store(seat.number, SeqCst);
        }
        for seat in &mut seats {
            let Some(exit) = seat.process.join_timeout(PATIENCE)? else {
                return Ok(Err(Violation::new(format!(
                    "{} was asked to leave and does not",
                    seat.process.name()
                ))));
            };
            if let Err(violation) = well(&exit) {
                return Ok(Err(violation));
            }
            self.tally.leaves += 1;
        }
        Ok(Ok(()))
    }

    fn start(&mut self, seat: usize) -> Result<Seat, Failure> {
        self.numbers[seat] += 1;
        self.tally.joins += 1;
        let number = self.numbers[seat];
        let params = format!("{seat} {number} {}", self.chaos.seed);
        let mut builder = Process::builder(SCOPE, ROLE)
            .name(format!("worker {number} of seat {seat}"))
            .params(params.as_bytes())
            .fd("segment", &self.file)
            .fd("ledger", self.ledger.as_fd());
        if let Some(test) = &self.chaos.under_test {
            builder = builder.under_test(test);
        }
        Ok(Seat {
            process: builder.spawn()?,
            number,
            stopped_until: None,
            asked: false,
            seen: (0, Instant::now()),
        })
    }

    /// Does something to somebody, and sees whether all are well.
    fn disturb(&mut self, seats: &mut [Seat]) -> Result<Result<(), Violation>, Failure> {
        let now = Instant::now();
        for (index, seat) in seats.iter_mut().enumerate() {
            if seat.stopped_until.is_some_and(|until| until <= now) {
                seat.resume();
                seat.seen.1 = now;
            }
            if let Some(exit) = seat.process.join_timeout(Duration::ZERO)? {
                if let Err(violation) = well(&exit) {
                    return Ok(Err(violation));
                }
                if !seat.asked {
                    let what = format!("{} left, and nobody asked it to", exit.name);
                    return Ok(Err(Violation::new(what)));
                }
                self.tally.leaves += 1;
                *seat = self.start(index)?;
            }
            let progress = self.ledger.own(index, Own::Progress).load(SeqCst);
            if progress != seat.seen.0 {
                seat.seen = (progress, now);
            } else if seat.stopped_until.is_none() && seat.seen.1.elapsed() > PATIENCE {
                let what = format!("{} does nothing any more", seat.process.name());
                return Ok(Err(Violation::new(what)));
            }
        }
        let chosen = self.random.below(SEATS as u64) as usize;
        let seat = &mut seats[chosen];
        match self.random.below(8) {
            0..=3 => {
                self.ledger
                    .own(chosen, Own::Doomed)
                    .store(seat.number, SeqCst);
                // It may have come to its end just now, for a good reason or a bad one.
                let _ = seat.process.kill();
                let exit = seat.process.join()?;
                if exit.status == ExitStatusKind::Signal(libc::SIGKILL) {
                    self.tally.kills += 1;
                } else if let Err(violation) = well(&exit) {
                    return Ok(Err(violation));
                } else {
                    self.tally.leaves += 1;
                }
                *seat = self.start(chosen)?;
            }
            // One that has just come to its end cannot be stopped.
            4..=6 if seat.stopped_until.is_none() && seat.process.stop().is_ok() => {
                let most = STOPPED.as_micros() as u64;
                let time = Duration::from_micros(self.random.below(most));
                seat.stopped_until = Some(now + time);
                self.tally.stops += 1;
            }
            7 if !seat.asked => {
                self.ledger
                    .own(chosen, Own::Leave)
                    .store(seat.number, SeqCst);
                seat.asked = true;
            }
            _ => {}
        }
        Ok(Ok(()))
    }

    /// With nobody there: takes out what is left, and counts.
    fn settle(&mut self) -> Result<(), Violation> {
        let at = |what: &'static str| move |it| Violation::new(format!("{what}: {it}"));
        let segment = &self.segment;
        segment.recover().map_err(at("recovering"))?;
        let there = segment.participants().map_err(at("participants"))?;
        if there.len() != 1 {
            return Err(Violation::new(format!("somebody is left: {there:?}")));
        }
        let settling = |it| Violation::new(format!("settling: {it}"));
        jobs::drain_rings(segment).map_err(settling)?;
        jobs::drain(segment, &self.ledger).map_err(settling)?;
        self.tally.settled += self.ledger.settle().map_err(settling)?;
        jobs::check_locks(segment, &self.ledger).map_err(settling)?;
        jobs::check_counts(segment, &self.ledger).map_err(settling)?;
        let free = free_handles(segment);
        if free != self.free_handles {
            let before = self.free_handles;
            return Err(Violation::new(format!(
                "{free} handles are free of {before}"
            )));
        }
        Ok(())
    }

    fn harness(&mut self) {
        match harness(self.chaos.under_test.as_deref()).run() {
            Ok(report) if report.messages.is_exact() => {
                self.tally.harness += report.messages.received;
                self.tally.kills += u64::from(report.survived.kills);
                self.tally.stops += u64::from(report.survived.stops);
            }
            Ok(report) => {
                let what = format!("the harness: {}", report.messages);
                self.tally.violations.push(Violation::new(what));
            }
            Err(error) => {
                let what = format!("the harness: {error}");
                self.tally.violations.push(Violation::new(what));
            }
        }
    }
}

fn well(exit: &Exit) -> Result<(), Violation> {
    if exit.success() {
        Ok(())
    } else {
        Err(Violation::new(format!("{exit}")))
    }
}

/// How many owner ids can be taken. All are given back.
fn free_handles(segment: &Segment) -> usize {
    let owners: Vec<Owner> = std::iter::from_fn(|| segment.owner().ok()).collect();
    owners.len()
}

impl Tally {
    /// In one line.
    pub fn line(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| {
            write!(
                f,
                "{:5.1} s, {} epochs: {} kills, {} stops, {} leaves, {} joins, {} calls, {} messages settled, {} violations",
                self.elapsed.as_secs_f64(),
                self.epochs,
                self.kills,
                self.stops,
                self.leaves,
                self.joins,
                self.done.iter().map(|(_, done)| done).sum::<u64>(),
                self.settled + self.harness,
                self.violations.len(),
            )
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, done) in &self.done {
            writeln!(f, "{kind:20} {done:>12}")?;
        }
        writeln!(f, "{:20} {:>12}", "harness", self.harness)?;
        write!(f, "{}", self.line())?;
        self.violations
            .iter()
            .try_for_each(|it| write!(f, "\n{it}"))
    }
}

const _: () = assert!(KINDS >= 18);
