//! Teaches the queue, call by call, for those who know Python's `multiprocessing.Queue`: each call
//! with its counterpart here, run and checked, and what has none.
//!
//! `cargo run --release -p examples --example queue_tour -- --help`

use clap::Parser;
use examples::{Failure, Lesson, patience};
use ipc_core::{Error, Place, Segment};
use ipc_process::{Process, WorkResult, Worker, run_if_worker};
use ipc_queue::mpmc::{PopError, PushError, Queue, bytes};
use ipc_sync::{Event, Reset};
use serde::{Deserialize, Serialize};
use std::process::ExitCode;
use std::time::Duration;

/// Every call of Python's multiprocessing.Queue with its counterpart here, run and checked.
#[derive(Parser)]
#[command(name = "queue_tour")]
struct Options {
    /// Print one JSON object instead of telling what happens.
    #[arg(long)]
    json: bool,
}

const SHORT: Duration = Duration::from_millis(20);

/// What a program for Python's queue has to do without, and what it does instead.
const NONE: [(&str, &str); 5] = [
    (
        "Queue() of unlimited size",
        "the capacity is fixed at creation; a full queue makes senders wait",
    ),
    (
        "q.join_thread(), q.cancel_join_thread()",
        "not needed: when push returns, the message is there, also if the sender is killed then",
    ),
    (
        "JoinableQueue.join()",
        "count the work down with a Latch, or join the workers",
    ),
    (
        "Pool",
        "Harness runs producers and consumers; there is no apply or map",
    ),
    (
        "Manager and authkey",
        "no server process, nothing over a network; the file's permissions say who may join",
    ),
];

fn main() -> ExitCode {
    run_if_worker("queue_tour", &[("getter", &get_when_told)]);
    let options = Options::parse();
    Lesson::run("queue_tour", options.json, |lesson| {
        calls(lesson)?;
        objects(lesson)?;
        blocking(lesson)?;
        closing(lesson)?;
        lesson.part("What has no counterpart");
        for (python, instead) in NONE {
            lesson.say(format_args!("{python}: {instead}"));
        }
        lesson.note("without_counterpart", NONE.map(|(python, _)| python));
        let unlimited = Queue::<u64>::create(Place::memfd("unlimited"), 0);
        let is_refused = matches!(unlimited, Err(Error::OutOfRange { .. }));
        lesson.expect(
            "unlimited_refused",
            is_refused,
            true,
            "capacity 0 is refused",
        );
        Ok(())
    })
}

/// A call of Python's and ours, and what ours gave, which is to be what is expected.
fn row<T: Serialize + PartialEq + std::fmt::Debug>(
    lesson: &mut Lesson,
    python: &str,
    ours: &str,
    found: T,
    expected: T,
) {
    lesson.expect(python, found, expected, format_args!("{python:26} {ours}"));
}

fn calls(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("put and get");
    let queue = Queue::<u64>::create(Place::memfd("tour"), 3)?;
    let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    let ours = "Queue::create(place, 3)?, capacity()";
    row(lesson, "q = Queue(3)", ours, queue.capacity(), 3);
    row(
        lesson,
        "q.empty()",
        "queue.is_empty()?",
        queue.is_empty()?,
        true,
    );

    tx.push(1)?;
    row(lesson, "q.put(1)", "tx.push(1)?", queue.len()?, 1);
    let pushed = tx.try_push(2).is_ok();
    row(lesson, "q.put_nowait(2)", "tx.try_push(2)?", pushed, true);
    let pushed = tx.push_timeout(3, SHORT).is_ok();
    let ours = "tx.push_timeout(3, time)?";
    row(lesson, "q.put(3, timeout=t)", ours, pushed, true);
    row(lesson, "q.qsize()", "queue.len()?", queue.len()?, 3);
    row(
        lesson,
        "q.full()",
        "queue.is_full()?",
        queue.is_full()?,
        true,
    );

    let is_full = matches!(tx.try_push(4), Err(PushError::Full));
    row(lesson, "queue.Full", "PushError::Full", is_full, true);
    let is_late = matches!(tx.push_timeout(4, SHORT), Err(PushError::TimedOut));
    let ours = "PushError::TimedOut";
    row(lesson, "queue.Full after t", ours, is_late, true);

    row(lesson, "q.get()", "rx.pop()?", rx.pop()?, Some(1));
    let popped = rx.try_pop()?;
    row(lesson, "q.get_nowait()", "rx.try_pop()?", popped, Some(2));
    let popped = rx.pop_timeout(SHORT)?;
    let ours = "rx.pop_timeout(time)?";
    row(lesson, "q.get(timeout=t)", ours, popped, Some(3));
    let is_empty = matches!(rx.try_pop(), Err(PopError::Empty));
    row(lesson, "queue.Empty", "PopError::Empty", is_empty, true);
    let is_late = matches!(rx.pop_timeout(SHORT), Err(PopError::TimedOut));
    let ours = "PopError::TimedOut";
    row(lesson, "queue.Empty after t", ours, is_late, true);

    // Not a copy that is gone with whoever took it: a message that is worked on in place.
    tx.push(5)?;
    let message = rx.take()?.ok_or("the stream has ended")?;
    let value = *message;
    drop(message);
    let ours = "rx.take()?, and done when its guard is dropped";
    row(lesson, "JoinableQueue.task_done()", ours, value, 5);
    row(
        lesson,
        "q.empty() again",
        "queue.is_empty()?",
        queue.is_empty()?,
        true,
    );
    Ok(())
}

