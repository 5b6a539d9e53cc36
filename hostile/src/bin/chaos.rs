//! Kills, stops, joins and leaves at random, over all kinds of objects, for as long as you like.

use clap::Parser;
use hostile::chaos::{Chaos, run_if_chaos};
use hostile::{Failure, Random};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Lets processes work with all kinds of objects, kills and stops them at random, lets others come
/// and go, and accounts for everything.
#[derive(Parser)]
struct Options {
    /// How long
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// What determines who is killed and who does what; drawn if not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    run_if_chaos(None);
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, Failure> {
    let seed = options.seed.unwrap_or_else(Random::seed);
    println!("seed {seed}");
    let mut terminal = io::stderr();
    let is_watched = terminal.is_terminal();
    let tally = Chaos::new(seed, Duration::from_secs(options.seconds)).run(|tally| {
        if is_watched {
            // A terminal that is gone needs no status.
            let _ = write!(terminal, "\r\x1b[K{}", tally.line());
        }
    })?;
    if is_watched {
        let _ = write!(terminal, "\r\x1b[K");
    }
    println!("{tally}");
    Ok(if tally.violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
