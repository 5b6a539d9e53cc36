//! Waiting for another process: no wake is lost for longer than a slice, deadlines hold, and
//! neither signals nor deaths disturb.

#![cfg(not(loom))]

mod common;

use common::line::Line;
use common::peer::{Peer, attached};
use common::words;
use ipc_core::futex::{self, Woken};
use ipc_core::{Bell, Deadline, Fences, Place, SLICE, Segment, SharedLayout, SharedRef, Wait};
use ipc_process::{WorkResult, Worker, run_if_worker, test_name};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::cell::Cell;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const POLICIES: [Wait; 3] = [Wait::Busy, Wait::Adaptive, Wait::Park];
/// A test that waits for so long has failed.
const LONG: Duration = Duration::from_secs(30);

/// Two values, each with a bell for who waits for it.
#[repr(C)]
struct Post {
    there: Bell,
    back: Bell,
    question: AtomicU64,
    answer: AtomicU64,
}

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Post {}

const BELL_AT: u64 = std::mem::offset_of!(Post, there) as u64;

fn post() -> (Segment, SharedRef<Post>) {
    let segment = Segment::create(Place::memfd("waiting"), 4096).unwrap();
    let object = words::create_bytes(&segment, "post", size_of::<Post>() as u64);
    let post = object.structure(0).unwrap();
    (segment, post)
}

fn attached_to_post(worker: &mut Worker) -> (Segment, Line, SharedRef<Post>) {
    let (segment, line) = attached(worker);
    let post = words::open_bytes(&segment, "post").structure(0).unwrap();
    (segment, line, post)
}

/// The word of the first bell: odd while somebody waits there.
fn bell_word(segment: &Segment) -> SharedRef<AtomicU32> {
    words::open_bytes(segment, "post")
        .structure(BELL_AT)
        .unwrap()
}

/// Nobody can be told when another process falls asleep, so this looks again and again.
fn until_awaited(segment: &Segment) {
    let word = bell_word(segment);
    let start = Instant::now();
    while word.load(Ordering::SeqCst).is_multiple_of(2) {
        assert!(start.elapsed() < LONG, "nobody waits");
        std::thread::yield_now();
    }
}

/// Waits until `value` reaches `awaited`. Returns how many slices passed, `None` at the deadline.
fn wait_for(
    bell: &Bell,
    value: &AtomicU64,
    awaited: u64,
    policy: Wait,
    fences: Fences,
    deadline: Deadline,
) -> Option<u32> {
    let slices = Cell::new(0);
    bell.wait(
        policy,
        fences,
        deadline,
        || (value.load(Ordering::Acquire) >= awaited).then_some(()),
        || {
            slices.set(slices.get() + 1);
            Ok::<(), Infallible>(())
        },
    )
    .unwrap()
    .map(|()| slices.get())
}

fn policy_and_rounds(params: &[u8]) -> (Wait, u64) {
    let rounds = u32::from_ne_bytes(params[1..5].try_into().unwrap());
    (POLICIES[usize::from(params[0])], rounds.into())
}

/// Answers as many questions as it was told.
fn answer(worker: &mut Worker) -> WorkResult {
    let (policy, rounds) = policy_and_rounds(worker.params());
    let (segment, line, post) = attached_to_post(worker);
    let fences = segment.attachment().fences();
    let mut slices = 0;
    for round in 1..=rounds {
        let late = Deadline::after(LONG);
        slices += wait_for(&post.there, &post.question, round, policy, fences, late).unwrap();
        assert_eq!(post.question.load(Ordering::Acquire), round);
        post.answer.store(round, Ordering::Release);
        post.back.ring(fences);
    }
    line.say_word(slices.into());
    Ok(())
}

