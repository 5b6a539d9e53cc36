//! The command line.

use crate::case::Fate;
use crate::crew::{self, Job};
use crate::plan::Plan;
use crate::report::Report;
use crate::report::html::Page;
use crate::report::table::Table;
use crate::run::Runnable;
use crate::subjects;
use clap::Parser;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Kills, and stops, a process after each instruction of each operation, and lets others check
/// what is left.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Cut off after every instruction.
    #[arg(long)]
    full: bool,
    /// Cut off after every how-manieth instruction.
    #[arg(long, default_value_t = 7, conflicts_with = "full", value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Only every how-manieth operation.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    share: u64,
    /// Which instructions, and operations, those are. Default: the day, so that all have their turn.
    #[arg(long)]
    seed: Option<u64>,
    /// Only operations whose name contains this; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Not operations whose name contains this; may be given several times.
    #[arg(long)]
    skip: Vec<String>,
    /// How many processes play at once. Default: two for each processor, since many cases sleep.
    #[arg(long)]
    jobs: Option<usize>,
    /// Shows the names of all operations.
    #[arg(long)]
    list: bool,
    /// Plants faults in the libraries and shows what it says of each. Needs a build with
    /// RUSTFLAGS="--cfg planted_faults".
    #[arg(long)]
    planted: bool,
    /// Shows one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Writes a page to this file.
    #[arg(long)]
    html: Option<PathBuf>,
}

/// Does what the command line says. The process has one thread. Fails if anything was found.
pub fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        // Nobody reads any more.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> std::io::Result<u64> {
    let mut out = std::io::stdout().lock();
    let all = subjects::all();
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let at_once = arguments.jobs.unwrap_or(2 * cores).max(1);
    if arguments.planted {
        return planted(&all, at_once, &mut out);
    }
    let is_wanted = |it: &&dyn Runnable| {
        let name = it.name();
        let is_asked_for = |only: &String| name.contains(only);
        (arguments.only.is_empty() || arguments.only.iter().any(is_asked_for))
            && !arguments.skip.iter().any(is_asked_for)
    };
    let every = if arguments.full { 1 } else { arguments.every };
    let seed = arguments.seed.unwrap_or_else(day);
    // Another share in each round of the instructions, so that all pairs have their turn.
    let first = (seed / every + seed) % arguments.share;
    let wanted: Vec<&dyn Runnable> = all
        .iter()
        .map(|it| &**it)
        .filter(is_wanted)
        .skip(first as usize)
        .step_by(arguments.share as usize)
        .collect();
    if wanted.is_empty() {
        return Err(std::io::Error::other(
            "no operation has such a name; see --list",
        ));
    }
    if arguments.list {
        wanted
            .iter()
            .try_for_each(|it| writeln!(out, "{}", it.name()))?;
        return Ok(0);
    }
    let mut report = Report {
        plan: Plan::new(every, seed),
        build: if cfg!(debug_assertions) {
            "debug assertions"
        } else {
            "optimised"
        }
        .to_owned(),
        seconds: 0.0,
        operations: Vec::new(),
    };
    let jobs: Vec<Job<'_>> = wanted
        .iter()
        .flat_map(|&subject| Fate::ALL.map(|fate| Job { subject, fate }))
        .collect();
    let start = Instant::now();
    let mut tallies: Vec<_> = jobs.iter().map(|_| None).collect();
    let shows_progress = std::io::stderr().is_terminal();
    let mut done = 0;
    crew::play(&jobs, report.plan, at_once, |number, tally| {
        done += 1;
        if shows_progress {
            let (of, name) = (jobs.len(), &tally.operation);
            eprint!(
                "\r\x1b[K{done}/{of}  {name}  {} cases, {} violations",
                tally.cases, tally.violations
            );
        }
        tallies[number] = Some(tally);
    })?;
    if shows_progress {
        eprint!("\r\x1b[K");
    }
    tallies.into_iter().flatten().for_each(|it| report.add(it));
    report.seconds = start.elapsed().as_secs_f64();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        write!(out, "{}", Table(&report))?;
    }
    if let Some(path) = &arguments.html {
        std::fs::write(path, Page(&report).to_string())?;
    }
    Ok(report.violations())
}

#[cfg(planted_faults)]
fn planted(
    all: &[Box<dyn Runnable>],
    at_once: usize,
    out: &mut impl Write,
) -> std::io::Result<u64> {
    crate::faults::show(all, at_once, out)
}

#[cfg(not(planted_faults))]
fn planted(_: &[Box<dyn Runnable>], _: usize, _: &mut impl Write) -> std::io::Result<u64> {
    let how = "this build has no faults; build it with RUSTFLAGS=\"--cfg planted_faults\"";
    Err(std::io::Error::other(how))
}

fn day() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |it| it.as_secs() / 86_400)
}
