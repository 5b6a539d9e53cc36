//! A worker that fails, panics, exits or is killed is reported by name; the others come to their
//! end, soon, and the account says what became of the messages.

mod harness_common;

use harness_common::worker::{die_after, hang, kill_me, role_before_run};
use harness_common::{PATIENCE, children, is_anyone, promptly, until};
use ipc_process::ExitStatusKind::{self, Code, Signal};
use ipc_queue::harness::{
    Harness, HarnessError, Report, SendError, Sink, Source, WorkResult, WorkerReport, test_name,
};
use std::time::{Duration, Instant};

/// More than the others need to notice, and less than a hang.
const SOON: Duration = Duration::from_secs(10);

fn send_all(source: &mut Source<'_, u64>) -> WorkResult {
    for number in 0.. {
        source.send(number)?;
    }
    Ok(())
}

fn send_1000(source: &mut Source<'_, u64>) -> WorkResult {
    for number in 0..1000 {
        source.send(number)?;
    }
    Ok(())
}

fn receive_all(sink: &mut Sink<'_, u64>) -> WorkResult {
    let mut count = 0u64;
    while let Some(number) = sink.receive()? {
        assert_eq!(number, count);
        count += 1;
    }
    Ok(sink.set_result(&count.to_ne_bytes())?)
}

/// Runs to the failure of a worker.
fn fail(
    test: &str,
    produce: impl Fn(&mut Source<'_, u64>) -> WorkResult,
    consume: impl Fn(&mut Sink<'_, u64>) -> WorkResult,
) -> Report {
    let harness = Harness::new(test)
        .under_test(test)
        .capacity(4)
        .producers(1, produce)
        .consumers(1, consume);
    match promptly(SOON, || harness.run()) {
        Err(error @ HarnessError::WorkersFailed { .. }) => {
            let text = error.to_string();
            let report = error.report().expect("the run had begun").clone();
            for worker in report.workers() {
                assert_eq!(text.contains(&worker.name), !worker.is_success(), "{text}");
            }
            assert!(text.contains(test), "{text}");
            report
        }
        other => panic!("{other:#?}"),
    }
}

fn only<'a>(workers: &'a [WorkerReport], name: &str) -> &'a WorkerReport {
    let [worker] = workers else {
        panic!("{workers:?}")
    };
    assert_eq!(worker.name, name);
    worker
}

/// The producer failed so; the consumer got all that was sent, and the regular end.
fn assert_producer(report: &Report, status: ExitStatusKind) -> &WorkerReport {
    let consumer = only(&report.consumers, "consumer-0");
    assert!(consumer.is_success(), "{consumer}");
    assert!(report.messages.is_exact(), "{}", report.messages);
    assert_eq!(consumer.result, report.messages.received.to_ne_bytes());
    let producer = only(&report.producers, "producer-0");
    assert!(!producer.is_success());
    assert_eq!(producer.status, status, "{producer}");
    producer
}

/// The consumer failed so; the producer, which fills the ring for ever, ended by `NoConsumer`.
fn assert_consumer(report: &Report, status: ExitStatusKind) -> &WorkerReport {
    let producer = only(&report.producers, "producer-0");
    let error = producer.error.as_deref().unwrap_or_default();
    assert_eq!(error, SendError::NoConsumer.to_string(), "{producer}");
    assert_eq!(producer.status, Code(1));
    let messages = &report.messages;
    assert_eq!(
        messages.sent,
        messages.received + messages.lost,
        "{messages}"
    );
    assert_eq!((messages.doubled, messages.torn), (0, 0), "{messages}");
    let consumer = only(&report.consumers, "consumer-0");
    assert!(!consumer.is_success());
    assert_eq!(consumer.status, status, "{consumer}");
    consumer
}

#[test]
fn the_producer_returns_an_error() {
    let produce = |source: &mut Source<'_, u64>| {
        send_1000(source)?;
        Err("out of paper".into())
    };
    let report = fail(test_name!(), produce, receive_all);
    let producer = assert_producer(&report, Code(1));
    assert_eq!(producer.error.as_deref(), Some("out of paper"));
    assert_eq!(producer.panic, None);
    assert_eq!(report.messages.sent, 1000);
}

#[test]
fn the_producer_panics() {
    let produce = |source: &mut Source<'_, u64>| {
        send_1000(source)?;
        source.set_result(b"so far")?;
        panic!("the lathe broke");
    };
    let report = fail(test_name!(), produce, receive_all);
    let producer = assert_producer(&report, Code(101));
    let panic = producer.panic.as_deref().unwrap();
    assert!(panic.contains("the lathe broke") && panic.contains("harness_failures.rs"));
    assert_eq!(producer.result, b"so far");
    assert!(
        report
            .workers()
            .any(|w| w.to_string().contains("producer-0"))
    );
}