/// What Python would pickle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Job {
    Resize { path: String, width: u32 },
    Count(Vec<String>),
}

fn objects(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("Any object, if it is serde's: a queue of bytes, and values in it");
    let queue = bytes::Queue::create(Place::memfd("tour"), 3, 1000)?;
    let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    let path = "cat.png".to_owned();
    let jobs = [
        Job::Count(vec![path.clone()]),
        Job::Resize { path, width: 640 },
    ];
    jobs.iter().try_for_each(|job| tx.send_value(job))?;
    let ours = "tx.send_value(&object)?";
    row(lesson, "q.put(object)", ours, queue.len()?, 2);
    let received = [rx.recv_value()?, rx.recv_value()?];
    let ours = "rx.recv_value::<Job>()?";
    row(lesson, "object = q.get()", ours, received, jobs.map(Some));
    Ok(())
}

fn blocking(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("Blocking, between processes");
    let segment = Segment::create(Place::memfd("tour"), 1 << 20)?;
    let queue = Queue::create_in(&segment, "queue", 1)?;
    let get = Event::create_in(&segment, "get", Reset::Manual)?;
    let mut tx = queue.sender()?;
    tx.push(1u64)?;
    let mut getter = Process::builder("queue_tour", "getter")
        .fd("segment", segment.descriptor()?)
        .spawn()?;
    let is_blocked = matches!(tx.push_timeout(2, SHORT), Err(PushError::TimedOut));
    let ours = "push waits while the queue is full";
    row(lesson, "q.put(2), q full", ours, is_blocked, true);
    get.set()?;
    let pushed = tx.push_timeout(2, patience()).is_ok();
    let ours = "and goes on when another process has popped";
    row(lesson, "q.put(2), then q.get()", ours, pushed, true);
    tx.push_timeout(3, patience())?;
    queue.close()?;
    let sum = getter.join()?.into_result()?;
    let ours = "pop waits while it is empty, until the end";
    row(lesson, "q.get() over there", ours, sum, vec![1 + 2 + 3]);
    Ok(())
}

fn get_when_told(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let mut rx = Queue::<u64>::open_in(&segment, "queue")?.receiver()?;
    Event::open_in(&segment, "get")?.wait()?;
    let mut sum = 0;
    while let Some(number) = rx.pop()? {
        sum += number as u8;
    }
    Ok(worker.set_result(&[sum])?)
}

fn closing(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("Closing: for everybody, where Python's close() is for one process");
    let queue = Queue::<u64>::create(Place::memfd("tour"), 3)?;
    let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    tx.push(1)?;
    row(lesson, "q.close()", "queue.close()?", queue.close()?, true);
    let is_closed = matches!(tx.push(2), Err(PushError::Closed));
    let ours = "PushError::Closed for senders";
    row(lesson, "q.put() after q.close()", ours, is_closed, true);
    let rest = (rx.pop()?, rx.pop()?);
    let ours = "what is left, and then None: no sentinels";
    row(lesson, "q.put(None) as an end", ours, rest, (Some(1), None));
    Ok(())
}
