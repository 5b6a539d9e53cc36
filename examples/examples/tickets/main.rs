//! Teaches the race for the last tickets: clients read a count, think, and write it back. Without a
//! lock they sell more than there is; with one around the buying, or all in turn, or with the count
//! in shared memory they do not, and neither when some are killed at it.
//!
//! `cargo run --release -p examples --example tickets -- --help`

mod client;
mod office;
mod sale;

use clap::Parser;
use client::Way;
use examples::{Failure, Lesson};
use ipc_process::run_if_worker;
use sale::Sale;
use std::process::ExitCode;

/// Clients query all at once how many tickets are left and then race for them: without a lock, with a
/// lock around the buying, in turn by join, with the count in shared memory, and with some killed.
#[derive(Parser)]
#[command(name = "tickets")]
struct Options {
    /// Clients, each a process; more than there are tickets.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(2..=200))]
    clients: u32,
    /// Tickets.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=199))]
    tickets: u32,
    /// Print one JSON object instead of telling what happens.
    #[arg(long)]
    json: bool,
}

/// How often they race, if need be, until they oversell without a lock, or somebody is killed in time.
const TRIES: usize = 20;

fn main() -> ExitCode {
    run_if_worker("tickets", &[("client", &client::buy_a_ticket)]);
    let options = Options::parse();
    Lesson::run("tickets", options.json, |lesson| {
        let (clients, tickets) = (options.clients, options.tickets);
        if clients <= tickets {
            return Err("there is no race: give more --clients than --tickets".into());
        }
        lesson.part(format_args!("{clients} clients, {tickets} tickets"));
        let is_oversold = |sale: &Sale| sale.bought.len() as u32 > tickets;
        let sale = hold_until(is_oversold, || Sale::hold(Way::NoLock, clients, tickets, 0))?;
        sale.tell(lesson, "no_lock", is_oversold(&sale), "no lock: oversold");
        for (way, key, sentence) in [
            (Way::FileLock, "file_lock", "buying under a file lock"),
            (Way::Join, "join", "in turn by join"),
            (Way::Mutex, "mutex", "buying under our mutex"),
            (Way::SharedCount, "shared_count", "count in shared memory"),
        ] {
            let sale = Sale::hold(way, clients, tickets, 0)?;
            sale.tell(lesson, key, sale.is_exact(tickets), sentence);
            if way == Way::Join {
                let sentence = "then even the queries queue up: one at a time";
                lesson.expect("join_asked_at_once", sale.asked_at_once, 1, sentence);
            }
        }
        let kills = clients / 3 + 1;
        lesson.part(format_args!("{kills} of the clients are killed at it"));
        for (way, key, sentence) in [
            (Way::Mutex, "mutex_kills", "under our mutex"),
            (Way::SharedCount, "count_kills", "count in shared memory"),
        ] {
            let is_disturbed = |sale: &Sale| sale.killed > 0 || !sale.is_exact(tickets);
            let sale = hold_until(is_disturbed, || Sale::hold(way, clients, tickets, kills))?;
            sale.tell(lesson, key, sale.is_exact(tickets), sentence);
            let is_right = (1..=kills).contains(&sale.killed);
            let sentence = "clients were killed before they had come to their end";
            lesson.check(&format!("{key}_killed"), sale.killed, is_right, sentence);
        }
        Ok(())
    })
}

/// The first sale that shows what is to be shown, or else the last.
fn hold_until(
    is_shown: impl Fn(&Sale) -> bool,
    hold: impl Fn() -> Result<Sale, Failure>,
) -> Result<Sale, Failure> {
    let mut sale = hold()?;
    for _ in 1..TRIES {
        if is_shown(&sale) {
            break;
        }
        sale = hold()?;
    }
    Ok(sale)
}
