//! The producing side.

use super::batch::WriteBatch;
use super::consumer::ByteConsumer;
use super::guard::WriteGuard;
use super::ring::ByteRing;
use super::shape::{Shape, UNIT, units};
use crate::spsc::cursor::Head;
use crate::spsc::words::Words;
use crate::spsc::writer::Writer;
use crate::spsc::{OpenError, PushError};
use ipc_core::atomic::Ordering;
use ipc_core::{Attachment, Deadline, SharedBytes, SharedRef, Wait};
use std::sync::Arc;
use std::time::Duration;

/// The producer of a byte ring. There is one at a time; it can be sent to another thread.
///
/// Dropping it leaves the role free and does not end the stream; [`close`](Self::close) does.
#[derive(Debug)]
pub struct ByteProducer {
    pub(super) bytes: SharedBytes,
    pub(super) shape: Shape,
    pub(super) writer: Writer,
}

/// The stream in the other direction of a pair of rings.
#[derive(Debug)]
pub(crate) struct OppositeStream {
    words: SharedRef<Words>,
    attachment: Arc<Attachment>,
}

impl OppositeStream {
    /// Whether its producer has ended it. Says no in a forked child.
    #[inline(always)]
    pub fn has_ended(&self) -> bool {
        self.attachment.is_mine() && Head::has_ended(&self.words.cursors)
    }
}

impl ByteProducer {
    pub(super) fn new(ring: &ByteRing) -> Result<Self, OpenError> {
        let shape = ring.shape();
        Ok(Self {
            bytes: ring.bytes()?,
            shape,
            writer: Writer::new(ring.object(), ring.at(), shape.capacity)?,
        })
    }

