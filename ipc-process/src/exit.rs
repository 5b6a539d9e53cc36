//! How a worker ended.

use std::fmt;

use crate::report::{Progress, Record};
use crate::{Error, Result};

/// Exit code of a worker whose role returned an error.
pub(crate) const CODE_ERROR: i32 = 1;
/// Exit code of a worker that could not run its role at all.
pub(crate) const CODE_REFUSED: i32 = 2;
/// Exit code of a worker whose role panicked: the one of any Rust program.
pub(crate) const CODE_PANIC: i32 = 101;

/// The exit status of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitStatusKind {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// It was killed by the signal of this number.
    Signal(i32),
}

impl fmt::Display for ExitStatusKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// How a worker ended, and what it left.
///
/// | role | `status` | |
/// |---|---|---|
/// | returned `Ok` | `Code(0)` | |
/// | returned `Err` | `Code(1)` | `error` is its chain, outermost first, joined by `": "` |
/// | could not be run: unknown in its scope, descriptors missing | `Code(2)` | `error` says why |
/// | panicked | `Code(101)` | `panic` is the message and where |
/// | called [`std::process::exit`] | that code | |
/// | was killed | `Signal` | |
///
/// A worker whose program ended without reaching
/// [`run_if_worker`](crate::run_if_worker) has an `error` that says so,
/// whatever its code, and is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exit {
    /// Name of the worker.
    pub name: String,
    /// Exit code or signal.
    pub status: ExitStatusKind,
    /// Message and place of the panic that ended the role.
    pub panic: Option<String>,
    /// The error that the role returned, or why it could not be run.
    pub error: Option<String>,
    /// What the last complete [`Worker::set_result`](crate::Worker::set_result)
    /// wrote, also when the role failed or was killed afterwards. Empty if there
    /// was none or it was killed while writing.
    pub result: Vec<u8>,
}

impl Exit {
    pub(crate) fn new(
        name: &str,
        scope: &str,
        status: ExitStatusKind,
        record: Option<Record>,
    ) -> Self {
        let mut exit = Self {
            name: name.to_owned(),
            status,
            panic: None,
            error: None,
            result: Vec::new(),
        };
        match record {
            Some(record) => {
                exit.result = record.result;
                match record.progress {
                    Progress::Started | Progress::Succeeded => {}
                    Progress::Panicked => exit.panic = Some(record.message),
                    Progress::Failed | Progress::Refused => exit.error = Some(record.message),
                }
            }
            None if matches!(status, ExitStatusKind::Code(_)) => {
                exit.error = Some(format!(
                    "the program ended without running its role; call run_if_worker(\"{scope}\", ..) \
                     first thing in main, and in a test name that very test in Builder::under_test"
                ));
            }
            None => {}
        }
        exit
    }

    /// Whether the worker did its work: exit code 0, no panic and no error.
    pub fn success(&self) -> bool {
        self.status == ExitStatusKind::Code(0) && self.panic.is_none() && self.error.is_none()
    }

    /// The result of a worker that succeeded.
    ///
    /// # Errors
    /// [`Error::Failed`] with name, status and message, if it did not.
    pub fn into_result(self) -> Result<Vec<u8>> {
        if self.success() {
            return Ok(self.result);
        }
        Err(Error::Failed {
            name: self.name,
            status: self.status,
            reason: self.panic.or(self.error).unwrap_or_default(),
        })
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker `{}`: {}", self.name, self.status)?;
        if let Some(message) = self.panic.as_ref().or(self.error.as_ref()) {
            write!(f, ": {message}")?;
        }
        Ok(())
    }
}
