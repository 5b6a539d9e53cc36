//! A worker starts in a sane environment, and what it starts is no worker.

use std::process::{Command, Stdio};

use ipc_process::{
    Builder, Error, ExitStatusKind, Process, run_if_worker, test_name, worker_scope,
};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::Pid;

fn become_worker() {
    run_if_worker(
        "environment",
        &[
            ("ok", &|_| Ok(())),
            ("whoami", &|worker| {
                let comm = std::fs::read_to_string("/proc/self/comm")?;
                let text = format!(
                    "{} {} {} {} {}",
                    worker.name(),
                    worker.role(),
                    worker.parent_pid(),
                    worker_scope().ok_or("no scope")?,
                    comm.trim_end(),
                );
                Ok(worker.set_result(text.as_bytes())?)
            }),
            ("shell", &|worker| {
                let script = std::str::from_utf8(worker.params())?;
                let output = Command::new("sh").arg("-c").arg(script).output()?;
                Ok(worker.set_result(&output.stdout)?)
            }),
            ("args", &|worker| {
                let args: Vec<_> = std::env::args().collect();
                Ok(worker.set_result(args.join("\n").as_bytes())?)
            }),
            ("exe", &|worker| {
                let exe = std::env::current_exe()?;
                Ok(worker.set_result(exe.as_os_str().as_encoded_bytes())?)
            }),
            ("input", &|worker| {
                let input = std::io::read_to_string(std::io::stdin())?;
                Ok(worker.set_result(input.as_bytes())?)
            }),
            ("output", &|_| {
                println!("to standard output");
                eprintln!("to standard error");
                Ok(())
            }),
            ("status", &|worker| {
                // Of this thread: the harness's main thread may still be within
                // pthread_create, which blocks all signals.
                let status = std::fs::read("/proc/thread-self/status")?;
                Ok(worker.set_result(&status)?)
            }),
            ("parent-of-status", &|worker| {
                for ignored in [Signal::SIGTERM, Signal::SIGHUP] {
                    // SAFETY: to ignore a signal runs no handler.
                    unsafe { signal(ignored, SigHandler::SigIgn)? };
                }
                SigSet::all().thread_block()?;
                let test = std::str::from_utf8(worker.params())?;
                let status = builder("status", test).spawn()?.join()?.into_result()?;
                Ok(worker.set_result(&status)?)
            }),
            ("again", &|worker| {
                become_worker(); // returns: the role has begun
                Ok(worker.set_result(b"once")?)
            }),
            ("nest", &|worker| {
                let (depth, test) = std::str::from_utf8(worker.params())?
                    .split_once(' ')
                    .ok_or("no depth")?;
                let depth: u32 = depth.parse()?;
                let mut result = format!("{depth}");
                if depth > 0 {
                    let params = format!("{} {test}", depth - 1);
                    let mut child = builder("nest", test).params(params).spawn()?;
                    let inner = child.join()?.into_result()?;
                    result += &String::from_utf8(inner)?;
                }
                Ok(worker.set_result(result.as_bytes())?)
            }),
            ("childless", &|worker| {
                let test = std::str::from_utf8(worker.params())?;
                let spawned = builder("ok", test).name("child").spawn();
                match spawned.map(|child| child.pid()) {
                    Err(error @ Error::ChildrenForbidden { .. }) => {
                        Ok(worker.set_result(error.to_string().as_bytes())?)
                    }
                    other => Err(format!("{other:?}").into()),
                }
            }),
        ],
    );
}

fn builder(role: &str, test: &str) -> Builder {
    Process::builder("environment", role).under_test(test)
}

fn join(builder: Builder) -> String {
    let result = builder.spawn().unwrap().join().unwrap().into_result();
    String::from_utf8(result.unwrap()).unwrap()
}

#[test]
fn a_worker_knows_who_it_is() {
    become_worker();
    assert_eq!(worker_scope(), None);
    let text = join(builder("whoami", test_name!()).name("with;odd=name"));
    let parent = std::process::id();
    assert_eq!(
        text,
        format!("with;odd=name whoami {parent} environment with;odd=name")
    );
}

#[test]
fn what_a_worker_starts_is_no_worker() {
    become_worker();
    let script = "echo ${IPC_PROCESS_WORKER-unset} ${GREETING-unset}";
    let greeting = builder("shell", test_name!()).params(script);
    assert_eq!(join(greeting.env("GREETING", "hello")), "unset hello\n");
}

#[test]
fn workers_start_workers() {
    become_worker();
    let test = test_name!();
    assert_eq!(
        join(builder("nest", test).params(format!("3 {test}"))),
        "3210"
    );
}

#[test]
fn who_may_start_no_workers_does_not() {
    become_worker();
    let childless = |name: &str| {
        builder("childless", test_name!())
            .name(name)
            .params(test_name!())
    };
    let told = join(childless("daemon").no_children());
    assert!(
        told.starts_with("worker `daemon` may start no workers, and so not `child`"),
        "{told}"
    );
    // It is the setting that refuses, and it is no setting of the next one.
    let exit = childless("free").spawn().unwrap().join().unwrap();
    let error = exit.error.unwrap();
    assert!(error.starts_with("Ok("), "{error}");
}

#[test]
fn within_a_role_run_if_worker_returns() {
    become_worker();
    assert_eq!(join(builder("again", test_name!())), "once");
}

#[test]
fn arguments_are_those_given_after_the_name_of_the_program() {
    become_worker();
    // The harness would take more arguments for names of tests.
    let args = join(builder("args", test_name!()));
    let own = std::env::args().next().unwrap();
    let test = test_name!();
    let expected =
        format!("{own}\n{test}\n--exact\n--nocapture\n--test-threads=1\n--include-ignored");
    assert_eq!(args, expected);
    let more = join(builder("args", test_name!()).args(["--color=never"]));
    assert_eq!(more, format!("{expected}\n--color=never"));
}

