//! A worker as its parent sees it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::assignment::Assignment;
use crate::pidfd::{Halt, Patience, PidFd, Waited, poll_ended};
use crate::{Builder, Error, Exit, ExitStatusKind, Result, report};

/// A worker process, owned by this process.
///
/// Dropping it kills the worker and waits until it is gone (see
/// [`detach`](Process::detach) for the other way). Signals go to this very
/// process, never to another that got its number after it ended.
#[derive(Debug)]
pub struct Process {
    scope: String,
    name: String,
    role: String,
    pid: u32,
    pidfd: PidFd,
    report: File,
    state: State,
    /// Whether [`join_any`] or a join has told the caller of its end.
    told: Told,
    on_drop: OnDrop,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// As far as is known.
    Running,
    Ended(ExitStatusKind),
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    No,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    Kill,
    Leave,
}

impl Process {
    /// Begins to describe a worker: `role` is one of those that this program
    /// gives to [`run_if_worker`](crate::run_if_worker) for `scope`.
    pub fn builder(scope: &str, role: &str) -> Builder {
        Builder::new(scope, role)
    }

    /// Takes over a child that was just started; if it cannot, it leaves no
    /// child behind.
    pub(crate) fn adopt(
        mut child: Child,
        assignment: &Assignment,
        report: File,
    ) -> io::Result<Self> {
        let pidfd = PidFd::open(child.id()).inspect_err(|_| {
            // Both fail only if the child is gone already.
            let _ = child.kill();
            let _ = child.wait();
        })?;
        Ok(Self {
            scope: assignment.scope.clone(),
            name: assignment.name.clone(),
            role: assignment.role.clone(),
            pid: child.id(),
            pidfd,
            report,
            state: State::Running,
            told: Told::No,
            on_drop: OnDrop::Kill,
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its role.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Its process id. Once it has ended and was joined, the system may give
    /// this number to another process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The writing end of its standard input, if that was set to
    /// [`Stdio::piped`](std::process::Stdio::piped); once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// The reading end of its standard output, if that was set to
    /// [`Stdio::piped`](std::process::Stdio::piped); once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// The reading end of its standard error, if that was set to
    /// [`Stdio::piped`](std::process::Stdio::piped); once.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.stderr.take()
    }

    /// Whether it has not ended yet; a stopped worker has not. Does not block.
    pub fn is_alive(&mut self) -> bool {
        // Waiting for a child of ours with valid arguments does not fail.
        self.update(Patience::LookOnce).is_ok() && matches!(self.state, State::Running)
    }

    /// Blocks until it has ended, and says how. Can be called again.
    ///
    /// A worker that is stopped, or waits for this process, does not end: this
    /// blocks for ever then. A full [`Stdio::piped`](std::process::Stdio::piped)
    /// that no one reads is such a case.
    ///
    /// # Errors
    /// [`Error::StatusLost`] if this process has begun to ignore SIGCHLD, or has
    /// collected the status elsewhere; [`Error::Report`] if its result cannot be read;
    /// [`Error::Wait`] if waiting failed.
    pub fn join(&mut self) -> Result<Exit> {
        self.update(Patience::Block)?;
        self.exit()
    }

    /// Like [`join`](Process::join), but blocks no longer than `timeout`, and
    /// gives `None` if it has not ended by then. A timeout of zero looks once.
    ///
    /// # Errors
    /// As [`join`](Process::join).
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<Option<Exit>> {
        self.update(Patience::LookOnce)?;
        if matches!(self.state, State::Running) {
            let ended = poll_ended(&[self.pidfd.as_fd()], Instant::now().checked_add(timeout));
            match ended.map_err(|source| self.wait_error(source))? {
                Some(_) => self.update(Patience::Block)?,
                None => return Ok(None),
            }
        }
        self.exit().map(Some)
    }

    /// Asks it to end, by SIGTERM, which kills it unless it handles that. Does
    /// not wait, and does nothing if it has ended. A stopped worker gets it
    /// after [`resume`](Process::resume).
    ///
    /// # Errors
    /// [`Error::Signal`] if this process may not signal it.
    pub fn terminate(&mut self) -> Result<()> {
        self.send(Signal::SIGTERM)
    }

    /// Kills it, by SIGKILL, also when it is stopped. Does not wait, and does
    /// nothing if it has ended.
    ///
    /// # Errors
    /// [`Error::Signal`] if this process may not signal it.
    pub fn kill(&mut self) -> Result<()> {
        self.send(Signal::SIGKILL)
    }

    /// Stops it, by SIGSTOP, and blocks until all its threads are stopped. Does
    /// nothing more if it is stopped already.
    ///
    /// # Errors
    /// [`Error::Ended`] if it has ended, or ends before it is stopped;
    /// [`Error::Signal`] if this process may not signal it; [`Error::Wait`] if
    /// waiting failed.
    pub fn stop(&mut self) -> Result<()> {
        let ended = |process: &Self| Error::Ended {
            name: process.name.clone(),
        };
        if !self.is_alive() {
            return Err(ended(self));
        }
        self.send(Signal::SIGSTOP)?;
        let halt = self.pidfd.wait_halted();
        match halt.map_err(|source| self.wait_error(source))? {
            Halt::Stopped => Ok(()),
            Halt::Ended => Err(ended(self)),
        }
    }

    /// Lets it run on after [`stop`](Process::stop), by SIGCONT. Does nothing
    /// if it runs or has ended.
    ///
    /// # Errors
    /// [`Error::Signal`] if this process may not signal it.
    pub fn resume(&mut self) -> Result<()> {
        self.send(Signal::SIGCONT)
    }

    /// Gives up the ownership: the worker runs on, and dropping this does not
    /// kill it. If it is to live on when this process ends, it must also have
    /// been started with [`outlive_parent`](Builder::outlive_parent).
    ///
    /// Nobody joins it any more: when it ends before this process does, its entry stays in
    /// the process table until then.
    pub fn detach(mut self) {
        self.on_drop = OnDrop::Leave;
    }

    fn send(&self, signal: Signal) -> Result<()> {
        self.pidfd.send(signal).map_err(|source| Error::Signal {
            name: self.name.clone(),
            signal: signal as i32,
            source,
        })
    }

    fn update(&mut self, patience: Patience) -> Result<()> {
        if matches!(self.state, State::Running) {
            let waited = self.pidfd.wait(patience);
            self.state = match waited.map_err(|source| self.wait_error(source))? {
                Waited::Running => State::Running,
                Waited::Ended(status) => State::Ended(status),
                Waited::Lost => State::Lost,
            };
        }
        Ok(())
    }

    fn exit(&mut self) -> Result<Exit> {
        self.told = Told::Yes;
        let State::Ended(status) = self.state else {
            return Err(Error::StatusLost {
                name: self.name.clone(),
            });
        };
        let record = report::read(&self.report).map_err(|source| Error::Report {
            name: self.name.clone(),
            source,
        })?;
        Ok(Exit::new(&self.name, &self.scope, status, record))
    }

    fn wait_error(&self, source: io::Error) -> Error {
        Error::Wait {
            name: self.name.clone(),
            source,
        }
    }
}

impl AsFd for Process {
    /// Its pidfd, which becomes readable (`POLLIN`) when it has ended; for
    /// poll(2) and epoll(7) together with other things. Do not wait for it by
    /// waitid(2), which would lose its exit status.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::Kill && self.is_alive() {
            // A child can always be killed, unless it changed its user; then
            // waiting for it could take for ever.
            if self.kill().is_ok() {
                let _ = self.update(Patience::Block);
            }
        }
    }
}

