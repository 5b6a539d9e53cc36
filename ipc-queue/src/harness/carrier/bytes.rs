//! Byte messages, left where they lie.

use super::{Carried, Carrier, Inlet, MESSAGES};
use crate::harness::envelope::{Head, Stamp, Torn, open_bytes};
use crate::mpmc::bytes::{Held, Queue, QueueOptions, Receiver, Sender};
use crate::mpmc::{OpenError, PopError};
use ipc_core::{Result, Segment};

impl Carried for [u8] {
    type Queue = Queue;
}

/// Lengths are those of the messages, without their heads.
#[derive(Clone, Debug)]
pub struct ByteSettings {
    /// The longest message.
    pub longest: usize,
    /// Blocks' sizes and numbers; none: the queue's usual ones.
    pub blocks: Vec<(usize, usize)>,
}

impl Default for ByteSettings {
    fn default() -> Self {
        Self {
            longest: 65_536,
            blocks: Vec::new(),
        }
    }
}

impl ByteSettings {
    /// The longest message with its head.
    fn longest(&self) -> usize {
        self.longest.saturating_add(Head::LEN)
    }

    fn options(&self) -> QueueOptions {
        let blocks = self.blocks.iter();
        blocks.fold(Queue::options(), |options, &(size, number)| {
            options.blocks(size.saturating_add(Head::LEN), number)
        })
    }
}

impl Carrier for Queue {
    type Settings = ByteSettings;
    type Sender = Sender;
    type Receiver = Receiver;

    fn size_for(capacity: usize, settings: &ByteSettings, handles: u32) -> Result<usize> {
        let options = settings.options();
        options.size_for(capacity, settings.longest(), handles)
    }

    fn create_in(segment: &Segment, capacity: usize, settings: &ByteSettings) -> Result<Self> {
        let options = settings.options();
        options.create_in(segment, MESSAGES, capacity, settings.longest())
    }

    fn open_in(segment: &Segment) -> Result<Self> {
        Self::open_in(segment, MESSAGES)
    }

    fn sender(&self) -> std::result::Result<Sender, OpenError> {
        self.sender()
    }

    fn receiver(&self) -> std::result::Result<Receiver, OpenError> {
        self.receiver()
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn close(&self) -> Result<()> {
        self.close().map(drop)
    }

    fn contains(&self, stamp: Stamp) -> Result<bool> {
        self.any_begins(|start| Head::from_bytes(start).stamp() == stamp)
    }
}

impl Inlet for Receiver {
    type Message = [u8];
    type Held = Held;
    type Kept = ();

    #[inline]
    fn hold(&mut self) -> std::result::Result<Option<Held>, PopError> {
        self.hold()
    }

    #[inline]
    fn hold_next(&mut self) -> Option<Held> {
        self.hold_next()
    }

    #[inline]
    fn redeliveries(held: &Held) -> u32 {
        held.redeliveries()
    }

    #[inline]
    fn open(&self, held: &Held) -> std::result::Result<(Stamp, ()), Torn> {
        let (stamp, _) = open_bytes(self.bytes_of(held).ok_or(Torn)?)?;
        Ok((stamp, ()))
    }

    #[inline]
    fn message<'m>(&'m self, held: &'m Held, (): &'m ()) -> &'m [u8] {
        // Both are there since it was opened.
        let sealed = self.bytes_of(held).unwrap_or_default();
        sealed.get(Head::LEN..).unwrap_or_default()
    }

    #[inline]
    fn finish(&mut self, held: Held) {
        self.finish_held(held);
    }

    #[inline]
    fn give_back(&mut self, held: Held) {
        self.give_back_held(held);
    }
}
