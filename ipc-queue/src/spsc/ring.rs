//! The ring as an object of a segment.

use super::consumer::Consumer;
use super::error::OpenError;
use super::producer::Producer;
use super::words::{self, Words};
use ipc_core::atomic::Ordering;
use ipc_core::{
    Address, Error, Kind, Object, ObjectSpec, Payload, Place, Result, Segment, SegmentBuilder,
    SharedRef, SharedSlots, TypeTag,
};
use std::marker::PhantomData;

static KIND: Kind = Kind {
    name: "spsc ring",
    sweep: words::sweep,
};

ipc_core::register_at_start!(KIND);

/// The name of the one object in a segment made by [`Ring::create`].
const ONLY: &str = "ring";
const MOST_SLOTS: u128 = 1 << 40;

/// A ring for messages of type `T` in shared memory. See the [module](super) for what it promises.
///
/// The value gives out the two roles; cloning it is cheap.
#[derive(Debug)]
pub struct Ring<T: Payload> {
    object: Object,
    capacity: u64,
    _messages: PhantomData<T>,
}

impl<T: Payload> Clone for Ring<T> {
    fn clone(&self) -> Self {
        Self {
            object: self.object.clone(),
            ..*self
        }
    }
}

/// Settings of a ring beyond its capacity. Made by [`Ring::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RingOptions<T: Payload> {
    element: TypeTag,
    _messages: PhantomData<T>,
}

impl<T: Payload> RingOptions<T> {
    /// A name for the message type, where two programs call it differently. Default: the type's
    /// own name without its path.
    pub fn type_name(mut self, name: &str) -> Self {
        self.element = TypeTag::named::<T>(name);
        self
    }

    /// As [`Ring::create`].
    ///
    /// # Errors
    /// As [`Ring::create`].
    pub fn create(&self, place: impl Into<Place>, capacity: usize) -> Result<Ring<T>> {
        let (_, ring) = self
            .segment_for(place, capacity)?
            .create_with(|segment| self.create_in(segment, ONLY, capacity))?;
        Ok(ring)
    }

    /// As [`Ring::open`].
    ///
    /// # Errors
    /// As [`Ring::open`].
    pub fn open(&self, address: impl Into<Address>) -> Result<Ring<T>> {
        KIND.register();
        self.open_in(&Segment::open(address)?, ONLY)
    }

    /// As [`Ring::open_or_create`].
    ///
    /// # Errors
    /// As [`Ring::open_or_create`].
    pub fn open_or_create(&self, place: impl Into<Place>, capacity: usize) -> Result<Ring<T>> {
        KIND.register();
        let segment = self
            .segment_for(place, capacity)?
            .open_or_create_with(|segment| self.create_in(segment, ONLY, capacity).map(drop))?;
        self.open_in(&segment, ONLY)
    }

    /// As [`Ring::create_in`].
    ///
    /// # Errors
    /// As [`Ring::create_in`].
    pub fn create_in(&self, segment: &Segment, name: &str, capacity: usize) -> Result<Ring<T>> {
        let spec = ObjectSpec {
            kind: &KIND,
            element: self.element.clone(),
            config: [capacity as u64, 0, 0, 0],
            len: bytes_for::<T>(capacity)?,
        };
        Ring::new(segment.create_object(name, &spec, |_| Ok(()))?)
    }

    /// As [`Ring::open_in`].
    ///
    /// # Errors
    /// As [`Ring::open_in`].
    pub fn open_in(&self, segment: &Segment, name: &str) -> Result<Ring<T>> {
        Ring::new(segment.open_object(name, &KIND, &self.element)?)
    }

    fn segment_for(&self, place: impl Into<Place>, capacity: usize) -> Result<SegmentBuilder> {
        let bytes = bytes_for::<T>(capacity)?;
        Ok(Segment::builder(place).size(bytes as usize).objects(1))
    }
}

/// The length of the object: words and slots.
fn bytes_for<T: Payload>(capacity: usize) -> Result<u64> {
    const {
        assert!(
            align_of::<T>() <= 128,
            "a message's alignment is 128 at most"
        )
    };
    let most = (isize::MAX as u128 / 2)
        .checked_div(SharedSlots::<T>::STRIDE as u128)
        .unwrap_or(MOST_SLOTS)
        .min(MOST_SLOTS);
    if capacity == 0 || capacity as u128 > most {
        return Err(Error::OutOfRange {
            what: "a ring's capacity",
            asked: capacity as u128,
            least: 1,
            most,
        });
    }
    let slots = SharedSlots::<T>::bytes(capacity.next_power_of_two()).unwrap_or(usize::MAX);
    Ok((slots as u64).saturating_add(size_of::<Words>() as u64))
}

