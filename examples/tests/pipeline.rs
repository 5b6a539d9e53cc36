//! The main job as its user runs it.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The example's program, which `cargo test` builds beside this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("target/<profile>/deps/<test>");
    profile.join("examples").join("pipeline")
}

/// A directory for a run: inputs below `in`, temporary files below `tmp`.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join("in")).unwrap();
        fs::create_dir(directory.path().join("tmp")).unwrap();
        Self { directory }
    }

    fn input(&self) -> PathBuf {
        self.directory.path().join("in")
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.input().join(name);
        fs::write(&path, contents).unwrap();
        path
    }

    fn pipeline(&self) -> Command {
        let mut command = Command::new(program());
        command
            .env("TMPDIR", self.directory.path().join("tmp"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str], path: &Path) -> Output {
        self.pipeline().args(args).arg(path).output().unwrap()
    }

    /// No temporary file, and no process of the example, is there.
    fn assert_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.directory.path().join("tmp"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        let marker = format!("TMPDIR={}", self.directory.path().join("tmp").display());
        for process in fs::read_dir("/proc").unwrap().flatten() {
            if let Ok(environment) = fs::read(process.path().join("environ")) {
                let is_ours = environment
                    .split(|&b| b == 0)
                    .any(|it| it == marker.as_bytes());
                assert!(!is_ours, "still running: {:?}", process.path());
            }
        }
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A text whose counts are known: `the` three times in each line, and words that a message's end
/// will cut.
fn text(lines: usize) -> String {
    "the quick brown fox jumps over the lazy dog and the cat\n".repeat(lines)
}

#[test]
fn the_figures_are_right_and_one_object_on_one_line() {
    let place = Place::new();
    place.write("a.txt", text(3000));
    place.write("b.txt", "naïve café_au_lait 42\n");
    place.write("c.bin", [0u8, 1, 2, 3]);
    let output = place.run(&["--json"], &place.input());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stderr.is_empty(), "not quiet: {}", stderr(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.trim_end().lines().count(), 1);
    let figures: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(figures["correct"], true);
    assert_eq!(figures["files"], 2);
    assert_eq!(figures["binaries_skipped"], 1);
    assert_eq!(figures["words"], 12 * 3000 + 3);
    assert_eq!(figures["top"][0]["word"], "the");
    assert_eq!(figures["top"][0]["count"], 9000);
    for zero in ["lost", "doubled", "torn"] {
        assert_eq!(figures[zero], 0, "{zero}");
    }
    let bytes = figures["bytes"].as_u64().unwrap();
    assert_eq!(
        bytes,
        (text(3000).len() + "naïve café_au_lait 42\n".len()) as u64
    );
    // As full as whole lines allow: 73 of 56 bytes in 4096, and the rest.
    assert_eq!(figures["messages"], 3000 / 73 + 1);
    for ratio in [
        "ratio_file_json",
        "ratio_file_append",
        "ratio_pipe",
        "seconds",
    ] {
        assert!(figures[ratio].as_f64().unwrap() > 0.0, "{ratio}");
    }
    place.assert_clean();
}

#[test]
fn kills_and_stops_change_no_count() {
    let place = Place::new();
    place.write("a.txt", text(2000));
    let args = "--json --producers 3 --consumers 2 --kill 12 --stop 4";
    let args: Vec<_> = args.split(' ').collect();
    let output = place.run(&args, &place.input());
    assert!(output.status.success(), "{}", stderr(&output));
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["correct"], true);
    assert_eq!(figures["survived_kills"], 12);
    assert_eq!(figures["survived_stops"], 4);
    assert_eq!(
        (&figures["lost"], &figures["doubled"]),
        (&0.into(), &0.into())
    );
    assert_eq!(
        (&figures["producers"], &figures["consumers"]),
        (&3.into(), &2.into())
    );
    // Of the text once, however often it was sent.
    assert_eq!(figures["words"], 12 * 2000);
    place.assert_clean();
}

/// Lines of every length around that of a message and far beyond it, the last one without a newline.
#[test]
fn long_lines_arrive_whole() {
    let place = Place::new();
    let one_word = |len: usize| format!("{}\n", "w".repeat(len - 1));
    let lens = [4095, 4096, 4097, 20_000, 1 << 20];
    let mut text = text(100);
    for len in lens {
        text += &one_word(len);
        text += "the\n";
    }
    text += &"of ".repeat((1 << 20) / 3);
    let path = place.write("a.txt", &text);
    for args in [
        "--json",
        "--json --producers 2 --consumers 3 --kill 6 --stop 2",
    ] {
        let args: Vec<_> = args.split(' ').collect();
        let output = place.run(&args, &path);
        assert!(output.status.success(), "{}", stderr(&output));
        let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(figures["correct"], true);
        let expected = 12 * 100 + 2 * lens.len() + (1 << 20) / 3;
        assert_eq!(figures["words"], expected);
        // Those of the sentence, `of`, and each of the long ones: none of them is cut.
        assert_eq!(figures["distinct_words"], 10 + 1 + lens.len());
        assert_eq!(figures["top"][0]["word"], "of");
        assert_eq!(figures["top"][0]["count"], (1 << 20) / 3);
        if figures["survived_kills"] == 0 {
            assert_eq!(figures["bytes"], text.len());
            // The sentences; a long one, and `the` where it does not fit beside it; the last one.
            assert_eq!(figures["messages"], 2 + 2 * lens.len() + 1);
        }
    }
    place.assert_clean();
}

#[test]
fn a_line_longer_than_the_longest_is_an_error_that_names_both() {
    let place = Place::new();
    let path = place.write("a.txt", text(3) + &"x".repeat(1 << 20) + "\nthe end\n");
    let output = place.run(&["--json", "--longest-line", "1023"], &path);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let error = stderr(&output);
    for part in ["line 4", "1048577 bytes", "1047552", "--longest-line"] {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
    // Just long enough.
    let output = place.run(&["--json", "--longest-line", "1025"], &path);
    assert!(output.status.success(), "{}", stderr(&output));
    for bad in ["3", "524289", "long"] {
        let output = place.run(&["--longest-line", bad], &path);
        assert_eq!(output.status.code(), Some(2), "{bad}");
        assert!(
            stderr(&output).contains("longest-line"),
            "{}",
            stderr(&output)
        );
    }
    place.assert_clean();
}

#[test]
fn more_workers_than_messages() {
    let place = Place::new();
    let path = place.write("a.txt", "one two\n");
    let output = place.run(
        &["--producers", "4", "--consumers", "4", "--kill", "3"],
        &path,
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("survived 3 kills"), "{printed}");
    for bad in ["0", "257", "many"] {
        let output = place.run(&["--consumers", bad], &path);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("1 to 256"), "{}", stderr(&output));
    }
    place.assert_clean();
}

#[test]
fn people_get_a_table_without_escapes_when_piped() {
    let place = Place::new();
    place.write("a.txt", text(500));
    let output = place.run(&[], &place.input());
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    for part in [
        "transport alone",
        "counting words",
        "JSON file",
        "messages/s",
        "correct:",
    ] {
        assert!(printed.contains(part), "no {part:?} in\n{printed}");
    }
    assert!(!printed.contains('\x1b'));
    place.assert_clean();
}

#[test]
fn bad_input_gets_a_message_that_names_it_and_leaves_nothing() {
    let place = Place::new();
    let missing = place.input().join("not-there");
    let binary = place.write("only.bin", [0u8; 100]);
    let empty = place.write("empty.txt", "");
    for (path, named) in [
        (&missing, "not-there"),
        (&binary, "binary"),
        (&empty, "empty"),
    ] {
        let output = place.run(&["--json"], path);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{named}: {}",
            stderr(&output)
        );
        assert!(output.stdout.is_empty());
        assert!(stderr(&output).contains(named), "{}", stderr(&output));
    }
    place.assert_clean();
}

