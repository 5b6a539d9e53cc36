//! What is done with a primitive: some processes wait for it, one is killed, and the others are to go
//! on.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::time::{Duration, Instant};
use std::{fs, thread};

use ipc_core::SLICE;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::subject::{First, Subject, Who, until_killed};
use super::{Moment, Outcome, Setting};
use crate::cpu;
use crate::crew::at_random_in;
use crate::failure::Failure;
use crate::fork;
use crate::line::{line, now, ready};
use crate::pair::{guarded, report_failure};

/// How many wait beside the victim.
const OTHERS: usize = 2;

/// How long a process may take to come and to fall asleep, on a busy machine.
const COMING: Duration = Duration::from_secs(20);

/// How long a trial may take besides the limit.
pub const BESIDES: Duration = Duration::from_secs(30);

/// Plays it once. Called by a runner whose children are killed when it has reported.
///
/// # Errors
/// Those of the primitive, of any process; [`Failure::Threads`].
pub fn play<S: Subject>(moment: Moment, setting: &Setting<'_>) -> Result<Outcome, Failure> {
    let scene = Scene {
        subject: S::create(moment)?,
        moment,
        setting,
    };
    match moment {
        Moment::Holding => scene.killed_while_it_has_it(),
        Moment::Waiting | Moment::BeingWoken => scene.killed_while_it_waits(),
    }
}

struct Scene<'a, S> {
    subject: S,
    moment: Moment,
    setting: &'a Setting<'a>,
}

impl<S: Subject> Scene<'_, S> {
    fn killed_while_it_has_it(&self) -> Result<Outcome, Failure> {
        let (victim, others) = match S::FIRST {
            First::Victim => {
                let victim = self.has_it()?;
                (victim, self.others()?)
            }
            First::Others => {
                let others = self.others()?;
                (self.has_it()?, others)
            }
        };
        linger();
        let begin = now()?;
        victim.kill()?;
        let _helper = self.start(|handle, _| S::after_death(handle))?;
        self.outcome(begin, &others)
    }

    fn killed_while_it_waits(&self) -> Result<Outcome, Failure> {
        let (orders, order) = io::pipe().map_err(Failure::system("make a pipe"))?;
        let holder = self.start(|handle, word| {
            self.share_a_cpu()?;
            let mut victim = None;
            S::have(handle, || {
                give(word)?;
                victim = Some(hear_order(&orders)?);
                Ok(())
            })?;
            match (self.moment, victim) {
                (Moment::BeingWoken, Some(victim)) => {
                    kill(victim, Signal::SIGKILL).map_err(Failure::errno("kill the victim"))
                }
                _ => Ok(()),
            }
        })?;
        holder.hear(COMING)?.ok_or_else(late)?;
        // It comes before the others: where they are served in turn, it is the one that is woken.
        let victim = self.waits(Who::Victim)?;
        let others = self.others()?;
        linger();
        let begin = now()?;
        if self.moment == Moment::Waiting {
            victim.kill()?;
        }
        give_order(&order, victim.process)?;
        let outcome = self.outcome(begin, &others)?;
        // Killed by now, if the holder went on: its line closes.
        let patience = match outcome {
            Outcome::Hung => Duration::ZERO,
            _ => COMING,
        };
        if self.moment == Moment::BeingWoken && victim.hear(patience)?.is_some() {
            return Ok(Outcome::TooLate);
        }
        Ok(outcome)
    }

    /// Waits until all of them have gone on.
    fn outcome(&self, begin: u64, others: &[Peer]) -> Result<Outcome, Failure> {
        let limit = Instant::now() + self.setting.limit;
        let mut last = begin;
        for other in others {
            let left = limit.saturating_duration_since(Instant::now());
            match other.hear(left)? {
                Some(at) => last = last.max(at),
                None => return Ok(Outcome::Hung),
            }
        }
        Ok(Outcome::WentOn {
            ms: Duration::from_nanos(last - begin).as_secs_f64() * 1e3,
        })
    }

    /// The victim that has it.
    fn has_it(&self) -> Result<Peer, Failure> {
        let victim = self.start(|handle, word| S::have_until_killed(handle, || give(word)))?;
        victim.hear(COMING)?.ok_or_else(late)?;
        Ok(victim)
    }

    /// Those who are to go on, asleep.
    fn others(&self) -> Result<Vec<Peer>, Failure> {
        (0..OTHERS)
            .map(|number| self.waits(Who::Other(number)))
            .collect()
    }

    /// One that waits, asleep.
    fn waits(&self, who: Who) -> Result<Peer, Failure> {
        let peer = self.start(|handle, word| {
            if self.moment == Moment::BeingWoken {
                yield_to_others()?;
                if who == Who::Victim {
                    self.share_a_cpu()?;
                }
            }
            give(word)?;
            S::go_on(handle, who)?;
            give(word)
        })?;
        peer.hear(COMING)?.ok_or_else(late)?;
        peer.wait_until_asleep()?;
        Ok(peer)
    }

    /// For the one that wakes and the one that is woken: so that the latter cannot run before the
    /// former has killed it.
    fn share_a_cpu(&self) -> Result<(), Failure> {
        cpu::pin(self.setting.cpu)
    }

    /// Forks one that does `part`, and is then there until it is killed.
    fn start(
        &self,
        part: impl FnOnce(&S::Handle, &PipeWriter) -> Result<(), Failure>,
    ) -> Result<Peer, Failure> {
        let (words, writer) = line()?;
        let process = fork::spawn(|| {
            let done = guarded(|| {
                part(&self.subject.handle()?, &writer)?;
                until_killed()
            });
            report_failure(done, self.setting.report)
        })?;
        Ok(Peer { process, words })
    }
}

