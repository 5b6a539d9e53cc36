//! Several harnesses in a program, several runs at once, and harnesses that cannot run.

mod harness_common;

use harness_common::promptly;
use harness_common::worker::role_before_run;
use ipc_core::Error;
use ipc_process::ExitStatusKind;
use ipc_queue::harness::{Harness, HarnessError, Sink, Source, WorkResult, test_name};
use std::time::Duration;

fn count_to_100(source: &mut Source<'_, u64>) -> WorkResult {
    (0..100).try_for_each(|number| Ok(source.send(number)?))
}

fn sum_up(sink: &mut Sink<'_, u64>) -> WorkResult {
    let mut sum = 0;
    while let Some(number) = sink.receive()? {
        sum += number;
    }
    Ok(sink.set_result(&sum.to_ne_bytes())?)
}

#[test]
fn two_harnesses_of_one_program() {
    let numbers = Harness::new("numbers; one=1")
        .under_test(test_name!())
        .producers(1, count_to_100)
        .consumers(1, sum_up);
    let bytes = Harness::new("bytes")
        .under_test(test_name!())
        .producers(1, |source| {
            (0..7u8).try_for_each(|byte| Ok(source.send([byte; 3])?))
        })
        .consumers(1, |sink| {
            let mut all = Vec::new();
            while let Some(three) = sink.receive()? {
                all.extend(three);
            }
            Ok(sink.set_result(&all)?)
        });
    numbers.run_if_worker();
    bytes.run_if_worker();
    let numbers = numbers.run().unwrap();
    assert_eq!(numbers.consumers[0].result, 4950u64.to_ne_bytes());
    let bytes = bytes.run().unwrap();
    assert_eq!(bytes.consumers[0].result.len(), 21);
    assert_eq!(
        (numbers.name.as_str(), bytes.name.as_str()),
        ("numbers; one=1", "bytes")
    );
}

#[test]
fn a_worker_that_meets_another_harness_first_does_not_start_workers() {
    let first = Harness::new("first")
        .under_test(test_name!())
        .producers(1, count_to_100)
        .consumers(1, sum_up)
        .run();
    match first {
        Ok(_) => {}
        // In a worker of the second.
        Err(error @ HarnessError::OtherWorker { .. }) => {
            let text = error.to_string();
            assert!(
                text.contains("\"first\"") && text.contains("\"second\""),
                "{text}"
            );
            assert!(text.contains("run_if_worker"), "{text}");
            std::process::exit(42);
        }
        Err(error) => panic!("{error}"),
    }
    let error = Harness::new("second")
        .under_test(test_name!())
        .producers(1, count_to_100)
        .consumers(1, sum_up)
        .run()
        .unwrap_err();
    let HarnessError::WorkersFailed { report } = error else {
        panic!("{error:#?}");
    };
    for worker in report.workers() {
        assert_eq!(worker.status, ExitStatusKind::Code(42), "{worker}");
        assert!(
            worker.error.as_deref().unwrap().contains("run_if_worker"),
            "{worker}"
        );
    }
}

#[test]
fn a_harness_within_a_worker_is_refused() {
    let report = Harness::new("outer")
        .under_test(test_name!())
        .producers(1, |source: &mut Source<'_, u64>| {
            let inner = Harness::<u64>::new("inner")
                .producers(1, count_to_100)
                .consumers(1, sum_up)
                .run();
            match inner {
                Err(HarnessError::OtherWorker { .. }) => Ok(source.set_result(b"refused")?),
                other => Err(format!("{other:?}").into()),
            }
        })
        .consumers(1, sum_up)
        .run()
        .unwrap();
    assert_eq!(report.producers[0].result, b"refused");
}

#[test]
fn eight_runs_at_once_in_threads() {
    let harness = |params: &[u8]| {
        Harness::new("many")
            .under_test(test_name!())
            .capacity(2)
            .params(params)
            .producers(1, |source| {
                let base = u64::from(source.params()[0]);
                (0..500).try_for_each(|number| Ok(source.send(base * 1000 + number)?))
            })
            .consumers(1, |sink| {
                let base = u64::from(sink.params()[0]);
                while let Some(number) = sink.receive()? {
                    assert_eq!(number / 1000, base, "a message of another run");
                }
                Ok(())
            })
    };
    harness(&[]).run_if_worker();
    std::thread::scope(|scope| {
        for number in 0..8u8 {
            let harness = &harness;
            scope.spawn(move || {
                let report = harness(&[number]).run().unwrap();
                assert_eq!(report.messages.received, 500);
            });
        }
    });
}

/// The thread that calls `run` may end at once: the workers belong to the process.
#[test]
fn runs_from_threads_that_come_and_go() {
    let harness = || {
        Harness::new("threads")
            .under_test(test_name!())
            .producers(1, count_to_100)
            .consumers(1, sum_up)
    };
    harness().run_if_worker();
    for _ in 0..5 {
        let run = std::thread::spawn(move || {
            Harness::<u64>::new("threads")
                .under_test("runs_from_threads_that_come_and_go")
                .producers(1, count_to_100)
                .consumers(1, sum_up)
                .run()
        });
        assert!(run.join().unwrap().unwrap().messages.is_exact());
    }
}

#[test]
fn a_missing_function_is_named() {
    // Nothing is started that could come here.
    assert_eq!(role_before_run(), None);
    let bare = || Harness::<u64>::new("bare").under_test(test_name!());
    for (harness, missing) in [
        (bare(), "producer"),
        (bare().producers(1, count_to_100), "consumer"),
        (bare().consumers(1, sum_up), "producer"),
    ] {
        let error = harness.run().unwrap_err();
        assert!(
            matches!(error, HarnessError::NoFunction { role, .. } if role == missing),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains(&format!("Harness::{missing}")) && text.contains("bare"),
            "{text}"
        );
    }
}

#[test]
fn an_impossible_capacity_is_refused() {
    assert_eq!(role_before_run(), None);
    for capacity in [
        0,
        usize::MAX,
        usize::MAX / 2,
        1 << 62,
        1 << 50,
        1 << 40,
        (1 << 40) + 1,
    ] {
        let error = promptly(Duration::from_secs(1), || {
            Harness::<u64>::new("huge")
                .under_test(test_name!())
                .capacity(capacity)
                .producers(1, count_to_100)
                .consumers(1, sum_up)
                .run()
                .unwrap_err()
        });
        match &error {
            HarnessError::Segment(Error::OutOfRange { what, asked, .. }) => {
                assert_eq!((*what, *asked), ("a queue's capacity", capacity as u128));
            }
            HarnessError::Segment(Error::NoSpace { .. }) => {
                assert_eq!(capacity, 1 << 40, "{error}");
            }
            other => panic!("{capacity}: {other:?}"),
        }
    }
}
