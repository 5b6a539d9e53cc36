//! Events between processes: waking, dying, being stopped, signals, forks.

mod common;

use common::{PATIENCE, POLICIES, Peer, event, joined, somebody_sleeps, tell, until};
use ipc_core::{Error, Segment, Wait};
use ipc_process::{run_if_worker, test_name};
use ipc_sync::{Event, EventError, Reset};
use std::time::{Duration, Instant};
use test_kit::forked::Forked;

const SCOPE: &str = "event";

fn become_worker() {
    run_if_worker(
        SCOPE,
        &[
            // Passes once, and tells.
            ("wait", &|worker| {
                let (event, voice) = joined(worker);
                tell(&voice, b'r');
                event.wait()?;
                tell(&voice, b'p');
                Ok(())
            }),
            // Passes again and again until it is killed, and tells of each.
            ("pass", &|worker| {
                let (event, voice) = joined(worker);
                tell(&voice, b'r');
                loop {
                    event.wait()?;
                    tell(&voice, b'p');
                }
            }),
            // Sets it and dies at once.
            ("set-and-die", &|worker| {
                let (event, _voice) = joined(worker);
                event.set()?;
                nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL)?;
                Ok(())
            }),
            // Sets the state without the wake, as somebody killed between the two.
            ("set-half", &|worker| {
                use std::os::unix::fs::FileExt;
                let segment = Segment::open(worker.take_fd("segment")?)?;
                let offset = segment.objects()?[0].offset;
                let file = std::fs::File::from(segment.descriptor()?);
                file.write_all_at(&1u32.to_ne_bytes(), offset)?;
                nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL)?;
                Ok(())
            }),
            // Answers each set of its own by one of the other event.
            ("pong", &|worker| {
                let segment = Segment::open(worker.take_fd("segment")?)?;
                let mut ping = Event::open_in(&segment, "event")?;
                let pong = Event::open_in(&segment, "pong")?;
                let [policy, rounds] = [worker.params()[0], worker.params()[1]];
                ping.set_wait(POLICIES[policy as usize]);
                for _ in 0..u32::from(rounds) * 100 {
                    ping.wait()?;
                    pong.set()?;
                }
                Ok(())
            }),
        ],
    );
}

fn start(role: &str, test: &str, segment: &Segment, policy: usize) -> Peer {
    Peer::start(SCOPE, role, test, segment, &[policy as u8])
}

#[test]
fn setting_wakes_waiting_processes_however_they_wait() {
    become_worker();
    for (policy, wait) in POLICIES.into_iter().enumerate() {
        let (segment, event) = event(Reset::Manual);
        let mut peers: Vec<_> = (0..3)
            .map(|_| start("wait", test_name!(), &segment, policy))
            .collect();
        for peer in &mut peers {
            assert_eq!(peer.hear(), b'r');
        }
        if wait != Wait::Busy {
            until("somebody sleeps", || somebody_sleeps(&segment));
        }
        event.set().unwrap();
        for mut peer in peers {
            assert_eq!(peer.hear(), b'p');
            peer.finish();
        }
        assert!(event.is_set().unwrap());
    }
}

#[test]
fn no_wake_is_lost_in_thousands_of_hand_offs() {
    become_worker();
    for (policy, wait) in POLICIES.into_iter().enumerate() {
        let rounds = if wait == Wait::Park { 100 } else { 20 };
        let (segment, ping) = event(Reset::Auto);
        let mut pong = Event::create_in(&segment, "pong", Reset::Auto).unwrap();
        pong.set_wait(wait);
        let params = [policy as u8, rounds];
        let peer = Peer::start(SCOPE, "pong", test_name!(), &segment, &params);
        let start = Instant::now();
        for _ in 0..u32::from(rounds) * 100 {
            ping.set().unwrap();
            pong.wait_timeout(PATIENCE).unwrap();
        }
        peer.finish();
        // A lost wake costs a slice of 10 ms: so many of them would show.
        assert!(start.elapsed() < PATIENCE);
        assert!(!ping.is_set().unwrap() && !pong.is_set().unwrap());
    }
}

#[test]
fn each_set_of_an_automatic_event_lets_one_of_many_processes_pass() {
    become_worker();
    let (segment, event) = event(Reset::Auto);
    let mut peers: Vec<_> = (0..4)
        .map(|i| start("pass", test_name!(), &segment, 1 + i % 2))
        .collect();
    for peer in &mut peers {
        assert_eq!(peer.hear(), b'r');
    }
    const SETS: usize = 500;
    for _ in 0..SETS {
        event.set().unwrap();
        until("somebody passes", || !event.is_set().unwrap());
    }
    // Who has passed is about to tell. One byte for each set, of all together, and no more: after
    // the peers are gone, what they told is in the pipes.
    let told = |peers: &mut Vec<Peer>| peers.iter_mut().map(Peer::told_so_far).sum::<usize>();
    let mut sum = 0;
    until("all have told", || {
        sum += told(&mut peers);
        sum >= SETS
    });
    let mut pipes: Vec<_> = peers.into_iter().map(Peer::kill_and_keep).collect();
    sum += pipes.iter_mut().map(common::rest_of).sum::<usize>();
    assert_eq!(sum, SETS);
    assert!(matches!(event.try_wait(), Err(EventError::NotSet)));
}

