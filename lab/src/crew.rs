//! Processes that play the cases, one for each operation and fate, a few at a time.

use crate::board::Board;
use crate::case::Fate;
use crate::place;
use crate::plan::Plan;
use crate::run::Runnable;
use crate::subjects;
use crate::tally::Tally;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

/// What one process plays.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The operation.
    pub subject: &'a dyn Runnable,
    /// What happens to its victims.
    pub fate: Fate,
}

/// Plays all jobs, `at_once` at a time, and hands each tally to `done` when it is there; the
/// number is the job's. The process has one thread.
///
/// # Errors
/// Those of forking and of pipes.
pub fn play(
    jobs: &[Job<'_>],
    plan: Plan,
    at_once: usize,
    mut done: impl FnMut(usize, Tally),
) -> std::io::Result<()> {
    let mut waiting = jobs.iter().enumerate();
    let mut players: Vec<Player> = Vec::new();
    loop {
        while players.len() < at_once
            && let Some((number, job)) = waiting.next()
        {
            players.push(Player::start(number, *job, plan)?);
        }
        if players.is_empty() {
            return Ok(());
        }
        let mut sources: Vec<PollFd<'_>> = players
            .iter()
            .map(|it| PollFd::new(it.source.as_fd(), PollFlags::POLLIN))
            .collect();
        poll(&mut sources, PollTimeout::NONE)?;
        let ready: Vec<usize> = (0..sources.len())
            .filter(|&at| sources[at].any().unwrap_or(true))
            .collect();
        for &at in ready.iter().rev() {
            if players[at].has_ended()? {
                let player = players.swap_remove(at);
                let number = player.number;
                done(number, player.tally(jobs[number]));
            }
        }
    }
}

/// One process. Killed and reaped when dropped.
struct Player {
    number: usize,
    pid: Option<Pid>,
    source: File,
    bytes: Vec<u8>,
    board: &'static Board,
}

impl Player {
    fn start(number: usize, job: Job<'_>, plan: Plan) -> std::io::Result<Self> {
        let board = Board::new();
        let (source, sink) = pipe()?;
        // SAFETY: the process has one thread.
        match unsafe { fork() }? {
            ForkResult::Child => {
                // SAFETY: an integer option of the calling process.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                drop(source);
                let tally = job.subject.run(job.fate, plan, board);
                send(sink, &tally);
                // SAFETY: ends the process without running anything of the parent's.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => Ok(Self {
                number,
                pid: Some(child),
                source: source.into(),
                bytes: Vec::new(),
                board,
            }),
        }
    }

    /// Reads what has come. Whether it was all.
    fn has_ended(&mut self) -> std::io::Result<bool> {
        let mut some = [0; 1 << 16];
        let count = self.source.read(&mut some)?;
        self.bytes.extend_from_slice(&some[..count]);
        Ok(count == 0)
    }

    fn tally(mut self, job: Job<'_>) -> Tally {
        let pid = self.pid.take();
        let status = pid.map(|it| waitpid(it, None));
        if let Ok(tally) = serde_json::from_slice(&self.bytes) {
            return tally;
        }
        if let Some(pid) = pid {
            subjects::remove_of(pid.as_raw().cast_unsigned());
        }
        let [at, address, cases, instructions] = self.board.case();
        let mut tally = Tally::new(job.subject.name(), job.fate);
        (tally.cases, tally.instructions) = (cases, instructions);
        let what = match status {
            Some(Ok(WaitStatus::Signaled(_, Signal::SIGALRM, _))) => "the case hangs".to_owned(),
            other => format!("the survivor came to {other:?}"),
        };
        tally.violation(at, || place::describe(address), what);
        tally
    }
}

fn send(sink: OwnedFd, tally: &Tally) {
    let bytes = serde_json::to_vec(tally).expect("plain fields");
    // Nobody reads any more if the parent has gone.
    let _ = File::from(sink).write_all(&bytes);
}

impl Drop for Player {
    fn drop(&mut self) {
        if let Some(pid) = self.pid.take() {
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
    }
}
