//! The queue as an object of a segment.

use super::end;
use super::error::OpenError;
use super::layout::{Shape, Shared};
use super::memory::{Memory, OPEN, Trouble};
use super::push::Tail;
use super::receiver::Receiver;
use super::sender::Sender;
use super::stats::Stats;
use super::sweep::sweep;
use super::word::{self, State};
use ipc_core::atomic::Ordering;
use ipc_core::{
    Address, Departed, Error, Kind, Object, ObjectSpec, Payload, Place, Result, Segment,
    SegmentBuilder, SharedWords, TypeTag,
};
use std::marker::PhantomData;
use std::sync::atomic::Ordering::Relaxed;

static KIND: Kind = Kind {
    name: "mpmc queue",
    sweep: sweep_object,
};
ipc_core::register_at_start!(KIND);

/// The name of the one object in a segment made by [`Queue::create`].
const ONLY: &str = "queue";
/// Places for senders, and for receivers, in a queue with a segment of its own.
const HANDLES: u32 = 256;
/// Positions start in this lap: the one before is the claims' at first.
const FIRST_LAP: u64 = 1;

fn sweep_object(object: &Object, departed: &Departed<'_>) -> Result<()> {
    let shape = Shape::from_object(object)?;
    let (senders, receivers) = (shape.senders(object)?, shape.receivers(object)?);
    let (dead_senders, dead_receivers) = (senders.dead(departed), receivers.dead(departed));
    if dead_senders.is_empty() && dead_receivers.is_empty() {
        return Ok(());
    }
    let memory = shape.untyped(object)?;
    let census = &memory.words.census;
    let redelivered = sweep(&memory, &dead_senders, &dead_receivers);
    census.redelivered.fetch_add(redelivered, Relaxed);
    census.sweeps.fetch_add(1, Relaxed);
    dead_senders.bury(&census.deaths);
    dead_receivers.bury(&census.other_deaths);
    ring_all(&memory);
    Ok(())
}

/// Wakes everybody who waits, to look again.
fn ring_all<C>(memory: &Shared<C>) {
    memory.words.cursors.messages.ring(memory.fences);
    memory.words.cursors.room.ring(memory.fences);
}

/// The error for what stopped the protocol, naming the queue.
#[cold]
pub(super) fn explain(object: &Object, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Corrupted(what) => object.corrupted(what),
        Trouble::NoBarrier(source) => Error::NoMembarrier {
            place: object.to_string(),
            source,
        },
    }
}

/// A queue for messages of type `T` in shared memory. See the [module](super) for what it promises.
///
/// The value gives out the handles; cloning it is cheap.
#[derive(Debug)]
pub struct Queue<T: Payload> {
    object: Object,
    shape: Shape,
    _messages: PhantomData<T>,
}

impl<T: Payload> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            object: self.object.clone(),
            ..*self
        }
    }
}

/// Settings of a queue beyond its capacity. Made by [`Queue::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct QueueOptions<T: Payload> {
    element: TypeTag,
    first_lap: u64,
    _messages: PhantomData<T>,
}

impl<T: Payload> QueueOptions<T> {
    /// A name for the message type, where two programs call it differently. Default: the type's
    /// own name without its path.
    pub fn type_name(mut self, name: &str) -> Self {
        self.element = TypeTag::named::<T>(name);
        self
    }

    /// For tests of what happens where counters wrap: the lap in which positions start.
    #[doc(hidden)]
    pub fn first_lap(mut self, lap: u64) -> Self {
        self.first_lap = lap;
        self
    }

    /// As [`Queue::create`].
    ///
    /// # Errors
    /// As [`Queue::create`].
    pub fn create(&self, place: impl Into<Place>, capacity: usize) -> Result<Queue<T>> {
        let (_, queue) = Self::segment_for(place, capacity)?
            .create_with(|segment| self.create_in(segment, ONLY, capacity))?;
        Ok(queue)
    }

    /// As [`Queue::open`].
    ///
    /// # Errors
    /// As [`Queue::open`].
    pub fn open(&self, address: impl Into<Address>) -> Result<Queue<T>> {
        KIND.register();
        self.open_in(&Segment::open(address)?, ONLY)
    }

    /// As [`Queue::open_or_create`].
    ///
    /// # Errors
    /// As [`Queue::open_or_create`].
    pub fn open_or_create(&self, place: impl Into<Place>, capacity: usize) -> Result<Queue<T>> {
        KIND.register();
        let segment = Self::segment_for(place, capacity)?
            .open_or_create_with(|segment| self.create_in(segment, ONLY, capacity).map(drop))?;
        self.open_in(&segment, ONLY)
    }

