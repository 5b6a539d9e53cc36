//! SIGINT and SIGTERM end a run in an orderly way, SIGKILL of the parent ends its workers: in
//! every phase of a run, and nothing is left.

mod harness_common;

use harness_common::driver::{Driver, scene};
use harness_common::worker::{hang, kill_me, role_before_run, say};
use harness_common::{
    PATIENCE, children, ends_within, harness_memory_of, pids, until, uses_dev_shm,
};
use ipc_process::ExitStatusKind;
use ipc_queue::harness::{Harness, HarnessError, Report, Sink, Source, WorkResult, test_name};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// What the workers do when the signal comes.
const PHASES: [&str; 8] = [
    "before run",
    "at the gate",
    "flowing",
    "full",
    "empty",
    "draining",
    "stopped",
    "last one left",
];

fn send_all(source: &mut Source<'_, u64>) -> WorkResult {
    for number in 0.. {
        source.send(number)?;
    }
    Ok(())
}

fn receive_all(sink: &mut Sink<'_, u64>) -> WorkResult {
    while sink.receive()?.is_some() {}
    Ok(())
}

/// A harness whose workers come to the phase, say `@here`, and stay there.
fn harness<'a>(test: &str, phase: &'a str) -> Harness<'a, u64> {
    if let Some(role) = role_before_run() {
        say(&format!("worker {}", std::process::id()));
        if phase == "before run" || (phase == "at the gate" && role == "consumer") {
            say("here");
            hang();
        }
    }
    Harness::new("phases")
        .under_test(test)
        .capacity(4)
        .producers(1, move |source| match phase {
            "empty" => hang(),
            "draining" => (0..3).try_for_each(|n| Ok(source.send(n)?)),
            "stopped" => stop(),
            "last one left" => std::process::exit(3),
            _ => send_all(source),
        })
        .consumers(1, move |sink| {
            sink.set_result(b"begun")?;
            if phase == "flowing" {
                sink.receive()?;
            }
            say("here");
            match phase {
                "full" | "draining" | "last one left" => hang(),
                "stopped" => stop(),
                _ => {}
            }
            receive_all(sink)
        })
}

fn stop() -> ! {
    kill_me(libc::SIGSTOP);
    // The signal may stop another thread first, and this one a little later.
    hang()
}

/// The driver, when it has nothing to do but to run, and to say what came of it.
fn drive(test: &str, phase: &str) {
    drive_one(test, phase);
    assert!(children().is_empty(), "a worker or a zombie is left");
}

fn drive_one(test: &str, phase: &str) {
    match harness(test, phase).run() {
        Err(HarnessError::Interrupted { signal, report }) => {
            assert_all_ended(&report);
            say(&format!("interrupted by {signal}"));
        }
        other => panic!("{other:#?}"),
    }
}

fn assert_all_ended(report: &Report) {
    assert_eq!((report.producers.len(), report.consumers.len()), (1, 1));
    let messages = &report.messages;
    assert_eq!(
        messages.sent,
        messages.received + messages.lost,
        "{messages}"
    );
    for worker in report.workers() {
        let ends = [
            ExitStatusKind::Signal(libc::SIGKILL),
            // From the terminal it comes to all.
            ExitStatusKind::Signal(libc::SIGINT),
            // "draining" and "last one left": ended before.
            ExitStatusKind::Code(0),
            ExitStatusKind::Code(3),
        ];
        assert!(ends.contains(&worker.status), "{worker}");
    }
}

/// The driver in the phase, and its workers.
fn reach(test: &str, phase: &str) -> (Driver, Vec<(u32, std::os::fd::OwnedFd)>) {
    let mut driver = Driver::start(test, phase);
    let workers = driver.workers();
    driver.hear("here");
    if phase == "stopped" {
        for (pid, _) in &workers {
            until("stopped", || {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
                stat.contains(") T ")
            });
        }
    }
    (driver, workers)
}

fn each_phase(test: &str, strike: impl Fn(&str, Driver, Vec<(u32, std::os::fd::OwnedFd)>)) {
    for phase in PHASES {
        let (driver, workers) = reach(test, phase);
        strike(phase, driver, workers);
    }
}

