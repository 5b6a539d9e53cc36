//! One case: who is cut off where, and how.

use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// What happens to the victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// SIGKILL.
    Killed,
    /// SIGSTOP, and SIGCONT when the others have gone on.
    Stopped,
}

impl Fate {
    /// All.
    pub const ALL: [Fate; 2] = [Fate::Killed, Fate::Stopped];
}

/// One case, while it is played.
#[derive(Debug)]
pub struct Case {
    /// What happens to the victim.
    pub fate: Fate,
    /// How many instructions it has done.
    pub at: u64,
    since: Instant,
    went_on: Option<Duration>,
}

impl Case {
    pub(crate) fn begin(fate: Fate, at: u64) -> Self {
        Self {
            fate,
            at,
            since: Instant::now(),
            went_on: None,
        }
    }

    /// The others have succeeded at something. The first time counts.
    pub fn went_on(&mut self) {
        let since = self.since;
        self.went_on.get_or_insert_with(|| since.elapsed());
    }

    /// How long that took from the victim's end on.
    pub fn time(&self) -> Option<Duration> {
        self.went_on
    }

    /// Whether the victim was killed.
    pub fn is_kill(&self) -> bool {
        self.fate == Fate::Killed
    }

    /// One of `choices` things to do, each in turn.
    pub fn turn(&self, choices: u64) -> u64 {
        self.at % choices
    }
}
