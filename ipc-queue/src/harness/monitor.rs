//! The parent's part while the workers run.

use super::error::HarnessError;
use super::report::{Progress, WorkerReport};
use super::signals::Interrupts;
use super::stage::Stage;
use ipc_core::Payload;
use ipc_process::{Exit, ExitStatusKind, Process};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How often progress is shown, in milliseconds.
const TICK: u8 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Producer,
    Consumer,
}

impl Role {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Role::Producer => "producer",
            Role::Consumer => "consumer",
        }
    }
}

/// A worker and, once it has ended, how.
pub(super) struct Member {
    role: Role,
    process: Process,
    exit: Option<Exit>,
}

impl Member {
    pub(super) fn new(role: Role, process: Process) -> Self {
        Self {
            role,
            process,
            exit: None,
        }
    }
}

/// The worker's word that it has everything and goes to the gate.
pub(super) struct ReadySignal(File);

impl ReadySignal {
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Self(pipe.into())
    }

    pub(super) fn send(mut self) -> io::Result<()> {
        self.0.write_all(b"r")
    }
}

/// How a run ended.
pub(super) struct Ending {
    pub interrupted_by: Option<i32>,
    /// Since the gate was opened.
    pub elapsed: Duration,
}

pub(super) struct Monitor<'a, T: Payload> {
    stage: &'a Stage<T>,
    interrupts: &'a Interrupts,
    members: Vec<Member>,
    ready: PipeReader,
    not_ready: usize,
    started: Option<Instant>,
}

/// What there is to do.
#[derive(Default)]
struct News {
    signal: Option<i32>,
    ready: bool,
    ended: Vec<usize>,
}

impl<'a, T: Payload> Monitor<'a, T> {
    pub(super) fn new(
        stage: &'a Stage<T>,
        interrupts: &'a Interrupts,
        members: Vec<Member>,
        ready: PipeReader,
    ) -> Self {
        Self {
            stage,
            interrupts,
            not_ready: members.len(),
            members,
            ready,
            started: None,
        }
    }

    /// Opens the gate when all are ready, and stays until the last worker has ended or a signal
    /// arrives, which ends them all.
    pub(super) fn watch_over(
        &mut self,
        os: &dyn Fn(io::Error) -> HarnessError,
        watch: &mut dyn FnMut(&Progress),
    ) -> Result<Ending, HarnessError> {
        let mut interrupted_by = None;
        while self.is_anyone_running() {
            let news = self.wait().map_err(os)?;
            if let Some(signal) = news.signal {
                interrupted_by = Some(signal);
                self.kill_all()?;
            }
            if news.ready {
                let mut signals = [0; 64];
                let count = self.ready.read(&mut signals).map_err(os)?;
                self.not_ready = self.not_ready.saturating_sub(count);
                if self.not_ready == 0 {
                    self.start()?;
                }
            }
            for index in news.ended {
                self.bury(index)?;
            }
            if self.started.is_some() {
                watch(&self.stage.progress(self.elapsed())?);
            }
        }
        Ok(Ending {
            interrupted_by: interrupted_by.or_else(|| self.interrupted_late()),
            elapsed: self.elapsed(),
        })
    }

    /// The signal that came when the last workers were ending, or that ended them.
    fn interrupted_late(&self) -> Option<i32> {
        let killed_by = self.members.iter().find_map(|member| match &member.exit {
            Some(exit) => match exit.status {
                ExitStatusKind::Signal(signal) => Some(signal),
                ExitStatusKind::Code(_) => None,
            },
            None => None,
        });
        match killed_by {
            Some(signal) => self.interrupts.arrived_with(signal),
            None => self.interrupts.arrived(),
        }
    }

    fn is_anyone_running(&self) -> bool {
        self.members.iter().any(|member| member.exit.is_none())
    }

    fn is_running(&self, role: Role) -> bool {
        (self.members.iter()).any(|member| member.role == role && member.exit.is_none())
    }

    fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn wait(&self) -> io::Result<News> {
        let mut watched = vec![PollFd::new(self.interrupts.as_fd(), PollFlags::POLLIN)];
        if self.started.is_none() {
            watched.push(PollFd::new(self.ready.as_fd(), PollFlags::POLLIN));
        }
        let running: Vec<usize> = (0..self.members.len())
            .filter(|&index| self.members[index].exit.is_none())
            .collect();
        let first_worker = watched.len();
        for &index in &running {
            let process = &self.members[index].process;
            watched.push(PollFd::new(process.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut watched, PollTimeout::from(TICK)) {
            Ok(_) => {}
            Err(nix::Error::EINTR) => return Ok(News::default()),
            Err(error) => return Err(error.into()),
        }
        let has_news = |at: usize| watched[at].any() == Some(true);
        Ok(News {
            signal: has_news(0).then(|| self.interrupts.arrived()).flatten(),
            ready: self.started.is_none() && has_news(1),
            ended: (running.iter().enumerate())
                .filter(|&(at, _)| has_news(first_worker + at))
                .map(|(_, &index)| index)
                .collect(),
        })
    }

    fn start(&mut self) -> Result<(), HarnessError> {
        if self.started.is_none() {
            self.started = Some(Instant::now());
            self.stage.open_gate()?;
        }
        Ok(())
    }

    /// A worker has ended: notes how, and lets the others come to their end too.
    fn bury(&mut self, index: usize) -> Result<(), HarnessError> {
        let member = &mut self.members[index];
        member.exit = Some(member.process.join()?);
        // One that ended before the start would be waited for in vain.
        self.start()?;
        if !self.is_running(Role::Producer) {
            self.stage.end_stream();
        }
        if !self.is_running(Role::Consumer) {
            self.stage.ledger.abandon();
        }
        Ok(())
    }

    fn kill_all(&mut self) -> Result<(), HarnessError> {
        for member in &mut self.members {
            if member.exit.is_none() {
                member.process.kill()?;
            }
        }
        Ok(())
    }

    /// The producers' and the consumers' reports, once all have ended.
    pub(super) fn into_reports(self) -> (Vec<WorkerReport>, Vec<WorkerReport>) {
        let (mut producers, mut consumers) = (Vec::new(), Vec::new());
        for member in self.members {
            let Some(exit) = member.exit else { continue };
            let report = WorkerReport::new(member.process.pid(), exit);
            match member.role {
                Role::Producer => producers.push(report),
                Role::Consumer => consumers.push(report),
            }
        }
        (producers, consumers)
    }
}
