//! Values of one type, copied out of the queue.

use super::{Carried, Carrier, Inlet, MESSAGES};
use crate::harness::envelope::{Envelope, Stamp, Torn};
use crate::mpmc::{OpenError, PopError, Queue, Receiver, Sender, Taken};
use ipc_core::{Payload, Result, Segment};

impl<T: Payload> Carried for T {
    type Queue = Queue<Envelope<T>>;
}

impl<T: Payload> Carrier for Queue<Envelope<T>> {
    type Settings = ();
    type Sender = Sender<Envelope<T>>;
    type Receiver = Receiver<Envelope<T>>;

    fn size_for(capacity: usize, (): &(), handles: u32) -> Result<usize> {
        Self::size_for(capacity, handles)
    }

    fn create_in(segment: &Segment, capacity: usize, (): &()) -> Result<Self> {
        Self::create_in(segment, MESSAGES, capacity)
    }

    fn open_in(segment: &Segment) -> Result<Self> {
        Self::open_in(segment, MESSAGES)
    }

    fn sender(&self) -> std::result::Result<Self::Sender, OpenError> {
        self.sender()
    }

    fn receiver(&self) -> std::result::Result<Self::Receiver, OpenError> {
        self.receiver()
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn close(&self) -> Result<()> {
        self.close().map(drop)
    }

    fn contains(&self, stamp: Stamp) -> Result<bool> {
        self.any(|sealed| sealed.stamp() == stamp)
    }
}

impl<T: Payload> Inlet for Receiver<Envelope<T>> {
    type Message = T;
    type Held = Taken;
    type Kept = T;

    #[inline]
    fn hold(&mut self) -> std::result::Result<Option<Taken>, PopError> {
        self.hold()
    }

    #[inline]
    fn hold_next(&mut self) -> Option<Taken> {
        self.hold_next()
    }

    #[inline]
    fn redeliveries(held: &Taken) -> u32 {
        held.redeliveries()
    }

    #[inline]
    fn open(&self, held: &Taken) -> std::result::Result<(Stamp, T), Torn> {
        self.copy(held).open()
    }

    #[inline]
    fn message<'m>(&'m self, _: &'m Taken, kept: &'m T) -> &'m T {
        kept
    }

    #[inline]
    fn finish(&mut self, held: Taken) {
        self.finish(held);
    }

    #[inline]
    fn give_back(&mut self, held: Taken) {
        self.give_back(held);
    }
}
