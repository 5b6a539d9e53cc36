//! No worker is left behind, and none dies too early.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ipc_process::{
    Builder, Error, ExitStatusKind, Process, WorkResult, Worker, run_if_worker, test_name,
};
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::ForkResult;

mod common;
use common::{Echo, KillOnDrop, LIMIT, echo, pidfd, ready_within, wait_at_gate};

fn become_worker() {
    run_if_worker(
        "lifetime",
        &[
            ("wait", &wait_at_gate),
            ("echo", &echo),
            // Starts an `echo` on the descriptors that it was given, reports its
            // pid, and waits to be killed.
            ("parent", &|worker| {
                let test = String::from_utf8(worker.params().to_vec())?;
                let child = echo_builder(worker, &test)?.spawn()?;
                report_and_wait(worker, child.pid())
            }),
            ("parent-announcing", &|worker| {
                let test = String::from_utf8(worker.params().to_vec())?;
                let child = echo_builder(worker, &test)?;
                File::from(worker.take_fd("begun")?).write_all(&[1])?;
                child.spawn()?.join()?;
                Ok(())
            }),
            ("parent-of-survivor", &|worker| {
                let test = String::from_utf8(worker.params().to_vec())?;
                let child = echo_builder(worker, &test)?.outlive_parent().spawn()?;
                let pid = child.pid();
                child.detach();
                report_and_wait(worker, pid)
            }),
            ("parent-ignoring-children", &|worker| {
                let test = String::from_utf8(worker.params().to_vec())?;
                let (reader, gate) = io::pipe()?;
                let mut child = builder("wait", &test).fd("gate", reader).spawn()?;
                // SAFETY: to ignore a signal runs no handler.
                unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn)? };
                drop(gate);
                for _ in 0..2 {
                    match child.join() {
                        Err(Error::StatusLost { name }) if name == "wait" => {}
                        other => return Err(format!("{other:?}").into()),
                    }
                }
                match builder("wait", &test).spawn() {
                    Err(Error::ChildrenIgnored { name }) if name == "wait" => Ok(()),
                    other => Err(format!("{other:?}").into()),
                }
            }),
            ("grandparent", &|worker| {
                set_child_subreaper(true)?;
                let test = String::from_utf8(worker.params().to_vec())?;
                // The moment that matters is short; it takes many rounds to hit it.
                (0..500).try_for_each(|round| kill_while_starting(round % 100, &test))
            }),
            ("parent-after-fork", &|worker| {
                let test = String::from_utf8(worker.params().to_vec())?;
                let run = || {
                    let (reader, gate) = io::pipe()?;
                    let mut child = builder("wait", &test).fd("gate", reader).spawn()?;
                    drop(gate);
                    child.join()?.into_result()?;
                    Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
                };
                run()?; // now the launcher is there
                // SAFETY: the only other threads are the launcher and that of
                // the harness, both waiting with no lock held.
                match unsafe { nix::unistd::fork()? } {
                    ForkResult::Child => {
                        let code = i32::from(run().is_err());
                        // SAFETY: ends the process without running anything.
                        unsafe { libc::_exit(code) }
                    }
                    ForkResult::Parent { child } => match waitpid(child, None)? {
                        WaitStatus::Exited(_, 0) => Ok(()),
                        other => Err(format!("{other:?}").into()),
                    },
                }
            }),
        ],
    );
}

fn builder(role: &str, test: &str) -> Builder {
    Process::builder("lifetime", role).under_test(test)
}

fn echo_builder(worker: &mut Worker, test: &str) -> Result<Builder, ipc_process::Error> {
    Ok(builder("echo", test)
        .fd("requests", worker.take_fd("requests")?)
        .fd("replies", worker.take_fd("replies")?))
}

fn report_and_wait(worker: &mut Worker, pid: u32) -> WorkResult {
    File::from(worker.take_fd("pid")?).write_all(&pid.to_ne_bytes())?;
    wait_at_gate(worker)
}

