//! Deposits and withdrawals of several at once: without a lock, with one, and by atomic steps.

use crate::{COUNTING, START, teller};
use examples::{Failure, Lesson, join_all, spawn_all};
use ipc_core::{Place, Segment};
use ipc_process::{WorkResult, Worker};
use ipc_sync::{Barrier, Mutex, UpdateError, Value};

/// Deposits, or withdrawals, of each teller.
const ROUNDS: usize = 200;
/// How often the race is run, if need be, until somebody loses it.
const TRIES: usize = 50;

pub fn three_ways(lesson: &mut Lesson, tellers: u32) -> Result<(), Failure> {
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

/// What the three tellers have in common: they begin together.
fn begin(worker: &mut Worker) -> Result<(Segment, i64), Failure> {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    Barrier::open_in(&segment, "start")?.join()?.wait()?;
    Ok((segment, i64::from_ne_bytes(worker.params().try_into()?)))
}

pub fn no_lock(worker: &mut Worker) -> WorkResult {
    let (segment, amount) = begin(worker)?;
    let balance = Value::<i64>::open_in(&segment, "balance")?;
    for _ in 0..ROUNDS {
        let read = balance.get()?;
        std::thread::sleep(COUNTING);
        balance.set(read + amount)?;
    }
    Ok(())
}

pub fn with_mutex(worker: &mut Worker) -> WorkResult {
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

pub fn with_atomic_steps(worker: &mut Worker) -> WorkResult {
    let (segment, amount) = begin(worker)?;
    let balance = Value::<i64>::open_in(&segment, "balance")?;
    for _ in 0..ROUNDS {
        std::thread::sleep(COUNTING);
        balance.fetch_add(amount)?;
    }
    Ok(())
}
