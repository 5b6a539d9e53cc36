//! A run of an example: what it says, and what it leaves behind, which is to be nothing.

use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The example's program, which `cargo test` builds beside this test.
fn program(example: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("target/<profile>/deps/<test>");
    profile.join("examples").join(example)
}

/// What is left of a finished run.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs an example without a terminal, in a place of its own, of which nothing may remain: no
/// temporary file and no process.
#[track_caller]
pub fn run(example: &str, args: &[&str]) -> Ended {
    let place = TempDir::new().unwrap();
    let started = Instant::now();
    let output = Command::new(program(example))
        .args(args)
        .env("TMPDIR", place.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(started.elapsed() < Duration::from_secs(30), "took too long");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "left files");
    let marker = format!("TMPDIR={}", place.path().display());
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        let mut variables = environment.split(|&byte| byte == 0);
        let is_ours = variables.any(|it| it == marker.as_bytes());
        assert!(!is_ours, "still running: {:?}", process.path());
    }
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
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
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    let object: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(object["example"], example);
    assert_eq!(object["correct"], true);
    assert_eq!(object["wrong"], serde_json::json!([]));
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
