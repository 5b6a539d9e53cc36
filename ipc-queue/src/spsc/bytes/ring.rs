//! The ring as an object of a segment.

use super::consumer::ByteConsumer;
use super::producer::ByteProducer;
use super::shape::{Shape, UNIT};
use crate::spsc::OpenError;
use crate::spsc::words::{self, Words};
use ipc_core::atomic::Ordering;
use ipc_core::{
    Address, Kind, Object, ObjectSpec, Place, Result, Segment, SegmentBuilder, SharedBytes, TypeTag,
};

static KIND: Kind = Kind {
    name: "spsc byte ring",
    sweep: words::sweep,
};

ipc_core::register_at_start!(KIND);

/// The name of the one object in a segment made by [`ByteRing::create`].
const ONLY: &str = "ring";

/// A ring for records of any length in shared memory. See the [module](super) for what it promises.
///
/// The value gives out the two roles; cloning it is cheap.
#[derive(Clone, Debug)]
pub struct ByteRing {
    object: Object,
    /// Where it begins in the object, which may hold more than one.
    at: u64,
    shape: Shape,
}

impl ByteRing {
    /// Creates a segment with one ring in it, which holds `capacity` bytes and takes records of up
    /// to `max_record` bytes. A string is a name in `/dev/shm`; see [`Place`].
    ///
    /// Each record takes its length, rounded up to a multiple of 8, and 8 bytes more. `capacity` is
    /// rounded up in the same way, and must hold at least the longest record. (The memory is the
    /// next power of two, and the longest record once more.)
    ///
    /// # Errors
    /// [`Error::OutOfRange`](ipc_core::Error::OutOfRange) for an impossible capacity or longest record; those of
    /// [`SegmentBuilder::create`].
    pub fn create(place: impl Into<Place>, capacity: usize, max_record: usize) -> Result<Self> {
        let (_, ring) = segment_for(place, capacity, max_record)?
            .create_with(|segment| Self::create_in(segment, ONLY, capacity, max_record))?;
        Ok(ring)
    }

    /// Opens the ring that [`create`](Self::create) made, by name, path or descriptor.
    ///
    /// # Errors
    /// Those of [`Segment::open`] and [`Segment::open_object`].
    pub fn open(address: impl Into<Address>) -> Result<Self> {
        KIND.register();
        Self::open_in(&Segment::open(address)?, ONLY)
    }

    /// Opens the ring if it exists, else creates it. An existing one keeps its capacity and its
    /// longest record.
    ///
    /// # Errors
    /// Those of [`create`](Self::create) and [`open`](Self::open).
    pub fn open_or_create(
        place: impl Into<Place>,
        capacity: usize,
        max_record: usize,
    ) -> Result<Self> {
        KIND.register();
        let segment = segment_for(place, capacity, max_record)?.open_or_create_with(|segment| {
            Self::create_in(segment, ONLY, capacity, max_record).map(drop)
        })?;
        Self::open_in(&segment, ONLY)
    }

    /// Creates a ring among the objects of a segment. The numbers are those of
    /// [`create`](Self::create).
    ///
    /// # Errors
    /// [`Error::OutOfRange`](ipc_core::Error::OutOfRange) for an impossible capacity or longest record; those of
    /// [`Segment::create_object`].
    pub fn create_in(
        segment: &Segment,
        name: &str,
        capacity: usize,
        max_record: usize,
    ) -> Result<Self> {
        let spec = ObjectSpec {
            kind: &KIND,
            element: element(),
            config: [capacity as u64, max_record as u64, 0, 0],
            len: bytes_for(Shape::new(capacity, max_record)?),
        };
        Self::new(segment.create_object(name, &spec, |_| Ok(()))?)
    }

    /// Opens a ring of a segment.
    ///
    /// # Errors
    /// Those of [`Segment::open_object`].
    pub fn open_in(segment: &Segment, name: &str) -> Result<Self> {
        Self::new(segment.open_object(name, &KIND, &element())?)
    }

