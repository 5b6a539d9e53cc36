//! Several producers and several consumers: every message is dealt with once, also while workers
//! are killed, stopped and replaced.

mod harness_common;

use harness_common::kind::{Id, Kind, list, listed};
use harness_common::promptly;
use harness_common::worker::{hang, kill_me, role_before_run};
use ipc_process::ExitStatusKind::Signal;
use ipc_queue::harness::{Harness, HarnessError, Report, Sink, Source, WorkResult, test_name};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(120);

/// How often workers are killed in the run that kills the most: more with `HARNESS_KILLS=...`.
fn kills() -> u32 {
    let wish = std::env::var("HARNESS_KILLS").ok();
    wish.map_or(300, |it| it.parse().expect("HARNESS_KILLS is a number"))
}

/// Sends so many, and as many again as long as the run is to last.
fn send<K: Kind + ?Sized>(source: &mut Source<'_, K>, per_round: u64) -> WorkResult {
    let producer = source.index() as u32;
    let mut number = source.skip_sent();
    loop {
        K::send(source, [producer, number as u32])?;
        number += 1;
        if number.is_multiple_of(per_round) && !source.is_asked_for_more() {
            return Ok(());
        }
    }
}

fn commit_all<K: Kind + ?Sized>(sink: &mut Sink<'_, K>) -> WorkResult {
    while let Some(batch) = sink.batch()? {
        let effect = list(&batch);
        batch.commit(&effect)?;
    }
    Ok(())
}

/// Runs `commit_all` on what `send` sends and checks that each message was listed once.
fn run<K: Kind + ?Sized>(
    test: &str,
    (producers, consumers): (usize, usize),
    capacity: usize,
    (kills, stops): (u32, u32),
    limit: Duration,
) -> Report {
    // How often each message was listed, by producer and number.
    let mut times = vec![Vec::<u8>::new(); producers];
    let per_round = 5_000;
    let harness = K::set_up(Harness::new(test))
        .under_test(test)
        .capacity(capacity)
        .disturb(kills, stops)
        .producers(producers, |source| send(source, per_round))
        .consumers(consumers, commit_all)
        .on_effect(|effect| {
            for [producer, number] in listed(effect) {
                let times = &mut times[producer as usize];
                times.resize(times.len().max(number as usize + 1), 0);
                times[number as usize] += 1;
            }
        });
    let report = promptly(limit, || harness.run()).unwrap();
    assert!(report.messages.is_exact(), "{}", report.messages);
    for (producer, times) in times.iter().enumerate() {
        assert!(times.len() as u64 >= per_round, "{}", times.len());
        let wrong = times.iter().position(|&times| times != 1);
        assert_eq!(
            wrong, None,
            "message of producer {producer}, not listed once"
        );
    }
    let sum: usize = times.iter().map(Vec::len).sum();
    assert_eq!(sum as u64, report.messages.sent);
    assert_eq!(
        (report.survived.kills, report.survived.stops),
        (kills, stops)
    );
    assert_eq!(report.replaced.len(), kills as usize);
    assert_eq!(
        (report.producers.len(), report.consumers.len()),
        (producers, consumers)
    );
    report
}

#[test]
fn in_every_shape() {
    // Workers meet the harness of their shape by its name.
    for shape in [(1, 1), (1, 4), (4, 1), (3, 2), (8, 8)] {
        let name = format!("{} {shape:?}", test_name!());
        let harness = || {
            Harness::new(name.clone())
                .under_test(test_name!())
                .capacity(64)
                .producers(shape.0, |source| send::<Id>(source, 2_000))
                .consumers(shape.1, |sink| {
                    let (index, count) = (sink.index(), sink.count());
                    assert!(index < count && sink.name() == format!("consumer-{index}"));
                    let mut count = 0u64;
                    while sink.receive()?.is_some() {
                        count += 1;
                    }
                    Ok(sink.set_result(&count.to_ne_bytes())?)
                })
        };
        harness().run_if_worker();
        if role_before_run().is_some() {
            continue;
        }
        let report = promptly(SOON, || harness().run()).unwrap();
        let counts = report.consumers.iter();
        let counts = counts.map(|it| u64::from_ne_bytes(it.result[..].try_into().unwrap()));
        assert_eq!(counts.sum::<u64>(), 2_000 * shape.0 as u64);
        assert_eq!(report.messages.received, 2_000 * shape.0 as u64);
        for (index, worker) in report.producers.iter().enumerate() {
            assert_eq!(worker.name, format!("producer-{index}"));
        }
        assert!(report.replaced.is_empty());
    }
}

/// Kills as many as are to be killed, and checks what the report says of them.
fn kill_and_stop<K: Kind + ?Sized>(test: &str) {
    let kills = kills();
    // 20 ms each and the starts of processes, on a loaded machine.
    let limit = SOON.max(Duration::from_millis(200) * kills);
    let report = run::<K>(test, (4, 4), 64, (kills, kills / 5), limit);
    for worker in &report.replaced {
        assert_eq!(worker.status, Signal(libc::SIGKILL), "{worker}");
    }
    for role in ["producer", "consumer"] {
        assert!(report.replaced.iter().any(|it| it.name.starts_with(role)));
    }
}

mod of_values {
    use super::*;

    #[test]
    fn undisturbed_effects_happen_once() {
        run::<Id>(test_name!(), (4, 4), 64, (0, 0), SOON);
    }

    #[test]
    fn kills_and_stops_change_nothing() {
        kill_and_stop::<Id>(test_name!());
    }

    #[test]
    fn nor_in_a_queue_for_one_message() {
        run::<Id>(test_name!(), (2, 3), 1, (40, 10), SOON);
    }

