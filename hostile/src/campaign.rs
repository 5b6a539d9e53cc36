//! Trials of every kind of object in processes under watch, and what they found.

use crate::live;
use crate::progress::{Count, Progress};
use crate::random::Random;
use crate::subject::{Failure, Subject};
use crate::subjects::{SUBJECTS, find};
use crate::trial::{Arena, Replay};
use crate::watch::{Verdict, Watch};
use ipc_process::{Process, Role, WorkResult, Worker, run_if_worker};
use std::fmt;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

const SCOPE: &str = "hostile";
/// After so many findings with one subject the others have their turn.
const ENOUGH: usize = 3;
/// How many lines of a finding's end are kept besides its mutations.
const LAST: usize = 8;

/// What is to be done.
#[derive(Clone, Debug)]
#[must_use]
pub struct Campaign {
    seed: u64,
    operations: u64,
    live: u64,
    only: Vec<String>,
    under_test: Option<String>,
}

/// What a worker is to do: numbers, and which mutations to leave out.
struct Task {
    subject: &'static Subject,
    seed: u64,
    first: u64,
    /// 0 for one trial.
    operations: u64,
    replay: Replay,
}

/// Something that must not be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of object.
    pub subject: &'static str,
    /// What happened.
    pub verdict: Verdict,
    /// Which trial; none for two processes at work.
    pub trial: Option<u64>,
    /// The mutations that it takes, and the calls between them, in words.
    pub steps: Vec<String>,
}

/// What was done to one kind of object.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Row {
    /// The kind.
    pub subject: &'static str,
    /// Segments opened, or refused.
    pub opens: u64,
    /// Calls that returned.
    pub operations: u64,
    /// Those of them that returned an error.
    pub refused: u64,
    /// Changes of the memory, in one process.
    pub mutations: u64,
    /// Segments found mapped at random moments.
    pub mapped: u64,
    /// Those of them that lay between guard pages.
    pub caged: u64,
    /// Trials with damage to the object only, and nothing else changed.
    pub confined: u64,
    /// Changes of the memory while two processes worked.
    pub live_mutations: u64,
    /// Calls of those two.
    pub live_operations: u64,
}

/// What a campaign has done and found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// What determines the trials.
    pub seed: u64,
    /// By kind.
    pub rows: Vec<Row>,
    /// Nothing, if all is well.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub took: Duration,
}

/// Runs the tasks of a campaign, in the processes that it started; returns in all others. Belongs
/// at the beginning of `main`, or of a test.
pub fn run_if_hostile() {
    let trials: Role<'_> = &trials;
    let live: Role<'_> = &|worker| {
        let task = Task::decode(worker.params())?;
        live::work(worker, task.subject, task.seed)
    };
    run_if_worker(SCOPE, &[("trials", trials), ("live", live)]);
}

