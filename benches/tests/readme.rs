//! README's commands of this package are accepted as they stand there; what they do has tests of its own.

use std::process::Command;

const README: &str = include_str!("../../README.md");

fn program(name: &str) -> &'static str {
    match name {
        "side_by_side" => env!("CARGO_BIN_EXE_side_by_side"),
        "who_hangs" => env!("CARGO_BIN_EXE_who_hangs"),
        _ => panic!("README runs `{name}`, of which this test does not know"),
    }
}

#[test]
fn their_options_exist() {
    let mut commands = 0;
    let is_ours = |line: &&str| line.starts_with("cargo run ") && line.contains(" -p benches ");
    for line in README.lines().filter(is_ours) {
        let (cargo, args) = line.split_once(" -- ").unwrap_or((line, ""));
        let mut words = cargo.split_whitespace().skip_while(|word| *word != "--bin");
        let Some(name) = words.nth(1) else { continue };
        let mut command = Command::new(program(name));
        // Options are read in turn: of those before there was none to complain of.
        let output = command.args(args.split_whitespace()).arg("--help").output();
        let output = output.unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {message}");
        commands += 1;
    }
    assert!(commands > 0, "README has no command of this package");
}
