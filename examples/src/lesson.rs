//! How a short example tells what happens, for people or for programs, and judges it.

use crate::{complain, print, time_limit};
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::error::Error;
use std::fmt::{Debug, Display};
use std::io::{self, IsTerminal};
use std::process::ExitCode;

/// Why an example could not be run; also what its workers' roles return.
pub type Failure = Box<dyn Error + Send + Sync>;

const TITLE: Style = Style::new().bold();
const RIGHT: Style = AnsiColor::Green.on_default();
const WRONG: Style = AnsiColor::Red.on_default().bold();

/// A run of a short example: what it says, found, and got wrong.
#[derive(Debug)]
pub struct Lesson {
    output: Output,
    findings: Map<String, Value>,
    wrong: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Coloured,
    Plain,
    Json,
}

impl Lesson {
    /// Runs the example of this name. With `json` it prints nothing but one JSON object on one
    /// line, with all that was found; else what happens, with colours on a terminal.
    ///
    /// The exit code is 0 if all was as expected, 1 if something was not, and 2 if `teach` failed,
    /// has not come to an end in [`time_limit`], or what it says cannot be printed. Workers end with
    /// this process.
    pub fn run(
        name: &str,
        json: bool,
        teach: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> ExitCode {
        end_in_time(name);
        let is_coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let mut lesson = Self::new(match (json, is_coloured) {
            (true, _) => Output::Json,
            (false, true) => Output::Coloured,
            (false, false) => Output::Plain,
        });
        if let Err(error) = teach(&mut lesson) {
            complain(format_args!("{name}: {error}"));
            return ExitCode::from(2);
        }
        lesson.end(name)
    }

    fn new(output: Output) -> Self {
        Self {
            output,
            findings: Map::new(),
            wrong: Vec::new(),
        }
    }

    fn end(self, name: &str) -> ExitCode {
        let exit_code = self.exit_code();
        match self.output {
            Output::Json => print(format_args!("{}\n", self.to_json(name))),
            _ if exit_code == 0 => {
                let verdict = self.paint(RIGHT, "correct: all as it should be");
                print(format_args!("\n{verdict}\n"));
            }
            _ => {
                let verdict = format!("WRONG: {}", self.wrong.join(", "));
                print(format_args!("\n{}\n", self.paint(WRONG, verdict)));
            }
        }
        ExitCode::from(exit_code)
    }

    fn exit_code(&self) -> u8 {
        u8::from(!self.wrong.is_empty())
    }

    fn to_json(&self, name: &str) -> Value {
        let is_correct = self.wrong.is_empty();
        let mut object = json!({ "example": name, "correct": is_correct, "wrong": self.wrong });
        for (key, found) in &self.findings {
            object[key] = found.clone();
        }
        object
    }

    /// Begins a part of the lesson.
    pub fn part(&self, title: impl Display) {
        if self.output != Output::Json {
            print(format_args!("\n{}\n", self.paint(TITLE, title)));
        }
    }

    /// Says what happens.
    pub fn say(&self, line: impl Display) {
        if self.output != Output::Json {
            print(format_args!("    {line}\n"));
        }
    }

    /// Notes a figure that is neither right nor wrong, for the JSON object.
    pub fn note(&mut self, key: &str, value: impl Serialize) {
        self.findings.insert(key.to_owned(), json!(value));
    }

    /// Notes what was found, which is to be what is expected. `sentence` says what that means.
    pub fn expect<T: Serialize + PartialEq<E>, E: Debug>(
        &mut self,
        key: &str,
        found: T,
        expected: E,
        sentence: impl Display,
    ) {
        let is_right = found == expected;
        self.check(key, found, is_right, sentence);
        if !is_right {
            self.say(format_args!("expected: {expected:?}"));
        }
    }

    /// Notes what was found, and whether it is right. `sentence` says what that means.
    pub fn check(
        &mut self,
        key: &str,
        found: impl Serialize,
        is_right: bool,
        sentence: impl Display,
    ) {
        let found = json!(found);
        if self.output != Output::Json {
            let mark = match is_right {
                true => self.paint(RIGHT, "ok "),
                false => self.paint(WRONG, "NOT"),
            };
            print(format_args!("{mark} {sentence} ({found})\n"));
        }
        if !is_right {
            self.wrong.push(key.to_owned());
        }
        self.findings.insert(key.to_owned(), found);
    }

    fn paint(&self, style: Style, text: impl Display) -> String {
        match self.output {
            Output::Coloured => format!("{style}{text}{style:#}"),
            Output::Plain | Output::Json => text.to_string(),
        }
    }
}

/// Ends this process with an error if it takes too long.
fn end_in_time(name: &str) {
    let name = name.to_owned();
    std::thread::spawn(move || {
        std::thread::sleep(time_limit());
        complain(format_args!("{name}: does not come to an end"));
        std::process::exit(2);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_finding_makes_it_wrong() {
        let mut lesson = Lesson::new(Output::Json);
        lesson.note("seconds", 0.5);
        lesson.expect("sum", 3, 3, "a sum");
        lesson.check("colour", "red", true, "a colour");
        assert_eq!(lesson.exit_code(), 0);
        lesson.expect("product", 5, 6, "a product");
        lesson.check("name", "none", false, "a name");
        lesson.expect("difference", 0, 0, "a difference");
        assert_eq!(lesson.exit_code(), 1);
        let expected = json!({
            "example": "sums", "correct": false, "wrong": ["product", "name"],
            "seconds": 0.5, "sum": 3, "colour": "red", "product": 5, "name": "none", "difference": 0,
        });
        assert_eq!(lesson.to_json("sums"), expected);
    }

    #[test]
    fn only_terminals_get_colours() {
        let painted = |output| Lesson::new(output).paint(RIGHT, "text");
        assert_eq!(painted(Output::Plain), "text");
        assert_eq!(painted(Output::Coloured), "\x1b[32mtext\x1b[0m");
    }
}
