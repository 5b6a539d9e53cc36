//! Teaches why a shared value needs a lock or atomic steps, and how the next teller repairs what one
//! left half done who was killed in the middle of a transfer.
//!
//! `cargo run --release -p examples --example bank -- --help`

use clap::Parser;
use examples::{Failure, Lesson, PATIENCE, join_all, spawn_all};
use ipc_core::{Place, Segment};
use ipc_process::{Builder, ExitStatusKind, Process, WorkResult, Worker, run_if_worker};
use ipc_sync::{Barrier, Event, LockError, Mutex, MutexGuard, Reset, UpdateError, Value};
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
/// Deposits, or withdrawals, of each teller.
const ROUNDS: usize = 200;
/// What it takes to count the money, between reading a balance and writing the next.
const COUNTING: Duration = Duration::from_micros(10);
/// So many transfers are made before the next teller is killed.
const TRANSFERS: u64 = 100;
/// How often the race is run, if need be, until somebody loses it.
const TRIES: usize = 50;

fn main() -> ExitCode {
    run_if_worker(
        "bank",
        &[
            ("no lock", &no_lock),
            ("mutex", &with_mutex),
            ("atomic", &with_atomic_steps),
            ("half way", &killed_half_way),
            ("transfers", &transfer_for_ever),
        ],
    );
    let options = Options::parse();
    Lesson::run("bank", options.json, |lesson| {
        deposits(lesson, options.tellers)?;
        half_way(lesson)?;
        many_kills(lesson, options.kills)
    })
}

fn deposits(lesson: &mut Lesson, tellers: u32) -> Result<(), Failure> {
    lesson.part(format_args!(
        "{tellers} tellers deposit 1, {tellers} withdraw 1, {ROUNDS} times each, on {START}"
    ));
    let run = |role: &str| -> Result<i64, Failure> {
        let segment = Segment::create(Place::memfd("bank"), 1 << 16)?;
        let value = Value::create_in(&segment, "balance", START)?;
        let mutex = Mutex::create_in(&segment, "locked balance", START)?;
        Barrier::create_in(&segment, "start", 2 * tellers)?;
        join_all(&mut spawn_all(2 * tellers as usize, |index| {
            let amount: i64 = if index % 2 == 0 { 1 } else { -1 };
            Ok(teller(role, &segment)?.params(amount.to_ne_bytes()))
        })?)?;
        // One of the two was used; the other is what it was.
        Ok(value.get()? + mutex.get()? - START)
    };

    // Lost deposits and lost withdrawals may make up for each other: then once more.
    let mut balance = START;
    for _ in 0..TRIES {
        balance = run("no lock")?;
        if balance != START {
            break;
        }
    }
    let sentence = "read, add, write: what others wrote in between is lost";
    lesson.check("balance_no_lock", balance, balance != START, sentence);

    let sentence = "with the mutex nobody comes in between";
    lesson.expect("balance_mutex", run("mutex")?, START, sentence);
    let sentence = "fetch_add is one step, and needs no lock";
    lesson.expect("balance_atomic", run("atomic")?, START, sentence);
    Ok(())
}

fn teller(role: &str, segment: &Segment) -> Result<Builder, Failure> {
    Ok(Process::builder("bank", role).fd("segment", segment.descriptor()?))
}

/// What the three tellers have in common: they begin together.
fn begin(worker: &mut Worker) -> Result<(Segment, i64), Failure> {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    Barrier::open_in(&segment, "start")?.join()?.wait()?;
    Ok((segment, i64::from_ne_bytes(worker.params().try_into()?)))
}

fn no_lock(worker: &mut Worker) -> WorkResult {
    let (segment, amount) = begin(worker)?;
    let balance = Value::<i64>::open_in(&segment, "balance")?;
    for _ in 0..ROUNDS {
        let read = balance.get()?;
        std::thread::sleep(COUNTING);
        balance.set(read + amount)?;
    }
    Ok(())
}

fn with_mutex(worker: &mut Worker) -> WorkResult {
    let (segment, amount) = begin(worker)?;
    let balance = Mutex::<i64>::open_in(&segment, "locked balance")?;
    for _ in 0..ROUNDS {
        let mut balance = balance.lock().map_err(UpdateError::from)?;
        let read = *balance;
        std::thread::sleep(COUNTING);
        *balance = read + amount;
    }
    Ok(())
}

fn with_atomic_steps(worker: &mut Worker) -> WorkResult {
    let (segment, amount) = begin(worker)?;
    let balance = Value::<i64>::open_in(&segment, "balance")?;
    for _ in 0..ROUNDS {
        std::thread::sleep(COUNTING);
        balance.fetch_add(amount)?;
    }
    Ok(())
}

