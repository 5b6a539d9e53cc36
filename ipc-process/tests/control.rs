//! Waiting for one worker or several, stopping, resuming and ending them.

use std::io;
use std::time::{Duration, Instant};

use ipc_process::{Builder, Error, ExitStatusKind, Process, join_any, run_if_worker, test_name};

mod common;
use common::{Echo, LIMIT, echo, ready_within, wait_at_gate};

fn become_worker() {
    run_if_worker(
        "control",
        &[
            ("wait", &wait_at_gate),
            ("echo", &echo),
            ("echo-with-threads", &|worker| {
                for _ in 0..3 {
                    std::thread::spawn(|| {
                        loop {
                            std::thread::park();
                        }
                    });
                }
                echo(worker)
            }),
            ("stop-itself", &|worker| {
                nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP)?;
                wait_at_gate(worker)
            }),
        ],
    );
}

fn builder(role: &str, test: &str) -> Builder {
    Process::builder("control", role).under_test(test)
}

/// A worker that ends when the writer is dropped.
fn waiting(role: &str, test: &str) -> (Process, io::PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    let worker = builder(role, test).fd("gate", reader).spawn().unwrap();
    (worker, writer)
}

fn echoing(role: &str, test: &str) -> (Process, Echo) {
    let (echo, requests, replies) = Echo::pipes();
    let worker = builder(role, test)
        .fd("requests", requests)
        .fd("replies", replies);
    (worker.spawn().unwrap(), echo)
}

/// Blocks until a worker has ended, but leaves it to be reaped.
fn wait_unreaped(worker: &Process) {
    assert!(ready_within(worker, LIMIT));
}

#[test]
fn a_worker_tells_who_it_is() {
    become_worker();
    let (reader, _writer) = io::pipe().unwrap();
    let worker = builder("wait", test_name!())
        .name("gate-7")
        .fd("gate", reader)
        .spawn()
        .unwrap();
    assert_eq!((worker.name(), worker.role()), ("gate-7", "wait"));
    let parent = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).unwrap();
    assert!(parent.contains(&format!("PPid:\t{}\n", std::process::id())));
}

#[test]
fn it_is_alive_until_it_ends() {
    become_worker();
    let (mut worker, gate) = waiting("wait", test_name!());
    assert!(worker.is_alive());
    drop(gate);
    wait_unreaped(&worker);
    assert!(!worker.is_alive());
    assert!(!worker.is_alive());
    assert!(worker.join().unwrap().success());
}

#[test]
fn join_can_be_repeated() {
    become_worker();
    let (mut worker, gate) = waiting("wait", test_name!());
    drop(gate);
    let exit = worker.join().unwrap();
    assert_eq!(worker.join().unwrap(), exit);
    assert_eq!(worker.join_timeout(Duration::ZERO).unwrap(), Some(exit));
}

#[test]
fn join_timeout_gives_up_after_the_timeout_and_no_earlier() {
    become_worker();
    let (mut worker, gate) = waiting("wait", test_name!());
    assert_eq!(worker.join_timeout(Duration::ZERO).unwrap(), None);
    let timeout = Duration::from_millis(30);
    let start = Instant::now();
    assert_eq!(worker.join_timeout(timeout).unwrap(), None);
    assert!(start.elapsed() >= timeout);
    assert!(start.elapsed() < LIMIT);

    drop(gate);
    assert!(worker.join_timeout(LIMIT).unwrap().unwrap().success());
    let (mut worker, gate) = waiting("wait", test_name!());
    drop(gate);
    assert!(
        worker
            .join_timeout(Duration::MAX)
            .unwrap()
            .unwrap()
            .success()
    );
}

#[test]
fn terminate_and_kill_end_it() {
    become_worker();
    let (mut worker, _gate) = waiting("wait", test_name!());
    worker.terminate().unwrap();
    let exit = worker.join().unwrap();
    assert_eq!(exit.status, ExitStatusKind::Signal(libc::SIGTERM));

    let (mut worker, _gate) = waiting("wait", test_name!());
    worker.kill().unwrap();
    let exit = worker.join().unwrap();
    assert_eq!(exit.status, ExitStatusKind::Signal(libc::SIGKILL));
    assert_eq!(exit.result, b"");
}

#[test]
fn signals_to_a_worker_that_has_ended_do_nothing() {
    become_worker();
    let (mut worker, gate) = waiting("wait", test_name!());
    drop(gate);
    wait_unreaped(&worker);
    worker.kill().unwrap();
    assert!(worker.join().unwrap().success());
    worker.kill().unwrap();
    worker.terminate().unwrap();
    worker.resume().unwrap();
    assert!(worker.join().unwrap().success());
}

