//! What a worker shares with its parent, and what remains of a lock whose holder is terminated.

use crate::ends::sleep_for_ever;
use crate::worker;
use examples::{Failure, Lesson, join_all, patience};
use ipc_core::{Place, Segment};
use ipc_process::{WorkResult, Worker};
use ipc_sync::{CountingSemaphore, Event, LockError, Mutex, Reset, UpdateError, Value, WaitError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A plain variable: each process has its own.
static PLAIN: AtomicU64 = AtomicU64::new(0);

pub fn variables(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("A plain variable is not shared; a Value is");
    let segment = Segment::create(Place::memfd("shared"), 4096)?;
    let shared = Value::create_in(&segment, "count", 5u64)?;
    PLAIN.store(5, Ordering::Relaxed);
    join_all(&mut [worker("counter")
        .fd("segment", segment.descriptor()?)
        .spawn()?])?;
    let plain = PLAIN.load(Ordering::Relaxed);
    lesson.expect("plain", plain, 5, "the worker added 1 to a copy of its own");
    lesson.expect("shared", shared.get()?, 6, "the worker added 1 to ours");
    Ok(())
}

pub fn count(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    PLAIN.fetch_add(1, Ordering::Relaxed);
    Value::<u64>::open_in(&segment, "count")?.fetch_add(1)?;
    Ok(())
}

pub fn terminated_with_a_lock(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("Terminated while it holds a lock");
    let segment = Segment::create(Place::memfd("locks"), 4096)?;
    let plain_lock = CountingSemaphore::create_in(&segment, "plain lock", 1)?;
    let mutex = Mutex::create_in(&segment, "mutex", 0u64)?;
    let held = Event::create_in(&segment, "held", Reset::Manual)?;
    let mut holder = worker("holder")
        .fd("segment", segment.descriptor()?)
        .spawn()?;
    held.wait_timeout(patience())?;
    holder.terminate()?;
    holder.join()?;

    // A semaphore without owner is what a lock of Python's multiprocessing is made of.
    let waited = plain_lock.wait_timeout(Duration::from_millis(100));
    let is_stranded = matches!(waited, Err(WaitError::TimedOut));
    let sentence = "a lock without an owner is lost for ever";
    lesson.expect("plain_lock_stranded", is_stranded, true, sentence);

    let found = match mutex.lock() {
        Err(LockError::OwnerDied(mut half_done)) => {
            *half_done = 0;
            drop(half_done.repaired());
            "OwnerDied, repaired"
        }
        Ok(_) => "nothing",
        Err(error) => return Err(UpdateError::from(error).into()),
    };
    let sentence = "our mutex tells the next one, who puts things right";
    lesson.expect("mutex", found, "OwnerDied, repaired", sentence);
    lesson.expect("mutex_value", mutex.get()?, 0, "and all goes on");
    Ok(())
}

pub fn hold(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    CountingSemaphore::open_in(&segment, "plain lock")?.wait()?;
    let mutex = Mutex::<u64>::open_in(&segment, "mutex")?;
    let mut half_done = mutex.lock().map_err(UpdateError::from)?;
    *half_done = 13;
    Event::open_in(&segment, "held")?.set()?;
    sleep_for_ever(worker)
}