    /// As [`Queue::create_in`].
    ///
    /// # Errors
    /// As [`Queue::create_in`].
    pub fn create_in(&self, segment: &Segment, name: &str, capacity: usize) -> Result<Queue<T>> {
        let shape = Shape::of::<T>(capacity, segment.handle_limit())?;
        let spec = ObjectSpec {
            kind: &KIND,
            element: self.element.clone(),
            config: shape.config(),
            len: bytes(&shape),
        };
        let lap = self.first_lap;
        let object = segment.create_object(name, &spec, |object| {
            let memory = shape.untyped(object)?;
            let g = memory.geometry();
            let first = g.lap_plus(lap, 0);
            for index in 0..capacity {
                let before = word::free(g.lap_plus(first, -1));
                memory.claim(index).store(before, Ordering::Relaxed);
                let free = word::free(first);
                memory.word(index).store(free, Ordering::Relaxed);
            }
            let start = g.plus_laps(0, lap.cast_signed());
            memory.words.cursors.tail.0.store(start, Ordering::Relaxed);
            // Whoever is before it with his `seen` has this as his first hint.
            memory
                .words
                .cursors
                .head
                .0
                .store(start << 24, Ordering::Relaxed);
            Ok(())
        })?;
        Queue::new(object)
    }

    /// As [`Queue::open_in`].
    ///
    /// # Errors
    /// As [`Queue::open_in`].
    pub fn open_in(&self, segment: &Segment, name: &str) -> Result<Queue<T>> {
        Queue::new(segment.open_object(name, &KIND, &self.element)?)
    }

    fn segment_for(place: impl Into<Place>, capacity: usize) -> Result<SegmentBuilder> {
        let shape = Shape::of::<T>(capacity, HANDLES)?;
        Ok(Segment::builder(place)
            .size(bytes(&shape) as usize)
            .handles(HANDLES)
            .objects(1))
    }
}

fn bytes(shape: &Shape) -> u64 {
    // What is beyond the address space is refused by the segment.
    shape.bytes().unwrap_or(u64::MAX)
}

impl<T: Payload> Queue<T> {
    /// Creates a segment with one queue in it, for `capacity` messages, at least 1. A string is a
    /// name in `/dev/shm`; see [`Place`]. There is room for 64 processes and 256 handles; for
    /// more, make the segment yourself and use [`create_in`](Self::create_in).
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an impossible capacity; those of [`SegmentBuilder::create`].
    pub fn create(place: impl Into<Place>, capacity: usize) -> Result<Self> {
        Self::options().create(place, capacity)
    }

    /// Opens the queue that [`create`](Self::create) made, by name, path or descriptor.
    ///
    /// # Errors
    /// Those of [`Segment::open`] and [`Segment::open_object`].
    pub fn open(address: impl Into<Address>) -> Result<Self> {
        Self::options().open(address)
    }

    /// Opens the queue if it exists, else creates it. An existing one keeps its capacity.
    ///
    /// # Errors
    /// Those of [`create`](Self::create) and [`open`](Self::open).
    pub fn open_or_create(place: impl Into<Place>, capacity: usize) -> Result<Self> {
        Self::options().open_or_create(place, capacity)
    }

    /// Creates a queue among the objects of a segment. It has places for as many senders, and as
    /// many receivers, as the segment has handles, up to 1023.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an impossible capacity; those of [`Segment::create_object`].
    pub fn create_in(segment: &Segment, name: &str, capacity: usize) -> Result<Self> {
        Self::options().create_in(segment, name, capacity)
    }

    /// Opens a queue of a segment.
    ///
    /// # Errors
    /// Those of [`Segment::open_object`].
    pub fn open_in(segment: &Segment, name: &str) -> Result<Self> {
        Self::options().open_in(segment, name)
    }

    /// Settings beyond the capacity.
    pub fn options() -> QueueOptions<T> {
        QueueOptions {
            element: TypeTag::of::<T>(),
            first_lap: FIRST_LAP,
            _messages: PhantomData,
        }
    }

    /// Bytes that a queue for `capacity` messages takes of a segment with this many handles, for
    /// those who put several objects into one.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an impossible capacity.
    pub fn size_for(capacity: usize, handles: u32) -> Result<usize> {
        let shape = Shape::of::<T>(capacity, handles)?;
        Ok(bytes(&shape).next_multiple_of(128) as usize)
    }