#[test]
fn killed_waiters_leave_nothing_behind() {
    become_worker();
    for reset in [Reset::Manual, Reset::Auto] {
        let (segment, event) = event(reset);
        for _ in 0..10 {
            let mut peer = start("wait", test_name!(), &segment, 2);
            assert_eq!(peer.hear(), b'r');
            until("it sleeps", || somebody_sleeps(&segment));
            peer.kill();
            assert!(!event.is_set().unwrap());
            event.set().unwrap();
            // The dead have taken nothing.
            event.wait_timeout(Duration::ZERO).unwrap();
            event.reset().unwrap();
        }
        segment.recover().unwrap();
        assert_eq!(segment.participants().unwrap().len(), 1);
    }
}

#[test]
fn a_set_counts_though_its_setter_died_at_once() {
    become_worker();
    for role in ["set-and-die", "set-half"] {
        for reset in [Reset::Manual, Reset::Auto] {
            for (policy, wait) in POLICIES.into_iter().enumerate() {
                let (segment, event) = event(reset);
                let mut peer = start("wait", test_name!(), &segment, policy);
                assert_eq!(peer.hear(), b'r');
                if wait != Wait::Busy {
                    until("it sleeps", || somebody_sleeps(&segment));
                }
                let setter = start(role, test_name!(), &segment, 0);
                assert_eq!(peer.hear(), b'p');
                peer.finish();
                setter.kill();
                assert_eq!(event.is_set().unwrap(), reset == Reset::Manual);
            }
        }
    }
}

#[test]
fn a_stopped_waiter_hinders_nobody_and_goes_on() {
    become_worker();
    let (segment, event) = event(Reset::Auto);
    let mut stopped = start("wait", test_name!(), &segment, 2);
    assert_eq!(stopped.hear(), b'r');
    until("it sleeps", || somebody_sleeps(&segment));
    stopped.process.stop().unwrap();
    event.set().unwrap();
    event.wait_timeout(Duration::ZERO).unwrap();
    stopped.process.resume().unwrap();
    event.set().unwrap();
    assert_eq!(stopped.hear(), b'p');
    stopped.finish();
}

#[test]
fn signals_end_and_prolong_no_wait() {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    use std::sync::atomic::{AtomicBool, Ordering};
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing at all.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let (_segment, mut event) = event(Reset::Manual);
    event.set_wait(Wait::Park);
    let over = AtomicBool::new(false);
    let target = nix::sys::pthread::pthread_self();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // The target lives: the scope ends in it.
                nix::sys::pthread::pthread_kill(target, Signal::SIGUSR1).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let timeout = Duration::from_millis(80);
        let start = Instant::now();
        let waited = event.wait_timeout(timeout);
        let took = start.elapsed();
        over.store(true, Ordering::Relaxed);
        assert!(matches!(waited, Err(EventError::TimedOut)));
        assert!(took >= timeout, "{took:?}");
        assert!(took < timeout + Duration::from_millis(500), "{took:?}");
    });
}

#[test]
fn a_forked_child_is_refused_and_changes_nothing() {
    run_if_worker(
        test_name!(),
        &[("alone", &|_| {
            let (segment, event) = event(Reset::Auto);
            event.set()?;
            let child = Forked::run(|| {
                let forked = |result: ipc_core::Result<()>| {
                    assert!(matches!(result, Err(Error::Forked { .. })), "{result:?}");
                };
                let wait_forked = |result: Result<(), EventError>| {
                    assert!(
                        matches!(result, Err(EventError::Segment(Error::Forked { .. }))),
                        "{result:?}"
                    );
                };
                forked(event.set());
                forked(event.reset());
                forked(event.is_set().map(drop));
                wait_forked(event.wait());
                wait_forked(event.try_wait());
                wait_forked(event.wait_timeout(Duration::ZERO));
                wait_forked(event.wait_timeout(Duration::MAX));
                forked(Event::open_in(&segment, "event").map(drop));
                forked(Event::create_in(&segment, "new", Reset::Auto).map(drop));
                assert_eq!(event.kind_of_reset(), Reset::Auto);
                drop(event.clone());
                0
            });
            assert_eq!(child.join(), Ok(0));
            assert!(event.is_set()?);
            event.wait()?;
            Ok(())
        })],
    );
    let mut process = ipc_process::Process::builder(test_name!(), "alone")
        .under_test(test_name!())
        .spawn()
        .unwrap();
    let exit = process.join_timeout(PATIENCE).unwrap();
    exit.expect("the process hangs").into_result().unwrap();
}