#[test]
fn the_producer_exits() {
    let produce = |source: &mut Source<'_, u64>| {
        send_1000(source)?;
        std::process::exit(7)
    };
    let report = fail(test_name!(), produce, receive_all);
    assert_producer(&report, Code(7));
    assert_eq!(report.messages.sent, 1000);
}

#[test]
fn the_producer_is_killed_while_the_ring_is_full() {
    let produce = |source: &mut Source<'_, u64>| {
        die_after(Duration::from_millis(20));
        send_all(source)
    };
    let consume = |sink: &mut Sink<'_, u64>| {
        // So it waits for room when it dies.
        until("the producer's death", || {
            !is_anyone(test_name!(), "producer")
        });
        receive_all(sink)
    };
    let report = fail(test_name!(), produce, consume);
    assert_producer(&report, Signal(libc::SIGKILL));
    assert_eq!(report.messages.sent, 4);
}

#[test]
fn the_producer_is_killed_while_the_ring_is_empty() {
    let produce = |_: &mut Source<'_, u64>| {
        die_after(Duration::from_millis(20));
        hang()
    };
    let report = fail(test_name!(), produce, receive_all);
    assert_producer(&report, Signal(libc::SIGKILL));
    assert_eq!(report.messages.sent, 0);
}

#[test]
fn the_producer_is_killed_at_any_moment_of_the_stream() {
    for _ in 0..25 {
        let produce = |source: &mut Source<'_, u64>| {
            die_after(Duration::from_micros(
                u64::from(std::process::id()) * 7919 % 3000,
            ));
            send_all(source)
        };
        let report = fail(test_name!(), produce, receive_all);
        assert_producer(&report, Signal(libc::SIGKILL));
    }
}

#[test]
fn the_consumer_returns_an_error() {
    let consume = |sink: &mut Sink<'_, u64>| match sink.receive()? {
        Some(_) => Err("full up".into()),
        None => Ok(()),
    };
    let report = fail(test_name!(), send_all, consume);
    let consumer = assert_consumer(&report, Code(1));
    assert_eq!(consumer.error.as_deref(), Some("full up"));
    // It was given back, and nobody was left to take it.
    assert_eq!(report.messages.received, 0);
    assert_eq!(report.messages.lost, 4);
}

#[test]
fn the_consumer_panics() {
    let consume = |sink: &mut Sink<'_, u64>| match sink.receive()? {
        Some(_) => panic!("no more"),
        None => Ok(()),
    };
    let report = fail(test_name!(), send_all, consume);
    let consumer = assert_consumer(&report, Code(101));
    assert!(consumer.panic.as_deref().unwrap().contains("no more"));
}

#[test]
fn the_consumer_exits() {
    let consume = |_: &mut Sink<'_, u64>| std::process::exit(7);
    let report = fail(test_name!(), send_all, consume);
    assert_consumer(&report, Code(7));
    assert_eq!(report.messages.lost, 4);
}

#[test]
fn the_consumer_is_killed_while_the_ring_is_full() {
    let consume = |_: &mut Sink<'_, u64>| {
        die_after(Duration::from_millis(20));
        hang()
    };
    let report = fail(test_name!(), send_all, consume);
    assert_consumer(&report, Signal(libc::SIGKILL));
}

#[test]
fn the_consumer_is_killed_while_the_ring_is_empty() {
    let produce = |source: &mut Source<'_, u64>| {
        until("the consumer's death", || {
            !is_anyone(test_name!(), "consumer")
        });
        send_all(source)
    };
    let consume = |sink: &mut Sink<'_, u64>| {
        die_after(Duration::from_millis(20));
        receive_all(sink)
    };
    let report = fail(test_name!(), produce, consume);
    assert_consumer(&report, Signal(libc::SIGKILL));
    assert_eq!(report.messages.received, 0);
}

#[test]
fn the_consumer_is_killed_at_any_moment_of_the_stream() {
    for _ in 0..25 {
        let consume = |sink: &mut Sink<'_, u64>| {
            die_after(Duration::from_micros(
                u64::from(std::process::id()) * 7919 % 3000,
            ));
            receive_all(sink)
        };
        let report = fail(test_name!(), send_all, consume);
        assert_consumer(&report, Signal(libc::SIGKILL));
    }
}

