//! Several records with one publication, in place. See [`guard`](super::guard) for what the
//! references rest on.

use super::consumer::{ByteConsumer, Span};
use super::guard::WriteGuard;
use super::producer::ByteProducer;
use crate::spsc::PushError;

/// Records that become visible together.
///
/// [`commit`](Self::commit) makes them so; dropping the batch cancels all of them, and so does the
/// process's death. A batch waits for no room, which might not come before it is committed.
///
/// ```
/// # use ipc_core::Place;
/// # use ipc_queue::spsc::bytes::ByteRing;
/// # let ring = ByteRing::create(Place::memfd("batch"), 1024, 100)?;
/// # let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
/// let mut batch = tx.batch();
/// batch.try_push(b"first")?;
/// let mut record = batch.try_reserve(2)?;
/// record.copy_from_slice(b"2.");
/// record.commit(2)?;
/// batch.commit()?;
///
/// let batch = rx.take_batch(100)?.expect("the stream has not ended");
/// assert!(batch.iter().eq([&b"first"[..], b"2."]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping the batch cancels its records; call commit"]
pub struct WriteBatch<'a> {
    producer: &'a mut ByteProducer,
    /// What its records take.
    units: u64,
}

impl<'a> WriteBatch<'a> {
    pub(super) fn new(producer: &'a mut ByteProducer) -> Self {
        Self { producer, units: 0 }
    }

    /// Adds a record if there is room for it. Wait-free.
    ///
    /// # Errors
    /// As [`ByteProducer::try_push`]. On [`PushError::Full`] commit the batch and go on with the
    /// next.
    #[inline]
    pub fn try_push(&mut self, record: &[u8]) -> Result<(), PushError> {
        let need = self.producer.need(record.len())?;
        self.producer.writer.find_room(self.units + need)?;
        self.producer.put(self.units, record);
        self.units += need;
        Ok(())
    }

    /// Reserves room for a record of up to `len` bytes, if there is some, to write it in place.
    /// [`WriteGuard::commit`] adds it to the batch; dropping the guard does not. Wait-free.
    ///
    /// # Errors
    /// As [`ByteProducer::try_reserve`].
    #[inline]
    pub fn try_reserve(&mut self, len: usize) -> Result<WriteGuard<'_>, PushError> {
        self.producer.writer.check_private()?;
        let need = self.producer.need(len)?;
        self.producer.writer.find_room(self.units + need)?;
        Ok(WriteGuard::in_batch(self.producer, len, &mut self.units))
    }

    /// Whether it has no record yet.
    pub fn is_empty(&self) -> bool {
        self.units == 0
    }

    /// Makes the records visible, all at once. Wait-free.
    ///
    /// # Errors
    /// [`PushError::Segment`] in a forked child.
    #[inline]
    pub fn commit(self) -> Result<(), PushError> {
        self.producer.writer.attachment.check_fork()?;
        self.producer.writer.publish(self.units);
        Ok(())
    }
}

/// Several records, in place, in the order of the stream.
///
/// All leave the ring when the guard is dropped. [`release_back`](Self::release_back) leaves them
/// there, and so do the process's death and forgetting the guard.
#[derive(Debug)]
#[must_use = "dropping the guard takes the records out of the ring"]
pub struct ReadBatch<'a> {
    consumer: &'a mut ByteConsumer,
    /// The consumer gets the buffer back.
    spans: Vec<Span>,
    /// What the records take.
    units: u64,
}

impl<'a> ReadBatch<'a> {
    pub(super) fn new(consumer: &'a mut ByteConsumer, spans: Vec<Span>, units: u64) -> Self {
        Self {
            consumer,
            spans,
            units,
        }
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether it holds none: only if none were asked for.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The records, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator {
        self.spans.iter().map(|span| {
            let range = self.consumer.bytes.range(span.at, span.len);
            // SAFETY: the range is in the mapping (`SharedBytes::range`); it was found among what
            // the producer published, so it belongs to the consumer, which the guard borrows, and
            // nobody writes to it.
            unsafe { range.as_ref() }
        })
    }

    /// Leaves the records in the ring: the next call gets them again.
    pub fn release_back(mut self) {
        self.units = 0;
    }
}

impl Drop for ReadBatch<'_> {
    fn drop(&mut self) {
        // A forked child has no records.
        if self.units > 0 && self.consumer.reader.attachment.is_mine() {
            self.consumer.give_back(self.units);
        }
        self.consumer.spans = std::mem::take(&mut self.spans);
    }
}
