//! Teaches messages in both directions: over a pair of pipes, over a channel in shared memory, over one
//! queue used both ways (which goes wrong), and a server with many clients, one of which is killed.
//!
//! `cargo run --release -p examples --example messages -- --help`

mod server;
mod two_way;

use clap::Parser;
use examples::{Failure, Lesson};
use ipc_core::Segment;
use ipc_process::{Builder, Process, run_if_worker};
use std::process::ExitCode;

/// Questions and answers between processes: over pipes, a channel, one queue both ways, and with a server.
#[derive(Parser)]
#[command(name = "messages")]
struct Options {
    /// Clients of the server; the first one is killed.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=50))]
    clients: u32,
    /// Print one JSON object instead of telling what happens.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    run_if_worker(
        "messages",
        &[
            ("shout", &two_way::shout),
            ("shout back", &two_way::shout_back),
            ("late", &two_way::answer_late),
            ("server", &server::serve),
            ("client", &server::ask),
            ("silent client", &server::ask_and_fall_silent),
        ],
    );
    let options = Options::parse();
    Lesson::run("messages", options.json, |lesson| {
        two_way::pipes(lesson)?;
        two_way::channel(lesson)?;
        two_way::one_queue_both_ways(lesson)?;
        server::many_clients(lesson, options.clients)
    })
}

fn worker(role: &str) -> Builder {
    Process::builder("messages", role)
}

fn with(segment: &Segment, role: &str) -> Result<Builder, Failure> {
    Ok(worker(role).fd("segment", segment.descriptor()?))
}