/// Two accounts. Together they always have `START`, except in the middle of a transfer.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Accounts {
    savings: i64,
    current: i64,
}

impl Accounts {
    const OPENED: Accounts = Accounts {
        savings: START,
        current: 0,
    };

    fn sum(&self) -> i64 {
        self.savings + self.current
    }

    /// What has left one account and not reached the other goes back.
    fn undo_half_a_transfer(&mut self) -> i64 {
        let missing = START - self.sum();
        self.savings += missing;
        missing
    }
}

/// Locks the accounts, in whatever state the last teller left them. Also gives what was missing.
fn lock(accounts: &Mutex<Accounts>) -> Result<(MutexGuard<'_, Accounts>, Option<i64>), Failure> {
    match accounts.lock() {
        Ok(guard) => Ok((guard, None)),
        Err(LockError::OwnerDied(mut half_done)) => {
            let missing = half_done.undo_half_a_transfer();
            Ok((half_done.repaired(), Some(missing)))
        }
        Err(error) => Err(UpdateError::from(error).into()),
    }
}

fn half_way(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("A teller is killed half way through a transfer of 100");
    let segment = Segment::create(Place::memfd("accounts"), 1 << 16)?;
    let accounts = Mutex::create_in(&segment, "accounts", Accounts::OPENED)?;
    let half_done = Event::create_in(&segment, "half done", Reset::Manual)?;
    let mut teller = teller("half way", &segment)?.spawn()?;
    half_done.wait_timeout(PATIENCE)?;
    teller.kill()?;
    teller.join()?;

    let (guard, missing) = lock(&accounts)?;
    let sentence = "the next one is told (OwnerDied), and finds out what is missing";
    lesson.expect("missing", missing, Some(100), sentence);
    lesson.expect("repaired_sum", guard.sum(), START, "and puts it back");
    drop(guard);
    let (_, missing) = lock(&accounts)?;
    lesson.expect("missing_again", missing, None, "the one after is not told");
    Ok(())
}

fn killed_half_way(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let accounts = Mutex::<Accounts>::open_in(&segment, "accounts")?;
    let (mut accounts, _) = lock(&accounts)?;
    accounts.savings -= 100;
    Event::open_in(&segment, "half done")?.set()?;
    loop {
        std::thread::park();
    }
}

fn many_kills(lesson: &mut Lesson, kills: u32) -> Result<(), Failure> {
    lesson.part(format_args!(
        "{kills} tellers are killed at any moment of their transfers"
    ));
    let segment = Segment::create(Place::memfd("accounts"), 1 << 16)?;
    let accounts = Mutex::create_in(&segment, "accounts", Accounts::OPENED)?;
    let transfers = Value::create_in(&segment, "transfers", 0u64)?;
    let repairs = Value::create_in(&segment, "repairs", 0u64)?;
    let mut killed = 0;
    for _ in 0..kills {
        let before = transfers.get()?;
        let mut tellers = spawn_all(2, |_| teller("transfers", &segment))?;
        // Until they are at it: nothing else tells.
        while transfers.get()? < before + TRANSFERS && tellers[0].is_alive() {
            std::thread::sleep(Duration::from_micros(100));
        }
        tellers[0].kill()?;
        killed += u32::from(tellers[0].join()?.status == ExitStatusKind::Signal(9));
        // The other one is killed when dropped.
    }
    let (guard, _) = lock(&accounts)?;
    lesson.say(format_args!(
        "{} transfers, {} times a teller found half of one",
        transfers.get()?,
        repairs.get()?
    ));
    lesson.note("transfers", transfers.get()?);
    lesson.note("repairs", repairs.get()?);
    lesson.expect("killed", killed, kills, "tellers were killed at it");
    let sentence = "no money was lost or made";
    lesson.expect("sum_after_kills", guard.sum(), START, sentence);
    Ok(())
}

fn transfer_for_ever(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let accounts = Mutex::<Accounts>::open_in(&segment, "accounts")?;
    let transfers = Value::<u64>::open_in(&segment, "transfers")?;
    let repairs = Value::<u64>::open_in(&segment, "repairs")?;
    for amount in (1..=7).cycle() {
        let (mut accounts, missing) = lock(&accounts)?;
        repairs.fetch_add(missing.is_some_and(|it| it != 0).into())?;
        accounts.savings -= amount;
        std::thread::sleep(COUNTING);
        accounts.current += amount;
        transfers.fetch_add(1)?;
    }
    Ok(())
}
