//! Waiting on a bell, and looking after the dead meanwhile.

use ipc_core::{Bell, Deadline, Error, Object, SLICE, Wait};

/// Why a wait did not pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// There is nothing to pass for at this moment.
    #[error("what is awaited has not happened; wait for it, or try again")]
    NotYet,
    /// The time was up before what is awaited happened.
    #[error("what is awaited did not happen in time")]
    TimedOut,
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] Error),
}

impl WaitError {
    /// The error of a form that never blocks.
    pub(crate) fn at_once(self) -> Self {
        match self {
            Self::TimedOut => Self::NotYet,
            other => other,
        }
    }
}

/// How one call waits.
pub(crate) struct Waiting<'a> {
    pub bell: &'a Bell,
    pub object: &'a Object,
    pub policy: Wait,
    pub deadline: Deadline,
}

impl Waiting<'_> {
    /// Waits until `ready` returns something; `None` if the deadline passed. Looks at once, and
    /// only once if the deadline has passed already.
    ///
    /// # Errors
    /// If nothing certain can be said about the other participants.
    pub(crate) fn run<T, E: From<Error>>(
        &self,
        mut ready: impl FnMut() -> Option<Result<T, E>>,
    ) -> Result<Option<T>, E> {
        if let Some(found) = ready() {
            return found.map(Some);
        }
        let segment = self.object.segment();
        if self.deadline == Deadline::PAST {
            // Who only ever polls has to look after the dead too.
            segment.recover_if_due(SLICE)?;
            return ready().transpose();
        }
        let fences = segment.attachment().fences();
        let slice = || segment.recover_if_due(SLICE / 2).map(drop);
        let slice = || slice().map_err(E::from);
        self.bell
            .wait(self.policy, fences, self.deadline, ready, slice)?
            .transpose()
    }
}
