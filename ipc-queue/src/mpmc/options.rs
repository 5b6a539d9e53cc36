//! How a queue is made and found.

use super::layout::Shape;
use super::memory::Memory;
use super::queue::{KIND, Queue};
use super::word;
use ipc_core::atomic::Ordering;
use ipc_core::{
    Address, Kind, Object, ObjectSpec, Payload, Place, Result, Segment, SegmentBuilder, TypeTag,
};
use std::marker::PhantomData;

/// The name of the one object in a segment made by [`Queue::create`].
pub(super) const ONLY: &str = "queue";
/// Places for senders, and for receivers, in a queue with a segment of its own.
pub(super) const HANDLES: u32 = 256;
/// Positions start in this lap: the one before is the claims' at first.
const FIRST_LAP: u64 = 1;

/// Settings of a queue beyond its capacity. Made by [`Queue::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct QueueOptions<T: Payload> {
    element: TypeTag,
    first_lap: u64,
    _messages: PhantomData<T>,
}

impl<T: Payload> QueueOptions<T> {
    pub(super) fn new() -> Self {
        Self {
            element: TypeTag::of::<T>(),
            first_lap: FIRST_LAP,
            _messages: PhantomData,
        }
    }

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

    pub(super) fn element(&self) -> &TypeTag {
        &self.element
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
        self.create_shaped(&KIND, shape, segment, name, |_| Ok(()))
    }

    /// Creates a queue, perhaps of a kind of its own with more in it, which `also` initialises.
    pub(super) fn create_shaped(
        &self,
        kind: &'static Kind,
        shape: Shape,
        segment: &Segment,
        name: &str,
        also: impl FnOnce(&Object) -> Result<()>,
    ) -> Result<Queue<T>> {
        let spec = ObjectSpec {
            kind,
            element: self.element.clone(),
            config: shape.config(),
            len: bytes(&shape),
        };
        let lap = self.first_lap;
        let object = segment.create_object(name, &spec, |object| {
            let memory = shape.untyped(object)?;
            let g = memory.geometry();
            let first = g.lap_plus(lap, 0);
            for index in 0..shape.slots as usize {
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
            also(object)
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
        Ok(segment_of(place, &Shape::of::<T>(capacity, HANDLES)?))
    }
}

/// A segment for one queue of this shape.
pub(super) fn segment_of(place: impl Into<Place>, shape: &Shape) -> SegmentBuilder {
    Segment::builder(place)
        .size(bytes(shape) as usize)
        .handles(HANDLES)
        .objects(1)
}

pub(super) fn bytes(shape: &Shape) -> u64 {
    // What is beyond the address space is refused by the segment.
    shape.bytes().unwrap_or(u64::MAX)
}
