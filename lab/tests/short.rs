//! The short form: every 7th instruction of a quarter of the operations. Which ones depends on the
//! day, so that all have their turn; `LAB_SEED` repeats a run.
//!
//! It is the optimised build that is killed: that is what people run, and has a tenth of the
//! instructions.

use serde_json::Value;
use std::process::Command;

/// Days since the beginning of 1970, or what was asked for.
fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let day = now.map_or(0, |it| it.as_secs() / 86_400);
    std::env::var("LAB_SEED").map_or(day, |it| it.parse().expect("a number"))
}

fn optimised() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--release", "-p", "lab", "--"]);
    cargo
}

fn lab(arguments: &[&str]) -> (Value, String) {
    let output = optimised()
        .args(arguments)
        .arg("--json")
        .output()
        .expect("cargo starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{errors}"));
    assert_eq!(
        output.status.success(),
        report["operations"]
            .as_array()
            .is_some_and(|all| { all.iter().all(|it| it["violations"] == 0) })
    );
    (report, text.into_owned())
}

#[test]
fn nothing_is_lost_and_nobody_stuck() {
    let seed = seed();
    eprintln!("LAB_SEED={seed}");
    let seed_argument = seed.to_string();
    let (report, text) = lab(&["--every", "7", "--share", "4", "--seed", &seed_argument]);
    let operations = report["operations"].as_array().expect("a list");
    assert!(operations.len() > 10, "{text}");
    for operation in operations {
        assert_eq!(operation["violations"], 0, "LAB_SEED={seed}: {operation:#}");
        let count = |name: &str| operation[name].as_u64().expect("a number");
        // A seventh of them, or of those chosen; nothing was left out.
        let pairs = operation["operation"]
            .as_str()
            .is_some_and(|it| it.starts_with("two:"));
        let least = count("instructions").min(5_000) / if pairs { 160 } else { 20 };
        assert!(
            count("kills") > least && count("stops") > least,
            "{operation:#}"
        );
    }
}

#[test]
fn every_kind_of_object_has_operations() {
    let output = optimised().arg("--list").output().expect("it starts");
    let names = String::from_utf8(output.stdout).expect("text");
    for kind in [
        "spsc:",
        "spsc bytes:",
        "mpmc:",
        "mpmc bytes:",
        "mutex:",
        "rwlock:",
        "semaphore:",
        "once:",
        "value:",
        "event:",
        "condvar:",
        "barrier:",
        "latch:",
        "counting:",
        "segment:",
        "sweep:",
        "two:",
    ] {
        assert!(
            names.lines().any(|it| it.starts_with(kind)),
            "{kind} {names}"
        );
    }
}
