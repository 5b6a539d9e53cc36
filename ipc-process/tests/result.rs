//! Results of any size come back, complete or not at all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use ipc_process::{Builder, ExitStatusKind, Process, run_if_worker, test_name};

const BLOCK: usize = 32 << 20;

fn become_worker() {
    run_if_worker(
        "result",
        &[
            ("repeat", &|worker| {
                let len = u64::from_ne_bytes(worker.params().try_into()?);
                Ok(worker.set_result(&vec![0xa5; len as usize])?)
            }),
            ("twice", &|worker| {
                worker.set_result(&[1; 5000])?;
                Ok(worker.set_result(b"second")?)
            }),
            ("then-error", &|worker| {
                worker.set_result(b"partial")?;
                Err("no more".into())
            }),
            ("then-panic", &|worker| {
                worker.set_result(b"partial")?;
                panic!("no more")
            }),
            ("then-killed", &|worker| {
                worker.set_result(b"complete")?;
                Ok(nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL)?)
            }),
            ("for-ever", &|worker| {
                let mut begun = File::from(worker.take_fd("begun")?);
                let blocks = [vec![1; BLOCK], vec![2; BLOCK]];
                worker.set_result(&blocks[0])?;
                begun.write_all(&[1])?;
                loop {
                    worker.set_result(&blocks[1])?;
                    worker.set_result(&blocks[0])?;
                }
            }),
        ],
    );
}

fn worker(role: &str, test: &str) -> Builder {
    Process::builder("result", role).under_test(test)
}

#[test]
fn results_of_any_size_come_back() {
    become_worker();
    for len in [0, 1, 4096, 100 << 20] {
        let mut worker = worker("repeat", test_name!())
            .params((len as u64).to_ne_bytes())
            .spawn()
            .unwrap();
        let result = worker.join().unwrap().into_result().unwrap();
        assert_eq!(result.len(), len);
        assert!(result == vec![0xa5; len]);
    }
}

#[test]
fn the_last_result_counts() {
    become_worker();
    let mut worker = worker("twice", test_name!()).spawn().unwrap();
    assert_eq!(worker.join().unwrap().result, b"second");
    assert_eq!(worker.join().unwrap().result, b"second", "joined again");
}

#[test]
fn a_result_survives_its_worker() {
    become_worker();
    let join = |role| {
        let worker = worker(role, test_name!()).stderr(Stdio::null());
        worker.spawn().unwrap().join().unwrap()
    };

    let exit = join("then-error");
    assert_eq!(exit.result, b"partial");
    assert_eq!(exit.error.as_deref(), Some("no more"));

    let exit = join("then-panic");
    assert_eq!(exit.result, b"partial");
    assert!(exit.panic.unwrap().starts_with("no more, at "));

    let exit = join("then-killed");
    assert_eq!(exit.status, ExitStatusKind::Signal(libc::SIGKILL));
    assert_eq!(exit.result, b"complete");
}

#[test]
fn a_worker_killed_while_writing_leaves_a_whole_result_or_none() {
    become_worker();
    let mut empty = 0;
    for round in 0..20 {
        let (mut begun, workers_end) = io::pipe().unwrap();
        let mut worker = worker("for-ever", test_name!())
            .fd("begun", workers_end)
            .spawn()
            .unwrap();
        begun.read_exact(&mut [0]).unwrap();
        // Kills it at another point of its loop in every round.
        let end = Instant::now() + Duration::from_millis(2 * round);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        worker.kill().unwrap();
        let exit = worker.join().unwrap();
        assert_eq!(exit.status, ExitStatusKind::Signal(libc::SIGKILL));
        match exit.result.first() {
            None => empty += 1,
            Some(&first) => assert!(exit.result == vec![first; BLOCK], "a mixture"),
        }
    }
    // It does nothing but write, so kills that all miss it mean a broken test.
    assert!(empty > 0);
}