#[test]
fn a_directory_without_permission_is_named() {
    let place = Place::new();
    let locked = place.input().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(place.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = place.pipeline();
    if nix::unistd::geteuid().is_root() {
        // Root may read everything: run as nobody, from a place that nobody can reach.
        use std::os::unix::process::CommandExt;
        let copy = place.directory.path().join("pipeline");
        fs::copy(program(), &copy).unwrap();
        command = Command::new(copy);
        command.uid(65534).gid(65534).current_dir("/");
    }
    let output = command.arg(&locked).output().unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("locked"), "{}", stderr(&output));
    assert!(
        stderr(&output).to_lowercase().contains("permission"),
        "{}",
        stderr(&output)
    );
}

/// Ends a run by a signal when its first worker is there, at different stages.
#[test]
fn a_signal_ends_it_in_order() {
    use nix::sys::signal::{SigHandler, Signal, kill, signal};
    use nix::unistd::Pid;
    // Tests that a script runs in the background begin with SIGINT ignored, as the program would.
    // SAFETY: the default action runs no code of ours.
    unsafe { signal(Signal::SIGINT, SigHandler::SigDfl) }.unwrap();
    for (number, worker) in [
        (Signal::SIGINT, "producer-0"),
        (Signal::SIGTERM, "consumer-0"),
        (Signal::SIGINT, "JSON file consu"),
        (Signal::SIGTERM, "append-only fil"),
    ] {
        let place = Place::new();
        let path = place.write("a.txt", text(400_000));
        let child = place
            .pipeline()
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for_worker(child.id(), worker);
        kill(Pid::from_raw(child.id() as i32), number).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{worker}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains("signal"),
            "{worker}: {}",
            stderr(&output)
        );
        place.assert_clean();
    }
}

/// Killed, it can clean up no files, but its workers are ended by the kernel.
#[test]
fn killing_it_ends_its_workers() {
    let place = Place::new();
    let path = place.write("a.txt", text(400_000));
    let mut child = place
        .pipeline()
        .arg(&path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let worker = wait_for_worker(child.id(), "consumer-0");
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(1);
    // A poll: a process that is not our child cannot be waited for.
    while is_running(worker) {
        assert!(
            std::time::Instant::now() < deadline,
            "the worker outlived its parent by 1 s"
        );
        std::thread::yield_now();
    }
}

fn is_running(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .trim_start()
            .starts_with('Z')
    })
}

/// Waits until the process has a child of this name. A poll: nothing tells when one starts.
fn wait_for_worker(parent: u32, name: &str) -> u32 {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        assert!(
            std::time::Instant::now() < deadline,
            "no worker {name:?} appeared"
        );
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let read = |file| fs::read_to_string(process.path().join(file)).unwrap_or_default();
            let is_child = read("status")
                .lines()
                .any(|line| line.strip_prefix("PPid:").map(str::trim) == Some(&parent.to_string()));
            if is_child && read("comm").trim_end() == name {
                return process.file_name().to_string_lossy().parse().unwrap();
            }
        }
        std::thread::yield_now();
    }
}
