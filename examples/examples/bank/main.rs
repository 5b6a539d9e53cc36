//! Teaches why a shared value needs a lock or atomic steps, and how the next teller repairs what one
//! left half done who was killed in the middle of a transfer.
//!
//! `cargo run --release -p examples --example bank -- --help`

mod deposits;
mod transfers;

use clap::Parser;
use examples::{Failure, Lesson};
use ipc_core::Segment;
use ipc_process::{Builder, Process, run_if_worker};
use std::process::ExitCode;
use std::time::Duration;

/// Deposits and withdrawals of several tellers on one account: wrong without a lock, right with one,
/// right with atomic steps; and transfers whose teller is killed half way.
#[derive(Parser)]
#[command(name = "bank")]
struct Options {
    /// Tellers that deposit; as many withdraw.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=20))]
    tellers: u32,
    /// Tellers that are killed at some moment of their transfers.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(..=100))]
    kills: u32,
    /// Print one JSON object instead of telling what happens.
    #[arg(long)]
    json: bool,
}

const START: i64 = 1000;
/// What it takes to count the money, between reading a balance and writing the next.
const COUNTING: Duration = Duration::from_micros(10);

fn main() -> ExitCode {
    run_if_worker(
        "bank",
        &[
            ("no lock", &deposits::no_lock),
            ("mutex", &deposits::with_mutex),
            ("atomic", &deposits::with_atomic_steps),
            ("half way", &transfers::killed_half_way),
            ("transfers", &transfers::transfer_for_ever),
        ],
    );
    let options = Options::parse();
    Lesson::run("bank", options.json, |lesson| {
        deposits::three_ways(lesson, options.tellers)?;
        transfers::half_way(lesson)?;
        transfers::many_kills(lesson, options.kills)
    })
}

fn teller(role: &str, segment: &Segment) -> Result<Builder, Failure> {
    Ok(Process::builder("bank", role).fd("segment", segment.descriptor()?))
}
