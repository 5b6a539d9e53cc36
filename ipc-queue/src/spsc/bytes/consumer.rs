//! The consuming side.

use super::batch::ReadBatch;
use super::buffer::Buffer;
use super::guard::ReadGuard;
use super::pace::Pace;
use super::ring::ByteRing;
use super::shape::{Shape, UNIT, units};
use crate::spsc::reader::{Reader, Verdict};
use crate::spsc::{OpenError, PopError};
use ipc_core::atomic::Ordering;
use ipc_core::{Deadline, SharedBytes, Wait};
use std::time::Duration;

/// The consumer of a byte ring. There is one at a time; it can be sent to another thread.
///
/// In all calls `Ok(None)` is the end of the stream: the producer closed it and everything before
/// has been taken. Dropping the handle leaves the role free, and the next consumer goes on where
/// this one stopped.
#[derive(Debug)]
pub struct ByteConsumer {
    pub(super) bytes: SharedBytes,
    shape: Shape,
    pub(super) reader: Reader,
    pace: Pace,
    /// The buffer of batches, while there is none.
    pub(super) spans: Vec<Span>,
}

/// Where a record lies: checked, in private memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub at: usize,
    pub len: usize,
}

impl Span {
    #[inline(always)]
    pub fn units(self) -> u64 {
        units(self.len)
    }
}

impl ByteConsumer {
    pub(super) fn new(ring: &ByteRing) -> Result<Self, OpenError> {
        let shape = ring.shape();
        Ok(Self {
            bytes: ring.bytes()?,
            shape,
            reader: Reader::new(ring.object(), ring.at(), shape.capacity)?,
            pace: Pace::default(),
            spans: Vec::new(),
        })
    }

    /// How the blocking calls of this handle wait. Default: [`Wait::Adaptive`].
    ///
    /// Unless it is [`Wait::Park`], a call that has caught up with a stream of records comes back for more
    /// after up to one or two microseconds, so that it finds several. What comes singly is taken at once.
    pub fn set_wait(&mut self, wait: Wait) {
        self.reader.wait = wait;
    }

    /// Pops a record, if there is one, into a `Vec<u8>`, whose contents it replaces, or to the
    /// beginning of a slice, and returns its length. Wait-free, but for every 64th refusal in a row,
    /// which looks after the dead: who polls learns of a producer's death by then.
    ///
    /// # Errors
    /// [`PopError::Empty`]; [`PopError::ProducerDied`], once, when everything it committed has
    /// been popped; [`PopError::TooShort`] if the slice is, and the record stays in the ring;
    /// [`PopError::Segment`].
    ///
    /// ```
    /// # use ipc_core::Place;
    /// # use ipc_queue::spsc::{PopError, bytes::ByteRing};
    /// let ring = ByteRing::create(Place::memfd("one"), 64, 32)?;
    /// let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
    /// tx.push(b"four")?;
    /// tx.close()?;
    /// let mut three = [0; 3];
    /// assert!(matches!(rx.try_pop_into(&mut three), Err(PopError::TooShort { len: 4, room: 3 })));
    /// let mut any = Vec::new();
    /// assert_eq!(rx.try_pop_into(&mut any)?, Some(4));
    /// assert_eq!(rx.try_pop_into(&mut any)?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_pop_into<B>(&mut self, into: &mut B) -> Result<Option<usize>, PopError>
    where
        B: Buffer + ?Sized,
    {
        match self.reader.find_messages()? {
            Verdict::Ended => Ok(None),
            Verdict::Messages => self.copy_into(into).map(Some),
        }
    }

    /// As [`try_pop_into`](Self::try_pop_into), but waits while the ring is empty, also for a first
    /// producer to come.
    ///
    /// # Errors
    /// [`PopError::ProducerDied`], once, when everything it committed has been popped;
    /// [`PopError::TooShort`]; [`PopError::Segment`].
    #[inline]
    pub fn pop_into<B>(&mut self, into: &mut B) -> Result<Option<usize>, PopError>
    where
        B: Buffer + ?Sized,
    {
        match self.await_records(Deadline::NEVER)? {
            Verdict::Ended => Ok(None),
            Verdict::Messages => self.copy_into(into).map(Some),
        }
    }

    /// As [`pop_into`](Self::pop_into), but waits at most this long. Zero looks once,
    /// [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`PopError::TimedOut`]; otherwise as [`pop_into`](Self::pop_into).
    pub fn pop_into_timeout<B>(
        &mut self,
        into: &mut B,
        timeout: Duration,
    ) -> Result<Option<usize>, PopError>
    where
        B: Buffer + ?Sized,
    {
        match self.await_records(Deadline::after(timeout))? {
            Verdict::Ended => Ok(None),
            Verdict::Messages => self.copy_into(into).map(Some),
        }
    }

