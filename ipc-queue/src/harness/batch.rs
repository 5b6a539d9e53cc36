//! Messages that are dealt with in one step.

use super::error::CommitError;
use super::sink::Sink;
use ipc_core::Payload;
use std::fmt;
use std::ops::Deref;

/// Messages of a consumer, from [`Sink::batch`]; as a slice, in their order.
///
/// Dropping it gives them back: they come again, to this consumer or another.
#[must_use = "dropping a batch gives its messages back; call commit"]
pub struct Batch<'s, 'a, T: Payload> {
    sink: &'s mut Sink<'a, T>,
}

impl<'s, 'a, T: Payload> Batch<'s, 'a, T> {
    pub(super) fn new(sink: &'s mut Sink<'a, T>) -> Self {
        Self { sink }
    }

    /// Makes the messages and their effect one: from now on both have happened, whoever dies.
    ///
    /// The effect is bytes of any length that say what these messages did, such as the sum of
    /// their numbers; [`Harness::on_effect`](super::Harness::on_effect) gets it in the parent, once.
    ///
    /// # Errors
    /// [`CommitError`] if there is no memory for the effect: the messages were given back.
    pub fn commit(self, effect: &[u8]) -> Result<(), CommitError> {
        let len = effect.len();
        (self.sink.settle_with(effect)).map_err(|source| CommitError { len, source })
    }
}

impl<T: Payload> Deref for Batch<'_, '_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.sink.messages
    }
}

impl<'b, T: Payload> IntoIterator for &'b Batch<'_, '_, T> {
    type Item = &'b T;
    type IntoIter = std::slice::Iter<'b, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Payload> Drop for Batch<'_, '_, T> {
    fn drop(&mut self) {
        // Nothing is held after a commit.
        self.sink.give_back();
    }
}

impl<T: Payload> fmt::Debug for Batch<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("messages", &self.len())
            .finish_non_exhaustive()
    }
}
