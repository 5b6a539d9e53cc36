//! Our ring for one producer and one consumer, between two processes.

use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::path::Path;

use ipc_core::{Place, Wait};
use ipc_queue::spsc::{Consumer, PopError, Producer, PushError, Ring};

use crate::channel::{CAPACITY, Channel, ReceiveItem, ReceiveSlice, SendItem, SendSlice};
use crate::failure::Failure;

/// How both ends wait.
pub trait Waiting {
    /// What is set on both ends.
    const WAIT: Wait;
    /// Its name, for the report.
    const NAME: &'static str;
}

/// Both ends spin.
pub enum Busy {}

impl Waiting for Busy {
    const WAIT: Wait = Wait::Busy;
    const NAME: &'static str = "Wait::Busy";
}

/// Both ends spin for a while and then sleep, which is what a handle does if nothing is set.
pub enum Adaptive {}

impl Waiting for Adaptive {
    const WAIT: Wait = Wait::Adaptive;
    const NAME: &'static str = "Wait::Adaptive";
}

/// Both ends sleep at once.
pub enum Park {}

impl Waiting for Park {
    const WAIT: Wait = Wait::Park;
    const NAME: &'static str = "Wait::Park";
}

/// A ring in a memfd. Handles do not work in a forked child, descriptors do: each side opens the
/// ring by its descriptor and takes its role there.
pub struct OursSpsc<W> {
    segment: OwnedFd,
    wait: PhantomData<W>,
}

impl<W> OursSpsc<W> {
    fn open(&self) -> Result<Ring<u64>, Failure> {
        let segment = self.segment.try_clone();
        Ring::open(segment.map_err(Failure::system("duplicate the segment's descriptor"))?)
            .map_err(Failure::contender("open the ring"))
    }
}

impl<W: Waiting> Channel for OursSpsc<W> {
    type Sender = Producer<u64>;
    type Receiver = Consumer<u64>;

    fn how() -> String {
        format!("push and pop, or push_slice and pop_slice, {}", W::NAME)
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        let segment = Ring::<u64>::create(Place::memfd("bench"), CAPACITY)
            .and_then(|ring| ring.segment().descriptor())
            .map_err(Failure::contender("create the ring"))?;
        Ok(Self {
            segment,
            wait: PhantomData,
        })
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        let mut producer = self
            .open()?
            .producer()
            .map_err(Failure::contender("become the producer"))?;
        producer.set_wait(W::WAIT);
        Ok(producer)
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        let mut consumer = self
            .open()?
            .consumer()
            .map_err(Failure::contender("become the consumer"))?;
        consumer.set_wait(W::WAIT);
        Ok(consumer)
    }
}

impl SendItem for Producer<u64> {
    #[inline(always)]
    fn send(&mut self, item: u64) -> Result<(), Failure> {
        self.push(item).map_err(not_pushed)
    }
}

impl ReceiveItem for Consumer<u64> {
    #[inline(always)]
    fn receive(&mut self) -> Result<u64, Failure> {
        self.pop()
            .map_err(not_popped)?
            .ok_or_else(|| Failure::EndedEarly)
    }
}

impl SendSlice for Producer<u64> {
    #[inline(always)]
    fn send_slice(&mut self, items: &[u64]) -> Result<(), Failure> {
        self.push_slice(items).map_err(not_pushed)
    }
}

impl ReceiveSlice for Consumer<u64> {
    #[inline(always)]
    fn receive_slice(&mut self, into: &mut [u64]) -> Result<usize, Failure> {
        self.pop_slice(into)
            .map_err(not_popped)?
            .ok_or_else(|| Failure::EndedEarly)
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
