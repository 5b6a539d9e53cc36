//! Printing for those who may stop reading at any time, as `head` does.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process;

/// Prints a text as it is. Unlike `print!` it does not panic if it cannot: this process ends with
/// exit code 2, without a word if nobody reads any more, else with one to standard error. Workers end
/// with this process.
pub fn print(text: impl Display) {
    let mut stdout = io::stdout();
    let printed = write!(stdout, "{text}").and_then(|()| stdout.flush());
    if let Err(error) = printed {
        if error.kind() != ErrorKind::BrokenPipe {
            complain(format_args!("cannot print: {error}"));
        }
        process::exit(2);
    }
}

/// Prints a line to standard error, if somebody reads it.
pub fn complain(line: impl Display) {
    // There is nobody left to tell of a failure.
    let _ = writeln!(io::stderr(), "{line}");
}
