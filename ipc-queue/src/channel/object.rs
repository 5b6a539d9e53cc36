//! The channel as an object of a segment: the words and bytes of one ring, and those of the other.

use super::end::End;
use super::error::OpenError;
use crate::spsc::bytes::ByteRing;
use crate::spsc::words;
use ipc_core::{
    Address, Departed, Kind, Object, ObjectSpec, Place, Result, Segment, SegmentBuilder, TypeTag,
};

static KIND: Kind = Kind {
    name: "channel",
    sweep,
};

ipc_core::register_at_start!(KIND);

/// The name of the one object in a segment made by [`Channel::create`].
const ONLY: &str = "channel";

/// A pipe in both directions in shared memory. See the [module](super) for what it promises.
///
/// The value gives out the two ends; cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Channel {
    object: Object,
    /// What the first end sends.
    from_first: ByteRing,
    /// What the second end sends.
    from_second: ByteRing,
}

impl Channel {
    /// Creates a segment with one channel in it, which holds `capacity` bytes in each direction and
    /// takes messages of up to `max_message` bytes. A string is a name in `/dev/shm`; see [`Place`].
    ///
    /// Each message takes its length, rounded up to a multiple of 8, and 8 bytes more. `capacity` is
    /// rounded up in the same way, and must hold at least the longest message. (The memory is, for
    /// each direction, the next power of two, and the longest message once more.)
    ///
    /// # Errors
    /// [`Error::OutOfRange`](ipc_core::Error::OutOfRange) for an impossible capacity or longest
    /// message; those of [`SegmentBuilder::create`].
    pub fn create(place: impl Into<Place>, capacity: usize, max_message: usize) -> Result<Self> {
        let (_, channel) = segment_for(place, capacity, max_message)?
            .create_with(|segment| Self::create_in(segment, ONLY, capacity, max_message))?;
        Ok(channel)
    }

    /// Opens the channel that [`create`](Self::create) made, by name, path or descriptor.
    ///
    /// # Errors
    /// Those of [`Segment::open`] and [`Segment::open_object`].
    pub fn open(address: impl Into<Address>) -> Result<Self> {
        KIND.register();
        Self::open_in(&Segment::open(address)?, ONLY)
    }

    /// Opens the channel if it exists, else creates it. An existing one keeps its capacity and its
    /// longest message.
    ///
    /// # Errors
    /// Those of [`create`](Self::create) and [`open`](Self::open).
    pub fn open_or_create(
        place: impl Into<Place>,
        capacity: usize,
        max_message: usize,
    ) -> Result<Self> {
        KIND.register();
        let segment =
            segment_for(place, capacity, max_message)?.open_or_create_with(|segment| {
                Self::create_in(segment, ONLY, capacity, max_message).map(drop)
            })?;
        Self::open_in(&segment, ONLY)
    }

    /// Creates a channel among the objects of a segment. The numbers are those of
    /// [`create`](Self::create).
    ///
    /// # Errors
    /// [`Error::OutOfRange`](ipc_core::Error::OutOfRange) for an impossible capacity or longest
    /// message; those of [`Segment::create_object`].
    pub fn create_in(
        segment: &Segment,
        name: &str,
        capacity: usize,
        max_message: usize,
    ) -> Result<Self> {
        let spec = ObjectSpec {
            kind: &KIND,
            element: element(),
            config: [capacity as u64, max_message as u64, 0, 0],
            len: Self::size_for(capacity, max_message)? as u64,
        };
        Self::new(segment.create_object(name, &spec, |_| Ok(()))?)
    }

    /// Opens a channel of a segment.
    ///
    /// # Errors
    /// Those of [`Segment::open_object`].
    pub fn open_in(segment: &Segment, name: &str) -> Result<Self> {
        Self::new(segment.open_object(name, &KIND, &element())?)
    }

    /// Bytes that a channel takes of a segment, for those who put several objects into one.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](ipc_core::Error::OutOfRange) for an impossible capacity or longest
    /// message.
    pub fn size_for(capacity: usize, max_message: usize) -> Result<usize> {
        ByteRing::size_for(capacity, max_message).map(|each| 2 * each)
    }

    fn new(object: Object) -> Result<Self> {
        let sizes = Sizes::of(&object)?;
        let ring = |at| ByteRing::part_of(&object, at, sizes.capacity, sizes.max_message);
        Ok(Self {
            from_first: ring(0)?,
            from_second: ring(sizes.each)?,
            object,
        })
    }

    /// Takes the first end. Takes over from an owner that died or left; never blocks.
    ///
    /// The ends are alike. It is for the two sides to agree on who has which.
    ///
    /// # Errors
    /// [`OpenError::EndTaken`] while another owner lives, also in this process;
    /// [`OpenError::Closed`] after [`End::close`]; [`OpenError::Segment`].
    pub fn first(&self) -> Result<End, OpenError> {
        End::new(&self.from_first, &self.from_second)
            .map_err(|error| OpenError::of_end(error, "first"))
    }

    /// Takes the second end. As [`first`](Self::first).
    ///
    /// # Errors
    /// As [`first`](Self::first).
    pub fn second(&self) -> Result<End, OpenError> {
        End::new(&self.from_second, &self.from_first)
            .map_err(|error| OpenError::of_end(error, "second"))
    }

    /// How many bytes the channel holds in each direction: what was asked for, rounded up to a
    /// multiple of 8. Each message takes its length, rounded up likewise, and 8 more.
    pub fn capacity(&self) -> usize {
        self.from_first.capacity()
    }

    /// The longest message that the channel takes, in bytes.
    pub fn max_message(&self) -> usize {
        self.from_first.max_record()
    }

    /// The segment it lives in.
    pub fn segment(&self) -> &Segment {
        self.object.segment()
    }
}

/// The sizes of a channel, from its entry in the directory, checked.
struct Sizes {
    capacity: usize,
    max_message: usize,
    /// Bytes of each of the rings: where the second begins.
    each: u64,
}

impl Sizes {
    fn of(object: &Object) -> Result<Self> {
        let [capacity, max_message, ..] = object.info().config;
        let sizes = || {
            let capacity = usize::try_from(capacity).ok()?;
            let max_message = usize::try_from(max_message).ok()?;
            let each = ByteRing::size_for(capacity, max_message).ok()? as u64;
            (2 * each <= object.info().len).then_some(Self {
                capacity,
                max_message,
                each,
            })
        };
        sizes().ok_or_else(|| object.corrupted("its capacity does not fit its size"))
    }
}

/// Takes the ends from the dead.
fn sweep(object: &Object, departed: &Departed<'_>) -> Result<()> {
    words::sweep_at(object, 0, departed)?;
    words::sweep_at(object, Sizes::of(object)?.each, departed)
}

fn element() -> TypeTag {
    TypeTag::named::<u8>("bytes")
}

fn segment_for(
    place: impl Into<Place>,
    capacity: usize,
    max_message: usize,
) -> Result<SegmentBuilder> {
    let bytes = Channel::size_for(capacity, max_message)?;
    Ok(Segment::builder(place).size(bytes).objects(1))
}
