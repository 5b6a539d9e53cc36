//! The queue as an object of a segment.

use super::end;
use super::error::OpenError;
use super::layout::{Shape, Shared};
use super::memory::{Memory, OPEN, Trouble};
use super::options::{QueueOptions, bytes};
use super::receiver::Receiver;
use super::seat::has_room;
use super::sender::Sender;
use super::stats::Stats;
use super::sweep::sweep;
use super::word::{self, State};
use ipc_core::atomic::Ordering;
use ipc_core::{
    Address, Departed, Error, Kind, Object, Payload, Place, Result, Segment, SharedWords,
};
use std::marker::PhantomData;
use std::sync::atomic::Ordering::Relaxed;

pub(super) static KIND: Kind = Kind {
    name: "mpmc queue",
    sweep: |object, departed| sweep_object(object, departed, || Ok(())),
};
ipc_core::register_at_start!(KIND);

/// Gives back what the departed held of a queue; `and_then` what follows from that, before their
/// places are free for others.
pub(super) fn sweep_object(
    object: &Object,
    departed: &Departed<'_>,
    and_then: impl FnOnce() -> Result<()>,
) -> Result<()> {
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
    and_then()?;
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

impl<T: Payload> Queue<T> {
    /// Creates a segment with one queue in it, for `capacity` messages, at least 1. A string is a
    /// name in `/dev/shm`; see [`Place`]. There is room for 64 processes and 256 handles; for
    /// more, make the segment yourself and use [`create_in`](Self::create_in).
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an impossible capacity; those of
    /// [`SegmentBuilder::create`](ipc_core::SegmentBuilder::create).
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
        QueueOptions::new()
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

    pub(super) fn new(object: Object) -> Result<Self> {
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

    /// Messages in the queue at this moment, those that somebody is reading among them. Looks at
    /// one slot after the other: while others push and pop, the sum is one that may never have been
    /// right, and any answer may be out of date when it arrives. For display, not for decisions: to
    /// know whether there is a message or room, try.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn len(&self) -> Result<usize> {
        let memory = self.untyped()?;
        let slots = 0..self.capacity();
        Ok(slots.filter(|&it| holds_message(&memory, it)).count())
    }

    /// Whether the queue holds no message at this moment. As momentary as [`len`](Self::len).
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn is_empty(&self) -> Result<bool> {
        let memory = self.untyped()?;
        Ok(!(0..self.capacity()).any(|it| holds_message(&memory, it)))
    }

    /// Whether a push would find no room at this moment. As momentary as [`len`](Self::len). A
    /// queue can be full with fewer messages than its capacity, while somebody is stopped in the
    /// middle of an operation.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::Corrupted`].
    pub fn is_full(&self) -> Result<bool> {
        let has_room = has_room(&self.untyped()?);
        let has_room = has_room.map_err(|trouble| explain(&self.object, trouble))?;
        Ok(!has_room)
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
            of.places.iter().map(count).fold(0, u64::wrapping_add)
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
