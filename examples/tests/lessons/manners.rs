//! What all examples do alike, whoever starts them, watches them, and stops them.

use crate::run::{Ended, command, program, run, run_command, run_into, start, the_object};
use nix::pty::openpty;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;
use std::thread;

/// The short examples, which need no arguments.
const LESSONS: [&str; 10] = [
    "bank",
    "buns",
    "chat",
    "karaoke",
    "messages",
    "printing",
    "processes",
    "queue_tour",
    "tickets",
    "traffic_light",
];

/// All of them, and arguments that keep them short.
fn all() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let lessons = LESSONS.map(|lesson| (lesson, [].as_slice()));
    lessons
        .into_iter()
        .chain([("pipeline", ["src"].as_slice())])
}

#[test]
fn none_is_forgotten_here() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = fs::read_dir(directory).unwrap();
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut there: Vec<_> = files.map(|file| name(&file.unwrap().path())).collect();
    there.sort_unstable();
    let mut here: Vec<_> = all().map(|(name, _)| name).collect();
    here.sort_unstable();
    assert_eq!(there, here);
}

#[test]
fn one_object_on_one_line_also_without_input_and_errors() {
    for (example, args) in all() {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"exec "$0" "$@" --json <&- 2>&-"#]);
        shell.arg(program(example)).args(args);
        the_object(&run_command(shell));
    }
}

#[test]
fn two_at_once_do_not_meet() {
    for (example, args) in all() {
        let args = [args, &["--json"]].concat();
        thread::scope(|scope| {
            let other = scope.spawn(|| the_object(&run(example, &args)));
            the_object(&run(example, &args));
            other.join().unwrap();
        });
    }
}

/// Runs a command on a terminal. Gives what shows there.
#[track_caller]
fn shown(command: Command) -> String {
    let terminal = openpty(None, None).unwrap();
    let mut screen = File::from(terminal.master);
    let watcher = thread::spawn(move || {
        let mut shown = Vec::new();
        // An error is the end: the last one has closed the terminal.
        let _ = screen.read_to_end(&mut shown);
        String::from_utf8(shown).unwrap()
    });
    let ended = run_into(command, terminal.slave);
    let shown = watcher.join().unwrap();
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{shown}");
    shown
}

#[test]
fn colours_are_for_terminals_and_who_wants_them() {
    const GREEN: &str = "\x1b[32m";
    for lesson in LESSONS {
        let mut coloured = command(lesson, &[]);
        coloured.env_remove("NO_COLOR");
        let shown_coloured = shown(coloured);
        assert!(shown_coloured.contains(GREEN), "{shown_coloured}");

        let mut plain = command(lesson, &[]);
        plain.env("NO_COLOR", "1");
        let shown_plain = shown(plain);
        assert!(!shown_plain.contains('\x1b'), "{shown_plain}");
        assert!(shown_plain.contains("correct"), "{shown_plain}");
    }
    for (example, args) in all() {
        let object = shown(command(example, &[args, &["--json"]].concat()));
        the_object(&Ended {
            code: Some(0),
            stdout: object,
            stderr: String::new(),
        });
    }
}

#[test]
fn who_stops_reading_makes_none_panic() {
    for (example, args) in all() {
        for (more, code) in [(None, 2), (Some("--json"), 2), (Some("--help"), 0)] {
            // As `| head` leaves it, at the latest.
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut command = command(example, args);
            command.args(more);
            let ended = run_into(command, writer);
            let found = (ended.code, ended.stderr);
            assert_eq!(found, (Some(code), String::new()), "{example} {more:?}");
        }
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ended = run_into(command(example, args), full);
        assert_eq!(ended.code, Some(2), "{example}");
        let message = "cannot print: No space left on device (os error 28)\n";
        assert_eq!(ended.stderr, message, "{example}");
    }
}

/// The pipeline's tests have this of it, too.
#[test]
fn interrupted_they_leave_nothing() {
    // Tests that a script runs in the background begin with SIGINT ignored, as the example would.
    // SAFETY: the default action runs no code of ours.
    unsafe { signal(Signal::SIGINT, SigHandler::SigDfl) }.unwrap();
    for lesson in LESSONS {
        for whom in [Whom::Parent, Whom::Group] {
            // It may be at its end before the signal comes: then once more.
            let was_interrupted = (0..TRIES).any(|_| interrupt(lesson, whom));
            assert!(was_interrupted, "{lesson} {whom:?}");
        }
    }
}

const TRIES: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    Parent,
    /// As a terminal does.
    Group,
}

/// Interrupts an example in its first part. Gives whether that was in time.
#[track_caller]
fn interrupt(example: &str, whom: Whom) -> bool {
    let mut command = command(example, &[]);
    command.process_group(0);
    let mut running = start(command);
    while running.line().is_empty() {}
    let pid = running.child.id() as i32;
    let target = match whom {
        Whom::Parent => pid,
        Whom::Group => -pid,
    };
    kill(Pid::from_raw(target), Signal::SIGINT).unwrap();
    let status = running.child.wait().unwrap();
    running.assert_nothing_left();
    assert!(status.success() || status.signal() == Some(Signal::SIGINT as i32));
    !status.success()
}
