//! A forked child is not its parent: its parent's handles refuse to work there.

mod common;

use common::unnamed;
use ipc_core::Error;
use ipc_process::{Process, run_if_worker, test_name};
use ipc_queue::spsc::{OpenError, PopError, PushError, Ring};
use std::time::Duration;
use test_kit::forked::Forked;

/// Runs a test in a process with one thread, as a forked child has only that one.
fn alone(test: &'static str, body: fn()) {
    run_if_worker(
        test,
        &[("alone", &|_| {
            body();
            Ok(())
        })],
    );
    let mut process = Process::builder(test, "alone")
        .under_test(test)
        .spawn()
        .unwrap();
    let exit = process.join_timeout(common::PATIENCE).unwrap();
    exit.expect("the process hangs").into_result().unwrap();
}

fn push_forked(result: Result<(), PushError>) {
    assert!(
        matches!(result, Err(PushError::Segment(Error::Forked { .. }))),
        "{result:?}"
    );
}

fn pop_forked<T: std::fmt::Debug>(result: Result<T, PopError>) {
    assert!(
        matches!(result, Err(PopError::Segment(Error::Forked { .. }))),
        "{result:?}"
    );
}

fn open_forked<T: std::fmt::Debug>(result: Result<T, OpenError>) {
    assert!(
        matches!(result, Err(OpenError::Segment(Error::Forked { .. }))),
        "{result:?}"
    );
}

#[test]
fn every_call_of_a_forked_child_is_refused_and_its_drops_do_nothing() {
    alone(test_name!(), || {
        let ring = unnamed::<u64>(4);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        // Both sides know of room and of messages already.
        tx.push_slice(&[1, 2, 3]).unwrap();
        assert_eq!(rx.pop().unwrap(), Some(1));
        let child = Forked::run(|| {
            let timeout = Duration::ZERO;
            push_forked(tx.try_push(9));
            push_forked(tx.push(9));
            push_forked(tx.push_timeout(9, timeout));
            push_forked(tx.push_timeout(9, Duration::MAX));
            push_forked(tx.try_push_slice(&[9]).map(drop));
            push_forked(tx.push_slice(&[9]));
            push_forked(tx.push_slice_timeout(&[9], timeout).map(drop));
            push_forked(tx.try_reserve().map(drop));
            push_forked(tx.reserve().map(drop));
            push_forked(tx.reserve_timeout(timeout).map(drop));
            push_forked(tx.len().map(drop));
            push_forked(tx.is_empty().map(drop));
            push_forked(tx.is_full().map(drop));
            push_forked(tx.close());
            let into = &mut [0];
            pop_forked(rx.try_pop());
            pop_forked(rx.pop());
            pop_forked(rx.pop_timeout(timeout));
            pop_forked(rx.pop_timeout(Duration::MAX));
            pop_forked(rx.try_pop_slice(into));
            pop_forked(rx.pop_slice(into));
            pop_forked(rx.pop_slice_timeout(into, timeout));
            pop_forked(rx.try_peek().map(drop));
            pop_forked(rx.peek().map(drop));
            pop_forked(rx.peek_timeout(timeout).map(drop));
            pop_forked(rx.len());
            pop_forked(rx.is_empty());
            pop_forked(rx.is_full());
            drop(rx);
            open_forked(ring.producer());
            open_forked(ring.consumer());
            assert!(matches!(ring.pushed(), Err(Error::Forked { .. })));
            assert!(matches!(ring.popped(), Err(Error::Forked { .. })));
            assert_eq!(ring.capacity(), 4);
            drop(ring);
            0
        });
        assert_eq!(child.join(), Ok(0));
    });
}

#[test]
fn the_parent_goes_on_undisturbed() {
    alone(test_name!(), || {
        let ring = unnamed::<u64>(4);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        tx.push_slice(&[1, 2]).unwrap();
        let descriptor = ring.segment().descriptor().unwrap();
        let mut all = Some((tx, rx, ring));
        let child = Forked::run(|| {
            drop(all.take());
            0
        });
        assert_eq!(child.join(), Ok(0));
        let ring;
        (tx, rx, ring) = all.take().unwrap();
        assert!(matches!(ring.producer(), Err(OpenError::RoleTaken { .. })));
        ring.segment().recover().unwrap();
        tx.push(3).unwrap();
        for i in 1..=3 {
            assert_eq!(rx.pop().unwrap(), Some(i));
        }
        assert!(matches!(rx.try_pop(), Err(PopError::Empty)), "nobody died");

        // The child can be a participant of its own.
        drop(rx);
        let child = Forked::run(|| {
            let own = Ring::<u64>::open(descriptor.try_clone().unwrap()).unwrap();
            assert!(
                matches!(own.producer(), Err(OpenError::RoleTaken { pid, .. })
                if pid == nix::unistd::getppid().as_raw() as u32)
            );
            assert_eq!(own.consumer().unwrap().pop().unwrap(), Some(4));
            0
        });
        tx.push(4).unwrap();
        assert_eq!(child.join(), Ok(0));
        // It died with its attachment alive (`_exit`), having dropped its consumer in order.
        assert!(ring.consumer().is_ok());
    });
}

#[test]
fn a_guard_taken_into_a_child_changes_nothing() {
    alone(test_name!(), || {
        let ring = unnamed::<u64>(4);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        tx.push(1).unwrap();
        let mut slot = tx.reserve().unwrap();
        *slot = 2;
        let slot = Some((slot, rx.peek().unwrap().unwrap()));
        let mut slot = slot;
        let child = Forked::run(|| {
            let (free, message) = slot.take().unwrap();
            free.commit();
            message.release();
            0
        });
        assert_eq!(child.join(), Ok(0));
        assert_eq!((ring.pushed().unwrap(), ring.popped().unwrap()), (1, 0));
        let (free, message) = slot.take().unwrap();
        assert_eq!((*free, *message), (2, 1));
        free.commit();
        message.release();
        assert_eq!(rx.pop().unwrap(), Some(2));
    });
}

#[test]
fn the_death_of_the_parent_is_seen_while_its_child_sleeps_on() {
    const SCOPE: &str = "parent-of-sleeper";
    run_if_worker(
        SCOPE,
        &[("fork", &|worker| {
            let ring = Ring::<u64>::open(worker.take_fd("ring")?)?;
            let mut tx = ring.producer()?;
            tx.push(1)?;
            let hold = worker.take_fd("hold")?;
            // SAFETY: the child reads from a pipe and ends; it lives until the test closes it.
            if let nix::unistd::ForkResult::Child = unsafe { nix::unistd::fork()? } {
                let _ = nix::unistd::read(&hold, &mut [0]);
                // SAFETY: ends the process without running anything of the parent's.
                unsafe { libc::_exit(0) };
            }
            tx.push(2)?;
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL)?;
            Ok(())
        })],
    );
    let ring = unnamed::<u64>(4);
    let (hold, _until_the_end) = std::io::pipe().unwrap();
    let mut worker = Process::builder(SCOPE, "fork")
        .under_test(test_name!())
        .fd("ring", ring.segment().descriptor().unwrap())
        .fd("hold", hold)
        .spawn()
        .unwrap();
    let mut rx = ring.consumer().unwrap();
    assert_eq!(rx.pop().unwrap(), Some(1));
    assert_eq!(rx.pop().unwrap(), Some(2));
    let popped = rx.pop_timeout(common::PATIENCE);
    assert!(matches!(popped, Err(PopError::ProducerDied)), "{popped:?}");
    ring.producer().unwrap();
    worker.join().unwrap();
}
