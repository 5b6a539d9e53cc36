//! How a worker ended comes back: code, error, panic, signal.

use std::io;
use std::process::Stdio;

use ipc_process::{Builder, Error, ExitStatusKind, Process, run_if_worker, test_name};
use nix::sys::signal::{Signal, raise};

fn become_worker() {
    run_if_worker(
        "exit",
        &[
            ("ok", &|_| Ok(())),
            ("code", &|worker| {
                std::process::exit(i32::from(worker.params()[0]));
            }),
            ("error", &|_| {
                let params = ipc_process::Params::from_writer("table", |_| {
                    Err(io::Error::other("the disk is gone"))
                });
                params.map(drop).map_err(Into::into)
            }),
            ("panic", &|worker| {
                panic!("{} is out of luck", worker.name())
            }),
            ("panic-any", &|_| std::panic::panic_any(7)),
            ("panic-elsewhere", &|_| {
                let inner = std::thread::spawn(|| panic!("inner")).join();
                std::panic::resume_unwind(inner.unwrap_err());
            }),
            ("panic-caught", &|_| {
                let _ = std::panic::catch_unwind(|| panic!("caught"));
                Ok(())
            }),
            ("raise", &|worker| {
                raise(Signal::try_from(i32::from(worker.params()[0]))?)?;
                Ok(())
            }),
            ("raise-realtime", &|_| {
                // SAFETY: raise(3) takes any number.
                unsafe { libc::raise(libc::SIGRTMIN() + 1) };
                Ok(())
            }),
        ],
    );
}

fn worker(role: &str, test: &str) -> Builder {
    // What these workers print is meant to happen, and would hide the rest.
    Process::builder("exit", role)
        .under_test(test)
        .stderr(Stdio::null())
}

#[test]
fn a_role_that_returns_ok_exits_with_zero() {
    become_worker();
    let mut worker = worker("ok", test_name!()).spawn().unwrap();
    let exit = worker.join().unwrap();
    assert_eq!(exit.status, ExitStatusKind::Code(0));
    assert!(exit.success());
    assert_eq!(exit.to_string(), "worker `ok`: exit code 0");
    assert_eq!((&exit.panic, &exit.error), (&None, &None));
    assert_eq!(exit.into_result().unwrap(), b"");
}

#[test]
fn an_exit_code_comes_back() {
    become_worker();
    for code in [0, 1, 7, 255] {
        let mut worker = worker("code", test_name!()).params([code]).spawn().unwrap();
        let exit = worker.join().unwrap();
        assert_eq!(exit.status, ExitStatusKind::Code(i32::from(code)));
        assert_eq!(exit.success(), code == 0);
        assert_eq!(exit.error, None);
    }
}

#[test]
fn an_error_comes_back_with_its_chain() {
    become_worker();
    let mut worker = worker("error", test_name!()).name("e-0").spawn().unwrap();
    let exit = worker.join().unwrap();
    assert_eq!(exit.status, ExitStatusKind::Code(1));
    assert!(!exit.success());
    let error = exit.error.as_deref().unwrap();
    assert!(error.contains("parameters `table`"), "{error}");
    assert!(error.ends_with(": the disk is gone"), "{error}");

    let failed = exit.into_result().unwrap_err();
    assert!(
        matches!(&failed, Error::Failed { name, status: ExitStatusKind::Code(1), .. } if name == "e-0")
    );
    let text = failed.to_string();
    assert!(
        text.starts_with("worker `e-0` failed (exit code 1): "),
        "{text}"
    );
    assert!(text.ends_with(": the disk is gone"), "{text}");
}

#[test]
fn a_panic_comes_back_with_its_place() {
    become_worker();
    let mut worker = worker("panic", test_name!()).name("p-0").spawn().unwrap();
    let exit = worker.join().unwrap();
    assert_eq!(exit.status, ExitStatusKind::Code(101));
    assert!(!exit.success());
    assert_eq!(exit.error, None);
    let panic = exit.panic.unwrap();
    let place = panic.strip_prefix("p-0 is out of luck, at ").unwrap();
    assert!(place.contains("exit.rs:"), "{place}");
}

#[test]
fn a_panic_without_text_or_resumed_comes_back_too() {
    become_worker();
    let join = |role| worker(role, test_name!()).spawn().unwrap().join().unwrap();
    let panic = join("panic-any").panic.unwrap();
    assert!(
        panic.starts_with("a panic without a message, at "),
        "{panic}"
    );

    let exit = join("panic-elsewhere");
    assert_eq!(exit.status, ExitStatusKind::Code(101));
    assert_eq!(exit.panic.as_deref(), Some("inner"));

    assert!(join("panic-caught").success());
}

#[test]
fn a_signal_comes_back() {
    become_worker();
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGUSR1] {
        let mut worker = worker("raise", test_name!())
            .params([signal as u8])
            .spawn()
            .unwrap();
        let exit = worker.join().unwrap();
        assert_eq!(exit.status, ExitStatusKind::Signal(signal as i32));
        assert!(!exit.success());
        assert_eq!((&exit.panic, &exit.error), (&None, &None));
        let text = exit.into_result().unwrap_err().to_string();
        assert!(text.ends_with(&format!("(killed by signal {})", signal as i32)));
    }
    let mut worker = worker("raise-realtime", test_name!()).spawn().unwrap();
    let expected = ExitStatusKind::Signal(libc::SIGRTMIN() + 1);
    assert_eq!(worker.join().unwrap().status, expected);
}

#[test]
fn an_unknown_role_is_refused_with_the_known_ones() {
    become_worker();
    let mut worker = worker("okay", test_name!())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let printed = io::read_to_string(worker.take_stderr().unwrap()).unwrap();
    let exit = worker.join().unwrap();
    assert_eq!(exit.status, ExitStatusKind::Code(2));
    let error = exit.error.unwrap();
    assert!(
        error.contains("scope `exit` has no role `okay`; it has: ok, code"),
        "{error}"
    );
    assert!(printed.contains(&error), "{printed}");
}

#[test]
fn a_program_that_never_runs_the_role_is_no_success() {
    become_worker();
    let mut lost = worker("ok", "no_such_test").spawn().unwrap();
    let exit = lost.join().unwrap();
    assert_eq!(
        exit.status,
        ExitStatusKind::Code(0),
        "the harness runs no test"
    );
    assert!(!exit.success());
    assert!(exit.error.unwrap().contains("run_if_worker(\"exit\", ..)"));
}
