//! Ends of workers: waited for, of every kind, with their parent; and who may have no workers.

use crate::worker;
use examples::{Failure, Lesson, patience, spawn_all};
use ipc_core::{Place, Segment};
use ipc_process::{ExitStatusKind, Process, WorkResult, Worker, join_any};
use ipc_sync::{Event, Reset};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::Duration;

pub fn joining(lesson: &mut Lesson) -> Result<(), Failure> {
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
        let ended = join_any(&mut runners, Some(patience()))?.ok_or("no runner ends")?;
        order.push(runners[ended].join()?.name);
    }
    let expected = ["runner 2", "runner 0", "runner 1"];
    lesson.expect("order", order, expected, "join_any: in order of completion");
    Ok(())
}

pub fn runner(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let finish = Event::open_in(&segment, std::str::from_utf8(worker.params())?)?;
    Ok(finish.wait()?)
}

pub fn endings(lesson: &mut Lesson) -> Result<(), Failure> {
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

pub fn end(worker: &mut Worker) -> WorkResult {
    match worker.params() {
        b"return" => Ok(()),
        b"fail" => Err("could not do it".into()),
        b"panic" => panic!("should not happen"),
        _ => std::process::exit(7),
    }
}

pub fn sleep_for_ever(_: &mut Worker) -> WorkResult {
    loop {
        std::thread::park();
    }
}

pub fn dying_with_the_parent(lesson: &mut Lesson) -> Result<(), Failure> {
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
    let has_ended = poll(&mut end, PollTimeout::try_from(patience())?)? == 1;
    lesson.expect("orphan_gone", has_ended, true, "nobody is left behind");
    Ok(())
}

pub fn manager(manager: &mut Worker) -> WorkResult {
    let tell = manager.take_fd("tell")?;
    let sleeper = worker("sleeper").fd("tell", &tell).spawn()?;
    let mut tell = std::fs::File::from(tell);
    tell.write_all(&sleeper.pid().to_ne_bytes())?;
    sleep_for_ever(manager)
}

pub fn childless(lesson: &mut Lesson) -> Result<(), Failure> {
    lesson.part("A worker that may start none, like Python's daemons");
    lesson.say(
        "Python's must not, as their children would be left behind; ours may, if not told so.",
    );
    let (_news, tell) = std::io::pipe()?;
    let mut daemon = worker("manager")
        .name("daemon")
        .no_children()
        .fd("tell", tell)
        .spawn()?;
    let exit = daemon.join_timeout(patience())?.ok_or("it does not end")?;
    let error = exit.error.unwrap_or_default();
    let is_refused = error.contains("may start no workers");
    lesson.check("daemon_childless", error, is_refused, "it cannot");
    Ok(())
}