    /// Takes the next record in place, if there is one. It leaves the ring when the guard is
    /// dropped. Wait-free.
    ///
    /// # Errors
    /// As [`try_pop_into`](Self::try_pop_into), without a buffer that could be too short;
    /// [`PopError::NotPrivate`] if other users can write to the segment.
    #[inline]
    pub fn try_take(&mut self) -> Result<Option<ReadGuard<'_>>, PopError> {
        self.reader.check_private()?;
        let found = self.reader.find_messages()?;
        self.guard(found)
    }

    /// As [`try_take`](Self::try_take), but waits while the ring is empty.
    ///
    /// A consumer that dies before the guard is dropped leaves the record for the next one.
    ///
    /// # Errors
    /// As [`pop_into`](Self::pop_into), without a buffer; [`PopError::NotPrivate`].
    #[inline]
    pub fn take(&mut self) -> Result<Option<ReadGuard<'_>>, PopError> {
        self.reader.check_private()?;
        let found = self.await_records(Deadline::NEVER)?;
        self.guard(found)
    }

    /// As [`take`](Self::take), but waits at most this long.
    ///
    /// # Errors
    /// As [`take`](Self::take); [`PopError::TimedOut`].
    pub fn take_timeout(&mut self, timeout: Duration) -> Result<Option<ReadGuard<'_>>, PopError> {
        self.reader.check_private()?;
        let found = self.await_records(Deadline::after(timeout))?;
        self.guard(found)
    }

    /// Takes as many records as there are, up to `most`, in place: at least one, unless `most` is
    /// 0. They leave the ring together when the guard is dropped. Wait-free.
    ///
    /// # Errors
    /// As [`try_take`](Self::try_take).
    pub fn try_take_batch(&mut self, most: usize) -> Result<Option<ReadBatch<'_>>, PopError> {
        self.reader.check_private()?;
        let found = self.reader.find_messages()?;
        self.take_some(found, most)
    }

    /// As [`try_take_batch`](Self::try_take_batch), but waits while the ring is empty.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_batch(&mut self, most: usize) -> Result<Option<ReadBatch<'_>>, PopError> {
        self.reader.check_private()?;
        let found = self.await_records(Deadline::NEVER)?;
        self.take_some(found, most)
    }

    /// As [`take_batch`](Self::take_batch), but waits at most this long.
    ///
    /// # Errors
    /// As [`take_timeout`](Self::take_timeout).
    pub fn take_batch_timeout(
        &mut self,
        most: usize,
        timeout: Duration,
    ) -> Result<Option<ReadBatch<'_>>, PopError> {
        self.reader.check_private()?;
        let found = self.await_records(Deadline::after(timeout))?;
        self.take_some(found, most)
    }

    /// Has a producer that sleeps look again. Not in a forked child.
    pub(crate) fn wake_producer(&self) {
        self.reader.wake_writer();
    }

    /// Bytes of the capacity that are taken at this moment. The producer may take more the next.
    ///
    /// # Errors
    /// [`PopError::Segment`].
    pub fn used(&mut self) -> Result<usize, PopError> {
        self.reader.used().map(|units| units as usize * UNIT)
    }

    /// Whether the ring is empty at this moment. If not, the next pop will not wait.
    ///
    /// # Errors
    /// [`PopError::Segment`].
    pub fn is_empty(&mut self) -> Result<bool, PopError> {
        self.used().map(|used| used == 0)
    }

    /// As [`ByteRing::capacity`].
    pub fn capacity(&self) -> usize {
        self.shape.capacity as usize * UNIT
    }

    /// As [`ByteRing::max_record`]: a buffer of this length holds every record.
    pub fn max_record(&self) -> usize {
        self.shape.max_record
    }

    /// Records or the end, awaited until then.
    #[inline(always)]
    fn await_records(&mut self, deadline: Deadline) -> Result<Verdict, PopError> {
        if self.reader.head.known_messages() > 0 {
            return self.reader.await_messages(deadline);
        }
        if deadline != Deadline::PAST && self.reader.wait != Wait::Park {
            self.pace.before_look();
        }
        let found = self.reader.await_messages(deadline);
        let units = self.reader.head.known_messages();
        self.pace.found(units, self.reader.capacity);
        found
    }

    /// Gives so many units back.
    #[inline(always)]
    pub(super) fn give_back(&mut self, units: u64) {
        self.pace.taken(units);
        self.reader.give_back(units);
    }

    /// The record that begins `ahead` units behind the next one, among those known to be there.
    #[inline(always)]
    fn span(&self, ahead: u64) -> Result<Span, PopError> {
        let head = &self.reader.head;
        let at = self.shape.offset(head.next.wrapping_add(ahead));
        // Relaxed: `Head::refresh` has made it visible. Read once: what was checked is what is used.
        let word = self.bytes.word(at).load(Ordering::Relaxed);
        match self.shape.check(word, head.known_messages() - ahead) {
            Some(len) => Ok(Span { at: at + UNIT, len }),
            None => Err(self.impossible_length()),
        }
    }

    #[cold]
    fn impossible_length(&self) -> PopError {
        let what = "a record in it has a length that cannot be";
        self.reader.object.corrupted(what).into()
    }

    /// Copies the next record out and gives its bytes back.
    #[inline(always)]
    fn copy_into<B>(&mut self, into: &mut B) -> Result<usize, PopError>
    where
        B: Buffer + ?Sized,
    {
        let span = self.span(0)?;
        into.copy_record(&self.bytes, span.at, span.len)?;
        self.give_back(span.units());
        Ok(span.len)
    }

    #[inline(always)]
    fn guard(&mut self, found: Verdict) -> Result<Option<ReadGuard<'_>>, PopError> {
        match found {
            Verdict::Ended => Ok(None),
            Verdict::Messages => {
                let span = self.span(0)?;
                Ok(Some(ReadGuard::new(self, span)))
            }
        }
    }

    fn take_some(
        &mut self,
        found: Verdict,
        most: usize,
    ) -> Result<Option<ReadBatch<'_>>, PopError> {
        if found == Verdict::Ended {
            return Ok(None);
        }
        let mut spans = std::mem::take(&mut self.spans);
        spans.clear();
        let mut ahead = 0;
        while spans.len() < most {
            // A look that fails is repeated, and reported, by the next call.
            if self.reader.head.known_messages() <= ahead
                && self.reader.look().unwrap_or(ahead) <= ahead
            {
                break;
            }
            match self.span(ahead) {
                Ok(span) => {
                    ahead += span.units();
                    spans.push(span);
                }
                // Those before are sound.
                Err(_) if ahead > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Some(ReadBatch::new(self, spans, ahead)))
    }
}