    #[test]
    fn nor_with_one_worker_of_each() {
        run::<Id>(test_name!(), (1, 1), 16, (40, 10), SOON);
    }
}

mod of_bytes {
    use super::*;

    #[test]
    fn undisturbed_effects_happen_once() {
        run::<[u8]>(test_name!(), (4, 4), 64, (0, 0), SOON);
    }

    #[test]
    fn kills_and_stops_change_nothing() {
        kill_and_stop::<[u8]>(test_name!());
    }

    #[test]
    fn nor_in_a_queue_for_one_message() {
        run::<[u8]>(test_name!(), (2, 3), 1, (40, 10), SOON);
    }

    #[test]
    fn nor_with_one_worker_of_each() {
        run::<[u8]>(test_name!(), (1, 1), 16, (40, 10), SOON);
    }
}

#[test]
fn a_batch_that_is_dropped_comes_again() {
    let mut effects = Vec::new();
    let report = Harness::new(test_name!())
        .under_test(test_name!())
        .producers(1, |source| (0..10u8).try_for_each(|n| Ok(source.send(n)?)))
        .consumers(1, |sink| {
            for _ in 0..3 {
                let batch = sink.batch()?.expect("messages");
                assert_eq!(batch[0], 0);
            }
            while let Some(batch) = sink.batch()? {
                let effect = batch.to_vec();
                batch.commit(&effect)?;
            }
            Ok(())
        })
        .on_effect(|effect| effects.extend_from_slice(effect))
        .run()
        .unwrap();
    assert_eq!(effects, Vec::from_iter(0..10));
    assert!((1..=10).contains(&report.messages.redelivered));
}

#[test]
fn an_effect_without_bytes_is_one() {
    let mut effects = 0;
    Harness::new(test_name!())
        .under_test(test_name!())
        .capacity(2)
        .producers(1, |source| (0..10u8).try_for_each(|n| Ok(source.send(n)?)))
        .consumers(1, |sink| {
            while let Some(batch) = sink.batch()? {
                assert_eq!(batch.len(), 1, "one worker's share of half of the queue");
                batch.commit(b"")?;
            }
            Ok(())
        })
        .on_effect(|effect| {
            assert!(effect.is_empty());
            effects += 1;
        })
        .run()
        .unwrap();
    assert_eq!(effects, 10);
}

/// Commits one message, takes more, and dies.
fn commit_one_and_die(sink: &mut Sink<'_, u8>) -> WorkResult {
    if let Some(batch) = sink.batch()? {
        let effect = batch.to_vec();
        batch.commit(&effect)?;
    }
    if sink.batch()?.is_some() {
        kill_me(libc::SIGKILL);
        hang();
    }
    Ok(())
}

fn send_some(source: &mut Source<'_, u8>) -> WorkResult {
    (0..6).try_for_each(|n| Ok(source.send(n)?))
}

#[test]
fn as_many_are_replaced_as_were_allowed() {
    let run = |allowed| {
        let mut effects = Vec::new();
        let run = Harness::new(test_name!())
            .under_test(test_name!())
            .capacity(2)
            .replace_killed(allowed)
            .producers(1, send_some)
            .consumers(1, commit_one_and_die)
            .on_effect(|effect| effects.extend_from_slice(effect))
            .run();
        (run, effects)
    };
    // Five die holding the next one, the sixth finds the end.
    let (report, effects) = run(5);
    let report = report.unwrap();
    assert_eq!(effects, [0, 1, 2, 3, 4, 5]);
    assert_eq!((report.survived.kills, report.replaced.len()), (5, 5));
    assert_eq!(report.messages.redelivered, 5);
    let (run, effects) = run(4);
    let Err(HarnessError::WorkersFailed { report }) = run else {
        panic!("{run:#?}");
    };
    assert_eq!(effects, [0, 1, 2, 3, 4]);
    assert_eq!(report.replaced.len(), 4);
    assert_eq!(report.consumers[0].status, Signal(libc::SIGKILL));
    assert_eq!((report.messages.sent, report.messages.lost), (6, 1));
}

#[test]
fn one_that_crashes_is_not_replaced() {
    for signal in [libc::SIGILL, libc::SIGABRT] {
        let run = Harness::new(format!("{} {signal}", test_name!()))
            .under_test(test_name!())
            .replace_killed(10)
            .producers(1, send_some)
            .consumers(1, move |_| {
                let no_core = libc::rlimit {
                    rlim_cur: 0,
                    rlim_max: 0,
                };
                // SAFETY: a system call on a structure of our own.
                unsafe { libc::setrlimit(libc::RLIMIT_CORE, &no_core) };
                kill_me(signal);
                hang()
            });
        run.run_if_worker();
        if role_before_run().is_some() {
            continue;
        }
        let Err(HarnessError::WorkersFailed { report }) = run.run() else {
            panic!("it was replaced");
        };
        assert_eq!(report.consumers[0].status, Signal(signal));
        assert!(report.replaced.is_empty());
    }
}

#[test]
fn no_workers_and_too_many_are_refused() {
    assert_eq!(role_before_run(), None);
    for (producers, consumers, bad) in [
        (0, 1, "0 producers"),
        (1, 0, "0 consumers"),
        (257, 1, "257 producers"),
        (1, usize::MAX, "18446744073709551615 consumers"),
    ] {
        let error = Harness::new("counts")
            .under_test(test_name!())
            .producers(producers, send_some)
            .consumers(consumers, commit_one_and_die)
            .run()
            .unwrap_err();
        assert!(matches!(error, HarnessError::WorkerCount { .. }), "{error}");
        assert!(error.to_string().contains(bad), "{error}");
    }
}
