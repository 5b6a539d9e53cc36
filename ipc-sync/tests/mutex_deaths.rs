//! Mutexes between processes: killed at any moment, stopped, signalled, forked.

mod common;

use common::words::{CONTENDED, STARVING, is_contended, is_held, set_word, word};
use common::{PATIENCE, POLICIES, Peer, TWO_SLICES, is_prompt, tell, until};
use ipc_core::{Error, Place, SLICE, Segment, Wait};
use ipc_process::{Process, Worker, run_if_worker, test_name};
use ipc_sync::{LockError, Mutex, UpdateError};
use nix::sys::signal::{Signal, raise};
use std::io::PipeWriter;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};
use test_kit::forked::Forked;

const SCOPE: &str = "mutex";

/// Changed in two steps: unequal only within a change.
type Pair = [u64; 2];

fn mutex() -> (Segment, Mutex<Pair>) {
    let segment = Segment::create(Place::memfd("test"), 4096).unwrap();
    let mutex = Mutex::create_in(&segment, "mutex", [0; 2]).unwrap();
    (segment, mutex)
}

fn joined(worker: &mut Worker) -> (Segment, Mutex<Pair>, PipeWriter) {
    let segment = Segment::open(worker.take_fd("segment").unwrap()).unwrap();
    let mut mutex = Mutex::open_in(&segment, "mutex").unwrap();
    if let Some(&policy) = worker.params().first() {
        mutex.set_wait(POLICIES[policy as usize]);
    }
    (segment, mutex, worker.take_fd("tell").unwrap().into())
}

