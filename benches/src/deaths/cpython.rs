//! CPython's lock between processes, if there is a CPython.

use std::io::{BufRead, BufReader, ErrorKind};
use std::process::{Command, Stdio};

use super::{Moment, Outcome, Setting};
use crate::failure::Failure;

const SCRIPT: &str = include_str!("cpython_lock.py");

/// Says [`Outcome::Absent`] if there is no `python3`, or none with `multiprocessing.Lock`. What the
/// script starts belongs to the group of the calling runner, and is killed with it.
pub(super) fn multiprocessing_lock(
    moment: Moment,
    setting: &Setting<'_>,
) -> Result<Outcome, Failure> {
    let moment = match moment {
        Moment::Holding => "holding",
        Moment::Waiting => "waiting",
        Moment::BeingWoken => "being_woken",
    };
    let mut python = Command::new("python3");
    let can_lock = python
        .args([
            "-c",
            "import ctypes, multiprocessing; multiprocessing.Lock()",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match can_lock {
        Ok(status) if status.success() => {}
        Ok(_) => return Ok(Outcome::Absent),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Outcome::Absent),
        Err(error) => return Err(Failure::system("start python3")(error)),
    }
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT, moment])
        .arg(setting.limit.as_secs_f64().to_string())
        .arg(setting.cpu.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Failure::system("start python3"))?;
    // One line: the script's children hold the pipe open, and live until the group is killed.
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().expect("it was asked for"));
    said.read_line(&mut line)
        .map_err(Failure::system("read what python3 says"))?;
    serde_json::from_str(&line).map_err(Failure::contender("understand what python3 says"))
}
