//! How the processes and threads of a measurement tell the runner that something has happened, and when.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};

use crate::failure::Failure;

/// A line on which a process or thread gives its word. It closes when that one ends.
pub(crate) fn line() -> Result<(PipeReader, PipeWriter), Failure> {
    io::pipe().map_err(Failure::system("make a pipe"))
}

/// The time since some moment, the same for all processes, in ns.
pub(crate) fn now() -> Result<u64, Failure> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(Failure::errno("read the clock"))?;
    let nanos = Duration::from(now).as_nanos();
    Ok(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Which of `lines` have something to read, or have closed: at least one, unless the limit passed.
pub(crate) fn ready<'a>(
    lines: impl Iterator<Item = &'a PipeReader>,
    limit: Option<Duration>,
) -> Result<Vec<usize>, Failure> {
    let timeout = limit.map_or(PollTimeout::NONE, |limit| {
        PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX)
    });
    let mut polled: Vec<PollFd<'_>> = lines
        .map(|line| PollFd::new(line.as_fd(), PollFlags::POLLIN))
        .collect();
    while let Err(error) = poll(&mut polled, timeout) {
        if error != Errno::EINTR {
            return Err(Failure::errno("wait for the crew")(error));
        }
    }
    let is_ready = |line: &PollFd<'_>| line.any() == Some(true);
    Ok((0..polled.len())
        .filter(|&index| is_ready(&polled[index]))
        .collect())
}
