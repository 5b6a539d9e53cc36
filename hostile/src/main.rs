//! Damages the memory of every kind of object and says what came of it.

use clap::Parser;
use hostile::campaign::{Campaign, run_if_hostile};
use hostile::watch::Verdict;
use hostile::{Failure, Random};
use std::process::ExitCode;

/// Changes bytes of shared memory before it is opened and while it is used, for every kind of
/// object, and says whether anything panicked, crashed, hung or reached outside.
#[derive(Parser)]
struct Options {
    /// Opens and calls in one process
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    operations: u64,
    /// Changes while two processes work
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    live: u64,
    /// What determines everything in one process; drawn if not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Only kinds whose names begin with one of these
    #[arg(long, value_name = "NAME", value_delimiter = ';')]
    only: Vec<String>,
    /// Runs one trial of this kind again and says what it does
    #[arg(long, value_name = "KIND", requires_all = ["trial", "seed"])]
    replay: Option<String>,
    /// The number of that trial
    #[arg(long, value_name = "N")]
    trial: Option<u64>,
}

fn main() -> ExitCode {
    run_if_hostile();
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hostile: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, Failure> {
    let seed = options.seed.unwrap_or_else(Random::seed);
    let campaign = Campaign::new(seed)
        .operations(options.operations)
        .live(options.live)
        .only(options.only.clone());
    if let (Some(subject), Some(trial)) = (&options.replay, options.trial) {
        let verdict = campaign.replay(subject, trial)?;
        println!("{verdict}");
        return Ok(code(verdict == Verdict::Done));
    }
    let report = campaign.run()?;
    println!("{report}");
    Ok(code(report.findings.is_empty()))
}

fn code(is_well: bool) -> ExitCode {
    if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