fn interrupted(test: &str, signal: i32, send: impl Fn(&Driver)) {
    each_phase(test, |phase, driver, workers| {
        send(&driver);
        let end = driver.end(PATIENCE);
        let line = format!("@interrupted by {signal}");
        assert!(end.said.contains(&line), "{phase}: {end:#?}");
        assert_eq!((end.code, end.signal), (Some(0), None), "{phase}: {end:#?}");
        for (pid, worker) in &workers {
            assert!(ends_within(worker, Duration::ZERO), "{phase}: {pid} lives");
        }
    });
}

#[test]
fn sigint_in_every_phase() {
    if let Some(phase) = scene() {
        return drive(test_name!(), &phase);
    }
    interrupted(test_name!(), libc::SIGINT, |driver| {
        driver.signal(libc::SIGINT)
    });
}

#[test]
fn sigterm_in_every_phase() {
    if let Some(phase) = scene() {
        return drive(test_name!(), &phase);
    }
    interrupted(test_name!(), libc::SIGTERM, |driver| {
        driver.signal(libc::SIGTERM)
    });
}

#[test]
fn ctrl_c_which_the_workers_get_too_in_every_phase() {
    if let Some(phase) = scene() {
        return drive(test_name!(), &phase);
    }
    interrupted(test_name!(), libc::SIGINT, |driver| {
        driver.signal_group(libc::SIGINT)
    });
}

#[test]
fn a_killed_parent_takes_all_with_it_in_every_phase() {
    if let Some(phase) = scene() {
        return drive(test_name!(), &phase);
    }
    each_phase(test_name!(), |phase, driver, workers| {
        let memory = harness_memory_of(driver.pid());
        assert_eq!(memory.len(), 1, "{phase}: one segment, in a memory file");
        for pid in workers.iter().map(|(pid, _)| *pid).chain([driver.pid()]) {
            assert!(!uses_dev_shm(pid), "{phase}: {pid} uses a named file");
        }
        driver.signal(libc::SIGKILL);
        for (pid, worker) in &workers {
            assert!(
                ends_within(worker, Duration::from_secs(1)),
                "{phase}: {pid} lives"
            );
        }
        let end = driver.end(Duration::from_secs(1));
        assert_eq!(end.signal, Some(libc::SIGKILL));
        let holders: Vec<_> = pids()
            .filter(|&pid| harness_memory_of(pid).contains(&memory[0]))
            .collect();
        assert_eq!(holders, [], "{phase}: still have the memory");
    });
}

/// From its first instruction on: while it starts workers, none of which must miss its death.
#[test]
fn a_parent_killed_while_it_starts_leaves_nobody() {
    if scene().is_some() {
        if let Some(role) = role_before_run() {
            say(&format!("worker {role}"));
        } else {
            say("driver");
        }
        drop(harness(test_name!(), "flowing").run());
        return;
    }
    let mut workers_seen = 0;
    for round in 0..40 {
        let mut driver = Driver::start(test_name!(), "start");
        driver.hear("driver");
        std::thread::sleep(Duration::from_micros(round * 1500));
        driver.signal(libc::SIGKILL);
        // Everybody has the driver's standard error.
        let end = driver.end(Duration::from_secs(1));
        assert_eq!(end.signal, Some(libc::SIGKILL), "{end:#?}");
        workers_seen += end
            .said
            .iter()
            .filter(|line| line.contains("@worker"))
            .count();
    }
    assert!(workers_seen > 0, "never killed late enough");
}

/// Before the run has its handlers the signal ends the program, after that the run; there is
/// nothing between.
#[test]
fn an_interrupt_while_it_starts_leaves_nobody() {
    if scene().is_some() {
        if role_before_run().is_none() {
            say("driver");
        }
        return drive(test_name!(), "flowing");
    }
    let mut interrupted = 0;
    for round in 0..30 {
        let mut driver = Driver::start(test_name!(), "start");
        driver.hear("driver");
        std::thread::sleep(Duration::from_micros(round * 500));
        driver.signal(libc::SIGINT);
        let end = driver.end(PATIENCE);
        let reported = end.said.contains(&"@interrupted by 2".to_owned());
        let expected = match reported {
            true => (Some(0), None),
            false => (None, Some(libc::SIGINT)),
        };
        assert_eq!((end.code, end.signal), expected, "{end:#?}");
        interrupted += usize::from(reported);
    }
    assert!(interrupted > 0, "never late enough");
}

