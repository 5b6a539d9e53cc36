//! Kills processes that use locks, semaphores and events, and shows who goes on and who hangs.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use benches::deaths::report::{Document, Verdict};
use benches::deaths::{self, Trial, series};
use benches::report::machine::Machine;
use benches::{cpu, interrupt};
use clap::Parser;

/// Kills a process that has, waits for, or is being woken from a lock, a semaphore or an event, and
/// shows after which time the others go on, and who hangs.
#[derive(Parser)]
struct Options {
    /// Only primitives whose names begin with one of these
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// How often each is tried
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// After how many ms somebody who has not gone on hangs
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Write everything to this JSON file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(Verdict::AsMeant) => ExitCode::SUCCESS,
        Ok(Verdict::Not) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("who_hangs: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<Verdict, Box<dyn std::error::Error>> {
    interrupt::install()?;
    let trials = chosen(options)?;
    let machine = Machine::look(cpu::allowed()?.len());
    let rounds = usize::from(options.rounds);
    let limit = Duration::from_millis(options.limit);
    let mut progress = io::stderr();
    let is_watched = progress.is_terminal();
    let all = series::run(&trials, rounds, limit, |round, trial| {
        if is_watched {
            // A terminal that is gone needs no progress.
            let _ = write!(
                progress,
                "\r\x1b[K{} {:?} (round {} of {rounds})",
                trial.subject,
                trial.moment,
                round + 1
            );
        }
    });
    if is_watched {
        let _ = write!(progress, "\r\x1b[K");
    }
    let document = Document::new(machine, rounds, limit, &all?);
    write!(io::stdout(), "{document}")?;
    if let Some(path) = &options.json {
        document.write(path)?;
    }
    Ok(document.verdict())
}

/// The trials that were asked for; every name given must name one.
fn chosen(options: &Options) -> Result<Vec<Trial>, String> {
    let trials = deaths::all();
    let named = |trial: &Trial, name: &String| trial.subject.starts_with(name.as_str());
    for name in &options.only {
        if !trials.iter().any(|trial| named(trial, name)) {
            let mut names: Vec<_> = trials.iter().map(|trial| trial.subject).collect();
            names.dedup();
            return Err(format!(
                "no primitive is called {name}; there are {}",
                names.join("; ")
            ));
        }
    }
    Ok(trials
        .into_iter()
        .filter(|trial| options.only.is_empty() || options.only.iter().any(|it| named(trial, it)))
        .collect())
}
