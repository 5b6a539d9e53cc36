//! `ArrayQueue` of crossbeam-queue between threads. It serves many producers and consumers, which
//! costs it an atomic exchange per item that the queues for one of each do without.

use std::path::Path;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::channel::{CAPACITY, Channel, Many, NonBlocking, TryReceive, TrySend};
use crate::failure::Failure;

/// An `ArrayQueue`.
pub struct CrossbeamArrayQueue(Arc<ArrayQueue<u64>>);

/// One end: crossbeam's queue is the same from both.
pub struct End(Arc<ArrayQueue<u64>>);

impl Channel for CrossbeamArrayQueue {
    type Sender = End;
    type Receiver = End;

    fn how() -> String {
        "push and pop".into()
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

impl NonBlocking for CrossbeamArrayQueue {}
impl Many for CrossbeamArrayQueue {}

impl TrySend for End {
    #[inline(always)]
    fn try_send(&mut self, item: u64) -> Option<Result<(), Failure>> {
        self.0.push(item).ok().map(Ok)
    }
}

impl TryReceive for End {
    #[inline(always)]
    fn try_receive(&mut self) -> Option<Result<u64, Failure>> {
        self.0.pop().map(Ok)
    }
}