static CAUGHT: AtomicI32 = AtomicI32::new(0);

extern "C" fn catch(signal: libc::c_int) {
    CAUGHT.store(signal, Ordering::SeqCst);
}

/// What a signal does.
#[derive(Debug, PartialEq, Eq)]
struct Action {
    handler: libc::sighandler_t,
    flags: libc::c_int,
    masks_usr1: bool,
}

fn now(signal: libc::c_int) -> Action {
    // SAFETY: a sigaction of zeros is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: `action` is writable, and nothing is set.
    unsafe { libc::sigaction(signal, std::ptr::null(), &mut action) };
    Action {
        handler: action.sa_sigaction,
        flags: action.sa_flags,
        // SAFETY: the kernel has filled it.
        masks_usr1: unsafe { libc::sigismember(&action.sa_mask, libc::SIGUSR1) } == 1,
    }
}

/// Sets the action, with SIGUSR1 masked if it is a handler, and gives it as it is read back.
fn set(signal: libc::c_int, handler: libc::sighandler_t, flags: libc::c_int) -> Action {
    // SAFETY: a sigaction of zeros is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the mask is writable, the action a valid one, whose handler only stores to an atomic.
    unsafe {
        libc::sigaddset(&mut action.sa_mask, libc::SIGUSR1);
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
    now(signal)
}

fn handler() -> libc::sighandler_t {
    catch as *const () as libc::sighandler_t
}

fn quick(test: &str) -> Harness<'static, u64> {
    Harness::new("quick")
        .under_test(test)
        .producers(1, |source| Ok(source.send(1)?))
        .consumers(1, receive_all)
}

#[test]
fn handlers_are_restored_after_success_failure_and_interruption() {
    const PANICS: &str = "on_progress panics";
    let Some(scene) = scene() else {
        for scene in ["success", "failure", PANICS, "refusal"] {
            let end = Driver::start(test_name!(), scene).end(PATIENCE);
            assert_eq!(end.code, Some(0), "{scene}: {end:#?}");
        }
        let mut driver = Driver::start(test_name!(), "interruption");
        driver.hear("here");
        driver.signal(libc::SIGTERM);
        let end = driver.end(PATIENCE);
        return assert_eq!(end.code, Some(0), "{end:#?}");
    };
    let before = [
        set(libc::SIGINT, handler(), libc::SA_NODEFER | libc::SA_RESTART),
        set(libc::SIGTERM, libc::SIG_DFL, 0),
    ];
    match scene.as_str() {
        "success" => drop(quick(test_name!()).run().unwrap()),
        "failure" => {
            let run = quick(test_name!()).consumers(1, |_| Err("no".into())).run();
            assert!(
                matches!(run, Err(HarnessError::WorkersFailed { .. })),
                "{run:?}"
            );
        }
        PANICS => {
            let run = quick(test_name!()).on_progress(|_| panic!("no"));
            let run = std::panic::AssertUnwindSafe(|| run.run());
            assert!(std::panic::catch_unwind(run).is_err());
        }
        "refusal" => {
            let run = quick(test_name!()).capacity(0).run();
            assert!(matches!(run, Err(HarnessError::Segment(_))), "{run:?}");
        }
        _ => drive(test_name!(), "flowing"),
    }
    assert_eq!([now(libc::SIGINT), now(libc::SIGTERM)], before);
    // And they work.
    kill_me(libc::SIGINT);
    until("the handler that was there before", || {
        CAUGHT.load(Ordering::SeqCst) == libc::SIGINT
    });
}

/// As under nohup, or in a script's background.
#[test]
fn ignored_signals_stay_ignored() {
    if scene().is_some() {
        let before = set(libc::SIGINT, libc::SIG_IGN, 0);
        drive(test_name!(), "flowing");
        assert_eq!(now(libc::SIGINT), before);
        assert_eq!(now(libc::SIGTERM).handler, libc::SIG_DFL);
        kill_me(libc::SIGINT);
        return;
    }
    let (driver, workers) = reach(test_name!(), "flowing");
    driver.signal_group(libc::SIGINT);
    for (pid, process) in workers
        .iter()
        .chain(&[(driver.pid(), harness_common::pidfd(driver.pid()).unwrap())])
    {
        assert!(!ends_within(process, Duration::from_millis(200)), "{pid}");
    }
    driver.signal(libc::SIGTERM);
    let end = driver.end(PATIENCE);
    assert!(
        end.said.contains(&"@interrupted by 15".to_owned()),
        "{end:#?}"
    );
    assert_eq!(end.code, Some(0), "{end:#?}");
}