/// Blocks until one of the workers has ended, no longer than `timeout` (`None`:
/// for ever), and gives its index.
///
/// Each worker is given once, whether it stays in the slice or not, and one that
/// was joined is not given any more. If several have ended, the one of the
/// lowest index comes first. `None` means that the timeout has passed, or that
/// there is none left to wait for. Call [`Process::join`] for its [`Exit`].
///
/// ```no_run
/// use ipc_process::{Process, join_any};
///
/// # fn f(mut workers: Vec<Process>) -> Result<(), ipc_process::Error> {
/// while let Some(index) = join_any(&mut workers, None)? {
///     println!("{}", workers[index].join()?);
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::Wait`] if waiting failed.
pub fn join_any(processes: &mut [Process], timeout: Option<Duration>) -> Result<Option<usize>> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut waited_for = Vec::new();
    for (index, process) in processes.iter_mut().enumerate() {
        if process.told == Told::No {
            process.update(Patience::LookOnce)?;
            if !matches!(process.state, State::Running) {
                process.told = Told::Yes;
                return Ok(Some(index));
            }
            waited_for.push(index);
        }
    }
    let Some(&first) = waited_for.first() else {
        return Ok(None);
    };
    let handles: Vec<_> = waited_for.iter().map(|&i| processes[i].as_fd()).collect();
    let ended =
        poll_ended(&handles, deadline).map_err(|source| processes[first].wait_error(source))?;
    let Some(index) = ended.map(|at| waited_for[at]) else {
        return Ok(None);
    };
    processes[index].update(Patience::Block)?;
    processes[index].told = Told::Yes;
    Ok(Some(index))
}
