//! A segment that is full of dead users of rings can be opened by a program that has rings, before
//! it opens one.

use ipc_core::Segment;
use ipc_process::{Process, WorkResult, Worker, run_if_worker, test_name};
use ipc_queue::spsc::Ring;

fn take_a_role_and_die(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let _producer = Ring::<u64>::create_in(&segment, "ring", 4)?.producer()?;
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL)?;
    unreachable!("killed");
}

fn open(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    assert_eq!(segment.participants()?.len(), 2);
    Ok(())
}

#[test]
fn a_full_table_of_dead_ring_users_is_swept_by_whoever_opens() {
    run_if_worker(
        "kinds",
        &[
            ("take a role and die", &take_a_role_and_die),
            ("open", &open),
        ],
    );
    let segment = Segment::builder(ipc_core::Place::memfd("kinds"))
        .participants(2)
        .create()
        .unwrap();
    let run = |role: &str| {
        let mut worker = Process::builder("kinds", role)
            .fd("segment", segment.descriptor().unwrap())
            .under_test(test_name!())
            .spawn()
            .unwrap();
        worker.join().unwrap()
    };
    assert!(!run("take a role and die").success());
    let opened = run("open");
    assert!(opened.success(), "{opened}");
}