fn add_one(mutex: &Mutex<Pair>) {
    let mut pair = match mutex.lock() {
        Ok(pair) => pair,
        Err(LockError::OwnerDied(mut pair)) => {
            // It died between the two steps, or before the first, or after the last.
            pair[0] = pair[0].max(pair[1]);
            pair[1] = pair[0];
            pair.repaired()
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(pair[0], pair[1], "a change of a living process was seen");
    pair[0] += 1;
    std::hint::black_box(&mut pair);
    pair[1] += 1;
}

fn become_worker() {
    run_if_worker(
        SCOPE,
        &[
            // Holds it in the middle of a change until it is killed or told.
            ("hold", &|worker| {
                let (_segment, mutex, voice) = joined(worker);
                let mut pair = mutex.lock().map_err(UpdateError::from)?;
                pair[0] += 1;
                tell(&voice, b'h');
                loop {
                    std::thread::park();
                }
            }),
            // Waits for it, and tells when it has it, sound or not.
            ("wait", &|worker| {
                let (_segment, mutex, voice) = joined(worker);
                tell(&voice, b'r');
                match mutex.lock() {
                    Ok(guard) => {
                        tell(&voice, b'l');
                        drop(guard);
                    }
                    Err(LockError::OwnerDied(mut guard)) => {
                        tell(&voice, b'd');
                        guard[1] = guard[0];
                        drop(guard.repaired());
                    }
                    Err(LockError::Unrecoverable { .. }) => tell(&voice, b'u'),
                    Err(error) => panic!("{error}"),
                }
                Ok(())
            }),
            // Gives up what a dead one left.
            ("give-up", &|worker| {
                let (_segment, mutex, voice) = joined(worker);
                match mutex.lock() {
                    Err(LockError::OwnerDied(guard)) => drop(guard),
                    other => panic!("{other:?}"),
                }
                tell(&voice, b'g');
                Ok(())
            }),
            // Takes over from a dead one and dies in the middle of the repair.
            ("take-over-and-die", &|worker| {
                let (_segment, mutex, _voice) = joined(worker);
                match mutex.lock() {
                    Err(LockError::OwnerDied(_guard)) => raise(Signal::SIGKILL)?,
                    other => panic!("{other:?}"),
                }
                Ok(())
            }),
            // Counts for ever.
            ("count", &|worker| {
                let (_segment, mutex, voice) = joined(worker);
                tell(&voice, b'r');
                loop {
                    add_one(&mutex);
                }
            }),
            // Counts so often, and ends.
            ("count-so-often", &|worker| {
                let (_segment, mutex, _voice) = joined(worker);
                let count = u32::from_ne_bytes(worker.params()[1..5].try_into()?);
                for _ in 0..count {
                    add_one(&mutex);
                }
                Ok(())
            }),
        ],
    );
}

fn start(role: &str, test: &str, segment: &Segment, policy: usize) -> Peer {
    Peer::start(SCOPE, role, test, segment, &[policy as u8])
}

fn holder(test: &str, segment: &Segment) -> Peer {
    let mut peer = start("hold", test, segment, 1);
    assert_eq!(peer.hear(), b'h');
    peer
}

#[test]
fn who_waits_for_a_killed_holder_is_told_within_two_slices() {
    become_worker();
    for (policy, wait) in POLICIES.into_iter().enumerate() {
        is_prompt(wait, TWO_SLICES, || {
            let (segment, mutex) = mutex();
            let killed = holder(test_name!(), &segment);
            let mut waiter = start("wait", test_name!(), &segment, policy);
            assert_eq!(waiter.hear(), b'r');
            if wait != Wait::Busy {
                until("it sleeps", || is_contended(&segment, "mutex"));
            }
            let start = Instant::now();
            killed.kill();
            assert_eq!(waiter.hear(), b'd', "{wait:?}");
            let took = start.elapsed();
            waiter.finish();
            let pair = *mutex.lock().unwrap();
            assert_eq!(pair, [1, 1], "what the waiter repaired");
            assert_eq!(segment.participants().unwrap().len(), 1);
            took
        });
    }
}

#[test]
fn one_of_many_waiters_is_told_and_the_others_get_it_sound() {
    become_worker();
    let (segment, mutex) = mutex();
    let killed = holder(test_name!(), &segment);
    let mut waiters: Vec<_> = (0..5)
        .map(|i| start("wait", test_name!(), &segment, i % 3))
        .collect();
    for waiter in &mut waiters {
        assert_eq!(waiter.hear(), b'r');
    }
    killed.kill();
    let mut told: Vec<_> = waiters.iter_mut().map(Peer::hear).collect();
    told.sort_unstable();
    assert_eq!(told, b"dllll");
    waiters.into_iter().for_each(|it| drop(it.finish()));
    assert_eq!(mutex.get().unwrap(), [1, 1]);
}

#[test]
fn who_does_not_repair_after_a_death_makes_it_unrecoverable_for_all() {
    become_worker();
    let (segment, mutex) = mutex();
    holder(test_name!(), &segment).kill();
    start("give-up", test_name!(), &segment, 2).finish();
    assert!(matches!(mutex.lock(), Err(LockError::Unrecoverable { .. })));
    assert!(matches!(
        mutex.repair(|_| ()),
        Err(UpdateError::Unrecoverable { .. })
    ));
    let mut late = start("wait", test_name!(), &segment, 2);
    assert_eq!((late.hear(), late.hear()), (b'r', b'u'));
    late.finish();
}

#[test]
fn who_dies_during_the_repair_leaves_it_to_the_next() {
    become_worker();
    let (segment, mutex) = mutex();
    holder(test_name!(), &segment).kill();
    for _ in 0..3 {
        let mut dying = start("take-over-and-die", test_name!(), &segment, 2);
        assert!(dying.process.join().unwrap().into_result().is_err());
    }
    assert!(matches!(mutex.get(), Err(UpdateError::OwnerDied { .. })));
    mutex.repair(|pair| *pair = [5, 5]).unwrap();
    assert_eq!(*mutex.lock().unwrap(), [5, 5]);
}

#[test]
fn killed_waiters_leave_nothing_behind() {
    become_worker();
    let (segment, mutex) = mutex();
    for policy in 0..3 {
        for starving in [false, true] {
            let guard = mutex.lock().unwrap();
            let mut waiters: Vec<_> = (0..2)
                .map(|_| start("wait", test_name!(), &segment, policy))
                .collect();
            for waiter in &mut waiters {
                assert_eq!(waiter.hear(), b'r');
            }
            if policy > 0 {
                until("they sleep", || is_contended(&segment, "mutex"));
            }
            if starving {
                // There is nothing to wait on: time is what makes them starve.
                std::thread::sleep(3 * SLICE);
            }
            for waiter in waiters {
                waiter.kill();
            }
            drop(guard);
            let start = Instant::now();
            drop(mutex.lock().unwrap());
            // At worst the mark of one who starved, for one slice.
            assert!(start.elapsed() < PATIENCE);
            drop(mutex.try_lock().unwrap());
            assert!(!is_held(&segment, "mutex"));
        }
    }
    segment.recover().unwrap();
    assert_eq!(segment.participants().unwrap().len(), 1);
}

/// One that was woken, or is about to be, is killed before it can lock; the others go on.
#[test]
fn a_wake_that_went_to_the_dead_is_made_up_for() {
    become_worker();
    for policy in [1, 2] {
        for _ in 0..10 {
            let (segment, mutex) = mutex();
            let guard = mutex.lock().unwrap();
            let mut first = start("wait", test_name!(), &segment, policy);
            assert_eq!(first.hear(), b'r');
            until("it sleeps", || is_contended(&segment, "mutex"));
            // Stopped, it is woken without knowing.
            first.process.stop().unwrap();
            let mut others: Vec<_> = (0..2)
                .map(|_| start("wait", test_name!(), &segment, policy))
                .collect();
            for other in &mut others {
                assert_eq!(other.hear(), b'r');
            }
            drop(guard);
            for other in &mut others {
                assert_eq!(other.hear(), b'l');
            }
            first.kill();
            others.into_iter().for_each(|it| drop(it.finish()));
            drop(mutex.lock().unwrap());
        }
    }
}

/// The holder is killed after it gave the mutex up, and before it woke anybody.
#[test]
fn a_wake_that_the_dead_owed_is_made_up_for_within_two_slices() {
    become_worker();
    for policy in [1, 2] {
        for mark in [CONTENDED, STARVING] {
            is_prompt((policy, mark), TWO_SLICES, || {
                let (segment, mutex) = mutex();
                let guard = ManuallyDrop::new(mutex.lock().unwrap());
                let mut waiter = start("wait", test_name!(), &segment, policy);
                assert_eq!(waiter.hear(), b'r');
                until("it waits", || word(&segment, "mutex") & mark != 0);
                let start = Instant::now();
                set_word(&segment, "mutex", word(&segment, "mutex") & STARVING);
                assert_eq!(waiter.hear(), b'l');
                let took = start.elapsed();
                waiter.finish();
                drop(ManuallyDrop::into_inner(guard));
                drop(mutex.try_lock().unwrap());
                took
            });
        }
    }
}

#[test]
fn processes_count_without_losing_one() {
    become_worker();
    const EACH: u32 = 20_000;
    for policy in 0..3u8 {
        // Busy waiters without cores of their own wait for the scheduler.
        let each = if policy == 0 { EACH / 20 } else { EACH };
        let (segment, mutex) = mutex();
        let params = [&[policy][..], &each.to_ne_bytes()].concat();
        let peers: Vec<_> = (0..4)
            .map(|_| Peer::start(SCOPE, "count-so-often", test_name!(), &segment, &params))
            .collect();
        peers.into_iter().for_each(|it| drop(it.finish()));
        let all = u64::from(4 * each);
        assert_eq!(mutex.get().unwrap(), [all, all]);
    }
}

/// Wherever they are when they are killed: the four others go on, and see no half change.
#[test]
fn killed_at_random_again_and_again_while_others_go_on() {
    become_worker();
    let (segment, mutex) = mutex();
    let mut others: Vec<_> = (0..4)
        .map(|i| start("count", test_name!(), &segment, 1 + i % 2))
        .collect();
    for other in &mut others {
        assert_eq!(other.hear(), b'r');
    }
    for round in 0..40u64 {
        let mut victim = start("count", test_name!(), &segment, 1);
        assert_eq!(victim.hear(), b'r');
        let before = segment.participants().unwrap().len();
        assert!(before >= 5, "{before}");
        // Some while, a different one each time.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(round * 97 % 3000) {
            std::hint::spin_loop();
        }
        victim.kill();
        let seen = read_repaired(&mutex);
        until("the others go on", || read_repaired(&mutex) > seen + 100);
    }
    for other in others {
        other.kill();
    }
    let sum = read_repaired(&mutex);
    assert_eq!(*mutex.lock().unwrap(), [sum; 2]);
}

/// The count; if somebody just died, made whole as the others do.
fn read_repaired(mutex: &Mutex<Pair>) -> u64 {
    let whole = |pair: &mut Pair| {
        let most = pair[0].max(pair[1]);
        *pair = [most; 2];
        most
    };
    mutex.repair(whole).unwrap()
}

#[test]
fn a_stopped_holder_keeps_it_and_time_outs_work() {
    become_worker();
    let (segment, mutex) = mutex();
    let other = Mutex::create_in(&segment, "other", 0u64).unwrap();
    let mut stopped = holder(test_name!(), &segment);
    stopped.process.stop().unwrap();
    for wait in POLICIES {
        let mut mutex = mutex.clone();
        mutex.set_wait(wait);
        let start = Instant::now();
        let timeout = 6 * SLICE;
        assert!(matches!(
            mutex.lock_timeout(timeout),
            Err(LockError::TimedOut)
        ));
        assert!(start.elapsed() >= timeout);
        assert!(matches!(mutex.try_lock(), Err(LockError::Held)));
    }
    assert_eq!(segment.recover().unwrap(), Default::default());
    *other.lock().unwrap() += 1;
    stopped.process.resume().unwrap();
    assert!(matches!(
        mutex.lock_timeout(2 * SLICE),
        Err(LockError::TimedOut)
    ));
    stopped.kill();
    assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(_))));
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
    let (_segment, mut mutex) = mutex();
    mutex.set_wait(Wait::Park);
    let (over, target) = (AtomicBool::new(false), nix::sys::pthread::pthread_self());
    let (held, is_held) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _guard = mutex.lock().unwrap();
            held.send(()).unwrap();
            while !over.load(Ordering::Relaxed) {
                // The target lives: the scope ends in it.
                nix::sys::pthread::pthread_kill(target, Signal::SIGUSR1).unwrap();
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        is_held.recv().unwrap();
        let timeout = 8 * SLICE;
        let start = Instant::now();
        let locked = mutex.lock_timeout(timeout);
        let took = start.elapsed();
        over.store(true, Ordering::Relaxed);
        assert!(matches!(locked, Err(LockError::TimedOut)));
        assert!(took >= timeout, "{took:?}");
        assert!(took < timeout + Duration::from_millis(500), "{took:?}");
    });
    drop(mutex.lock().unwrap());
}

