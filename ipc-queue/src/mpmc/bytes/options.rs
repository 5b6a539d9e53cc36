//! How a queue of byte messages is made and found.

use super::layout::{Cell, Plan};
use super::queue::{KIND, Queue};
use crate::mpmc::options::{self, HANDLES, ONLY, segment_of};
use ipc_core::{Address, Place, Result, Segment, SegmentBuilder};

/// Settings of a queue of byte messages. Made by [`Queue::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct QueueOptions {
    slots: options::QueueOptions<Cell>,
    blocks: Vec<(usize, usize)>,
}

impl QueueOptions {
    pub(super) fn new() -> Self {
        Self {
            slots: options::QueueOptions::new().type_name("bytes"),
            blocks: Vec::new(),
        }
    }

    /// So many blocks of so many bytes (rounded up to a multiple of 128), instead of the usual
    /// ones. Call it once for each size, up to eight of them. The largest must hold the longest
    /// message.
    ///
    /// ```
    /// # use ipc_core::Place;
    /// # use ipc_queue::mpmc::bytes::Queue;
    /// // Mostly short lines, and now and then a picture, of which two at a time are enough.
    /// let queue = Queue::options()
    ///     .blocks(1024, 100)
    ///     .blocks(4 << 20, 2)
    ///     .create(Place::memfd("mixed"), 1000, 4 << 20)?;
    /// assert_eq!(queue.survey()?.classes[1].free, 2);
    /// # Ok::<(), ipc_core::Error>(())
    /// ```
    pub fn blocks(mut self, size: usize, number: usize) -> Self {
        self.blocks.push((size, number));
        self
    }

    /// For tests of what happens where counters wrap: the lap in which positions start.
    #[doc(hidden)]
    pub fn first_lap(mut self, lap: u64) -> Self {
        self.slots = self.slots.first_lap(lap);
        self
    }

    /// As [`Queue::create`].
    ///
    /// # Errors
    /// As [`Queue::create`].
    pub fn create(
        &self,
        place: impl Into<Place>,
        capacity: usize,
        longest: usize,
    ) -> Result<Queue> {
        let (_, queue) = self
            .segment_for(place, capacity, longest)?
            .create_with(|segment| self.create_in(segment, ONLY, capacity, longest))?;
        Ok(queue)
    }

    /// As [`Queue::open`].
    ///
    /// # Errors
    /// As [`Queue::open`].
    pub fn open(&self, address: impl Into<Address>) -> Result<Queue> {
        KIND.register();
        self.open_in(&Segment::open(address)?, ONLY)
    }

    /// As [`Queue::open_or_create`].
    ///
    /// # Errors
    /// As [`Queue::open_or_create`].
    pub fn open_or_create(
        &self,
        place: impl Into<Place>,
        capacity: usize,
        longest: usize,
    ) -> Result<Queue> {
        KIND.register();
        let segment = self
            .segment_for(place, capacity, longest)?
            .open_or_create_with(|segment| {
                self.create_in(segment, ONLY, capacity, longest).map(drop)
            })?;
        self.open_in(&segment, ONLY)
    }

    /// As [`Queue::create_in`].
    ///
    /// # Errors
    /// As [`Queue::create_in`].
    pub fn create_in(
        &self,
        segment: &Segment,
        name: &str,
        capacity: usize,
        longest: usize,
    ) -> Result<Queue> {
        let plan = Plan::new(capacity, longest, &self.blocks)?;
        let shape = plan.shape(capacity, segment.handle_limit())?;
        let slots = self
            .slots
            .create_shaped(&KIND, shape, segment, name, |object| plan.store(object))?;
        Queue::new(slots.object().clone())
    }

    /// As [`Queue::open_in`].
    ///
    /// # Errors
    /// As [`Queue::open_in`].
    pub fn open_in(&self, segment: &Segment, name: &str) -> Result<Queue> {
        Queue::new(segment.open_object(name, &KIND, self.slots.element())?)
    }

    /// Bytes that such a queue takes of a segment with this many handles, for those who put several
    /// objects into one.
    ///
    /// # Errors
    /// As [`Queue::create`], for impossible numbers.
    pub fn size_for(&self, capacity: usize, longest: usize, handles: u32) -> Result<usize> {
        let shape = Plan::new(capacity, longest, &self.blocks)?.shape(capacity, handles)?;
        Ok(options::bytes(&shape).next_multiple_of(128) as usize)
    }

    fn segment_for(
        &self,
        place: impl Into<Place>,
        capacity: usize,
        longest: usize,
    ) -> Result<SegmentBuilder> {
        let shape = Plan::new(capacity, longest, &self.blocks)?.shape(capacity, HANDLES)?;
        Ok(segment_of(place, &shape))
    }
}
