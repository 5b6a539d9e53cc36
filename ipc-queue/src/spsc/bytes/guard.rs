//! In-place access to one record.
//!
//! The references that these guards give point into shared memory. They are valid as long as the
//! other participants follow the protocol: what lies between `tail` and `head + capacity` belongs to
//! the producer, what lies between `head` and `tail` to the consumer. A program of the same user
//! that writes there regardless makes them racy; segments that other users can write to are refused.

use super::consumer::{ByteConsumer, Span};
use super::producer::ByteProducer;
use super::shape::{UNIT, units};
use crate::spsc::PushError;
use std::ops::{Deref, DerefMut};

/// Room for a record, to be filled in place. Holds whatever earlier records left there.
///
/// [`commit`](Self::commit) makes it a record; dropping the guard cancels, and so does the
/// process's death.
#[derive(Debug)]
#[must_use = "dropping the guard cancels the record; call commit"]
pub struct WriteGuard<'a> {
    producer: &'a mut ByteProducer,
    at: usize,
    len: usize,
    /// Where to count the units of a record that becomes visible later, with others.
    batch: Option<&'a mut u64>,
}

impl<'a> WriteGuard<'a> {
    #[inline(always)]
    pub(super) fn new(producer: &'a mut ByteProducer, len: usize) -> Self {
        Self {
            at: producer.begin(0),
            producer,
            len,
            batch: None,
        }
    }

    /// For a record behind others that are not visible yet.
    pub(super) fn in_batch(producer: &'a mut ByteProducer, len: usize, batch: &'a mut u64) -> Self {
        Self {
            at: producer.begin(*batch),
            producer,
            len,
            batch: Some(batch),
        }
    }

    /// Makes the first `len` bytes a record, all of them or fewer. Wait-free.
    ///
    /// # Errors
    /// [`PushError::TooLong`] if fewer were reserved; [`PushError::Segment`] in a forked child.
    /// Nothing is pushed then.
    #[inline]
    pub fn commit(self, len: usize) -> Result<(), PushError> {
        if len > self.len {
            return Err(PushError::TooLong {
                len,
                most: self.len,
            });
        }
        self.producer.writer.attachment.check_fork()?;
        self.producer.finish(self.at, len);
        match self.batch {
            None => self.producer.writer.publish(units(len)),
            Some(units_before) => *units_before += units(len),
        }
        Ok(())
    }
}

impl Deref for WriteGuard<'_> {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        let range = self.producer.bytes.range(self.at + UNIT, self.len);
        // SAFETY: the range is in the mapping (`SharedBytes::range`); there was room for it, so it
        // belongs to the producer, which is borrowed mutably.
        unsafe { range.as_ref() }
    }
}

impl DerefMut for WriteGuard<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u8] {
        let mut range = self.producer.bytes.range(self.at + UNIT, self.len);
        // SAFETY: as in `deref`; the guard is borrowed mutably.
        unsafe { range.as_mut() }
    }
}

/// The next record, in place.
///
/// It leaves the ring when the guard is dropped. [`release_back`](Self::release_back) leaves it
/// there, and so do the process's death and forgetting the guard.
#[derive(Debug)]
#[must_use = "dropping the guard takes the record out of the ring"]
pub struct ReadGuard<'a> {
    consumer: &'a mut ByteConsumer,
    span: Span,
}

impl<'a> ReadGuard<'a> {
    #[inline(always)]
    pub(super) fn new(consumer: &'a mut ByteConsumer, span: Span) -> Self {
        Self { consumer, span }
    }

    /// Leaves the record in the ring: the next call gets it again.
    pub fn release_back(self) {
        std::mem::forget(self);
    }
}

impl Deref for ReadGuard<'_> {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        let range = self.consumer.bytes.range(self.span.at, self.span.len);
        // SAFETY: the range is in the mapping (`SharedBytes::range`); it was found among what the
        // producer published, so it belongs to the consumer, which is borrowed.
        unsafe { range.as_ref() }
    }
}

impl Drop for ReadGuard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // A forked child has no record.
        if self.consumer.reader.attachment.is_mine() {
            self.consumer.give_back(self.span.units());
        }
    }
}