    /// Bytes that a ring takes of a segment, for those who put several objects into one.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](ipc_core::Error::OutOfRange) for an impossible capacity or longest record.
    pub fn size_for(capacity: usize, max_record: usize) -> Result<usize> {
        let bytes = bytes_for(Shape::new(capacity, max_record)?);
        Ok(bytes.next_multiple_of(128) as usize)
    }

    fn new(object: Object) -> Result<Self> {
        let [capacity, max_record, ..] = object.info().config;
        let shape = usize::try_from(capacity)
            .ok()
            .zip(usize::try_from(max_record).ok())
            .and_then(|(capacity, max_record)| Shape::new(capacity, max_record).ok())
            .filter(|&shape| bytes_for(shape) <= object.info().len)
            .ok_or_else(|| object.corrupted("its capacity does not fit its size"))?;
        Ok(Self {
            object,
            at: 0,
            shape,
        })
    }

    /// A ring that is a part of another object and begins there, at a multiple of 128. It takes
    /// [`size_for`](Self::size_for) bytes.
    pub(crate) fn part_of(
        object: &Object,
        at: u64,
        capacity: usize,
        max_record: usize,
    ) -> Result<Self> {
        Ok(Self {
            object: object.clone(),
            at,
            shape: Shape::new(capacity, max_record)?,
        })
    }

    /// Becomes the ring's producer. Takes over from one that died or left; never blocks.
    ///
    /// # Errors
    /// [`OpenError::RoleTaken`] while another producer lives, also in this process;
    /// [`OpenError::Ended`] after [`ByteProducer::close`]; [`OpenError::Segment`].
    pub fn producer(&self) -> Result<ByteProducer, OpenError> {
        ByteProducer::new(self)
    }

    /// Becomes the ring's consumer. Takes over from one that died or left; never blocks. After the
    /// end of the stream too: it gets what is left, and then the end.
    ///
    /// # Errors
    /// [`OpenError::RoleTaken`] while another consumer lives, also in this process;
    /// [`OpenError::Segment`].
    pub fn consumer(&self) -> Result<ByteConsumer, OpenError> {
        ByteConsumer::new(self)
    }

    /// How many bytes the ring holds: what was asked for, rounded up to a multiple of 8. Each
    /// record takes its length, rounded up likewise, and 8 more.
    pub fn capacity(&self) -> usize {
        self.shape.capacity as usize * UNIT
    }

    /// The longest record that the ring takes, in bytes.
    pub fn max_record(&self) -> usize {
        self.shape.max_record
    }

    /// Bytes of capacity that were pushed since the ring was created, at this moment.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked).
    pub fn pushed(&self) -> Result<u64> {
        let words = self.object.structure::<Words>(self.at)?;
        let units = words.cursors.tail.0.load(Ordering::Acquire);
        Ok(units.wrapping_mul(UNIT as u64))
    }

    /// Bytes of capacity that were taken since the ring was created, at this moment.
    ///
    /// # Errors
    /// [`Error::Forked`](ipc_core::Error::Forked).
    pub fn taken(&self) -> Result<u64> {
        let words = self.object.structure::<Words>(self.at)?;
        let units = words.cursors.head.0.load(Ordering::Acquire);
        Ok(units.wrapping_mul(UNIT as u64))
    }

    /// The segment it lives in.
    pub fn segment(&self) -> &Segment {
        self.object.segment()
    }

    pub(super) fn object(&self) -> &Object {
        &self.object
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn bytes(&self) -> Result<SharedBytes> {
        self.object
            .bytes(self.at + size_of::<Words>() as u64, self.shape.bytes())
    }
}

fn element() -> TypeTag {
    TypeTag::named::<u8>("bytes")
}

/// The length of the object: words and bytes.
fn bytes_for(shape: Shape) -> u64 {
    shape.bytes() + size_of::<Words>() as u64
}

fn segment_for(
    place: impl Into<Place>,
    capacity: usize,
    max_record: usize,
) -> Result<SegmentBuilder> {
    let bytes = bytes_for(Shape::new(capacity, max_record)?);
    Ok(Segment::builder(place).size(bytes as usize).objects(1))
}
