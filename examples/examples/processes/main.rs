//! Teaches what a worker process is: started and joined, named and numbered, ended in every way; what
//! it shares with its parent and what not; and that a lock does not die with it.
//!
//! `cargo run --release -p examples --example processes -- --help`

mod ends;
mod sharing;

use clap::Parser;
use examples::{Failure, Lesson, join_all, spawn_all};
use ipc_process::{Builder, Process, WorkResult, Worker, run_if_worker};
use std::process::ExitCode;

/// Starts, joins, and ends worker processes, and shows what they share.
#[derive(Parser)]
#[command(name = "processes")]
struct Options {
    /// Print one JSON object instead of telling what happens.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    // A worker is this program, executed again: in it, this runs the role and exits.
    run_if_worker(
        "processes",
        &[
            ("who am I", &who_am_i),
            ("runner", &ends::runner),
            ("end", &ends::end),
            ("sleeper", &ends::sleep_for_ever),
            ("manager", &ends::manager),
            ("counter", &sharing::count),
            ("holder", &sharing::hold),
        ],
    );
    let options = Options::parse();
    Lesson::run("processes", options.json, |lesson| {
        identity(lesson)?;
        ends::joining(lesson)?;
        ends::endings(lesson)?;
        ends::dying_with_the_parent(lesson)?;
        ends::childless(lesson)?;
        sharing::variables(lesson)?;
        sharing::terminated_with_a_lock(lesson)
    })
}

fn worker(role: &str) -> Builder {
    Process::builder("processes", role)
}

fn identity(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("A worker is a process with a name, a pid and a parent");
    let mut workers = spawn_all(3, |index| {
        Ok(worker("who am I").name(format!("worker-{index}")))
    })?;
    let told = join_all(&mut workers)?;
    let told: Vec<_> = told.iter().map(|it| String::from_utf8_lossy(it)).collect();
    let parent = std::process::id();
    let expected: Vec<_> = (workers.iter())
        .map(|it| format!("{} has pid {} and parent {parent}", it.name(), it.pid()))
        .collect();
    told.iter().for_each(|it| lesson.say(it));
    lesson.expect("identities", told, expected, "they know who they are");
    Ok(())
}

fn who_am_i(worker: &mut Worker) -> WorkResult {
    let (name, pid) = (worker.name(), std::process::id());
    let told = format!("{name} has pid {pid} and parent {}", worker.parent_pid());
    Ok(worker.set_result(told.as_bytes())?)
}
