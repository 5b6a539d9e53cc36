//! The MPMC queue of the crate shaq between processes that map one file. Whoever is stopped or dies
//! between its reservation and its publication stops all the others of its side.

use std::fs::File;
use std::path::Path;

use nix::sys::memfd::{MFdFlags, memfd_create};
use shaq::mpmc::{Consumer, Producer, minimum_file_size};

use crate::channel::{CAPACITY, Channel, Many, NonBlocking, TryReceive, TrySend};
use crate::failure::Failure;

/// A queue in a memfd, which each side joins.
pub struct ShaqMpmc(File);

impl Channel for ShaqMpmc {
    type Sender = Producer<u64>;
    type Receiver = Consumer<u64>;

    fn how() -> String {
        "try_write and try_read of mpmc in a memfd".into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        let file = memfd_create(c"bench", MFdFlags::MFD_CLOEXEC)
            .map_err(Failure::errno("make a memfd"))?;
        let file = File::from(file);
        // SAFETY: the file was just made and is initialised here and nowhere else; its items are
        // plain numbers.
        unsafe { Producer::<u64>::create(&file, minimum_file_size::<u64>(CAPACITY)) }
            .map_err(Failure::contender("create the queue"))?;
        Ok(Self(file))
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        // SAFETY: all who join this file use it for plain 64-bit numbers.
        unsafe { Producer::join(&self.0) }.map_err(Failure::contender("join as a producer"))
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        // SAFETY: as for the sender.
        unsafe { Consumer::join(&self.0) }.map_err(Failure::contender("join as a consumer"))
    }
}

impl NonBlocking for ShaqMpmc {}
impl Many for ShaqMpmc {}

impl TrySend for Producer<u64> {
    #[inline(always)]
    fn try_send(&mut self, item: u64) -> Option<Result<(), Failure>> {
        self.try_write(item).ok().map(Ok)
    }
}

impl TryReceive for Consumer<u64> {
    #[inline(always)]
    fn try_receive(&mut self) -> Option<Result<u64, Failure>> {
        self.try_read().map(Ok)
    }
}