/// Asks, and returns how many slices passed on both sides while somebody waited.
fn ask(test: &str, policy: Wait, rounds: u32) -> u64 {
    let (segment, post) = post();
    let fences = segment.attachment().fences();
    let mut params = vec![POLICIES.iter().position(|&it| it == policy).unwrap() as u8];
    params.extend(rounds.to_ne_bytes());
    let mut peer = Peer::start_with(test, "answer", segment.descriptor().unwrap(), &params);
    let mut slices = 0;
    for round in 1..=u64::from(rounds) {
        post.question.store(round, Ordering::Release);
        post.there.ring(fences);
        let late = Deadline::after(LONG);
        slices += wait_for(&post.back, &post.answer, round, policy, fences, late).unwrap();
        assert_eq!(post.answer.load(Ordering::Acquire), round);
        // Each lost wake costs a slice; so do pauses of the machine, now and then.
        assert!(slices <= 100 + rounds / 100, "{slices} in {round} rounds");
    }
    let theirs = peer.line.hear_word();
    peer.finish();
    theirs + u64::from(slices)
}

#[test]
fn no_wake_is_lost_in_a_hundred_thousand_hand_offs_between_sleepers() {
    run_if_worker(test_name!(), &[("answer", &answer)]);
    // Two hand-offs a round.
    let slices = ask(test_name!(), Wait::Park, 50_000);
    assert!(slices <= 2_000, "{slices}");
}

#[test]
fn every_policy_delivers_every_value_in_order() {
    run_if_worker(test_name!(), &[("answer", &answer)]);
    for policy in POLICIES {
        ask(test_name!(), policy, 1_000);
    }
}

/// Binds this thread, and whom it starts, to one of its processors.
fn bind_to_one_processor() {
    let me = Pid::from_raw(0);
    let all = sched_getaffinity(me).unwrap();
    let mut one = CpuSet::new();
    let first = (0..CpuSet::count()).find(|&it| all.is_set(it).unwrap());
    one.set(first.unwrap()).unwrap();
    sched_setaffinity(me, &one).unwrap();
}

/// Who polls there keeps the awaited one from its work: a spin has some two thousand polls.
#[test]
fn two_on_one_processor_do_not_spin_for_each_other() {
    run_if_worker(test_name!(), &[("answer", &answer)]);
    const ROUNDS: u32 = 2_000;
    bind_to_one_processor();
    // In the second case the time is too short for giving up the processor.
    for patience in [Duration::MAX, SLICE / 2] {
        let (segment, post) = post();
        let fences = segment.attachment().fences();
        let mut params = vec![1]; // Adaptive
        params.extend(ROUNDS.to_ne_bytes());
        let descriptor = segment.descriptor().unwrap();
        let mut peer = Peer::start_with(test_name!(), "answer", descriptor, &params);
        let (mut waits, polls) = (0u32, Cell::new(0u32));
        for round in 1..=u64::from(ROUNDS) {
            post.question.store(round, Ordering::Release);
            post.there.ring(fences);
            let ready = || {
                polls.set(polls.get() + 1);
                (post.answer.load(Ordering::Acquire) >= round).then_some(())
            };
            let wait = || {
                let late = Deadline::after(patience);
                let waited = post
                    .back
                    .wait(Wait::Adaptive, fences, late, ready, || Ok(()));
                waited.unwrap_or_else(|never: Infallible| match never {})
            };
            waits += 1;
            while wait().is_none() {
                waits += 1;
            }
        }
        peer.line.hear_word();
        peer.finish();
        let each = polls.get() / waits;
        assert!(each < 500, "{each} polls a wait, {waits} waits");
    }
}

