//! A holder in another pid namespace is alive as long as it lives, and dead when it died: no process
//! id is asked about.

mod common;

use common::words::is_held;
use common::{Peer, tell, until};
use ipc_core::{Place, SLICE, Segment};
use ipc_process::{WorkResult, Worker, run_if_worker, test_name};
use ipc_sync::{LockError, Mutex};
use nix::sched::{CloneFlags, unshare};
use std::os::fd::OwnedFd;
use test_kit::forked::Forked;

fn lock_and_stay(descriptor: OwnedFd) -> ! {
    let segment = Segment::open(descriptor).unwrap();
    let mutex = Mutex::<u64>::open_in(&segment, "mutex").unwrap();
    let _guard = mutex.lock().unwrap();
    loop {
        std::thread::park();
    }
}

/// Starts processes in a namespace of their own that lock the mutex, one after the other is killed.
fn keep_house(worker: &mut Worker) -> WorkResult {
    let descriptor = worker.take_fd("segment")?;
    let voice = worker.take_fd("tell")?.into();
    // Before this process has a thread or an attachment of its own.
    if let Err(error) = unshare(CloneFlags::CLONE_NEWPID) {
        eprintln!("skipped: no pid namespace: {error}");
        tell(&voice, b's');
        return Ok(());
    }
    // Process 1 there.
    let init = Forked::run(move || lock_and_stay(descriptor));
    tell(&voice, b'l');
    let mut orders = std::io::PipeReader::from(worker.take_fd("orders")?);
    std::io::Read::read_exact(&mut orders, &mut [0])?;
    init.kill();
    tell(&voice, b'k');
    Ok(())
}

#[test]
fn a_living_holder_elsewhere_is_never_declared_dead() {
    run_if_worker(test_name!(), &[("house", &keep_house)]);
    let segment = Segment::create(Place::memfd("test"), 4096).unwrap();
    let mutex = Mutex::create_in(&segment, "mutex", 0u64).unwrap();
    let (orders, mut order) = std::io::pipe().unwrap();
    let mut house = Peer::start_with(test_name!(), "house", test_name!(), &segment, &[], |it| {
        it.fd("orders", orders)
    });
    if house.hear() == b's' {
        return;
    }
    until("it holds the mutex", || is_held(&segment, "mutex"));
    let holder = segment.participants().unwrap().remove(1);
    assert_eq!(
        holder.pid,
        Some(1),
        "its number there, which is init's here"
    );
    // Its number is another's here, or nobody's; and it does not answer, as it is not asked.
    let timed_out = mutex.lock_timeout(10 * SLICE);
    assert!(
        matches!(timed_out, Err(LockError::TimedOut)),
        "{timed_out:?}"
    );
    assert_eq!(segment.recover().unwrap(), Default::default());
    assert!(is_held(&segment, "mutex"));

    std::io::Write::write_all(&mut order, b"k").unwrap();
    // Process 1 lives here, but not the holder.
    assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(_))));
    assert_eq!(house.hear(), b'k');
    house.finish();
}