/// States of all threads, as in ps(1).
fn states(pid: u32) -> Vec<char> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .map(|task| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
            // The name before it, in parentheses, may contain anything.
            let (_, rest) = stat.rsplit_once(") ").unwrap();
            rest.chars().next().unwrap()
        })
        .collect()
}

#[test]
fn a_stopped_worker_is_stopped_in_all_threads_and_runs_on_when_resumed() {
    become_worker();
    let (mut worker, mut echo) = echoing("echo-with-threads", test_name!());
    assert!(echo.answers(), "its threads are there");
    for _ in 0..50 {
        worker.stop().unwrap();
        let states = states(worker.pid());
        assert!(states.len() >= 4, "{states:?}");
        assert!(states.iter().all(|&state| state == 'T'), "{states:?}");
        assert!(worker.is_alive());

        worker.resume().unwrap();
        assert!(echo.answers());
    }
}

#[test]
fn stopping_twice_and_resuming_twice_is_as_once() {
    become_worker();
    let (mut worker, mut echo) = echoing("echo", test_name!());
    worker.stop().unwrap();
    worker.stop().unwrap();
    assert!(states(worker.pid()).iter().all(|&state| state == 'T'));
    worker.resume().unwrap();
    worker.resume().unwrap();
    assert!(echo.answers());
}

#[test]
fn a_worker_that_stopped_itself_is_found_stopped() {
    become_worker();
    let (mut worker, gate) = waiting("stop-itself", test_name!());
    worker.stop().unwrap();
    drop(gate);
    // Two stops may be pending, its own and this test's, so one may come after
    // a resumption.
    while worker
        .join_timeout(Duration::from_millis(10))
        .unwrap()
        .is_none()
    {
        worker.resume().unwrap();
    }
    assert!(worker.join().unwrap().success());
}

#[test]
fn a_stopped_worker_can_be_killed_and_is_terminated_when_resumed() {
    become_worker();
    let (mut worker, _gate) = waiting("wait", test_name!());
    worker.stop().unwrap();
    worker.kill().unwrap();
    let killed = worker.join().unwrap();
    assert_eq!(killed.status, ExitStatusKind::Signal(libc::SIGKILL));

    let (mut worker, _gate) = waiting("wait", test_name!());
    worker.stop().unwrap();
    worker.terminate().unwrap();
    assert!(worker.is_alive());
    worker.resume().unwrap();
    let terminated = worker.join().unwrap();
    assert_eq!(terminated.status, ExitStatusKind::Signal(libc::SIGTERM));
}

#[test]
fn a_worker_that_has_ended_cannot_be_stopped() {
    become_worker();
    let (mut worker, gate) = waiting("wait", test_name!());
    drop(gate);
    wait_unreaped(&worker);
    assert!(matches!(worker.stop(), Err(Error::Ended { name }) if name == "wait"));
    assert!(matches!(worker.stop(), Err(Error::Ended { .. })));
    assert!(worker.join().unwrap().success());
}

#[test]
fn join_any_gives_workers_in_the_order_in_which_they_end() {
    become_worker();
    let (mut workers, mut gates): (Vec<_>, Vec<_>) = (0..3)
        .map(|_| waiting("wait", test_name!()))
        .map(|(worker, gate)| (worker, Some(gate)))
        .unzip();
    assert_eq!(join_any(&mut workers, Some(Duration::ZERO)).unwrap(), None);
    for index in [2, 0, 1] {
        gates[index] = None;
        assert_eq!(join_any(&mut workers, None).unwrap(), Some(index));
        assert!(workers[index].join().unwrap().success());
    }
    assert_eq!(join_any(&mut workers, None).unwrap(), None, "none is left");
    assert_eq!(join_any(&mut [], None).unwrap(), None);
}

#[test]
fn join_any_gives_each_worker_once() {
    become_worker();
    let (mut workers, gates): (Vec<_>, Vec<_>) =
        (0..4).map(|_| waiting("wait", test_name!())).unzip();
    drop(gates);
    workers.iter().for_each(wait_unreaped);
    workers[1].join().unwrap();
    assert!(!workers[2].is_alive(), "which reaps it, but is no join");
    assert_eq!(join_any(&mut workers, None).unwrap(), Some(0));
    assert_eq!(join_any(&mut workers, None).unwrap(), Some(2));
    workers.remove(0);
    assert_eq!(join_any(&mut workers, None).unwrap(), Some(2));
    assert_eq!(join_any(&mut workers, None).unwrap(), None);
}

#[test]
fn join_any_gives_up_after_the_timeout() {
    become_worker();
    let (worker, _gate) = waiting("wait", test_name!());
    let timeout = Duration::from_millis(30);
    let start = Instant::now();
    assert_eq!(join_any(&mut [worker], Some(timeout)).unwrap(), None);
    assert!(start.elapsed() >= timeout);
}
