//! Messages that are dealt with in one step.

use super::carrier::Message;
use super::error::CommitError;
use super::sink::Sink;
use ipc_core::Payload;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::{Deref, Range};

/// Messages of a consumer, from [`Sink::batch`], at least one, in their order. Values are there as a
/// slice too; byte messages lie where they were written.
///
/// Dropping it gives them back: they come again, to this consumer or another.
#[must_use = "dropping a batch gives its messages back; call commit"]
pub struct Batch<'s, 'a, T: Message + ?Sized> {
    sink: &'s mut Sink<'a, T>,
}

impl<'s, 'a, T: Message + ?Sized> Batch<'s, 'a, T> {
    pub(super) fn new(sink: &'s mut Sink<'a, T>) -> Self {
        Self { sink }
    }

    /// How many messages it has.
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.sink.len()
    }

    /// The messages, in their order.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter {
            sink: self.sink,
            rest: 0..self.len(),
        }
    }

    /// Makes the messages and their effect one: from now on both have happened, whoever dies.
    ///
    /// The effect is bytes of any length that say what these messages did, such as the sum of
    /// their numbers; [`Harness::on_effect`](super::Harness::on_effect) gets it in the parent, once.
    ///
    /// # Errors
    /// [`CommitError::NoMemory`] if there is none for the effect: the messages were given back.
    /// [`CommitError::Forked`] in a forked child, which has no messages.
    pub fn commit(self, effect: &[u8]) -> Result<(), CommitError> {
        self.sink.settle_with(effect)
    }
}

#[cfg(all(test, not(loom)))]
impl<'a, T: Message + ?Sized> Batch<'_, 'a, T> {
    pub(super) fn sink(&mut self) -> &mut Sink<'a, T> {
        self.sink
    }
}

impl<T: Payload> Deref for Batch<'_, '_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.sink.messages
    }
}

impl<'b, T: Message + ?Sized> IntoIterator for &'b Batch<'_, '_, T> {
    type Item = &'b T;
    type IntoIter = Iter<'b, T>;

    fn into_iter(self) -> Iter<'b, T> {
        self.iter()
    }
}

impl<T: Message + ?Sized> Drop for Batch<'_, '_, T> {
    fn drop(&mut self) {
        // Nothing is held after a commit.
        self.sink.give_back();
    }
}

impl<T: Message + ?Sized> fmt::Debug for Batch<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("messages", &self.len())
            .finish_non_exhaustive()
    }
}

/// The messages of a [`Batch`].
pub struct Iter<'b, T: Message + ?Sized> {
    sink: &'b Sink<'b, T>,
    rest: Range<usize>,
}

impl<'b, T: Message + ?Sized> Iterator for Iter<'b, T> {
    type Item = &'b T;

    #[inline]
    fn next(&mut self) -> Option<&'b T> {
        self.sink.message(self.rest.next()?)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl<T: Message + ?Sized> DoubleEndedIterator for Iter<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.sink.message(self.rest.next_back()?)
    }
}

impl<T: Message + ?Sized> ExactSizeIterator for Iter<'_, T> {}
impl<T: Message + ?Sized> FusedIterator for Iter<'_, T> {}

impl<T: Message + ?Sized> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self {
            sink: self.sink,
            rest: self.rest.clone(),
        }
    }
}

impl<T: Message + ?Sized> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}