/// A process, and the line on which it says when it was ready, and when it went on.
struct Peer {
    process: Pid,
    words: PipeReader,
}

impl Peer {
    /// When it gave its next word; `None` if it does not within this time, or will not.
    fn hear(&self, limit: Duration) -> Result<Option<u64>, Failure> {
        let mut at = [0; 8];
        if ready([&self.words].into_iter(), Some(limit))?.is_empty()
            || (&self.words).read_exact(&mut at).is_err()
        {
            return Ok(None);
        }
        Ok(Some(u64::from_ne_bytes(at)))
    }

    /// Waits until it sleeps in what it does next. Nobody tells that, so it is polled for.
    fn wait_until_asleep(&self) -> Result<(), Failure> {
        let path = format!("/proc/{}/stat", self.process);
        let until = Instant::now() + COMING;
        while Instant::now() < until {
            let stat = fs::read_to_string(&path).map_err(Failure::system("look at a process"))?;
            // The state stands behind the name, which is in parentheses.
            if stat
                .rsplit(") ")
                .next()
                .is_some_and(|rest| rest.starts_with('S'))
            {
                return Ok(());
            }
            thread::sleep(Duration::from_micros(200));
        }
        Err(late())
    }

    /// Kills it and waits until it is gone.
    fn kill(&self) -> Result<(), Failure> {
        kill(self.process, Signal::SIGKILL).map_err(Failure::errno("kill the victim"))?;
        waitpid(self.process, None)
            .map(drop)
            .map_err(Failure::errno("wait for the end of the victim"))
    }
}

/// Lets all do what they do for a random time: so that the victim is killed anywhere in it, and at any
/// time within the slices in which the others wait.
fn linger() {
    thread::sleep(at_random_in(SLICE));
}

#[cold]
fn late() -> Failure {
    Failure::Left {
        who: "one that was to wait, or to be waited for,".into(),
    }
}

fn give(mut word: &PipeWriter) -> Result<(), Failure> {
    word.write_all(&now()?.to_ne_bytes())
        .map_err(Failure::system("give the runner word"))
}

/// Orders the holder to let go, and tells it who the victim is.
fn give_order(mut order: &PipeWriter, victim: Pid) -> Result<(), Failure> {
    order
        .write_all(&victim.as_raw().to_ne_bytes())
        .map_err(Failure::system("order the holder to let go"))
}

fn hear_order(mut orders: &PipeReader) -> Result<Pid, Failure> {
    let mut victim = [0; 4];
    orders
        .read_exact(&mut victim)
        .map_err(Failure::system("wait for the order to let go"))?;
    Ok(Pid::from_raw(i32::from_ne_bytes(victim)))
}

/// When it is woken, the calling process does not take the CPU from whoever runs.
fn yield_to_others() -> Result<(), Failure> {
    // SAFETY: all zeros are a valid value of this structure of integers.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the structure outlives the call, which concerns the calling process only.
    let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
    if set != 0 {
        let error = io::Error::last_os_error();
        return Err(Failure::system("ask for SCHED_BATCH")(error));
    }
    Ok(())
}