    /// How the blocking calls of this handle wait. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.writer.wait = wait;
    }

    /// Pushes a record if there is room for it. Wait-free, but for every 64th refusal in a row,
    /// which looks after the dead: who polls learns of a consumer's death by then.
    ///
    /// # Errors
    /// [`PushError::Full`]; [`PushError::ConsumerDied`], once, if it is full for that reason;
    /// [`PushError::TooLong`]; [`PushError::Segment`].
    #[inline]
    pub fn try_push(&mut self, record: &[u8]) -> Result<(), PushError> {
        let need = self.need(record.len())?;
        self.writer.find_room(need)?;
        self.put(0, record);
        self.writer.publish(need);
        Ok(())
    }

    /// Pushes a record; waits while there is no room for it.
    ///
    /// # Errors
    /// [`PushError::ConsumerDied`], once, if the ring is full and its consumer has died;
    /// [`PushError::TooLong`]; [`PushError::Segment`].
    #[inline]
    pub fn push(&mut self, record: &[u8]) -> Result<(), PushError> {
        let need = self.need(record.len())?;
        self.writer.await_room(need, Deadline::NEVER)?;
        self.put(0, record);
        self.writer.publish(need);
        Ok(())
    }

    /// Pushes a record; waits at most this long while there is no room for it. Zero looks once,
    /// [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`PushError::TimedOut`]; otherwise as [`push`](Self::push).
    pub fn push_timeout(&mut self, record: &[u8], timeout: Duration) -> Result<(), PushError> {
        let need = self.need(record.len())?;
        self.writer.await_room(need, Deadline::after(timeout))?;
        self.put(0, record);
        self.writer.publish(need);
        Ok(())
    }

    /// Pushes as many of the records as there is room for, from the first on, and returns how many:
    /// at least one, unless there are none. They become visible together. Wait-free.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push), [`PushError::TooLong`] if any of them is.
    pub fn try_push_batch<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<usize, PushError> {
        match self.need_first(records)? {
            None => return Ok(0),
            Some(need) => self.writer.find_room(need)?,
        }
        self.push_some(records)
    }

    /// Pushes all the records; waits while there is no room. They become visible in order, as many
    /// at a time as there is room for.
    ///
    /// # Errors
    /// As [`push`](Self::push), [`PushError::TooLong`] before anything is pushed. Those that were
    /// pushed before another error stay pushed; to know how many, use
    /// [`push_batch_timeout`](Self::push_batch_timeout).
    ///
    /// ```
    /// # use ipc_core::Place;
    /// # use ipc_queue::spsc::bytes::ByteRing;
    /// # let ring = ByteRing::create(Place::memfd("words"), 1024, 100)?;
    /// # let mut tx = ring.producer()?;
    /// tx.push_batch(&["three", "words", "more"])?;
    /// # let mut rx = ring.consumer()?;
    /// # let words = rx.take_batch(3)?.expect("the stream has not ended");
    /// # assert!(words.iter().eq([&b"three"[..], b"words", b"more"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn push_batch<R: AsRef<[u8]>>(&mut self, mut records: &[R]) -> Result<(), PushError> {
        let mut next = self.need_first(records)?;
        while let Some(need) = next {
            self.writer.await_room(need, Deadline::NEVER)?;
            let pushed = self.push_some(records)?;
            records = &records[pushed..];
            next = match records.first() {
                Some(first) => Some(self.need(first.as_ref().len())?),
                None => None,
            };
        }
        Ok(())
    }

    /// Pushes as many of the records as there is room for, from the first on, and returns how many:
    /// at least one, unless there are none. Waits at most this long while there is no room for the
    /// first. They become visible together.
    ///
    /// # Errors
    /// As [`push_timeout`](Self::push_timeout), [`PushError::TooLong`] if any of them is.
    pub fn push_batch_timeout<R: AsRef<[u8]>>(
        &mut self,
        records: &[R],
        timeout: Duration,
    ) -> Result<usize, PushError> {
        match self.need_first(records)? {
            None => return Ok(0),
            Some(need) => self.writer.await_room(need, Deadline::after(timeout))?,
        }
        self.push_some(records)
    }

    /// Reserves room for a record of up to `len` bytes, if there is some, to write it in place.
    /// Nothing is visible before [`WriteGuard::commit`]; dropping the guard cancels. Wait-free.
    ///
    /// # Errors
    /// As [`try_push`](Self::try_push); [`PushError::NotPrivate`] if other users can write to the
    /// segment.
    #[inline]
    pub fn try_reserve(&mut self, len: usize) -> Result<WriteGuard<'_>, PushError> {
        self.writer.check_private()?;
        let need = self.need(len)?;
        self.writer.find_room(need)?;
        Ok(WriteGuard::new(self, len))
    }

    /// As [`try_reserve`](Self::try_reserve), but waits while there is no room.
    ///
    /// # Errors
    /// As [`push`](Self::push); [`PushError::NotPrivate`].
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<WriteGuard<'_>, PushError> {
        self.reserve_until(len, Deadline::NEVER)
    }

    /// As [`reserve`](Self::reserve), but waits at most this long.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve); [`PushError::TimedOut`].
    pub fn reserve_timeout(
        &mut self,
        len: usize,
        timeout: Duration,
    ) -> Result<WriteGuard<'_>, PushError> {
        self.reserve_until(len, Deadline::after(timeout))
    }

    #[inline(always)]
    fn reserve_until(
        &mut self,
        len: usize,
        deadline: Deadline,
    ) -> Result<WriteGuard<'_>, PushError> {
        self.writer.check_private()?;
        let need = self.need(len)?;
        self.writer.await_room(need, deadline)?;
        Ok(WriteGuard::new(self, len))
    }

    /// Begins a batch: records that become visible together.
    pub fn batch(&mut self) -> WriteBatch<'_> {
        WriteBatch::new(self)
    }

    /// Ends the stream: the consumer gets what is in the ring, and then the end. Nobody can become
    /// producer of this ring after that.
    ///
    /// # Errors
    /// [`PushError::Segment`] in a forked child.
    pub fn close(self) -> Result<(), PushError> {
        self.writer.close()
    }

    /// As [`close`](Self::close), for a holder that goes on: it pushes nothing any more.
    pub(crate) fn end(&self) -> Result<(), PushError> {
        self.writer.close()
    }

    /// Says which ring is the one in the other direction: its end is the end of waiting for room,
    /// with [`PushError::TimedOut`].
    pub(crate) fn set_opposite(&mut self, consumer: &ByteConsumer) -> OppositeStream {
        let words = consumer.reader.words.clone();
        self.writer.opposite = Some(words.clone());
        OppositeStream {
            words,
            attachment: self.writer.attachment.clone(),
        }
    }

    /// Bytes of the capacity that are taken at this moment. The consumer may free some the next.
    ///
    /// # Errors
    /// [`PushError::Segment`].
    pub fn used(&mut self) -> Result<usize, PushError> {
        self.writer.used().map(|units| units as usize * UNIT)
    }

    /// Whether the ring is empty at this moment.
    ///
    /// # Errors
    /// [`PushError::Segment`].
    pub fn is_empty(&mut self) -> Result<bool, PushError> {
        self.used().map(|used| used == 0)
    }

    /// As [`ByteRing::capacity`].
    pub fn capacity(&self) -> usize {
        self.shape.capacity as usize * UNIT
    }

    /// As [`ByteRing::max_record`].
    pub fn max_record(&self) -> usize {
        self.shape.max_record
    }

    /// The units that a record of this length takes, if the ring takes it at all.
    #[inline(always)]
    pub(super) fn need(&self, len: usize) -> Result<u64, PushError> {
        if len <= self.shape.max_record {
            Ok(units(len))
        } else {
            Err(PushError::TooLong {
                len,
                most: self.shape.max_record,
            })
        }
    }

    /// What the first of the records needs, if there is one and the ring takes all of them.
    fn need_first<R: AsRef<[u8]>>(&self, records: &[R]) -> Result<Option<u64>, PushError> {
        let mut first = None;
        for record in records {
            let need = self.need(record.as_ref().len())?;
            first.get_or_insert(need);
        }
        Ok(first)
    }

    /// Writes a record, `ahead` units behind those that are visible. There is room.
    #[inline(always)]
    pub(super) fn put(&self, ahead: u64, record: &[u8]) {
        let at = self.begin(ahead);
        self.bytes.write(at + UNIT, record);
        self.finish(at, record.len());
    }

    /// Where a record begins whose first unit lies so far behind those that are visible.
    #[inline(always)]
    pub(super) fn begin(&self, ahead: u64) -> usize {
        self.shape.offset(self.writer.tail.next.wrapping_add(ahead))
    }

    /// Gives the record that begins there its length.
    #[inline(always)]
    pub(super) fn finish(&self, at: usize, len: usize) {
        // Relaxed: `Tail::advance` makes it visible.
        self.bytes.word(at).store(len as u64, Ordering::Relaxed);
    }

    /// Pushes what there is room for, at least the first, for which there is.
    fn push_some<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<usize, PushError> {
        let mut room = self.writer.tail.known_room(self.writer.capacity);
        let (mut count, mut ahead) = (0, 0);
        for record in records {
            let record = record.as_ref();
            // Checked before, but not everybody's `as_ref` gives the same twice.
            let need = self.need(record.len())?;
            if ahead + need > room {
                // A look that fails is repeated, and reported, by the next call.
                room = self.writer.look().unwrap_or(room);
                if ahead + need > room {
                    break;
                }
            }
            self.put(ahead, record);
            ahead += need;
            count += 1;
        }
        self.writer.publish(ahead);
        Ok(count)
    }
}
