//! What is damaged: one object of each kind, and whatever can be done with it.

use crate::random::Random;
use ipc_core::{Place, Segment, Wait};
use std::fmt::Display;
use std::time::Duration;

/// Why a subject could not be made or opened.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Whether a call did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returned `Ok`.
    Worked,
    /// It returned an error.
    Refused,
}

/// The handles that one participant has of a subject.
pub trait Handles {
    /// Does one thing, which blocks for milliseconds at most. Where that means to hold something
    /// for a while, `meddle` is called meanwhile.
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome;
}

type Attach = fn(&Segment, &mut Random) -> Result<Box<dyn Handles>, Failure>;

/// An object of some kind.
pub struct Subject {
    /// What the kind is called.
    pub name: &'static str,
    pub(crate) bytes: usize,
    pub(crate) create: fn(&Segment) -> Result<(), Failure>,
    pub(crate) attach: Attach,
}

/// So that every segment is longer than a page.
const LEAST: usize = 8192;

/// What the object is called.
pub(crate) const OBJECT: &str = "it";

impl Subject {
    /// A new segment with the object in it.
    ///
    /// # Errors
    /// Those of creating a segment.
    pub fn segment(&self) -> Result<Segment, Failure> {
        let segment = Segment::builder(Place::memfd("hostile"))
            .size(self.bytes.max(LEAST))
            .participants(crate::anatomy::PARTICIPANT_LIMIT)
            .handles(crate::anatomy::HANDLE_LIMIT)
            .objects(crate::anatomy::OBJECT_LIMIT)
            .create()?;
        (self.create)(&segment)?;
        Ok(segment)
    }
}

/// How long a call waits that waits: once in a while long enough to go to sleep.
pub(crate) fn moment(random: &mut Random) -> Duration {
    match random.below(400) {
        0 => Duration::from_millis(1),
        1..=30 => Duration::from_micros(5),
        _ => Duration::ZERO,
    }
}

pub(crate) fn policy(random: &mut Random) -> Wait {
    if random.once_in(2) {
        Wait::Park
    } else {
        Wait::default()
    }
}

/// What a call said; its error is put into words, which must not fail either.
pub(crate) fn told<T, E: Display>(result: Result<T, E>) -> Outcome {
    match result {
        Ok(_) => Outcome::Worked,
        Err(error) => {
            std::hint::black_box(error.to_string());
            Outcome::Refused
        }
    }
}

/// As [`told`], and keeps what was made.
pub(crate) fn kept<T, E: Display>(slot: &mut Option<T>, made: Result<T, E>) -> Outcome {
    match made {
        Ok(made) => {
            *slot = Some(made);
            Outcome::Worked
        }
        Err(error) => told::<(), E>(Err(error)),
    }
}

/// Looks at every byte.
pub(crate) fn seen(bytes: &[u8]) {
    std::hint::black_box(bytes.iter().fold(0, |sum: u64, &it| sum + u64::from(it)));
}
