//! However a run ends, no process, no zombie, no descriptor and no mapping of it is left in the
//! parent.

mod harness_common;

use harness_common::driver::{Driver, scene};
use harness_common::worker::{hang, kill_me};
use harness_common::{PATIENCE, children, descriptors, harness_memory_of};
use ipc_queue::harness::{Harness, HarnessError, test_name};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

/// The body runs in a process where nothing else does.
fn alone(test: &str, body: impl FnOnce()) {
    if scene().is_some() {
        return body();
    }
    let end = Driver::start(test, "alone").end(PATIENCE);
    assert_eq!(end.code, Some(0), "{end:#?}");
}

fn quick(test: &str) -> Harness<'static, u64> {
    Harness::new("quick")
        .under_test(test)
        .producers(1, |source| match &source.params()[..] {
            b"error" => Err("so it is told".into()),
            b"kill" => {
                kill_me(libc::SIGKILL);
                hang()
            }
            _ => Ok(source.send(1)?),
        })
        .consumers(1, |sink| {
            while sink.receive()?.is_some() {}
            Ok(())
        })
}

fn assert_nothing_left(what: &str) {
    assert_eq!(children(), [], "{what}: workers");
    assert_eq!(
        harness_memory_of(std::process::id()),
        [""; 0],
        "{what}: memory"
    );
}

#[test]
fn after_many_runs_of_all_kinds() {
    alone(test_name!(), || {
        let test = test_name!();
        let all_kinds = || {
            quick(test).run().unwrap();
            assert_nothing_left("success");
            let run = quick(test).params("error").run();
            assert!(
                matches!(run, Err(HarnessError::WorkersFailed { .. })),
                "{run:?}"
            );
            assert_nothing_left("error");
            let run = quick(test).params("kill").run();
            assert!(
                matches!(run, Err(HarnessError::WorkersFailed { .. })),
                "{run:?}"
            );
            assert_nothing_left("kill");
            let run = quick(test).capacity(0).run();
            assert!(matches!(run, Err(HarnessError::Segment(_))), "{run:?}");
            let run = Harness::<u64>::new("empty").under_test(test).run();
            assert!(
                matches!(run, Err(HarnessError::NoFunction { .. })),
                "{run:?}"
            );
            let run = quick(test).on_progress(|_| std::panic::resume_unwind(Box::new(())));
            let run = std::panic::AssertUnwindSafe(|| run.run());
            assert!(std::panic::catch_unwind(run).is_err());
            assert_nothing_left("panic");
            // Never run.
            drop(quick(test).params("never used"));
        };
        // The first makes what is kept: the thread that starts workers, the signal's descriptor.
        all_kinds();
        let before = descriptors();
        for _ in 0..25 {
            all_kinds();
            assert_eq!(descriptors(), before);
        }
    });
}

/// Every descriptor that a run needs is refused once, in the parent or in a worker.
#[test]
fn when_descriptors_run_out() {
    alone(test_name!(), || {
        let test = test_name!();
        quick(test).run().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let in_use = descriptors();
        let (mut refused, mut failed, mut limit) = (0, 0, in_use as u64);
        loop {
            setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
            let run = quick(test).params("some").run();
            setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
            assert_nothing_left("limit");
            assert_eq!(descriptors(), in_use, "limit {limit}");
            match run {
                Ok(_) => break,
                Err(HarnessError::WorkersFailed { .. }) => failed += 1,
                Err(error) => {
                    let mut text = error.to_string();
                    let mut cause = error.source();
                    while let Some(source) = cause {
                        text += &format!(": {source}");
                        cause = source.source();
                    }
                    assert!(
                        text.contains("Too many open files"),
                        "limit {limit}: {text}"
                    );
                    refused += 1;
                }
            }
            limit += 1;
            assert!(limit < in_use as u64 + 100, "no limit is enough");
        }
        assert!(refused >= 5, "{refused} refused, {failed} failed");
    });
}

#[test]
fn when_somebody_else_takes_the_workers_status() {
    static DONE: AtomicBool = AtomicBool::new(false);
    alone(test_name!(), || {
        quick(test_name!()).run_if_worker();
        let thief = std::thread::spawn(|| {
            while !DONE.load(Ordering::Relaxed) {
                // SAFETY: a system call that writes nothing.
                unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
            }
        });
        let mut stolen = 0;
        for _ in 0..10 {
            if let Err(error) = quick(test_name!()).run() {
                assert!(matches!(error, HarnessError::Process(_)), "{error:?}");
                assert!(error.to_string().contains("lost"), "{error}");
                stolen += 1;
            }
        }
        DONE.store(true, Ordering::Relaxed);
        thief.join().unwrap();
        assert!(stolen > 0, "the thief is too slow");
        assert_nothing_left("thief");
    });
}

#[test]
fn when_children_are_ignored() {
    alone(test_name!(), || {
        // SAFETY: no handler is set.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        let error = quick(test_name!()).run().unwrap_err();
        assert!(error.to_string().contains("SIGCHLD"), "{error}");
        assert_nothing_left("ignored");
    });
}