impl<T: Payload> Ring<T> {
    /// Creates a segment with one ring in it, for `capacity` messages, at least 1. A string is a
    /// name in `/dev/shm`; see [`Place`].
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an impossible capacity; those of [`SegmentBuilder::create`].
    pub fn create(place: impl Into<Place>, capacity: usize) -> Result<Self> {
        Self::options().create(place, capacity)
    }

    /// Opens the ring that [`create`](Self::create) made, by name, path or descriptor.
    ///
    /// # Errors
    /// Those of [`Segment::open`] and [`Segment::open_object`].
    pub fn open(address: impl Into<Address>) -> Result<Self> {
        Self::options().open(address)
    }

    /// Opens the ring if it exists, else creates it. An existing one keeps its capacity.
    ///
    /// # Errors
    /// Those of [`create`](Self::create) and [`open`](Self::open).
    pub fn open_or_create(place: impl Into<Place>, capacity: usize) -> Result<Self> {
        Self::options().open_or_create(place, capacity)
    }

    /// Creates a ring among the objects of a segment.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an impossible capacity; those of [`Segment::create_object`].
    pub fn create_in(segment: &Segment, name: &str, capacity: usize) -> Result<Self> {
        Self::options().create_in(segment, name, capacity)
    }

    /// Opens a ring of a segment.
    ///
    /// # Errors
    /// Those of [`Segment::open_object`].
    pub fn open_in(segment: &Segment, name: &str) -> Result<Self> {
        Self::options().open_in(segment, name)
    }

    /// Settings beyond the capacity.
    pub fn options() -> RingOptions<T> {
        RingOptions {
            element: TypeTag::of::<T>(),
            _messages: PhantomData,
        }
    }

    /// Bytes that a ring for `capacity` messages takes of a segment, for those who put several
    /// objects into one.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an impossible capacity.
    pub fn size_for(capacity: usize) -> Result<usize> {
        bytes_for::<T>(capacity).map(|bytes| bytes.next_multiple_of(128) as usize)
    }

    fn new(object: Object) -> Result<Self> {
        let capacity = object.info().config[0];
        let fits = usize::try_from(capacity)
            .ok()
            .and_then(|capacity| bytes_for::<T>(capacity).ok())
            .is_some_and(|bytes| bytes <= object.info().len);
        if !fits {
            return Err(object.corrupted("its capacity does not fit its size"));
        }
        Ok(Self {
            object,
            capacity,
            _messages: PhantomData,
        })
    }

    /// Becomes the ring's producer. Takes over from one that died or left; never blocks.
    ///
    /// # Errors
    /// [`OpenError::RoleTaken`] while another producer lives, also in this process;
    /// [`OpenError::Ended`] after [`Producer::close`]; [`OpenError::Segment`].
    pub fn producer(&self) -> Result<Producer<T>, OpenError> {
        Producer::new(self)
    }

    /// Becomes the ring's consumer. Takes over from one that died or left; never blocks. After the
    /// end of the stream too: it gets what is left, and then the end.
    ///
    /// # Errors
    /// [`OpenError::RoleTaken`] while another consumer lives, also in this process;
    /// [`OpenError::Segment`].
    pub fn consumer(&self) -> Result<Consumer<T>, OpenError> {
        Consumer::new(self)
    }

    /// How many messages the ring holds: exactly what was asked for.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Messages pushed since the ring was created, at this moment.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn pushed(&self) -> Result<u64> {
        Ok(self.words()?.cursors.tail.0.load(Ordering::Acquire))
    }

    /// Messages popped since the ring was created, at this moment.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn popped(&self) -> Result<u64> {
        Ok(self.words()?.cursors.head.0.load(Ordering::Acquire))
    }

    /// The segment it lives in.
    pub fn segment(&self) -> &Segment {
        self.object.segment()
    }

    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    fn words(&self) -> Result<SharedRef<Words>> {
        self.object.structure(0)
    }

    pub(crate) fn slots(&self) -> Result<SharedSlots<T>> {
        self.object
            .slots(size_of::<Words>() as u64, self.capacity.next_power_of_two())
    }
}
