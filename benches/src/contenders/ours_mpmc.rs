//! Our queue for many producers and consumers, between processes.

use std::os::fd::OwnedFd;
use std::path::Path;

use ipc_core::{Place, Wait};
use ipc_queue::mpmc::{PopError, PushError, Queue, Receiver, Sender};

use crate::channel::{
    CAPACITY, Channel, Many, NonBlocking, ReceiveItem, SendItem, TryReceive, TryReceiveSlice,
    TrySend, TrySendSlice,
};
use crate::failure::Failure;

/// A queue in a memfd. Handles do not work in a forked child, descriptors do: each side opens the
/// queue by its descriptor.
pub struct OursMpmc {
    segment: OwnedFd,
}

impl OursMpmc {
    fn open(&self) -> Result<Queue<u64>, Failure> {
        let segment = self.segment.try_clone();
        Queue::open(segment.map_err(Failure::system("duplicate the segment's descriptor"))?)
            .map_err(Failure::contender("open the queue"))
    }
}

impl Channel for OursMpmc {
    type Sender = Sender<u64>;
    type Receiver = Receiver<u64>;

    fn how() -> String {
        format!("push and pop, {:?}", Wait::default())
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        let segment = Queue::<u64>::create(Place::memfd("bench"), CAPACITY)
            .and_then(|queue| queue.segment().descriptor())
            .map_err(Failure::contender("create the queue"))?;
        Ok(Self { segment })
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        self.open()?
            .sender()
            .map_err(Failure::contender("become a sender"))
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        self.open()?
            .receiver()
            .map_err(Failure::contender("become a receiver"))
    }
}

impl Many for OursMpmc {}

/// The same, waiting by spinning.
pub struct OursMpmcBusy(OursMpmc);

impl Channel for OursMpmcBusy {
    type Sender = Sender<u64>;
    type Receiver = Receiver<u64>;

    fn how() -> String {
        format!("push and pop, {:?}", Wait::Busy)
    }

    fn create(scratch: &Path) -> Result<Self, Failure> {
        OursMpmc::create(scratch).map(Self)
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        let mut sender = self.0.sender()?;
        sender.set_wait(Wait::Busy);
        Ok(sender)
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        let mut receiver = self.0.receiver()?;
        receiver.set_wait(Wait::Busy);
        Ok(receiver)
    }
}

impl NonBlocking for OursMpmc {
    fn how_tried() -> String {
        "try_push and try_pop, or try_push_slice and try_pop_slice".into()
    }
}

impl SendItem for Sender<u64> {
    #[inline(always)]
    fn send(&mut self, item: u64) -> Result<(), Failure> {
        self.push(item).map_err(not_pushed)
    }
}

impl ReceiveItem for Receiver<u64> {
    #[inline(always)]
    fn receive(&mut self) -> Result<u64, Failure> {
        self.pop()
            .map_err(not_popped)?
            .ok_or_else(|| Failure::EndedEarly)
    }
}

impl TrySend for Sender<u64> {
    #[inline(always)]
    fn try_send(&mut self, item: u64) -> Option<Result<(), Failure>> {
        pushed(self.try_push(item))
    }
}

impl TryReceive for Receiver<u64> {
    #[inline(always)]
    fn try_receive(&mut self) -> Option<Result<u64, Failure>> {
        popped(self.try_pop())
    }
}

impl TrySendSlice for Sender<u64> {
    #[inline(always)]
    fn try_send_slice(&mut self, items: &[u64]) -> Option<Result<usize, Failure>> {
        pushed(self.try_push_slice(items))
    }
}

impl TryReceiveSlice for Receiver<u64> {
    #[inline(always)]
    fn try_receive_slice(&mut self, into: &mut [u64]) -> Option<Result<usize, Failure>> {
        popped(self.try_pop_slice(into))
    }
}

#[inline(always)]
fn pushed<T>(result: Result<T, PushError>) -> Option<Result<T, Failure>> {
    match result {
        Ok(value) => Some(Ok(value)),
        Err(PushError::Full) => None,
        Err(error) => Some(Err(not_pushed(error))),
    }
}

#[inline(always)]
fn popped<T>(result: Result<Option<T>, PopError>) -> Option<Result<T, Failure>> {
    match result {
        Ok(Some(value)) => Some(Ok(value)),
        Ok(None) => Some(Err(Failure::EndedEarly)),
        Err(PopError::Empty) => None,
        Err(error) => Some(Err(not_popped(error))),
    }
}

// Apart from the calls above, which are inlined into the loops that are measured, where even an
// unused `Failure` would be dropped once for every item.
#[cold]
fn not_pushed(error: PushError) -> Failure {
    Failure::contender("push")(error)
}

#[cold]
fn not_popped(error: PopError) -> Failure {
    Failure::contender("pop")(error)
}