#[test]
fn a_deadline_is_neither_early_nor_forgotten() {
    let bell = Bell::new();
    let value = AtomicU64::new(0);
    for fences in [Fences::Symmetric, Fences::Asymmetric] {
        for policy in POLICIES {
            let wait = |deadline| wait_for(&bell, &value, 1, policy, fences, deadline);
            for wait_ms in [0, 1, 9, 10, 11, 35] {
                let length = Duration::from_millis(wait_ms);
                let start = Instant::now();
                assert_eq!(wait(Deadline::after(length)), None);
                let took = start.elapsed();
                assert!(took >= length, "{policy:?}: {took:?} of {length:?}");
                assert!(took < length + LONG);
            }
            assert_eq!(wait(Deadline::PAST), None);
            // What is there is found, however late it is.
            value.store(1, Ordering::Relaxed);
            for deadline in [Deadline::PAST, Deadline::NEVER, Deadline::after(LONG)] {
                assert_eq!(wait(deadline), Some(0));
            }
            value.store(0, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_wait_without_end_or_with_a_distant_one_ends_with_the_wake() {
    run_if_worker(
        test_name!(),
        &[("publish", &|worker| {
            let (segment, line, post) = attached_to_post(worker);
            let fences = segment.attachment().fences();
            for value in 1.. {
                if line.hear() == b'.' {
                    return Ok(());
                }
                until_awaited(&segment);
                post.question.store(value, Ordering::Release);
                post.there.ring(fences);
            }
            Ok(())
        })],
    );
    let (segment, post) = post();
    let fences = segment.attachment().fences();
    let mut peer = Peer::start(test_name!(), "publish", &segment);
    let ends = [
        Duration::MAX,
        LONG,
        Duration::from_secs(u64::from(u32::MAX)),
    ];
    for (value, length) in (1..).zip(ends) {
        peer.line.say(b'p');
        let deadline = Deadline::after(length);
        let found = wait_for(
            &post.there,
            &post.question,
            value,
            Wait::Park,
            fences,
            deadline,
        );
        assert!(found.is_some());
    }
    peer.line.say(b'.');
    peer.finish();
}

static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count_signal(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Sends this thread a signal every half millisecond, and interrupts its system calls by them.
fn storm_of_signals() {
    // SAFETY: all-zero bytes are valid for these structures of the C library, which are filled in
    // as its manual says; the handler touches an atomic only.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count_signal as extern "C" fn(libc::c_int) as usize;
        assert_eq!(
            libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()),
            0
        );

        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        event.sigev_notify_thread_id = libc::gettid();
        let mut timer = std::mem::zeroed();
        assert_eq!(
            libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer),
            0
        );
        let interval = libc::timespec {
            tv_sec: 0,
            tv_nsec: 500_000,
        };
        let spec = libc::itimerspec {
            it_interval: interval,
            it_value: interval,
        };
        assert_eq!(
            libc::timer_settime(timer, 0, &spec, std::ptr::null_mut()),
            0
        );
    }
}

#[test]
fn a_storm_of_signals_neither_ends_nor_prolongs_a_wait_nor_hides_the_dead() {
    // In a process of its own, which the signals end with.
    run_if_worker(
        test_name!(),
        &[("storm", &|worker| {
            let (segment, line, post) = attached_to_post(worker);
            let fences = segment.attachment().fences();
            storm_of_signals();
            for policy in [Wait::Park, Wait::Adaptive] {
                let length = Duration::from_millis(150);
                let start = Instant::now();
                let slices = Cell::new(0u32);
                let before = SIGNALS.load(Ordering::Relaxed);
                let found = post.there.wait(
                    policy,
                    fences,
                    Deadline::after(length),
                    || None::<()>,
                    || {
                        slices.set(slices.get() + 1);
                        Ok::<(), Infallible>(())
                    },
                );
                assert_eq!(found.unwrap(), None);
                assert!(start.elapsed() >= length);
                let signals = SIGNALS.load(Ordering::Relaxed) - before;
                assert!(signals >= 20, "{signals} signals are no storm");
                assert!(
                    slices.get() >= 3,
                    "the dead were looked for {} times",
                    slices.get()
                );
            }
            line.say(b'w');
            let late = Deadline::after(LONG);
            assert!(wait_for(&post.there, &post.question, 1, Wait::Park, fences, late).is_some());
            Ok(())
        })],
    );
    let (segment, post) = post();
    let mut peer = Peer::start(test_name!(), "storm", &segment);
    peer.line.expect(b'w');
    assert!(
        peer.process.join_timeout(5 * SLICE).unwrap().is_none(),
        "still waiting"
    );
    post.question.store(1, Ordering::Release);
    post.there.ring(segment.attachment().fences());
    peer.finish();
}

#[test]
fn a_value_whose_publisher_died_before_the_wake_is_found_and_the_death_too() {
    run_if_worker(
        test_name!(),
        &[("publish and die", &|worker| {
            let (segment, line, post) = attached_to_post(worker);
            line.say(b'a');
            line.expect(b'p');
            until_awaited(&segment);
            post.question.store(1, Ordering::Release);
            // SAFETY: ends this process, between its publication and the wake that it owes.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            unreachable!()
        })],
    );
    for policy in POLICIES {
        let (segment, post) = post();
        let fences = segment.attachment().fences();
        let peer = Peer::start(test_name!(), "publish and die", &segment);
        peer.line.expect(b'a');
        peer.line.say(b'p');
        if policy == Wait::Busy {
            // Does not announce itself, so somebody else seems to wait.
            bell_word(&segment).store(1, Ordering::SeqCst);
        }
        let late = Deadline::after(LONG);
        let found = wait_for(&post.there, &post.question, 1, policy, fences, late);
        assert!(found.is_some());

        // Nobody will ever ring for this; only the slices find out.
        let swept = Cell::new(0);
        let waited = post.there.wait(
            policy,
            fences,
            Deadline::after(LONG),
            || (swept.get() > 0).then_some(()),
            || {
                swept.set(swept.get() + segment.recover()?.swept);
                Ok::<(), ipc_core::Error>(())
            },
        );
        assert_eq!(waited.unwrap(), Some(()));
        assert_eq!(segment.participants().unwrap().len(), 1);
    }
}

#[test]
fn a_killed_waiter_costs_one_wake_and_no_more() {
    run_if_worker(
        test_name!(),
        &[("wait", &|worker| {
            let (segment, _line, post) = attached_to_post(worker);
            let fences = segment.attachment().fences();
            wait_for(
                &post.there,
                &post.question,
                1,
                Wait::Park,
                fences,
                Deadline::NEVER,
            );
            Err("nothing was published".into())
        })],
    );
    let (segment, post) = post();
    let fences = segment.attachment().fences();
    let mut peer = Peer::start(test_name!(), "wait", &segment);
    until_awaited(&segment);
    peer.kill();
    let word = bell_word(&segment);
    let left_behind = word.load(Ordering::SeqCst);
    assert_eq!(left_behind % 2, 1);
    post.there.ring(fences);
    let quiet = word.load(Ordering::SeqCst);
    assert_eq!(quiet % 2, 0, "one wake, and the mark is gone");
    post.there.ring(fences);
    assert_eq!(word.load(Ordering::SeqCst), quiet);
    assert_eq!(futex::wake_all(&word), 0, "nobody sleeps here");
}

#[test]
fn an_error_of_the_slice_ends_the_wait() {
    let bell = Bell::new();
    for policy in POLICIES {
        let ended = bell.wait(
            policy,
            Fences::Symmetric,
            Deadline::NEVER,
            || None::<()>,
            || Err("broken"),
        );
        assert_eq!(ended, Err("broken"));
    }
}

#[test]
fn sleepers_of_all_processes_are_woken_and_as_many_as_asked() {
    run_if_worker(
        test_name!(),
        &[("sleep", &|worker| {
            let (segment, line) = attached(worker);
            let word: SharedRef<AtomicU32> =
                words::open_bytes(&segment, "post").structure(BELL_AT)?;
            line.say(b's');
            while word.load(Ordering::SeqCst) == 0 {
                assert_eq!(futex::wait(&word, 0, Deadline::NEVER), Woken::LookAgain);
            }
            Ok(())
        })],
    );
    let (segment, _post) = post();
    let word = bell_word(&segment);
    let mut peers: Vec<_> = (0..3)
        .map(|_| Peer::start(test_name!(), "sleep", &segment))
        .collect();
    for peer in &peers {
        peer.line.expect(b's');
    }
    // Only the kernel knows when all three are asleep: nobody can be woken before.
    let mut woken = 0;
    while woken < 10 {
        let now = futex::wake(&word, 1);
        assert!(now <= 1);
        woken += now;
    }
    word.store(1, Ordering::SeqCst);
    assert!(futex::wake_all(&word) <= 3);
    for peer in &mut peers {
        peer.finish();
    }
}

#[test]
fn a_futex_does_not_sleep_on_another_value_nor_beyond_its_deadline() {
    let word = AtomicU32::new(7);
    assert_eq!(futex::wait(&word, 8, Deadline::NEVER), Woken::LookAgain);
    assert_eq!(futex::wait(&word, 7, Deadline::PAST), Woken::TimedOut);
    let start = Instant::now();
    let deadline = Deadline::after(Duration::from_millis(20));
    while futex::wait(&word, 7, deadline) == Woken::LookAgain {}
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert!(deadline.has_passed());
}
