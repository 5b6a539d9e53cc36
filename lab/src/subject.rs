//! What the lab plays with: one operation in one scene.

use crate::case::Case;
use std::os::fd::OwnedFd;

/// What the victim's operation returned, in words of the subject's own.
pub type Said = [u64; 4];

/// How a case came out. Of two victims that were killed, the one that had done more has come at
/// least as far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How far the operation had come, as others see it.
    pub rank: u32,
    /// In words.
    pub text: &'static str,
}

impl Outcome {
    /// An outcome.
    pub const fn new(rank: u32, text: &'static str) -> Self {
        Self { rank, text }
    }
}

/// One operation in one scene. Everything but [`enter`](Self::enter) and
/// [`operate`](Self::operate) happens in the process that survives; whatever is found there that
/// must not be is a panic.
pub trait Subject: 'static {
    /// What the survivors have: their handles, and their books.
    type Others;
    /// What the victim has.
    type Victim;

    /// The kind of object, the operation, and the scene.
    fn name(&self) -> String;

    /// Of the instructions that others are cut off after, the victim is only after each so-manieth:
    /// for pairs, which are many.
    fn grid(&self) -> usize {
        1
    }

    /// Sets the scene, and gives the descriptor by which the victim comes in.
    fn scene(&self) -> (Self::Others, OwnedFd);

    /// The victim comes in. It is not killed here.
    fn enter(&self, door: OwnedFd) -> Self::Victim;

    /// What it is killed in.
    fn operate(&self, victim: &mut Self::Victim) -> Said;

    /// The others go on at once, while the victim is dead but not swept, or stopped. They call
    /// [`Case::went_on`] when they have succeeded at something.
    fn go_on(&self, others: &mut Self::Others, case: &mut Case);

    /// The victim is dead, or it was continued and has come to its end and left; then `said` is
    /// what it had to say. All is to be exact and clean.
    fn settle(&self, others: Self::Others, said: Option<Said>, case: &Case) -> Outcome;
}
