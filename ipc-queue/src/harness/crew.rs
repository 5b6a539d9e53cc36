//! The worker processes of a run: started, replaced, buried.

use super::error::HarnessError;
use super::report::WorkerReport;
use super::stage::Seat;
use ipc_process::{ExitStatusKind, Process};
use std::os::fd::{AsFd, BorrowedFd};

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

/// A worker's place: the process that holds it may be killed and replaced.
pub(super) struct Member {
    pub role: Role,
    pub seat: Seat,
    process: Process,
    end: Option<WorkerReport>,
}

impl Member {
    pub(super) fn new(role: Role, seat: Seat, process: Process) -> Self {
        Self {
            role,
            seat,
            process,
            end: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.end.is_none()
    }

    pub(super) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Readable when it has ended.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Success,
    Killed,
    OtherFailure,
}

/// All places, producers' first.
#[derive(Default)]
pub(super) struct Crew {
    pub members: Vec<Member>,
    /// Those who were killed, and replaced.
    pub replaced: Vec<WorkerReport>,
}

impl Crew {
    pub(super) fn is_anyone_running(&self) -> bool {
        self.members.iter().any(Member::is_running)
    }

    pub(super) fn is_running(&self, role: Role) -> bool {
        (self.members.iter()).any(|member| member.role == role && member.is_running())
    }

    /// Takes note of a worker that has ended.
    pub(super) fn bury(&mut self, index: usize) -> Result<End, HarnessError> {
        let member = &mut self.members[index];
        let exit = member.process.join()?;
        let report = WorkerReport::new(member.process.pid(), exit);
        let end = match report.status {
            _ if report.is_success() => End::Success,
            ExitStatusKind::Signal(libc::SIGKILL) => End::Killed,
            _ => End::OtherFailure,
        };
        member.end = Some(report);
        Ok(end)
    }

    /// Puts another process into the place of one that has ended.
    pub(super) fn replace(&mut self, index: usize, seat: Seat, process: Process) {
        let member = &mut self.members[index];
        member.seat = seat;
        member.process = process;
        self.replaced.extend(member.end.take());
    }

    pub(super) fn kill_all(&mut self) -> Result<(), HarnessError> {
        for member in self.members.iter_mut().filter(|it| it.is_running()) {
            member.process.kill()?;
        }
        Ok(())
    }

    /// The signal that ended one of them.
    pub(super) fn killed_by(&self) -> Option<i32> {
        let ends = self.members.iter().filter_map(|it| it.end.as_ref());
        let mut statuses = ends.map(|end| end.status);
        statuses.find_map(|status| match status {
            ExitStatusKind::Signal(signal) => Some(signal),
            ExitStatusKind::Code(_) => None,
        })
    }

    /// The reports of a role, once all have ended.
    pub(super) fn take_reports(&mut self, role: Role) -> Vec<WorkerReport> {
        let members = self.members.iter_mut().filter(|it| it.role == role);
        members.filter_map(|it| it.end.take()).collect()
    }
}