#[test]
fn a_forked_child_is_refused_and_changes_nothing() {
    run_if_worker(
        test_name!(),
        &[("alone", &|_| {
            let (segment, mutex) = mutex();
            // What a child takes and drops is not to be dropped here.
            let guard = ManuallyDrop::new(mutex.lock().map_err(UpdateError::from)?);
            let child = Forked::run(|| {
                let forked = |result: Result<(), UpdateError>| {
                    assert!(
                        matches!(result, Err(UpdateError::Segment(Error::Forked { .. }))),
                        "{result:?}"
                    );
                };
                let locked = |it: Result<_, LockError<'_, Pair>>| it.map(drop).map_err(Into::into);
                forked(locked(mutex.lock()));
                forked(locked(mutex.try_lock()));
                forked(locked(mutex.lock_timeout(Duration::MAX)));
                forked(mutex.get().map(drop));
                forked(mutex.update(|_| ()));
                forked(mutex.repair(|_| ()));
                assert!(Mutex::<Pair>::open_in(&segment, "mutex").is_err());
                // Neither unlocks its parent's mutex, nor gives its name back.
                drop(ManuallyDrop::into_inner(guard));
                drop(Mutex::clone(&mutex));
                0
            });
            assert_eq!(child.join(), Ok(0));
            assert!(is_held(&segment, "mutex"));
            // The last of a handle's clones goes in the child.
            let other = Mutex::create_in(&segment, "other", 0u64)?;
            std::mem::forget(other.lock().map_err(UpdateError::from)?);
            let other = ManuallyDrop::new(other);
            let child = Forked::run(move || {
                drop(ManuallyDrop::into_inner(other));
                0
            });
            assert_eq!(child.join(), Ok(0));
            assert!(is_held(&segment, "other"));
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
