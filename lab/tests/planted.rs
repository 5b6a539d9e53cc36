//! The lab sees each of the faults planted in the libraries.

use std::process::Command;

#[test]
#[ignore = "builds everything once more, with the faults: cargo test -p lab --test planted -- --ignored"]
fn every_planted_fault_is_seen() {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--release", "-p", "lab", "--target-dir"])
        .arg(concat!(env!("CARGO_TARGET_TMPDIR"), "/planted"))
        .args(["--", "--planted"])
        .env("RUSTFLAGS", "--cfg planted_faults")
        .output()
        .expect("cargo starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let last = text.lines().last().unwrap_or_default();
    assert_eq!(last, "16 faults, 0 not seen", "{text}");
}
