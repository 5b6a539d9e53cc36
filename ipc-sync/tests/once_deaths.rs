//! Done once between processes: initialisers killed at any moment, stopped, forked.

mod common;

use common::words::{is_contended, is_held};
use common::{PATIENCE, POLICIES, Peer, TWO_SLICES, is_prompt, tell, until};
use ipc_core::{Error, Place, SLICE, Segment, Wait};
use ipc_process::{Process, Worker, run_if_worker, test_name};
use ipc_sync::{OnceCell, OnceError};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::io::PipeWriter;
use std::time::{Duration, Instant};
use test_kit::forked::Forked;

const SCOPE: &str = "once";
/// Cells of the test with many.
const CELLS: usize = 200;

/// By whom, twice: unequal only if it is half written.
type Value = [u64; 2];

fn cell() -> (Segment, OnceCell<Value>) {
    let segment = Segment::create(Place::memfd("test"), 4096).unwrap();
    let cell = OnceCell::create_in(&segment, "cell").unwrap();
    (segment, cell)
}

fn joined(worker: &mut Worker) -> (Segment, PipeWriter) {
    let segment = Segment::open(worker.take_fd("segment").unwrap()).unwrap();
    (segment, worker.take_fd("tell").unwrap().into())
}

fn mine() -> Value {
    [std::process::id().into(); 2]
}

fn become_worker() {
    run_if_worker(
        SCOPE,
        &[
            // Begins, and does not end before the cell `go` has a value.
            ("begin", &|worker| {
                let (segment, voice) = joined(worker);
                let cell = OnceCell::<Value>::open_in(&segment, "cell")?;
                cell.get_or_init(|| {
                    tell(&voice, b'b');
                    let go = OnceCell::<Value>::open_in(&segment, "go").unwrap();
                    until("it may go on", || go.get().unwrap().is_some());
                    mine()
                })?;
                tell(&voice, b'e');
                Ok(())
            }),
            // Needs it, and tells whether it was the one who did it.
            ("need", &|worker| {
                let (segment, voice) = joined(worker);
                let mut cell = OnceCell::<Value>::open_in(&segment, "cell")?;
                cell.set_wait(POLICIES[worker.params()[0] as usize]);
                tell(&voice, b'r');
                let value = cell.get_or_init(mine)?;
                assert_eq!(value[0], value[1]);
                tell(&voice, if value == mine() { b'i' } else { b'o' });
                worker.set_result(&value[0].to_ne_bytes())?;
                Ok(())
            }),
            // Needs one after the other; its result is what it got, added up.
            ("need-all", &|worker| {
                let (segment, voice) = joined(worker);
                tell(&voice, b'r');
                let mut sum = 0;
                for number in 0..CELLS {
                    // Each for a while: an owner id for as long.
                    let cell = OnceCell::<Value>::open_in(&segment, &number.to_string())?;
                    let value = cell.get_or_init(|| {
                        std::thread::sleep(Duration::from_micros(50));
                        mine()
                    })?;
                    assert_eq!(value[0], value[1]);
                    sum += value[0];
                }
                worker.set_result(&sum.to_ne_bytes())?;
                Ok(())
            }),
        ],
    );
}

fn start(role: &str, test: &str, segment: &Segment, policy: usize, first: u8) -> Peer {
    let mut peer = Peer::start(SCOPE, role, test, segment, &[policy as u8]);
    assert_eq!(peer.hear(), first);
    peer
}

/// One that is at it, until the cell `go` has a value.
fn begun(test: &str, segment: &Segment) -> Peer {
    OnceCell::<Value>::create_in(segment, "go").unwrap();
    start("begin", test, segment, 1, b'b')
}

#[test]
fn a_killed_initialiser_is_replaced_within_two_slices() {
    become_worker();
    for (policy, wait) in POLICIES.into_iter().enumerate() {
        is_prompt(wait, TWO_SLICES, || {
            let (segment, cell) = cell();
            let killed = begun(test_name!(), &segment);
            let mut waiter = start("need", test_name!(), &segment, policy, b'r');
            if wait != Wait::Busy {
                until("it sleeps", || is_contended(&segment, "cell"));
            }
            let start = Instant::now();
            killed.kill();
            assert_eq!(waiter.hear(), b'i', "{wait:?}");
            let took = start.elapsed();
            let told = u64::from_ne_bytes(waiter.finish().try_into().unwrap());
            assert_eq!(cell.get().unwrap(), Some([told; 2]));
            took
        });
    }
}

#[test]
fn one_of_many_waiters_takes_the_place_of_the_dead() {
    become_worker();
    let (segment, cell) = cell();
    let killed = begun(test_name!(), &segment);
    let mut waiters: Vec<_> = (0..5)
        .map(|i| start("need", test_name!(), &segment, i % 3, b'r'))
        .collect();
    killed.kill();
    let mut told: Vec<_> = waiters.iter_mut().map(Peer::hear).collect();
    told.sort_unstable();
    assert_eq!(told, b"ioooo");
    let value = cell.get().unwrap().unwrap();
    for waiter in waiters {
        assert_eq!(waiter.finish(), value[0].to_ne_bytes());
    }
}

