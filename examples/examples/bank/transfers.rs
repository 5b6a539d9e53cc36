//! Transfers between two accounts, and tellers who are killed half way through one.

use crate::{COUNTING, START, teller};
use examples::{Failure, Lesson, patience, spawn_all};
use ipc_core::{Place, Segment};
use ipc_process::{ExitStatusKind, WorkResult, Worker};
use ipc_sync::{Event, LockError, Mutex, MutexGuard, Reset, UpdateError, Value};
use std::time::Duration;

/// So many transfers are made before the next teller is killed.
const TRANSFERS: u64 = 100;

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

pub fn half_way(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("A teller is killed half way through a transfer of 100");
    let segment = Segment::create(Place::memfd("accounts"), 1 << 16)?;
    let accounts = Mutex::create_in(&segment, "accounts", Accounts::OPENED)?;
    let half_done = Event::create_in(&segment, "half done", Reset::Manual)?;
    let mut teller = teller("half way", &segment)?.spawn()?;
    half_done.wait_timeout(patience())?;
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

pub fn killed_half_way(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let accounts = Mutex::<Accounts>::open_in(&segment, "accounts")?;
    let (mut accounts, _) = lock(&accounts)?;
    accounts.savings -= 100;
    Event::open_in(&segment, "half done")?.set()?;
    loop {
        std::thread::park();
    }
}

pub fn many_kills(lesson: &mut Lesson, kills: u32) -> Result<(), Failure> {
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

pub fn transfer_for_ever(worker: &mut Worker) -> WorkResult {
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
