//! Kills and stops at random moments, for who wants to see that the run survives them.

use super::crew::{Crew, End};
use super::error::HarnessError;
use super::report::Survived;
use std::time::{Duration, Instant};

/// How long it is quiet between two disturbances, at most, and how long a worker stays stopped.
const QUIET: Duration = Duration::from_millis(20);
const STOPPED: Duration = Duration::from_millis(50);

/// What is to be done to the workers, and what has been done.
pub(super) struct Disturber {
    kills: u32,
    stops: u32,
    survived: Survived,
    random: Random,
    /// Once the run has begun.
    next: Option<Instant>,
    /// Killed, and not yet seen dead.
    dying: Option<usize>,
    /// Who is stopped, and until when.
    stopped: Vec<(usize, Instant)>,
}

impl Disturber {
    pub(super) fn new(kills: u32, stops: u32) -> Self {
        Self {
            kills,
            stops,
            survived: Survived::default(),
            random: Random::new(),
            next: None,
            dying: None,
            stopped: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self) {
        self.next = Some(Instant::now() + self.random.up_to(QUIET));
    }

    /// Kills and stops that are still to come or not over.
    pub(super) fn to_come(&self) -> u64 {
        u64::from(self.kills) + u64::from(self.stops) + self.stopped.len() as u64
    }

    pub(super) fn survived(&self) -> Survived {
        self.survived
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        let next = self.next.filter(|_| self.wants_more());
        let resumes = self.stopped.iter().map(|&(_, until)| until);
        resumes.chain(next).min()
    }

    fn wants_more(&self) -> bool {
        self.kills + self.stops > 0 && self.dying.is_none()
    }

    /// Does what is due.
    pub(super) fn act(&mut self, crew: &mut Crew) -> Result<(), HarnessError> {
        let now = Instant::now();
        while let Some(at) = self.stopped.iter().position(|&(_, until)| until <= now) {
            let (index, _) = self.stopped.swap_remove(at);
            crew.members[index].process().resume()?;
            self.survived.stops += 1;
        }
        if self.wants_more() && self.next.is_some_and(|next| next <= now) {
            self.strike(crew)?;
            self.next = Some(Instant::now() + self.random.up_to(QUIET));
        }
        Ok(())
    }

    fn strike(&mut self, crew: &mut Crew) -> Result<(), HarnessError> {
        let candidates: Vec<usize> = (0..crew.members.len())
            .filter(|&it| crew.members[it].is_running())
            .filter(|&it| self.stopped.iter().all(|&(stopped, _)| stopped != it))
            .collect();
        if candidates.is_empty() {
            return Ok(());
        }
        let index = candidates[self.random.below(candidates.len() as u64) as usize];
        let victim = crew.members[index].process();
        let is_kill = self.random.below(u64::from(self.kills + self.stops)) < u64::from(self.kills);
        if is_kill {
            victim.kill()?;
            self.dying = Some(index);
        } else {
            match victim.stop() {
                Ok(()) => {
                    self.stops -= 1;
                    let until = Instant::now() + self.random.up_to(STOPPED);
                    self.stopped.push((index, until));
                }
                // It has just ended: another one, later.
                Err(ipc_process::Error::Ended { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A worker has ended.
    pub(super) fn notice_end(&mut self, index: usize, end: End) {
        let stopped = self.stopped.len();
        self.stopped.retain(|&(stopped, _)| stopped != index);
        // Killed by somebody else before it was continued: another one, later.
        self.stops += (stopped - self.stopped.len()) as u32;
        if self.dying == Some(index) {
            self.dying = None;
            // One that had just ended by itself was not killed.
            if end == End::Killed {
                self.kills -= 1;
            }
        }
        if end == End::Killed {
            self.survived.kills += 1;
        }
    }
}

/// SplitMix64, seeded by the standard library.
struct Random(u64);

impl Random {
    fn new() -> Self {
        use std::hash::{BuildHasher, Hasher};
        Self(std::hash::RandomState::new().build_hasher().finish())
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        super::record::digest(self.0) % bound
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.below(most.as_nanos() as u64) + 1)
    }
}
