//! A run of an example: what it says, and what it leaves behind, which is to be nothing.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, DirEntry, File};
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The example's program, which `cargo test` builds beside this test.
pub fn program(example: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("target/<profile>/deps/<test>");
    let program = profile.join("examples").join(example);
    assert!(program.exists(), "run cargo build -p examples --examples");
    program
}

/// What it takes killed workers to end, on a busy machine.
const ENDING: Duration = Duration::from_secs(10);

/// Where a run may put temporary files, and by which its processes are known.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: TempDir::new().unwrap(),
        }
    }

    fn prepare(&self, command: &mut Command) {
        command.env("TMPDIR", self.directory.path());
        command.stdin(Stdio::null());
        // Busy machines are no error. That there is a limit has a test of its own.
        command.env("EXAMPLE_SECONDS", "300");
    }

    /// No process and no file, within the time that ending takes. A poll: grandchildren cannot be
    /// waited for.
    #[track_caller]
    fn assert_nothing_left(&self) {
        let started = Instant::now();
        while let running = self.processes()
            && !running.is_empty()
        {
            let waited = started.elapsed();
            assert!(waited < ENDING, "still running: {running:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        let files = fs::read_dir(self.directory.path()).unwrap().count();
        assert_eq!(files, 0, "left files");
    }

    /// The processes that have inherited the environment of the run.
    fn processes(&self) -> Vec<i32> {
        let marker = format!("TMPDIR={}", self.directory.path().display());
        let pid_if_ours = |process: DirEntry| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(process.path().join("environ")).ok()?;
            let mut variables = environment.split(|&byte| byte == 0);
            variables.any(|it| it == marker.as_bytes()).then_some(pid)
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes.filter_map(pid_if_ours).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Of a run that did not end as it should.
        for pid in self.processes() {
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// What is left of a finished run.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub fn command(example: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program(example));
    command.args(args);
    command
}

/// Runs an example without a terminal, in a place of its own, of which nothing may remain: no
/// temporary file and no process.
#[track_caller]
pub fn run(example: &str, args: &[&str]) -> Ended {
    run_command(command(example, args))
}

/// The same for any command.
#[track_caller]
pub fn run_command(command: Command) -> Ended {
    // A file, as the end of a pipe does not come while anybody is left who could write.
    let mut stdout = tempfile::tempfile().unwrap();
    let ended = run_into(command, stdout.try_clone().unwrap());
    Ended {
        stdout: text(&mut stdout),
        ..ended
    }
}

/// The same with another standard output, which is not read here.
#[track_caller]
pub fn run_into(mut command: Command, stdout: impl Into<Stdio>) -> Ended {
    let place = Place::new();
    place.prepare(&mut command);
    let mut stderr = tempfile::tempfile().unwrap();
    command.stdout(stdout).stderr(stderr.try_clone().unwrap());
    let status = command.status().unwrap();
    place.assert_nothing_left();
    Ended {
        code: status.code(),
        stdout: String::new(),
        stderr: text(&mut stderr),
    }
}

/// All that was written to a file.
fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// Runs an example that is to find all right, for people. Gives what it says.
#[track_caller]
pub fn told(example: &str, args: &[&str]) -> String {
    let ended = run(example, args);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stderr, "");
    assert!(!ended.stdout.contains('\x1b'), "colours in a pipe");
    assert!(ended.stdout.ends_with("correct: all as it should be\n"));
    ended.stdout
}

/// Runs an example that is to find all right, for programs. Gives the one object that it prints.
#[track_caller]
pub fn found(example: &str, args: &[&str]) -> Value {
    let ended = run(example, &[args, &["--json"]].concat());
    let object = the_object(&ended);
    assert_eq!(object["example"], example);
    assert_eq!(object["wrong"], serde_json::json!([]));
    object
}

/// The one object that an example has printed for programs, which has found all right.
#[track_caller]
pub fn the_object(ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    let object: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(object["correct"], true);
    object
}

/// Its `--help` tells what it shows, and of `--json`.
#[track_caller]
pub fn helps(example: &str, words: &str) {
    let ended = run(example, &["--help"]);
    assert_eq!(ended.code, Some(0));
    for part in [words, "--json"] {
        assert!(ended.stdout.contains(part), "{part}? {}", ended.stdout);
    }
    let refused = run(example, &["--no-such-option"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("no-such-option"));
}

/// An example that runs, at the latest until this is dropped.
pub struct Running {
    pub child: Child,
    stdout: BufReader<ChildStdout>,
    place: Place,
}

/// Starts an example.
#[track_caller]
pub fn start(mut command: Command) -> Running {
    let place = Place::new();
    place.prepare(&mut command);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    Running {
        child,
        stdout,
        place,
    }
}

impl Running {
    /// The next line that it prints.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let len = self.stdout.read_line(&mut line).unwrap();
        assert!(len > 0, "it prints no more");
        line.trim_end().to_owned()
    }

    /// Nothing of it is left, within the time that ending takes.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        self.place.assert_nothing_left();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