impl Campaign {
    /// One that this seed determines.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            operations: 0,
            live: 0,
            only: Vec::new(),
            under_test: None,
        }
    }

    /// How many opens and calls in one process there are to be, of all kinds together.
    pub fn operations(mut self, operations: u64) -> Self {
        self.operations = operations;
        self
    }

    /// How many changes while two processes work, of all kinds together.
    pub fn live(mut self, mutations: u64) -> Self {
        self.live = mutations;
        self
    }

    /// Only kinds whose names begin with one of these; all if there are none.
    pub fn only(mut self, names: Vec<String>) -> Self {
        self.only = names;
        self
    }

    /// Workers are this test of a test program.
    pub fn under_test(mut self, test: &str) -> Self {
        self.under_test = Some(test.to_owned());
        self
    }

    /// Does it, and tells meanwhile what is under way.
    ///
    /// # Errors
    /// If processes or segments cannot be made, or no kind has such a name.
    pub fn run(&self) -> Result<Report, Failure> {
        let start = Instant::now();
        let is_chosen = |it: &&Subject| {
            self.only.is_empty() || self.only.iter().any(|name| it.name.starts_with(&**name))
        };
        let chosen: Vec<_> = SUBJECTS.iter().filter(is_chosen).collect();
        if chosen.is_empty() {
            let names: Vec<_> = SUBJECTS.iter().map(|it| it.name).collect();
            return Err(format!("no such kind; there are: {}", names.join("; ")).into());
        }
        let (mut rows, mut findings) = (Vec::new(), Vec::new());
        let share = |all: u64| all.div_ceil(chosen.len() as u64);
        for subject in &chosen {
            eprintln!("{}", subject.name);
            let mut row = self.alone(subject, share(self.operations), &mut findings)?;
            if self.live > 0 {
                self.two(subject, share(self.live), &mut row, &mut findings)?;
            }
            rows.push(row);
        }
        Ok(Report {
            seed: self.seed,
            rows,
            findings,
            took: start.elapsed(),
        })
    }

    /// Runs one trial and says on standard error what it does.
    ///
    /// # Errors
    /// If there is no such kind, or the process cannot be made.
    pub fn replay(&self, subject: &str, trial: u64) -> Result<Verdict, Failure> {
        let subject = find(subject).ok_or("no such kind")?;
        let replay = Replay {
            is_told: true,
            ..Replay::default()
        };
        Ok(self.once(subject, trial, replay, Stderr::Shown)?.0)
    }

    fn alone(
        &self,
        subject: &'static Subject,
        operations: u64,
        findings: &mut Vec<Finding>,
    ) -> Result<Row, Failure> {
        let mut row = Row::new(subject.name);
        let (mut first, mut found) = (0, 0);
        while row.operations + row.opens < operations && found < ENOUGH {
            let progress = Progress::new()?;
            let task = Task {
                subject,
                seed: self.seed,
                first,
                operations: operations - row.operations - row.opens,
                replay: Replay::default(),
            };
            let process = self.start("trials", &task, &[("progress", progress.as_fd())])?;
            let verdict = Watch::new(process.spawn()?).end(&progress)?;
            row.add(&progress);
            if verdict == Verdict::Done {
                break;
            }
            found += 1;
            let trial = progress.get(Count::Trial);
            findings.push(Finding {
                subject: subject.name,
                steps: self.minimal(subject, trial, &verdict)?,
                verdict,
                trial: Some(trial),
            });
            first = trial + 1;
        }
        Ok(row)
    }

    fn two(
        &self,
        subject: &'static Subject,
        mutations: u64,
        row: &mut Row,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Failure> {
        let mut left = mutations;
        for attempt in 0..ENOUGH as u64 {
            let mut random = Random::of_part(self.seed, 1 << 32 | attempt);
            let task = Task {
                subject,
                seed: random.word(),
                first: 0,
                operations: 0,
                replay: Replay::default(),
            };
            let outcome = live::damage(subject, left, &mut random, |fds| {
                Ok(self.start("live", &task, fds)?.spawn()?)
            })?;
            row.live_mutations += outcome.mutations;
            row.live_operations += outcome.operations;
            left -= outcome.mutations.min(left);
            let Some((verdict, steps)) = outcome.found else {
                break;
            };
            findings.push(Finding {
                subject: subject.name,
                verdict,
                trial: None,
                steps,
            });
        }
        Ok(())
    }

    /// The steps of a trial, without those mutations that its outcome does not need.
    fn minimal(
        &self,
        subject: &'static Subject,
        trial: u64,
        verdict: &Verdict,
    ) -> Result<Vec<String>, Failure> {
        let tell = |without: &[usize]| Replay {
            without: without.to_vec(),
            is_told: true,
        };
        let mut without = Vec::new();
        if let Verdict::Stuck(_) = verdict {
            // Each attempt would take as long as it takes to be sure.
            return Ok(vec!["repeat it to see its steps".to_owned()]);
        }
        let (again, mut steps) = self.once(subject, trial, tell(&without), Stderr::Kept)?;
        if again != *verdict {
            steps.push(format!("another outcome when repeated: {again}"));
            return Ok(steps);
        }
        let mutation = |line: &String| {
            line.strip_prefix("mutation ")?
                .split(':')
                .next()?
                .parse()
                .ok()
        };
        let mutations: Vec<usize> = steps.iter().filter_map(mutation).collect();
        for number in mutations {
            without.push(number);
            let (fewer, shorter) = self.once(subject, trial, tell(&without), Stderr::Kept)?;
            if fewer == *verdict {
                steps = shorter;
            } else {
                without.pop();
            }
        }
        Ok(steps)
    }

    fn once(
        &self,
        subject: &'static Subject,
        trial: u64,
        replay: Replay,
        stderr: Stderr,
    ) -> Result<(Verdict, Vec<String>), Failure> {
        let progress = Progress::new()?;
        let task = Task {
            subject,
            seed: self.seed,
            first: trial,
            operations: 0,
            replay,
        };
        let told = tempfile()?;
        let mut builder = self.start("trials", &task, &[("progress", progress.as_fd())])?;
        if stderr == Stderr::Kept {
            builder = builder
                .env("RUST_BACKTRACE", "0")
                .stderr(std::fs::File::from(told.as_fd().try_clone_to_owned()?));
        }
        let verdict = Watch::new(builder.spawn()?).end(&progress)?;
        let mut text = Vec::new();
        let mut told = std::fs::File::from(told);
        std::io::Seek::rewind(&mut told)?;
        std::io::Read::read_to_end(&mut told, &mut text)?;
        let text = String::from_utf8_lossy(&text);
        let last = text.lines().count().saturating_sub(LAST);
        let lines = text.lines().enumerate();
        let matters = |(at, line): &(usize, &str)| *at >= last || line.starts_with("mutation ");
        let steps = lines.filter(matters).map(|(_, line)| line.to_owned());
        Ok((verdict, steps.collect()))
    }

    fn start(
        &self,
        role: &str,
        task: &Task,
        fds: &[(&str, std::os::fd::BorrowedFd<'_>)],
    ) -> Result<ipc_process::Builder, Failure> {
        let mut builder = Process::builder(SCOPE, role).params(task.encode().as_bytes());
        for (key, fd) in fds {
            builder = builder.fd(*key, fd);
        }
        if let Some(test) = &self.under_test {
            builder = builder.under_test(test);
        }
        Ok(builder)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stderr {
    Shown,
    Kept,
}

fn tempfile() -> nix::Result<std::os::fd::OwnedFd> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    memfd_create("told", MFdFlags::MFD_CLOEXEC)
}

/// The role of a process with a subject of its own.
fn trials(worker: &mut Worker) -> WorkResult {
    let task = Task::decode(worker.params())?;
    let progress = Progress::of(worker.take_fd("progress")?)?;
    let arena = Arena::new(task.subject, task.seed)?;
    for number in task.first.. {
        progress.set(Count::Trial, number);
        arena.trial(task.seed, number, &progress, &task.replay)?;
        if progress.get(Count::Operations) + progress.get(Count::Opens) >= task.operations {
            break;
        }
    }
    Ok(())
}

impl Task {
    fn encode(&self) -> String {
        let without: Vec<_> = self.replay.without.iter().map(usize::to_string).collect();
        format!(
            "{}\n{}\n{}\n{}\n{}\n{}",
            self.subject.name,
            self.seed,
            self.first,
            self.operations,
            u8::from(self.replay.is_told),
            without.join(" ")
        )
    }

    fn decode(params: &[u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(params)?;
        let lines: Vec<_> = text.split('\n').collect();
        let [name, seed, first, operations, is_told, without] = lines[..] else {
            return Err("a task has six lines".into());
        };
        let without = without.split_ascii_whitespace().map(str::parse);
        Ok(Self {
            subject: find(name).ok_or("no such kind")?,
            seed: seed.parse()?,
            first: first.parse()?,
            operations: operations.parse()?,
            replay: Replay {
                is_told: is_told == "1",
                without: without.collect::<Result<_, _>>()?,
            },
        })
    }
}

impl Row {
    fn new(subject: &'static str) -> Self {
        Self {
            subject,
            opens: 0,
            operations: 0,
            refused: 0,
            mutations: 0,
            mapped: 0,
            caged: 0,
            confined: 0,
            live_mutations: 0,
            live_operations: 0,
        }
    }

    fn add(&mut self, progress: &Progress) {
        for (sum, count) in [
            (&mut self.opens, Count::Opens),
            (&mut self.operations, Count::Operations),
            (&mut self.refused, Count::Refused),
            (&mut self.mutations, Count::Mutations),
            (&mut self.mapped, Count::Mapped),
            (&mut self.caged, Count::Caged),
            (&mut self.confined, Count::Confined),
        ] {
            *sum += progress.get(count);
        }
    }
}

impl Report {
    /// A sum over all kinds.
    pub fn total(&self, of: impl Fn(&Row) -> u64) -> u64 {
        self.rows.iter().map(of).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:20} {:>9} {:>11} {:>8} {:>10} {:>9} {:>8} | {:>9} {:>11}",
            "",
            "opens",
            "calls",
            "refused",
            "mutations",
            "confined",
            "caged",
            "live mut.",
            "live calls"
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "{:20} {:>9} {:>11} {:>7.0}% {:>10} {:>9} {:>7.0}% | {:>9} {:>11}",
                row.subject,
                row.opens,
                row.operations,
                percent(row.refused, row.operations),
                row.mutations,
                row.confined,
                percent(row.caged, row.mapped),
                row.live_mutations,
                row.live_operations,
            )?;
        }
        writeln!(
            f,
            "seed {}: {} opens, {} calls and {} mutations in one process, {} mutations under {} calls of two; {:.0} s",
            self.seed,
            self.total(|it| it.opens),
            self.total(|it| it.operations),
            self.total(|it| it.mutations),
            self.total(|it| it.live_mutations),
            self.total(|it| it.live_operations),
            self.took.as_secs_f64(),
        )?;
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        write!(f, "violations: {}", self.findings.len())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.verdict)?;
        if let Some(trial) = self.trial {
            write!(f, " (--replay \"{}\" --trial {trial})", self.subject)?;
        }
        self.steps
            .iter()
            .try_for_each(|step| write!(f, "\n    {step}"))
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}
