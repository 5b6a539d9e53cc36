//! The parent's part while the workers run.

use super::carrier::Message;
use super::crew::{Crew, End, Member, Role};
use super::disturb::Disturber;
use super::error::HarnessError;
use super::journal::JournalReader;
use super::report::{Progress, Survived, WorkerReport};
use super::signals::Interrupts;
use super::stage::{Seat, Stage};
use ipc_process::Process;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How often progress is shown.
const TICK: Duration = Duration::from_millis(100);

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

/// Starts a worker; a consumer with its journal.
type Hire<'a> = dyn Fn(Role, Seat, Option<&File>) -> Result<Process, HarnessError> + 'a;

/// What the monitor asks of whoever runs the harness.
pub(super) struct Calls<'a> {
    pub hire: &'a Hire<'a>,
    pub progress: &'a mut dyn FnMut(&Progress),
    pub effect: &'a mut dyn FnMut(&[u8]),
    pub os: &'a dyn Fn(io::Error) -> HarnessError,
}

/// How a run ended.
pub(super) struct Ending {
    pub interrupted_by: Option<i32>,
    /// Since the gate was opened.
    pub elapsed: Duration,
    pub survived: Survived,
    pub producers: Vec<WorkerReport>,
    pub consumers: Vec<WorkerReport>,
    pub replaced: Vec<WorkerReport>,
}

pub(super) struct Monitor<'a, T: Message + ?Sized> {
    stage: &'a Stage<T>,
    interrupts: &'a Interrupts,
    calls: Calls<'a>,
    crew: Crew,
    /// The consumers', in the order of their lives.
    journals: Vec<JournalReader>,
    disturber: Disturber,
    /// How many killed workers may still be replaced.
    replacements: usize,
    not_ready: usize,
    started: Option<Instant>,
    interrupted_by: Option<i32>,
}

/// What there is to do.
#[derive(Default)]
struct News {
    signal: Option<i32>,
    ready: bool,
    ended: Vec<usize>,
}

impl<'a, T: Message + ?Sized> Monitor<'a, T> {
    pub(super) fn new(
        stage: &'a Stage<T>,
        interrupts: &'a Interrupts,
        calls: Calls<'a>,
        disturber: Disturber,
        replacements: usize,
    ) -> Self {
        stage.ledger.set_disturbances(disturber.to_come());
        Self {
            stage,
            interrupts,
            calls,
            crew: Crew::default(),
            journals: Vec::new(),
            disturber,
            replacements,
            not_ready: 0,
            started: None,
            interrupted_by: None,
        }
    }

    /// Starts the workers of a role.
    pub(super) fn hire(&mut self, role: Role, of: usize) -> Result<(), HarnessError> {
        for index in 0..of {
            let (seat, process) = self.start_worker(role, index, of)?;
            self.crew.members.push(Member::new(role, seat, process));
        }
        self.not_ready += of;
        Ok(())
    }

    fn start_worker(
        &mut self,
        role: Role,
        index: usize,
        of: usize,
    ) -> Result<(Seat, Process), HarnessError> {
        let life = self.journals.len();
        let seat = Seat { index, of, life };
        if role == Role::Consumer {
            let journal = JournalReader::create().map_err(self.calls.os)?;
            self.journals.push(journal);
        }
        let journal = self.journals.get(life).map(JournalReader::file);
        Ok((seat, (self.calls.hire)(role, seat, journal)?))
    }

    /// Opens the gate when all are ready, and stays until the last worker has ended or a signal
    /// arrives, which ends them all.
    pub(super) fn watch_over(mut self, mut ready: PipeReader) -> Result<Ending, HarnessError> {
        while self.crew.is_anyone_running() {
            let news = self.wait(&ready).map_err(self.calls.os)?;
            if let Some(signal) = news.signal {
                self.interrupted_by = Some(signal);
                self.crew.kill_all()?;
            }
            if news.ready {
                let mut signals = [0; 64];
                let count = ready.read(&mut signals).map_err(self.calls.os)?;
                self.not_ready = self.not_ready.saturating_sub(count);
                if self.not_ready == 0 {
                    self.start()?;
                }
            }
            for index in news.ended {
                self.bury(index)?;
            }
            if self.started.is_some() {
                if self.interrupted_by.is_none() {
                    self.disturber.act(&mut self.crew)?;
                }
                (self.stage.ledger).set_disturbances(self.disturber.to_come());
                self.hand_out_effects()?;
                let progress = self.stage.progress(self.elapsed());
                (self.calls.progress)(&progress);
            }
        }
        Ok(Ending {
            interrupted_by: self.interrupted_by.or_else(|| self.interrupted_late()),
            elapsed: self.elapsed(),
            survived: self.disturber.survived(),
            producers: self.crew.take_reports(Role::Producer),
            consumers: self.crew.take_reports(Role::Consumer),
            replaced: self.crew.replaced,
        })
    }

    /// The signal that came when the last workers were ending, or that ended them.
    fn interrupted_late(&self) -> Option<i32> {
        match self.crew.killed_by() {
            Some(signal) => self.interrupts.arrived_with(signal),
            None => self.interrupts.arrived(),
        }
    }

    fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn wait(&self, ready: &PipeReader) -> io::Result<News> {
        let mut watched = vec![PollFd::new(self.interrupts.as_fd(), PollFlags::POLLIN)];
        if self.started.is_none() {
            watched.push(PollFd::new(ready.as_fd(), PollFlags::POLLIN));
        }
        let members = &self.crew.members;
        let running: Vec<usize> = (0..members.len())
            .filter(|&index| members[index].is_running())
            .collect();
        let first_worker = watched.len();
        for &index in &running {
            watched.push(PollFd::new(members[index].as_fd(), PollFlags::POLLIN));
        }
        let due = self.disturber.due().map(|due| {
            // Rounded up, so that it is due then.
            due.saturating_duration_since(Instant::now()) + Duration::from_millis(1)
        });
        let patience = due.map_or(TICK, |due| due.min(TICK)).as_millis() as u16;
        match poll(&mut watched, PollTimeout::from(patience)) {
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
            self.disturber.begin();
        }
        Ok(())
    }

    /// A worker has ended: notes how, replaces it if it was killed, or else lets the others come
    /// to their end too.
    fn bury(&mut self, index: usize) -> Result<(), HarnessError> {
        let end = self.crew.bury(index)?;
        self.disturber.notice_end(index, end);
        // One that ended before the start would be waited for in vain.
        self.start()?;
        let Member { role, seat, .. } = self.crew.members[index];
        if end != End::Success {
            self.stage.recover()?;
            if role == Role::Producer {
                self.stage.account_for_producer(seat.index)?;
            }
        }
        if end == End::Killed && self.interrupted_by.is_none() && self.replacements > 0 {
            self.replacements -= 1;
            let (seat, process) = self.start_worker(role, seat.index, seat.of)?;
            self.crew.replace(index, seat, process);
        }
        if !self.crew.is_running(Role::Producer) {
            self.stage.end_stream()?;
        }
        if !self.crew.is_running(Role::Consumer) {
            self.stage.ledger.abandon();
        }
        Ok(())
    }

    /// Tells what consumers have committed since the last time.
    fn hand_out_effects(&mut self) -> Result<(), HarnessError> {
        for (life, journal) in self.journals.iter_mut().enumerate() {
            // Of one that commits all the time, the next time.
            if let Some(sums) = self.stage.ledger.record(life).sums() {
                (journal.read_to(sums.journal_end, self.calls.effect)).map_err(self.calls.os)?;
            }
        }
        Ok(())
    }
}