/// Anywhere from the first line of the program on: without libraries loaded, while attaching, at
/// the gate, in the stream.
#[test]
fn a_worker_is_killed_at_any_moment_of_its_life() {
    let victims = ["producer", "consumer"];
    let mut ended_early = 0;
    for round in 0..40 {
        let victim = victims[round % 2];
        // In the worker this is the first and only round.
        if let Some(role) = role_before_run() {
            let mine = u64::from(std::process::id());
            if std::env::var("HARNESS_TEST_VICTIM").as_deref() == Ok(role) {
                die_after(Duration::from_micros(mine * 7919 % 6000));
            }
        }
        let harness = Harness::new(test_name!())
            .under_test(test_name!())
            .capacity(4)
            .producers(1, send_all)
            .consumers(1, receive_all);
        // SAFETY: other tests of this program neither set nor, in C code, read the environment.
        unsafe { std::env::set_var("HARNESS_TEST_VICTIM", victim) };
        let error = promptly(SOON, || harness.run()).unwrap_err();
        let HarnessError::WorkersFailed { report } = error else {
            panic!("{error:#?}");
        };
        let killed = Signal(libc::SIGKILL);
        match victim {
            "producer" => drop(assert_producer(&report, killed)),
            _ => drop(assert_consumer(&report, killed)),
        }
        ended_early += usize::from(report.messages.sent == 0);
    }
    assert!(ended_early > 0, "no kill came before the stream");
}

/// The survivor finds out by itself that the other is dead, before the parent says what that
/// means: it waits for that.
#[test]
fn a_worker_is_killed_while_the_parent_is_busy() {
    // Several times what a survivor takes to look for the dead.
    const BUSY: Duration = Duration::from_millis(400);
    for victim in ["producer", "consumer"] {
        let die_if = |victim: &str, role| {
            if victim == role {
                kill_me(libc::SIGKILL);
                hang();
            }
        };
        let mut first = true;
        let harness = Harness::new(test_name!())
            .under_test(test_name!())
            .capacity(4)
            .params(victim)
            .on_progress(|_| {
                if std::mem::take(&mut first) {
                    until("the death", || !is_anyone(test_name!(), victim));
                    std::thread::sleep(BUSY);
                }
            })
            .producers(1, |source| {
                source.send(0)?;
                die_if(str::from_utf8(&source.params())?, "producer");
                (1..).try_for_each(|number| Ok(source.send(number)?))
            })
            .consumers(1, |sink| {
                die_if(str::from_utf8(&sink.params())?, "consumer");
                receive_all(sink)
            });
        let error = promptly(SOON, || harness.run()).unwrap_err();
        let HarnessError::WorkersFailed { report } = error else {
            panic!("{error:#?}");
        };
        let killed = Signal(libc::SIGKILL);
        match victim {
            "producer" => drop(assert_producer(&report, killed)),
            _ => drop(assert_consumer(&report, killed)),
        }
    }
}

#[test]
fn both_are_killed() {
    // Neither ends by itself when the other is dead.
    let produce = |source: &mut Source<'_, u64>| {
        die_after(Duration::from_millis(10));
        let _ = send_all(source);
        hang()
    };
    let consume = |sink: &mut Sink<'_, u64>| {
        die_after(Duration::from_millis(10));
        let _ = receive_all(sink);
        hang()
    };
    let report = fail(test_name!(), produce, consume);
    for worker in report.workers() {
        assert_eq!(worker.status, Signal(libc::SIGKILL), "{worker}");
    }
    assert_eq!(report.workers().count(), 2);
}

#[test]
fn a_stopped_worker_goes_on_later() {
    const COUNT: u64 = 2000;
    // By a child, as a stopped process cannot wake itself.
    fn stop_for_a_while() {
        let me = std::process::id();
        let status = std::process::Command::new("sh")
            .args([
                "-c",
                &format!("kill -STOP {me}; sleep 0.15; kill -CONT {me}"),
            ])
            .status();
        assert!(status.unwrap().success());
    }
    let since = Instant::now();
    let report = Harness::new("stopped")
        .under_test(test_name!())
        .capacity(4)
        .producers(1, |source| {
            for number in 0..COUNT {
                if number == COUNT / 4 {
                    stop_for_a_while();
                }
                source.send(number)?;
            }
            Ok(())
        })
        .consumers(1, |sink| {
            let mut count = 0;
            while sink.receive()?.is_some() {
                count += 1;
                if count == COUNT / 2 {
                    stop_for_a_while();
                }
            }
            Ok(())
        })
        .run()
        .unwrap();
    assert_eq!(report.messages.received, COUNT);
    // Else nobody was stopped.
    assert!(since.elapsed() > Duration::from_millis(300));
}

