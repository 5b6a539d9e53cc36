//! Objects of ours that forked processes share.

use std::os::fd::OwnedFd;

use ipc_core::{Place, Segment};

use crate::failure::Failure;

/// What every object is called.
pub(crate) const NAME: &str = "bench";

/// Enough for each of our objects.
const BYTES: usize = 1 << 20;

/// A segment in a memfd with objects in it. Handles do not work in a forked child, descriptors do:
/// each process opens the segment by its descriptor.
pub(crate) struct InSegment(OwnedFd);

impl InSegment {
    /// A segment in which `create` makes the objects.
    pub(crate) fn with<T, E>(create: impl FnOnce(&Segment) -> Result<T, E>) -> Result<Self, Failure>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let segment = Segment::create(Place::memfd("bench"), BYTES)
            .map_err(Failure::contender("create a segment"))?;
        create(&segment).map_err(Failure::contender("create an object"))?;
        let descriptor = segment.descriptor();
        Ok(Self(
            descriptor.map_err(Failure::contender("duplicate its descriptor"))?,
        ))
    }

    /// In each process.
    pub(crate) fn open(&self) -> Result<Segment, Failure> {
        let descriptor = self.0.try_clone();
        Segment::open(descriptor.map_err(Failure::system("duplicate the segment's descriptor"))?)
            .map_err(Failure::contender("open the segment"))
    }
}
