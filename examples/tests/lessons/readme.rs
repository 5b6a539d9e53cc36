//! README's commands, run as they stand there. Its programs are doc tests of `src/lib.rs`.
//!
//! Commands are the lines of `sh` (or `bash`) blocks, and those of `console` blocks after `$ `. A comment in the line
//! before a block changes what is done with it:
//!
//! * `<!-- run with: ... -->`: these arguments are added, to keep it short;
//! * `<!-- not run: reason -->`: it is only looked up whether there is such a package, program and
//!   feature.
//!
//! What is built for this test is run as it is; other programs are built by `cargo run`, without
//! `--release`. `cargo test` and `cargo bench` are looked up.

use crate::run::{program, run_command};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What is to be done with the commands of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Run,
    RunWith(String),
    LookUp,
}

impl Order {
    fn from_comment(line: &str) -> Option<Self> {
        let comment = line.strip_prefix("<!--")?.strip_suffix("-->")?.trim();
        if let Some(more) = comment.strip_prefix("run with:") {
            return Some(Order::RunWith(more.trim().to_owned()));
        }
        let reason = comment.strip_prefix("not run:")?;
        assert!(!reason.trim().is_empty(), "no reason: {line}");
        Some(Order::LookUp)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Line {
    command: String,
    order: Order,
}

/// The commands of a document.
fn commands(document: &str) -> Vec<Line> {
    let mut commands = Vec::new();
    let mut order = Order::Run;
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            if !line.is_empty() {
                order = Order::from_comment(line).unwrap_or_default();
            }
            continue;
        };
        let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        let is_command = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let block: Vec<_> = match language {
            "sh" | "bash" => block.into_iter().filter(is_command).collect(),
            "console" => (block.iter())
                .filter_map(|line| line.strip_prefix("$ "))
                .collect(),
            // A doc test, or no code.
            "rust" | "rust,no_run" | "text" | "toml" | "python" => Vec::new(),
            other => panic!("nobody checks blocks of `{other}`"),
        };
        for command in block {
            assert!(!command.ends_with('\\'), "one line each: {command}");
            let (command, order) = (command.to_owned(), order.clone());
            commands.push(Line { command, order });
        }
        order = Order::Run;
    }
    commands
}

/// A command of cargo's: what it is to do with what.
#[derive(Debug, Default)]
struct Cargo<'a> {
    verb: &'a str,
    package: Option<&'a str>,
    /// Its kind and name.
    target: Option<(&'a str, &'a str)>,
    features: Option<&'a str>,
    args: Vec<&'a str>,
}

impl<'a> Cargo<'a> {
    fn parse(command: &'a str) -> Option<Self> {
        let mut words = command.strip_prefix("cargo ")?.split_whitespace();
        let mut cargo = Cargo {
            verb: words.next()?,
            ..Cargo::default()
        };
        while let Some(word) = words.next() {
            match word {
                "--release" | "--workspace" => {}
                "-p" => cargo.package = words.next(),
                "--features" => cargo.features = words.next(),
                "--example" | "--bin" | "--bench" | "--test" => {
                    cargo.target = Some((&word[2..], words.next()?));
                }
                "--" => cargo.args = words.by_ref().collect(),
                other => panic!("what is {other} in `{command}`?"),
            }
        }
        Some(cargo)
    }

    /// Whether the workspace has all that it names.
    fn is_there(&self, metadata: &Value) -> bool {
        let Some(package) = self.package else {
            return self.target.is_none() && self.features.is_none();
        };
        let packages = metadata["packages"].as_array().unwrap();
        packages.iter().any(|it| {
            let has_target = self.target.is_none_or(|(kind, name)| {
                let targets = it["targets"].as_array().unwrap();
                targets
                    .iter()
                    .any(|it| it["name"] == name && it["kind"][0] == kind)
            });
            let features = self.features.iter().flat_map(|list| list.split(','));
            let has_features = features
                .into_iter()
                .all(|it_is| !it["features"][it_is].is_null());
            it["name"] == package && has_target && has_features
        })
    }

    /// The command that runs it, as it was built for this test if it was.
    fn to_run(&self) -> Option<Command> {
        let mut command = match (self.verb, self.package, self.target) {
            ("run", Some("examples"), Some(("example", name))) => Command::new(program(name)),
            ("run", Some(package), target) => {
                let mut cargo = cargo(&["run", "--quiet", "-p", package]);
                if let Some((kind, name)) = target {
                    cargo.arg(format!("--{kind}")).arg(name);
                }
                cargo.args(self.features.map(|list| format!("--features={list}")));
                cargo.arg("--");
                cargo
            }
            _ => return None,
        };
        command.args(&self.args);
        Some(command)
    }
}

fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(args).arg("--offline");
    cargo
}

fn metadata() -> Value {
    let output = cargo(&["metadata", "--no-deps", "--format-version=1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn its_commands_work() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let metadata = metadata();
    let mut has_run = false;
    for Line { command, order } in commands(&readme) {
        let cargo = Cargo::parse(&command);
        if let Some(cargo) = &cargo {
            assert!(cargo.is_there(&metadata), "no such thing: {command}");
        }
        if order == Order::LookUp {
            continue;
        }
        let to_run = match &cargo {
            Some(cargo) => cargo.to_run(),
            None => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &command]);
                Some(shell)
            }
        };
        let Some(mut to_run) = to_run else { continue };
        if let Order::RunWith(more) = &order {
            to_run.args(more.split_whitespace());
        }
        to_run.current_dir(root);
        let ended = run_command(to_run);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, Some(0), "{command}: {said}");
        has_run = true;
    }
    assert!(has_run, "README has no command to run");
}

#[test]
fn blocks_and_their_comments_are_found() {
    let document = "\
text `sh` ```
```sh
# says what
first --fast
second
```
<!-- run with: --limit 1 -->
```sh
third
```
<!-- not run: takes hours -->

```console
$ fourth
what it prints
```
<!-- not run: not this one -->
but text
```rust
fifth();
```
```sh
sixth
```
";
    let expected = [
        ("first --fast", Order::Run),
        ("second", Order::Run),
        ("third", Order::RunWith("--limit 1".into())),
        ("fourth", Order::LookUp),
        ("sixth", Order::Run),
    ];
    let expected = expected.map(|(command, order)| Line {
        command: command.to_owned(),
        order,
    });
    assert_eq!(commands(document), expected);
}

#[test]
fn what_is_not_there_is_noticed() {
    let metadata = metadata();
    let is_there = |command| Cargo::parse(command).unwrap().is_there(&metadata);
    for command in [
        "cargo test --workspace",
        "cargo run --release -p examples --example chat -- --json",
        "cargo run -p benches --features peers --bin side_by_side",
    ] {
        assert!(is_there(command), "{command}");
    }
    for command in [
        "cargo run --example chat",
        "cargo run -p example --example chat",
        "cargo run -p examples --example chats",
        "cargo run -p examples --bin chat",
        "cargo run -p benches --features peer --bin side_by_side",
    ] {
        assert!(!is_there(command), "{command}");
    }
}