#[test]
fn the_program_is_the_current_one() {
    become_worker();
    let exe = join(builder("exe", test_name!()));
    assert_eq!(exe, std::env::current_exe().unwrap().to_str().unwrap());
}

#[test]
fn standard_streams_are_as_set() {
    become_worker();
    assert_eq!(
        join(builder("input", test_name!())),
        "",
        "not the terminal's"
    );

    let mut worker = builder("output", test_name!())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::read_to_string(worker.take_stdout().unwrap()).unwrap();
    let error = std::io::read_to_string(worker.take_stderr().unwrap()).unwrap();
    assert!(worker.join().unwrap().success());
    assert!(output.ends_with("to standard output\n"), "{output}");
    assert_eq!(error, "to standard error\n");
    assert!(worker.take_stdout().is_none());

    let mut worker = builder("input", test_name!())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut worker.take_stdin().unwrap(), b"typed").unwrap();
    assert_eq!(worker.join().unwrap().into_result().unwrap(), b"typed");
}

/// A mask of signals of /proc/pid/status, without those of the C library.
fn signals(status: &str, field: &str) -> Vec<i32> {
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let mask = line.split_whitespace().nth(1).unwrap();
    let mask = u64::from_str_radix(mask, 16).unwrap();
    (1..=64).filter(|n| mask >> (n - 1) & 1 == 1).collect()
}

#[test]
fn no_signal_is_blocked_and_few_are_ignored() {
    become_worker();
    let status = join(builder("parent-of-status", test_name!()).params(test_name!()));
    assert_eq!(signals(&status, "SigBlk:"), []);
    let ignored = signals(&status, "SigIgn:");
    assert!(ignored.contains(&libc::SIGHUP), "as nohup wants it");
    // Every Rust program ignores it at first.
    assert!(ignored.contains(&libc::SIGPIPE));
    assert!(!ignored.contains(&libc::SIGTERM), "{ignored:?}");
}

#[test]
fn processors_are_those_of_the_thread_that_spawns() {
    become_worker();
    let list = || {
        let status = join(builder("status", test_name!()));
        let line = status.lines().find(|l| l.starts_with("Cpus_allowed_list:"));
        line.unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    let all = sched_getaffinity(Pid::from_raw(0)).unwrap();
    // Every one in turn: the thread that forks had its own processors set once.
    for cpu in (0..CpuSet::count()).filter(|&cpu| all.is_set(cpu).unwrap()) {
        let mut one = CpuSet::new();
        one.set(cpu).unwrap();
        sched_setaffinity(Pid::from_raw(0), &one).unwrap();
        assert_eq!(list(), cpu.to_string());
    }
}

#[test]
fn a_missing_program_is_an_error_that_names_it() {
    become_worker();
    let error = builder("ok", test_name!())
        .name("lost")
        .program("/no/such/program")
        .spawn()
        .unwrap_err();
    assert!(
        matches!(&error, Error::Spawn { name, source, .. }
            if name == "lost" && source.kind() == std::io::ErrorKind::NotFound),
        "{error:?}"
    );
    assert!(error.to_string().contains("`/no/such/program`"), "{error}");

    let error = builder("ok", test_name!())
        .program("/proc/self/status")
        .spawn();
    assert!(matches!(error.unwrap_err(), Error::Spawn { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied));
}

#[test]
fn another_program_that_is_no_worker_is_no_success() {
    become_worker();
    let mut worker = Process::builder("environment", "ok")
        .program("true")
        .spawn()
        .unwrap();
    let exit = worker.join().unwrap();
    assert_eq!(exit.status, ExitStatusKind::Code(0));
    assert!(!exit.success());
    let error = exit.error.unwrap();
    assert!(error.contains("without running its role"), "{error}");
}

#[test]
fn a_worker_of_another_scope_passes() {
    const PASSED: i32 = 42;
    become_worker();
    if worker_scope().as_deref() == Some("elsewhere") {
        std::process::exit(PASSED);
    }
    let mut worker = Process::builder("elsewhere", "ok")
        .under_test(test_name!())
        .spawn()
        .unwrap();
    let exit = worker.join().unwrap();
    assert_eq!(exit.status, ExitStatusKind::Code(PASSED));
    assert!(
        exit.error
            .unwrap()
            .contains("run_if_worker(\"elsewhere\", ..)")
    );
}

#[test]
fn a_worker_starts_no_workers_before_its_role() {
    const REFUSED: i32 = 43;
    if worker_scope().is_some() {
        let spawned = Process::builder("environment", "ok")
            .program("true")
            .spawn();
        match spawned.map(drop) {
            Err(Error::NotYetWorker { name, scope }) if (&*name, &*scope) == ("w", "too-late") => {
                std::process::exit(REFUSED)
            }
            other => panic!("{other:?}"),
        }
    }
    let mut worker = Process::builder("too-late", "ok")
        .name("w")
        .under_test(test_name!())
        .spawn()
        .unwrap();
    assert_eq!(worker.join().unwrap().status, ExitStatusKind::Code(REFUSED));
}

#[test]
fn a_broken_assignment_is_refused() {
    become_worker();
    let run = |assignment: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([test_name!(), "--exact", "--nocapture"])
            .env("IPC_PROCESS_WORKER", assignment)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, message) = run("nonsense");
    assert_eq!(code, Some(2));
    assert!(message.contains("`nonsense`"), "{message}");

    // Descriptors that are not open, or are standard streams.
    for fd in [-1, 1, 999] {
        let (code, message) = run(&format!("2;environment;ok;w;1;children;{fd};"));
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains("cannot become worker `w`"), "{message}");
    }
}
