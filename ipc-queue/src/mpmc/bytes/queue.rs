//! The queue of byte messages as an object of a segment.

use super::layout::{Cell, Plan};
use super::options::QueueOptions;
use super::pool::Pool;
use super::receiver::Receiver;
use super::sender::Sender;
use super::store::Store;
use super::survey::PoolSurvey;
use crate::mpmc::layout::Shape;
use crate::mpmc::{self, OpenError, Stats, queue};
use ipc_core::{Address, Error, Kind, Object, Place, Result, Segment};

pub(super) static KIND: Kind = Kind {
    name: "mpmc byte queue",
    sweep: |object, departed| {
        queue::sweep_object(object, departed, || {
            let shape = Shape::from_object(object)?;
            Pool::of(&Plan::load(&shape, object)?, &shape, object)?.collect();
            Ok(())
        })
    },
};
ipc_core::register_at_start!(KIND);

/// A queue for messages of bytes in shared memory. See the [module](super) for what it promises.
///
/// The value gives out the handles; cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Queue {
    slots: mpmc::Queue<Cell>,
    plan: Plan,
}

impl Queue {
    /// Creates a segment with one queue in it, for `capacity` messages, at least 1, of up to
    /// `longest` bytes each. A string is a name in `/dev/shm`; see [`Place`]. There is room for 64
    /// processes and 256 handles; for more, make the segment yourself and use
    /// [`create_in`](Self::create_in).
    ///
    /// Messages of up to [`INLINE`](super::INLINE) bytes need no block. For longer ones there are
    /// blocks of 512 bytes, as many as slots; of four times that size a quarter as many, and so on;
    /// but of each size at least four (or as many as slots), and the largest are as large as the
    /// longest message. To say it yourself: [`QueueOptions::blocks`].
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for impossible numbers; those of
    /// [`SegmentBuilder::create`](ipc_core::SegmentBuilder::create).
    pub fn create(place: impl Into<Place>, capacity: usize, longest: usize) -> Result<Self> {
        Self::options().create(place, capacity, longest)
    }

    /// Opens the queue that [`create`](Self::create) made, by name, path or descriptor.
    ///
    /// # Errors
    /// Those of [`Segment::open`] and [`Segment::open_object`].
    pub fn open(address: impl Into<Address>) -> Result<Self> {
        Self::options().open(address)
    }

    /// Opens the queue if it exists, else creates it. An existing one is used as it is.
    ///
    /// # Errors
    /// Those of [`create`](Self::create) and [`open`](Self::open).
    pub fn open_or_create(
        place: impl Into<Place>,
        capacity: usize,
        longest: usize,
    ) -> Result<Self> {
        Self::options().open_or_create(place, capacity, longest)
    }

    /// Creates a queue among the objects of a segment. It has places for as many senders, and as
    /// many receivers, as the segment has handles, up to 1023.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for impossible numbers; those of [`Segment::create_object`].
    pub fn create_in(
        segment: &Segment,
        name: &str,
        capacity: usize,
        longest: usize,
    ) -> Result<Self> {
        Self::options().create_in(segment, name, capacity, longest)
    }

    /// Opens a queue of a segment.
    ///
    /// # Errors
    /// Those of [`Segment::open_object`].
    pub fn open_in(segment: &Segment, name: &str) -> Result<Self> {
        Self::options().open_in(segment, name)
    }

    /// Settings beyond capacity and length.
    pub fn options() -> QueueOptions {
        QueueOptions::new()
    }

    /// Of a checked object.
    pub(super) fn new(object: Object) -> Result<Self> {
        let shape = Shape::from_object(&object)?;
        Ok(Self {
            plan: Plan::load(&shape, &object)?,
            slots: mpmc::Queue::new(object)?,
        })
    }

    /// A new sender: there can be many, in one process and in others. Never blocks.
    ///
    /// # Errors
    /// [`OpenError::Closed`] after the stream was closed; [`OpenError::Crowded`];
    /// [`OpenError::Segment`].
    pub fn sender(&self) -> Result<Sender, OpenError> {
        Sender::new(self)
    }

    /// A new receiver: there can be many, in one process and in others. Never blocks. After the
    /// end of the stream too: it gets what is left, and then the end.
    ///
    /// # Errors
    /// [`OpenError::Crowded`]; [`OpenError::Segment`].
    pub fn receiver(&self) -> Result<Receiver, OpenError> {
        Receiver::new(self)
    }

    /// Closes the stream, as [`mpmc::Queue::close`](crate::mpmc::Queue::close). Whether this call
    /// did; not if it was closed before.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn close(&self) -> Result<bool> {
        self.slots.close()
    }

    /// Whether somebody has closed the stream. Messages may still be there.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn is_closed(&self) -> Result<bool> {
        self.slots.is_closed()
    }

    /// How many messages the queue holds, if there are blocks for them.
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// The longest message in bytes.
    pub fn longest(&self) -> usize {
        self.plan.longest()
    }

    /// Messages in the queue at this moment, as
    /// [`mpmc::Queue::len`](crate::mpmc::Queue::len): for display, not for decisions.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn len(&self) -> Result<usize> {
        self.slots.len()
    }

    /// Whether the queue holds no message at this moment. As momentary as [`len`](Self::len).
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn is_empty(&self) -> Result<bool> {
        self.slots.is_empty()
    }

    /// Whether a push would find no slot at this moment. As momentary as [`len`](Self::len). For a
    /// longer message it may be full before, see [`survey`](Self::survey).
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::Corrupted`].
    pub fn is_full(&self) -> Result<bool> {
        self.slots.is_full()
    }

    /// What the queue has seen.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn stats(&self) -> Result<Stats> {
        self.slots.stats()
    }

    /// What its blocks are used for.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn survey(&self) -> Result<PoolSurvey> {
        let (shape, object) = (self.slots.shape(), self.slots.object());
        Ok(Pool::of(&self.plan, shape, object)?.survey())
    }

    /// The segment it lives in.
    pub fn segment(&self) -> &Segment {
        self.slots.segment()
    }

    pub(super) fn slots(&self) -> &mpmc::Queue<Cell> {
        &self.slots
    }

    pub(super) fn store(&self) -> Result<Store> {
        Store::of(&self.plan, self.slots.shape(), self.slots.object())
    }

    pub(super) fn corrupted(&self, what: &'static str) -> Error {
        self.slots.object().corrupted(what)
    }
}
