//! Condvars between processes: waiters and notifiers killed at any moment, stopped, signalled.

mod common;

use common::words::{is_held, set_word, word};
use common::{PATIENCE, Peer, TWO_SLICES, is_prompt, tell, until};
use ipc_core::{Error, Place, SLICE, Segment};
use ipc_process::{Process, Worker, run_if_worker, test_name};
use ipc_sync::{Condvar, LockError, Mutex, MutexGuard, UpdateError, Waited};
use nix::sys::signal::{Signal, raise};
use std::io::PipeWriter;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};
use test_kit::forked::Forked;

const SCOPE: &str = "condvar";

fn hall() -> (Segment, Mutex<u64>, Condvar) {
    let segment = Segment::create(Place::memfd("test"), 4096).unwrap();
    let mutex = Mutex::create_in(&segment, "mutex", 0u64).unwrap();
    let condvar = Condvar::create_in(&segment, "condvar").unwrap();
    (segment, mutex, condvar)
}

fn joined(worker: &mut Worker) -> (Mutex<u64>, Condvar, PipeWriter) {
    let segment = Segment::open(worker.take_fd("segment").unwrap()).unwrap();
    let mutex = Mutex::open_in(&segment, "mutex").unwrap();
    let condvar = Condvar::open_in(&segment, "condvar").unwrap();
    (mutex, condvar, worker.take_fd("tell").unwrap().into())
}

/// Whoever died with the mutex left a number in it that is whole.
fn whole<'a>(
    locked: Result<MutexGuard<'a, u64>, LockError<'a, u64>>,
) -> Result<MutexGuard<'a, u64>, UpdateError> {
    match locked {
        Err(LockError::OwnerDied(guard)) => Ok(guard.repaired()),
        other => other.map_err(UpdateError::from),
    }
}

fn take_token(mutex: &Mutex<u64>, condvar: &Condvar) -> Result<(), UpdateError> {
    let mut guard = whole(mutex.lock())?;
    while *guard == 0 {
        guard = whole(condvar.wait(guard))?;
    }
    *guard -= 1;
    Ok(())
}

fn become_worker() {
    run_if_worker(
        SCOPE,
        &[
            // Takes one token, and tells.
            ("take", &|worker| {
                let (mutex, condvar, voice) = joined(worker);
                tell(&voice, b'r');
                take_token(&mutex, &condvar)?;
                tell(&voice, b't');
                Ok(())
            }),
            // Takes tokens for ever.
            ("take-all", &|worker| {
                let (mutex, condvar, voice) = joined(worker);
                tell(&voice, b'r');
                loop {
                    take_token(&mutex, &condvar)?;
                    tell(&voice, b't');
                }
            }),
            // Gives a token, unlocks, and dies before it notifies.
            ("give-and-die", &|worker| {
                let (mutex, _condvar, _voice) = joined(worker);
                *mutex.lock().map_err(UpdateError::from)? += 1;
                raise(Signal::SIGKILL)?;
                Ok(())
            }),
            // Dies with the mutex after the change.
            ("give-and-die-with-it", &|worker| {
                let (mutex, _condvar, _voice) = joined(worker);
                let mut guard = mutex.lock().map_err(UpdateError::from)?;
                *guard += 1;
                raise(Signal::SIGKILL)?;
                Ok(())
            }),
        ],
    );
}

fn start(role: &str, test: &str, segment: &Segment) -> Peer {
    Peer::start(SCOPE, role, test, segment, &[])
}

fn ready(role: &str, test: &str, segment: &Segment) -> Peer {
    let mut peer = start(role, test, segment);
    assert_eq!(peer.hear(), b'r');
    peer
}

fn give(mutex: &Mutex<u64>, condvar: &Condvar) {
    *whole(mutex.lock()).unwrap() += 1;
    condvar.notify_one().unwrap();
}

fn is_awaited(segment: &Segment) -> bool {
    word(segment, "condvar") % 2 == 1
}

#[test]
fn processes_are_notified() {
    become_worker();
    let (segment, mutex, condvar) = hall();
    let mut peers: Vec<_> = (0..3)
        .map(|_| ready("take", test_name!(), &segment))
        .collect();
    until("they wait", || is_awaited(&segment));
    for _ in 0..2 {
        give(&mutex, &condvar);
    }
    *mutex.lock().unwrap() += 1;
    condvar.notify_all().unwrap();
    for peer in &mut peers {
        assert_eq!(peer.hear(), b't');
    }
    peers.into_iter().for_each(|it| drop(it.finish()));
    assert_eq!(mutex.get().unwrap(), 0);
}

#[test]
fn what_a_dead_notifier_did_not_tell_of_is_found_within_two_slices() {
    become_worker();
    for role in ["give-and-die", "give-and-die-with-it"] {
        is_prompt(role, TWO_SLICES, || {
            let (segment, _mutex, _condvar) = hall();
            let mut waiter = ready("take", test_name!(), &segment);
            until("it waits", || is_awaited(&segment));
            let mut dying = start(role, test_name!(), &segment);
            let died = dying.process.join().unwrap().into_result();
            let start = Instant::now();
            assert!(died.is_err());
            assert_eq!(waiter.hear(), b't');
            let took = start.elapsed();
            waiter.finish();
            took
        });
    }
}

