//! Teaches what a worker process is: started and joined, named and numbered, ended in every way; what
//! it shares with its parent and what not; and that a lock does not die with it.
//!
//! `cargo run --release -p examples --example processes -- --help`

use clap::Parser;
use examples::{Failure, Lesson, PATIENCE, join_all, spawn_all};
use ipc_core::{Place, Segment};
use ipc_process::{Builder, ExitStatusKind, Process, WorkResult, Worker, join_any, run_if_worker};
use ipc_sync::{CountingSemaphore, Event, LockError, Mutex, Reset, UpdateError, Value, WaitError};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Starts, joins, and ends worker processes, and shows what they share.
#[derive(Parser)]
#[command(name = "processes")]
struct Options {
    /// Print one JSON object instead of telling what happens.
    #[arg(long)]
    json: bool,
}

/// A plain variable: each process has its own.
static PLAIN: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    // A worker is this program, executed again: in it, this runs the role and exits.
    run_if_worker(
        "processes",
        &[
            ("who am I", &who_am_i),
            ("runner", &runner),
            ("end", &end),
            ("sleeper", &sleep_for_ever),
            ("manager", &manager),
            ("counter", &count),
            ("holder", &hold),
        ],
    );
    let options = Options::parse();
    Lesson::run("processes", options.json, |lesson| {
        identity(lesson)?;
        joining(lesson)?;
        endings(lesson)?;
        dying_with_the_parent(lesson)?;
        sharing(lesson)?;
        terminated_with_a_lock(lesson)
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

fn joining(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("Joining waits for the end, for as long as you like");
    let segment = Segment::create(Place::memfd("race"), 4096)?;
    let finish: Vec<_> = (0..3)
        .map(|index| Event::create_in(&segment, &format!("finish {index}"), Reset::Manual))
        .collect::<Result<_, _>>()?;
    let mut runners = spawn_all(3, |index| {
        Ok(worker("runner")
            .name(format!("runner {index}"))
            .params(format!("finish {index}"))
            .fd("segment", segment.descriptor()?))
    })?;

    let early = runners[0].join_timeout(Duration::from_millis(10))?;
    let is_alive = early.is_none() && runners[0].is_alive();
    lesson.expect("alive", is_alive, true, "a join that gave up: still alive");

    let mut order = Vec::new();
    for index in [2, 0, 1] {
        finish[index].set()?;
        let ended = join_any(&mut runners, Some(PATIENCE))?.ok_or("no runner ends")?;
        order.push(runners[ended].join()?.name);
    }
    let expected = ["runner 2", "runner 0", "runner 1"];
    lesson.expect("order", order, expected, "join_any: in order of completion");
    Ok(())
}

fn runner(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let finish = Event::open_in(&segment, std::str::from_utf8(worker.params())?)?;
    Ok(finish.wait()?)
}

fn endings(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("How it ended is known: exit code, signal, error, panic");
    let mut exits = Vec::new();
    for how in ["return", "fail", "panic", "exit"] {
        // What a panic prints is no news here: its message is in the exit.
        let mut worker = worker("end").params(how).stderr(Stdio::null()).spawn()?;
        let exit = worker.join()?;
        let message = exit.panic.or(exit.error).unwrap_or_default();
        lesson.say(format_args!("{how}: {}  {message}", exit.status));
        exits.push(exit.status.to_string());
    }
    let expected = ["exit code 0", "exit code 1", "exit code 101", "exit code 7"];
    lesson.expect("exit_codes", exits, expected, "each end has its code");

    for (key, signal, end) in [
        (
            "terminated",
            15,
            Process::terminate as fn(&mut Process) -> _,
        ),
        ("killed", 9, Process::kill),
    ] {
        let mut sleeper = worker("sleeper").spawn()?;
        end(&mut sleeper)?;
        let status = sleeper.join()?.status;
        let is_right = status == ExitStatusKind::Signal(signal);
        lesson.check(key, status.to_string(), is_right, "ended by a signal");
    }
    Ok(())
}

fn end(worker: &mut Worker) -> WorkResult {
    match worker.params() {
        b"return" => Ok(()),
        b"fail" => Err("could not do it".into()),
        b"panic" => panic!("should not happen"),
        _ => std::process::exit(7),
    }
}

fn sleep_for_ever(_: &mut Worker) -> WorkResult {
    loop {
        std::thread::park();
    }
}

fn dying_with_the_parent(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("A worker dies with its parent, also when that is killed by SIGKILL");
    let (mut news, tell) = std::io::pipe()?;
    let mut manager = worker("manager").fd("tell", tell).spawn()?;
    let mut pid = [0; 4];
    news.read_exact(&mut pid)?;
    let pid = u32::from_ne_bytes(pid);
    lesson.say(format_args!("{pid} works for {}: kill that", manager.pid()));
    manager.kill()?;
    manager.join()?;
    // The grandchild holds its end of the pipe as long as it lives: the end of file is its end.
    let mut end = [PollFd::new(news.as_fd(), PollFlags::POLLIN)];
    let has_ended = poll(&mut end, PollTimeout::try_from(PATIENCE)?)? == 1;
    lesson.expect("orphan_gone", has_ended, true, "nobody is left behind");
    lesson.say("Python's daemons may have no children, which would be left behind. These may.");
    Ok(())
}

fn manager(manager: &mut Worker) -> WorkResult {
    let tell = manager.take_fd("tell")?;
    let sleeper = worker("sleeper").fd("tell", &tell).spawn()?;
    let mut tell = std::fs::File::from(tell);
    tell.write_all(&sleeper.pid().to_ne_bytes())?;
    sleep_for_ever(manager)
}

fn sharing(lesson: &mut Lesson) -> Result<(), Failure> {
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

fn count(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    PLAIN.fetch_add(1, Ordering::Relaxed);
    Value::<u64>::open_in(&segment, "count")?.fetch_add(1)?;
    Ok(())
}

fn terminated_with_a_lock(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("Terminated while it holds a lock");
    let segment = Segment::create(Place::memfd("locks"), 4096)?;
    let plain_lock = CountingSemaphore::create_in(&segment, "plain lock", 1)?;
    let mutex = Mutex::create_in(&segment, "mutex", 0u64)?;
    let held = Event::create_in(&segment, "held", Reset::Manual)?;
    let mut holder = worker("holder")
        .fd("segment", segment.descriptor()?)
        .spawn()?;
    held.wait_timeout(PATIENCE)?;
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

fn hold(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    CountingSemaphore::open_in(&segment, "plain lock")?.wait()?;
    let mutex = Mutex::<u64>::open_in(&segment, "mutex")?;
    let mut half_done = mutex.lock().map_err(UpdateError::from)?;
    *half_done = 13;
    Event::open_in(&segment, "held")?.set()?;
    sleep_for_ever(worker)
}