#[test]
fn killed_waiters_leave_nothing_behind() {
    become_worker();
    let (segment, cell) = cell();
    let killed = begun(test_name!(), &segment);
    let waiters: Vec<_> = (0..4)
        .map(|i| start("need", test_name!(), &segment, i % 3, b'r'))
        .collect();
    until("they sleep", || is_contended(&segment, "cell"));
    waiters.into_iter().for_each(Peer::kill);
    killed.kill();
    assert_eq!(cell.get_or_init(|| [5; 2]).unwrap(), [5; 2]);
    segment.recover().unwrap();
    assert_eq!(segment.participants().unwrap().len(), 1);
}

#[test]
fn a_stopped_initialiser_keeps_its_place_and_time_outs_work() {
    become_worker();
    for end in ["goes on", "is killed"] {
        let (segment, cell) = cell();
        let mut stopped = begun(test_name!(), &segment);
        stopped.process.stop().unwrap();
        for wait in POLICIES {
            let mut cell = cell.clone();
            cell.set_wait(wait);
            let (start, timeout) = (Instant::now(), 4 * SLICE);
            let late = cell.get_or_init_timeout(timeout, || [0; 2]);
            assert!(matches!(late, Err(OnceError::TimedOut)), "{late:?}");
            assert!(start.elapsed() >= timeout);
        }
        assert_eq!(cell.get().unwrap(), None);
        assert_eq!(segment.recover().unwrap(), Default::default());
        let go = OnceCell::<Value>::open_in(&segment, "go").unwrap();
        go.get_or_init(|| [0; 2]).unwrap();
        if end == "is killed" {
            stopped.kill();
            assert_eq!(cell.get_or_init(|| [5; 2]).unwrap(), [5; 2]);
        } else {
            stopped.process.resume().unwrap();
            let its = u64::from(stopped.process.pid());
            assert_eq!(cell.get_or_init(|| [5; 2]).unwrap(), [its; 2]);
            assert_eq!(stopped.hear(), b'e');
            stopped.finish();
        }
    }
}

/// Wherever they are when they are killed: the four others get all values, and the same ones.
#[test]
fn killed_at_random_again_and_again_while_others_go_on() {
    become_worker();
    for round in 0..3u64 {
        let segment = Segment::builder(Place::memfd("test"))
            .objects(CELLS as u32)
            .size(CELLS * OnceCell::<Value>::SIZE)
            .create()
            .unwrap();
        let cells: Vec<_> = (0..CELLS)
            .map(|number| {
                drop(OnceCell::<Value>::create_in(&segment, &number.to_string()).unwrap());
                number.to_string()
            })
            .collect();
        let ready = || start("need-all", test_name!(), &segment, 1, b'r');
        let victims: Vec<_> = (0..4).map(|_| ready()).collect();
        let others: Vec<_> = (0..4).map(|_| ready()).collect();
        for (number, mut victim) in victims.into_iter().enumerate() {
            // Some while, a different one each time.
            let micros = (round * 4 + number as u64) * 397 % 3000;
            std::thread::sleep(Duration::from_micros(micros));
            // It may have got them all already.
            victim.process.kill().unwrap();
        }
        let sums: Vec<_> = others.into_iter().map(Peer::finish).collect();
        let sum: u64 = cells
            .iter()
            .map(|name| {
                let cell = OnceCell::<Value>::open_in(&segment, name).unwrap();
                let value = cell.get().unwrap().expect("all were needed");
                assert_eq!(value[0], value[1]);
                value[0]
            })
            .sum();
        assert!(sums.iter().all(|it| *it == sum.to_ne_bytes()), "{round}");
    }
}

#[test]
fn a_forked_child_is_refused_and_changes_nothing() {
    run_if_worker(
        test_name!(),
        &[("alone", &|_| {
            let (segment, cell) = cell();
            let parent = std::process::id();
            let value = cell.get_or_try_init(|| {
                let child = Forked::run(|| {
                    assert!(matches!(cell.get(), Err(Error::Forked { .. })));
                    let value = cell.get_or_init(|| [1; 2]);
                    assert!(
                        matches!(value, Err(OnceError::Segment(Error::Forked { .. }))),
                        "{value:?}"
                    );
                    0
                });
                assert_eq!(child.join(), Ok(0));
                // SAFETY: the child leaves the closure with an error and ends with `_exit`.
                match unsafe { fork() }.unwrap() {
                    ForkResult::Child => Err(OnceError::TimedOut),
                    ForkResult::Parent { child } => {
                        let ended = waitpid(child, None).unwrap();
                        assert_eq!(ended, WaitStatus::Exited(child, 0));
                        assert!(is_held(&segment, "cell"), "the child has ended it");
                        Ok([2; 2])
                    }
                }
            });
            if std::process::id() != parent {
                // SAFETY: ends the child without running anything of the parent's.
                unsafe { libc::_exit(0) };
            }
            assert_eq!(value?, [2; 2]);
            assert_eq!(cell.get()?, Some([2; 2]));
            Ok(())
        })],
    );
    let mut process = Process::builder(test_name!(), "alone")
        .under_test(test_name!())
        .spawn()
        .unwrap();
    let exit = process.join_timeout(PATIENCE).unwrap();
    exit.expect("the process hangs").into_result().unwrap();
}