/// The signal is to the program, and so to each of its runs.
#[test]
fn one_signal_ends_all_runs_of_the_program() {
    if scene().is_some() {
        harness(test_name!(), "flowing").run_if_worker();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| drive_one(test_name!(), "flowing"));
            }
        });
        assert_eq!(now(libc::SIGINT).handler, libc::SIG_DFL);
        return;
    }
    let mut driver = Driver::start(test_name!(), "three");
    for _ in 0..3 {
        driver.hear("here");
    }
    driver.signal(libc::SIGINT);
    let end = driver.end(PATIENCE);
    let interrupted = end.said.iter().filter(|line| *line == "@interrupted by 2");
    assert_eq!(interrupted.count(), 3, "{end:#?}");
    assert_eq!(end.code, Some(0), "{end:#?}");
}

/// When all workers have ended and the run has yet to return.
#[test]
fn a_signal_after_the_last_worker_still_interrupts() {
    if scene().is_some() {
        let run = quick(test_name!())
            .on_progress(|_| {
                if children().is_empty() {
                    // To this thread: the handler has run when this returns.
                    // SAFETY: a call on a plain number.
                    unsafe { libc::raise(libc::SIGTERM) };
                }
            })
            .run();
        let Err(HarnessError::Interrupted { signal, report }) = run else {
            panic!("{run:#?}");
        };
        assert_eq!(signal, libc::SIGTERM);
        assert!(report.messages.is_exact() && report.workers().all(|w| w.is_success()));
        return;
    }
    let end = Driver::start(test_name!(), "late").end(PATIENCE);
    assert_eq!(end.code, Some(0), "{end:#?}");
}

/// Where the run ends by an error before it looks for signals.
#[test]
fn a_signal_that_a_run_does_not_report_goes_to_the_handler_that_was_there() {
    if scene().is_some() {
        quick(test_name!()).run_if_worker();
        let before = set(libc::SIGINT, handler(), libc::SA_RESTART);
        let run = quick(test_name!()).on_progress(|_| {
            // To this thread: the handler has run when this returns.
            // SAFETY: a call on a plain number.
            unsafe { libc::raise(libc::SIGINT) };
            panic!("in the way");
        });
        let run = std::panic::AssertUnwindSafe(|| run.run());
        assert!(std::panic::catch_unwind(run).is_err());
        assert_eq!(now(libc::SIGINT), before);
        until("the handler that was there before", || {
            CAUGHT.load(Ordering::SeqCst) == libc::SIGINT
        });
        assert!(children().is_empty());
        return;
    }
    let end = Driver::start(test_name!(), "unreported").end(PATIENCE);
    assert_eq!(end.code, Some(0), "{end:#?}");
}

/// An impatient user presses it again and again: all of it was for the run that it ended.
#[test]
fn further_ctrl_cs_change_nothing() {
    if scene().is_some() {
        quick(test_name!()).run_if_worker();
        let before = set(libc::SIGINT, handler(), libc::SA_RESTART);
        let mut presses = 0;
        let run = quick(test_name!())
            .on_progress(|_| {
                // To this thread: the handler has run when this returns.
                // SAFETY: a call on a plain number.
                unsafe { libc::raise(libc::SIGINT) };
                presses += 1;
            })
            .run();
        assert!(
            matches!(run, Err(HarnessError::Interrupted { .. })),
            "{run:?}"
        );
        assert!(presses >= 2);
        assert_eq!(now(libc::SIGINT), before);
        assert_eq!(CAUGHT.load(Ordering::SeqCst), 0);
        assert!(children().is_empty());
        return;
    }
    let end = Driver::start(test_name!(), "impatient").end(PATIENCE);
    assert_eq!(end.code, Some(0), "{end:#?}");
}
