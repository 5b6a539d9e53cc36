//! Runs one measurement in a process of its own, which is killed if it does not end.

use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, setpgid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::case::{Case, Context, Sample};
use crate::failure::Failure;
use crate::fork;
use crate::interrupt;
use crate::pair::{guarded, report};

/// How measurements are made.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The CPU of the peer and the CPU of the runner.
    pub cpus: [usize; 2],
    /// How long the measured phase of one measurement shall last.
    pub budget: Duration,
    /// How long one measurement may take in all before it is killed.
    pub limit: Duration,
}

/// Measures `case` once, in a forked runner; blocks until it reports, ends or is killed. Leaves no
/// process and no file behind. The caller has one thread.
///
/// # Errors
/// [`Failure::Hung`] after `settings.limit`, [`Failure::Died`], [`Failure::Reported`] with what the
/// runner or its peer said, [`Failure::Interrupted`] after a signal.
pub fn run(case: &Case, settings: &Settings) -> Result<Sample, Failure> {
    in_group(settings.limit, |scratch, report| {
        let context = Context {
            cpus: settings.cpus,
            placement: case.measure.placement(),
            budget: settings.budget,
            scratch,
            report,
        };
        (case.run)(&context)
    })
}

/// Does `work` in a forked runner, with an empty directory and a line for the reports of its peers;
/// blocks until it reports, ends or is killed. Leaves no process that it started and no file behind.
/// The caller has one thread.
///
/// # Errors
/// As [`run`], [`Failure::Hung`] after `limit`.
pub fn in_group<T: Serialize + DeserializeOwned>(
    limit: Duration,
    work: impl FnOnce(&Path, &PipeWriter) -> Result<T, Failure>,
) -> Result<T, Failure> {
    // A peer whose runner was killed becomes our child, so that we can wait for its end.
    set_child_subreaper(true).map_err(Failure::errno("adopt orphaned peers"))?;
    let scratch = TempDir::with_prefix("side-by-side-")
        .map_err(Failure::system("make a scratch directory"))?;
    let _shared_memory = SharedMemoryOf(scratch.path());
    let (reports, writer) = io::pipe().map_err(Failure::system("make a pipe"))?;
    let runner = fork::spawn(|| {
        let outcome = guarded(|| {
            setpgid(Pid::from_raw(0), Pid::from_raw(0))
                .map_err(Failure::errno("make a process group"))?;
            work(scratch.path(), &writer)
        });
        report(&outcome, &writer);
        i32::from(outcome.is_err())
    })?;
    // Also from here: whoever comes first, the group exists before it is killed. The runner may
    // have ended already, which is for the report to tell.
    let _ = setpgid(runner, runner);
    let group = Group(runner);
    drop(writer);
    read_report(reports, &group, limit)
}

/// What contenders have in `/dev/shm` under names that begin with that of a scratch directory.
struct SharedMemoryOf<'a>(&'a Path);

impl Drop for SharedMemoryOf<'_> {
    fn drop(&mut self) {
        let name = self.0.file_name().unwrap_or_default().as_encoded_bytes();
        // What cannot be looked at or removed is not ours.
        for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(name) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// A runner and its peer; none of them outlives it.
struct Group(Pid);

impl Group {
    /// Waits for the runner, which has closed its reports, and says how it ended.
    fn status(&self) -> String {
        waitpid(self.0, None).map_or_else(|error| error.to_string(), |status| format!("{status:?}"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = killpg(self.0, Signal::SIGKILL);
        let any_of_group = Pid::from_raw(-self.0.as_raw());
        // Until there is none left (ECHILD).
        while let Ok(_) | Err(Errno::EINTR) = waitpid(any_of_group, None) {}
    }
}

fn read_report<T: DeserializeOwned>(
    mut reports: PipeReader,
    group: &Group,
    limit: Duration,
) -> Result<T, Failure> {
    let deadline = Instant::now() + limit;
    let mut text = Vec::new();
    loop {
        if interrupt::asked() {
            return Err(Failure::Interrupted);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::Hung { limit });
        }
        // Rounded up, or the last millisecond would be spent polling without a wait.
        let millis = left.as_millis() + 1;
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        let mut readable = [PollFd::new(reports.as_fd(), PollFlags::POLLIN)];
        match poll(&mut readable, timeout) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(Failure::errno("wait for a report")(error)),
        }
        let mut part = [0; 4096];
        let length = reports
            .read(&mut part)
            .map_err(Failure::system("read a report"))?;
        text.extend_from_slice(&part[..length]);
        if let Some(end) = text.iter().position(|&byte| byte == b'\n') {
            return serde_json::from_slice::<Result<T, String>>(&text[..end])
                .map_err(Failure::contender("read a report"))?
                .map_err(|message| Failure::Reported { message });
        }
        if length == 0 {
            return Err(Failure::Died {
                status: group.status(),
            });
        }
    }
}