/// Kills a parent that is starting a worker, at a later point in each round, and
/// blocks until that worker, if it got that far, is gone too.
fn kill_while_starting(round: u64, test: &str) -> WorkResult {
    let (_echo, requests, replies) = Echo::pipes();
    let (mut begun, begun_write) = io::pipe()?;
    let mut parent = builder("parent-announcing", test)
        .params(test)
        .fd("begun", begun_write)
        .fd("requests", requests)
        .fd("replies", replies)
        .spawn()?;
    begun.read_exact(&mut [0])?;
    let end = Instant::now() + Duration::from_micros(5 * round);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    parent.kill()?;
    parent.join()?;
    loop {
        match waitpid(None, None) {
            Ok(_orphan) => {}
            Err(Errno::ECHILD) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A worker of `role`, its own worker's pid, and that one's pipes.
fn parent_and_child(role: &str, test: &str) -> (Process, KillOnDrop, Echo, io::PipeWriter) {
    set_child_subreaper(true).unwrap();
    let (mut pid_read, pid_write) = io::pipe().unwrap();
    let (gate_read, gate) = io::pipe().unwrap();
    let (echo, requests, replies) = Echo::pipes();
    let parent = builder(role, test)
        .params(test)
        .fd("pid", pid_write)
        .fd("gate", gate_read)
        .fd("requests", requests)
        .fd("replies", replies)
        .spawn()
        .unwrap();
    let mut pid = [0; 4];
    pid_read.read_exact(&mut pid).unwrap();
    let child = KillOnDrop(pidfd(u32::from_ne_bytes(pid)));
    (parent, child, echo, gate)
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_dropped_worker_is_killed_and_reaped() {
    become_worker();
    let (reader, _gate) = io::pipe().unwrap();
    let worker = builder("wait", test_name!())
        .fd("gate", &reader)
        .spawn()
        .unwrap();
    let pid = worker.pid();
    assert!(exists(pid));
    drop(worker);
    assert!(!exists(pid));

    let mut stopped = builder("wait", test_name!())
        .fd("gate", &reader)
        .spawn()
        .unwrap();
    let pid = stopped.pid();
    stopped.stop().unwrap();
    drop(stopped);
    assert!(!exists(pid));

    let survivor = builder("wait", test_name!())
        .fd("gate", &reader)
        .outlive_parent()
        .spawn()
        .unwrap();
    let pid = survivor.pid();
    drop(survivor);
    assert!(!exists(pid), "it would outlive its parent, not its handle");
}

#[test]
fn a_panic_of_the_parent_leaves_no_worker() {
    become_worker();
    let (reader, _gate) = io::pipe().unwrap();
    let worker = builder("wait", test_name!())
        .fd("gate", reader)
        .spawn()
        .unwrap();
    let pid = worker.pid();
    let thread = std::thread::spawn(move || {
        let _worker = worker;
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(thread.join().is_err());
    assert!(!exists(pid));
}

#[test]
fn a_detached_worker_lives_on() {
    become_worker();
    let (mut echo, requests, replies) = Echo::pipes();
    let worker = builder("echo", test_name!())
        .fd("requests", requests)
        .fd("replies", replies)
        .spawn()
        .unwrap();
    let handle = KillOnDrop(pidfd(worker.pid()));
    worker.detach();
    assert!(echo.answers());
    drop(echo.requests);
    assert!(ready_within(&handle.0, LIMIT));
}

#[test]
fn a_worker_dies_with_its_parent() {
    become_worker();
    let (mut parent, child, mut echo, _gate) = parent_and_child("parent", test_name!());
    assert!(echo.answers());
    parent.kill().unwrap();
    let exit = parent.join().unwrap();
    assert_eq!(exit.status, ExitStatusKind::Signal(libc::SIGKILL));
    assert!(ready_within(&child.0, Duration::from_secs(1)));
}

#[test]
fn a_worker_dies_with_a_parent_that_dies_while_starting_it() {
    become_worker();
    // In a process of its own, which waits for any child.
    let mut grandparent = builder("grandparent", test_name!())
        .params(test_name!())
        .spawn()
        .unwrap();
    let exit = grandparent.join_timeout(LIMIT).unwrap();
    exit.expect("a worker lives on").into_result().unwrap();
}

#[test]
fn a_worker_that_outlives_its_parent_lives_on() {
    become_worker();
    let (mut parent, child, mut echo, _gate) = parent_and_child("parent-of-survivor", test_name!());
    assert!(echo.answers());
    parent.kill().unwrap();
    parent.join().unwrap();
    assert!(echo.answers());
    drop(echo.requests);
    assert!(ready_within(&child.0, LIMIT));
}

#[test]
fn a_worker_lives_on_when_the_thread_that_spawned_it_ends() {
    become_worker();
    let (mut echo, requests, replies) = Echo::pipes();
    let thread = std::thread::spawn(move || {
        let worker = builder("echo", test_name!())
            .fd("requests", requests)
            .fd("replies", replies)
            .spawn();
        (worker.unwrap(), nix::unistd::gettid())
    });
    let (mut worker, tid) = thread.join().unwrap();
    // Joining ends before the kernel has sent the signals of the thread's death;
    // its directory goes after that, and cannot be waited on.
    let deadline = Instant::now() + LIMIT;
    while Path::new(&format!("/proc/self/task/{tid}")).exists() {
        assert!(Instant::now() < deadline, "the thread does not end");
        std::thread::yield_now();
    }
    assert!(echo.answers());
    drop(echo.requests);
    assert!(worker.join().unwrap().success());
}

#[test]
fn a_lost_exit_status_is_an_error() {
    become_worker();
    let mut parent = builder("parent-ignoring-children", test_name!())
        .params(test_name!())
        .spawn()
        .unwrap();
    let exit = parent.join_timeout(LIMIT).unwrap().expect("no hang");
    exit.into_result().unwrap();
}

#[test]
fn a_forked_copy_of_the_parent_can_start_workers() {
    become_worker();
    let mut parent = builder("parent-after-fork", test_name!())
        .params(test_name!())
        .spawn()
        .unwrap();
    let exit = parent.join_timeout(LIMIT).unwrap().expect("no hang");
    exit.into_result().unwrap();
}