/// The notifier is killed after it changed the number, and before it woke anybody.
#[test]
fn a_wake_that_the_dead_owed_is_made_up_for_within_two_slices() {
    become_worker();
    // For one, and for all.
    for step in [2, 1] {
        is_prompt(step, TWO_SLICES, || {
            let (segment, mutex, _condvar) = hall();
            let mut waiters = [0; 2].map(|_| {
                let waiter = ready("take", test_name!(), &segment);
                until("it waits", || {
                    is_awaited(&segment) && !is_held(&segment, "mutex")
                });
                waiter
            });
            *mutex.lock().unwrap() += 2;
            let start = Instant::now();
            set_word(&segment, "condvar", word(&segment, "condvar") + step);
            for waiter in &mut waiters {
                assert_eq!(waiter.hear(), b't');
            }
            let took = start.elapsed();
            waiters.into_iter().for_each(|it| drop(it.finish()));
            assert_eq!(mutex.get().unwrap(), 0);
            took
        });
    }
}

#[test]
fn killed_waiters_leave_nothing_behind() {
    become_worker();
    let (segment, mutex, condvar) = hall();
    for _ in 0..5 {
        let dying: Vec<_> = (0..2)
            .map(|_| ready("take", test_name!(), &segment))
            .collect();
        until("they wait", || is_awaited(&segment));
        dying.into_iter().for_each(Peer::kill);
        // For nobody, once; then nobody is taken to wait.
        condvar.notify_one().unwrap();
        assert!(!is_awaited(&segment));
        let mut waiter = ready("take", test_name!(), &segment);
        give(&mutex, &condvar);
        assert_eq!(waiter.hear(), b't');
        waiter.finish();
    }
    segment.recover().unwrap();
    assert_eq!(segment.participants().unwrap().len(), 1);
    assert_eq!(*whole(mutex.lock()).unwrap(), 0);
}

/// A stopped waiter gets the wake and cannot act; then it goes on, or is killed.
#[test]
fn a_notification_that_went_to_the_stopped_reaches_another() {
    become_worker();
    for end in ["goes on", "is killed"] {
        let (segment, mutex, condvar) = hall();
        let mut first = ready("take", test_name!(), &segment);
        until("it waits", || {
            is_awaited(&segment) && !is_held(&segment, "mutex")
        });
        first.process.stop().unwrap();
        let mut second = ready("take", test_name!(), &segment);
        // There is nothing to see of its falling asleep behind the first.
        std::thread::sleep(SLICE / 2);
        give(&mutex, &condvar);
        assert_eq!(second.hear(), b't');
        second.finish();
        if end == "is killed" {
            first.kill();
        } else {
            first.process.resume().unwrap();
            give(&mutex, &condvar);
            assert_eq!(first.hear(), b't');
            first.finish();
        }
        assert_eq!(*whole(mutex.lock()).unwrap(), 0);
    }
}

/// Wherever they are when they are killed: the four others take all that is given.
#[test]
fn killed_at_random_again_and_again_while_others_go_on() {
    become_worker();
    let (segment, mutex, condvar) = hall();
    let mut others: Vec<_> = (0..4)
        .map(|_| ready("take-all", test_name!(), &segment))
        .collect();
    let mut told = 0;
    for round in 0..40u64 {
        let victim = ready("take-all", test_name!(), &segment);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(round * 131 % 3000) {
            give(&mutex, &condvar);
        }
        let mut last_words = victim.kill_and_keep();
        for _ in 0..8 {
            give(&mutex, &condvar);
        }
        told += common::rest_of(&mut last_words);
        until("all tokens are taken", || {
            told += others.iter_mut().map(Peer::told_so_far).sum::<usize>();
            *whole(mutex.lock()).unwrap() == 0
        });
    }
    assert!(told > 300, "{told}");
    others.into_iter().for_each(Peer::kill);
}

#[test]
fn signals_end_and_prolong_no_wait() {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction};
    use std::sync::atomic::{AtomicBool, Ordering};
    extern "C" fn nothing(_: libc::c_int) {}
    let handler = SigHandler::Handler(nothing);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing at all.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let (_segment, mutex, condvar) = hall();
    let (over, target) = (AtomicBool::new(false), nix::sys::pthread::pthread_self());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // The target lives: the scope ends in it.
                nix::sys::pthread::pthread_kill(target, Signal::SIGUSR1).unwrap();
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        let timeout = 8 * SLICE;
        let start = Instant::now();
        let guard = mutex.lock().unwrap();
        let (_guard, waited) = condvar.wait_timeout(guard, timeout).unwrap();
        let took = start.elapsed();
        over.store(true, Ordering::Relaxed);
        assert_eq!(waited, Waited::TimedOut);
        assert!(took >= timeout, "{took:?}");
        assert!(took < timeout + Duration::from_millis(500), "{took:?}");
    });
}

#[test]
fn a_forked_child_is_refused_and_changes_nothing() {
    run_if_worker(
        test_name!(),
        &[("alone", &|_| {
            let (segment, mutex, condvar) = hall();
            let guard = ManuallyDrop::new(mutex.lock().map_err(UpdateError::from)?);
            let child = Forked::run(|| {
                assert!(matches!(condvar.notify_one(), Err(Error::Forked { .. })));
                assert!(matches!(condvar.notify_all(), Err(Error::Forked { .. })));
                let waited = condvar.wait(ManuallyDrop::into_inner(guard));
                assert!(
                    matches!(waited, Err(LockError::Segment(Error::Forked { .. }))),
                    "{waited:?}"
                );
                0
            });
            assert_eq!(child.join(), Ok(0));
            assert!(is_held(&segment, "mutex"));
            assert!(!is_awaited(&segment));
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
