//! `ArrayQueue` of crossbeam-queue between two threads. It serves many producers and consumers,
//! which costs it an atomic exchange per item that the queues for one of each do without.

use std::path::Path;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::channel::{CAPACITY, Channel, ReceiveItem, SendItem};
use crate::failure::Failure;
use crate::spin;

/// An `ArrayQueue` tried again with `PAUSES` pauses while it is full or empty.
pub struct CrossbeamArrayQueue<const PAUSES: u32>(Arc<ArrayQueue<u64>>);

/// One end: crossbeam's queue is the same from both.
pub struct End<const PAUSES: u32>(Arc<ArrayQueue<u64>>);

impl<const PAUSES: u32> Channel for CrossbeamArrayQueue<PAUSES> {
    type Sender = End<PAUSES>;
    type Receiver = End<PAUSES>;

    fn how() -> String {
        format!("push and pop, tried again after {PAUSES} spin_loop while full or empty")
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        Ok(Self(Arc::new(ArrayQueue::new(CAPACITY))))
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        Ok(End(Arc::clone(&self.0)))
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        Ok(End(Arc::clone(&self.0)))
    }
}

impl<const PAUSES: u32> SendItem for End<PAUSES> {
    #[inline]
    fn send(&mut self, item: u64) -> Result<(), Failure> {
        spin::until::<PAUSES, _>(|| self.0.push(item).ok());
        Ok(())
    }
}

impl<const PAUSES: u32> ReceiveItem for End<PAUSES> {
    #[inline]
    fn receive(&mut self) -> Result<u64, Failure> {
        Ok(spin::until::<PAUSES, _>(|| self.0.pop()))
    }
}