#[test]
fn a_consumer_that_leaves_messages_behind_is_not_exact() {
    let run = Harness::new("leaves")
        .under_test(test_name!())
        .capacity(16)
        .producers(1, |source| (0..10u64).try_for_each(|n| Ok(source.send(n)?)))
        .consumers(1, |sink| {
            for _ in 0..3 {
                sink.receive()?;
            }
            Ok(())
        })
        .run();
    let Err(error @ HarnessError::NotExact { .. }) = run else {
        panic!("{run:#?}");
    };
    assert!(
        error
            .to_string()
            .contains("sent 10, received 3, lost 7, doubled 0, torn 0"),
        "{error}"
    );
}

#[test]
fn a_worker_that_ends_before_run_is_reported() {
    for round in 0..4 {
        if let Some(role) = role_before_run() {
            match std::env::var("HARNESS_TEST_EARLY").as_deref() {
                Ok("producer exits") if role == "producer" => std::process::exit(0),
                Ok("consumer exits") if role == "consumer" => std::process::exit(0),
                Ok("both exit") => std::process::exit(0),
                Ok("both are killed") => kill_me(libc::SIGKILL),
                _ => {}
            }
        }
        let early = [
            "producer exits",
            "consumer exits",
            "both exit",
            "both are killed",
        ][round];
        // SAFETY: other tests of this program neither set nor, in C code, read the environment.
        unsafe { std::env::set_var("HARNESS_TEST_EARLY", early) };
        let report = fail(test_name!(), send_all, receive_all);
        match early {
            "producer exits" => {
                let error = assert_producer(&report, Code(0)).error.as_deref();
                assert!(
                    error.unwrap().contains("without running its role"),
                    "{error:?}"
                );
            }
            "consumer exits" => {
                let error = assert_consumer(&report, Code(0)).error.as_deref();
                assert!(
                    error.unwrap().contains("without running its role"),
                    "{error:?}"
                );
            }
            "both exit" => assert!(
                report
                    .workers()
                    .all(|w| w.status == Code(0) && !w.is_success())
            ),
            _ => assert!(report.workers().all(|w| w.status == Signal(libc::SIGKILL))),
        }
    }
}

/// Of the producer's own children none keeps the run from ending, as they inherit nothing of it.
#[test]
fn a_worker_has_children_of_its_own() {
    let run = Harness::new("grandchildren")
        .under_test(test_name!())
        .producers(1, |source| {
            let child = std::process::Command::new("sleep").arg("60").spawn()?;
            source.set_result(&child.id().to_ne_bytes())?;
            source.send(0u64)?;
            // Dies without the end of the stream, leaving the child behind.
            kill_me(libc::SIGKILL);
            hang()
        })
        .consumers(1, receive_all);
    let error = promptly(SOON, || run.run()).unwrap_err();
    let HarnessError::WorkersFailed { report } = error else {
        panic!("{error:#?}");
    };
    let pid = i32::from_ne_bytes(report.producers[0].result[..].try_into().unwrap());
    // SAFETY: a system call on plain numbers; the child has another 60 seconds to live.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    assert_producer(&report, Signal(libc::SIGKILL));
    assert_eq!(report.messages.received, 1);
}

/// A child by fork shares what the worker had mapped, but not its life.
#[test]
fn a_worker_has_forked() {
    let run = Harness::new("forked")
        .under_test(test_name!())
        .producers(1, |source| {
            source.send(0u64)?;
            // SAFETY: the child only waits, by a bare system call.
            match unsafe { libc::fork() } {
                0 => loop {
                    // SAFETY: as above.
                    unsafe { libc::pause() };
                },
                child => source.set_result(&child.to_ne_bytes())?,
            }
            kill_me(libc::SIGKILL);
            hang()
        })
        .consumers(1, receive_all);
    let error = promptly(PATIENCE, || run.run()).unwrap_err();
    let HarnessError::WorkersFailed { report } = error else {
        panic!("{error:#?}");
    };
    let pid = i32::from_ne_bytes(report.producers[0].result[..].try_into().unwrap());
    // SAFETY: a system call on plain numbers; the child waits for ever.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    assert_producer(&report, Signal(libc::SIGKILL));
    assert!(!children().contains(&(pid as u32)));
}

#[test]
fn a_panic_of_on_progress_leaves_nobody() {
    let pids = std::sync::Mutex::new(Vec::new());
    let harness = Harness::new("watcher panics")
        .under_test(test_name!())
        .capacity(4)
        .on_progress(|_| {
            *pids.lock().unwrap() = children();
            panic!("cannot draw");
        })
        .producers(1, send_all)
        .consumers(1, receive_all);
    let run = std::panic::AssertUnwindSafe(|| harness.run());
    std::panic::catch_unwind(run).unwrap_err();
    // Other tests have children too, but none that existed then and is a worker of this harness.
    let left = pids.into_inner().unwrap().into_iter().filter(|pid| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains("watcher%20panics")
    });
    assert_eq!(left.collect::<Vec<_>>(), []);
}