    fn new(object: Object) -> Result<Self> {
        Ok(Self {
            shape: Shape::from_object(&object)?,
            object,
            _messages: PhantomData,
        })
    }

    /// A new sender: there can be many, in one process and in others. Never blocks.
    ///
    /// # Errors
    /// [`OpenError::Closed`] after the stream was closed; [`OpenError::Crowded`];
    /// [`OpenError::Segment`].
    pub fn sender(&self) -> Result<Sender<T>, OpenError> {
        Sender::new(self)
    }

    /// A new receiver: there can be many, in one process and in others. Never blocks. After the
    /// end of the stream too: it gets what is left, and then the end.
    ///
    /// # Errors
    /// [`OpenError::Crowded`]; [`OpenError::Segment`].
    pub fn receiver(&self) -> Result<Receiver<T>, OpenError> {
        Receiver::new(self)
    }

    /// Closes the stream: from now on nothing can be pushed, the receivers get what there is and
    /// then the end, and who waits for room is told [`PushError::Closed`](super::PushError). Anybody may do
    /// this. Whether this call did; not if it was closed before.
    ///
    /// A push that has begun when the stream is closed succeeds, or fails with `Closed`; its
    /// message is received then, or is not.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn close(&self) -> Result<bool> {
        let memory = self.untyped()?;
        let closed = end::close(&memory);
        ring_all(&memory);
        Ok(closed)
    }

    /// Whether somebody has closed the stream. Messages may still be there.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn is_closed(&self) -> Result<bool> {
        Ok(self.words()?.cursors.end.load(Ordering::Acquire) != OPEN)
    }

    /// How many messages the queue holds: exactly what was asked for.
    pub fn capacity(&self) -> usize {
        self.shape.slots as usize
    }

    /// Messages in the queue at this moment, those that somebody is reading among them. Others may
    /// push and pop the next. Looks at every slot.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn len(&self) -> Result<usize> {
        let memory = self.untyped()?;
        let slots = 0..self.capacity();
        Ok(slots.filter(|&it| holds_message(&memory, it)).count())
    }

    /// Whether the queue holds no message at this moment.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn is_empty(&self) -> Result<bool> {
        let memory = self.untyped()?;
        Ok(!(0..self.capacity()).any(|it| holds_message(&memory, it)))
    }

    /// Whether a push would find no room at this moment.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::Corrupted`].
    pub fn is_full(&self) -> Result<bool> {
        let sees_room = Tail::sees_room(&self.untyped()?);
        let sees_room = sees_room.map_err(|trouble| explain(&self.object, trouble))?;
        Ok(!sees_room)
    }

    /// What the queue has seen.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn stats(&self) -> Result<Stats> {
        let words = self.words()?;
        let senders = self.shape.senders(&self.object)?;
        let receivers = self.shape.receivers(&self.object)?;
        let sum = |count: fn(&super::members::Member) -> u64, of: &super::members::Members| {
            of.table.iter().map(count).fold(0, u64::wrapping_add)
        };
        Ok(Stats {
            pushed: sum(|it| it.messages.load(Relaxed), &senders),
            popped: sum(|it| it.messages.load(Relaxed), &receivers),
            redelivered: words.census.redelivered.load(Relaxed),
            sweeps: words.census.sweeps.load(Relaxed),
            sender_sleeps: sum(|it| it.sleeps.load(Relaxed), &senders),
            receiver_sleeps: sum(|it| it.sleeps.load(Relaxed), &receivers),
            senders: senders.count(),
            receivers: receivers.count(),
            late: words.cursors.late.load(Ordering::Relaxed),
        })
    }

    /// The segment it lives in.
    pub fn segment(&self) -> &Segment {
        self.object.segment()
    }

    pub(super) fn object(&self) -> &Object {
        &self.object
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    fn words(&self) -> Result<ipc_core::SharedRef<super::layout::Words>> {
        self.object.structure(0)
    }

    fn untyped(&self) -> Result<Shared<SharedWords>> {
        self.shape.untyped(&self.object)
    }
}

fn holds_message(memory: &Shared<SharedWords>, index: usize) -> bool {
    let word = memory.word(index).load(Ordering::Acquire);
    matches!(word::state(word), Some(State::Full | State::Reading))
}
