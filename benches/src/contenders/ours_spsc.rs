//! Our ring for one producer and one consumer, between two processes.

use std::os::fd::AsFd;
use std::path::Path;

use ipc_core::{Place, Wait};
use ipc_queue::spsc::{Consumer, Producer, Ring};

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

/// Both ends sleep at once.
pub enum Park {}

impl Waiting for Park {
    const WAIT: Wait = Wait::Park;
    const NAME: &'static str = "Wait::Park";
}

/// A ring in a memfd. Handles made before a fork are not used after it: each side opens the
/// segment again by its descriptor and takes its role there.
pub struct OursSpsc<W> {
    ring: Ring<u64>,
    wait: std::marker::PhantomData<W>,
}

impl<W> OursSpsc<W> {
    fn open_again(&self) -> Result<Ring<u64>, Failure> {
        let segment = self.ring.segment().as_fd().try_clone_to_owned();
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
        let ring = Ring::create(Place::memfd("bench"), CAPACITY)
            .map_err(Failure::contender("create the ring"))?;
        Ok(Self {
            ring,
            wait: std::marker::PhantomData,
        })
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        let mut producer = self
            .open_again()?
            .producer()
            .map_err(Failure::contender("become the producer"))?;
        producer.set_wait(W::WAIT);
        Ok(producer)
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        let mut consumer = self
            .open_again()?
            .consumer()
            .map_err(Failure::contender("become the consumer"))?;
        consumer.set_wait(W::WAIT);
        Ok(consumer)
    }
}

impl SendItem for Producer<u64> {
    #[inline]
    fn send(&mut self, item: u64) -> Result<(), Failure> {
        self.push(item).map_err(Failure::contender("push"))
    }
}

impl ReceiveItem for Consumer<u64> {
    #[inline]
    fn receive(&mut self) -> Result<u64, Failure> {
        self.pop()
            .map_err(Failure::contender("pop"))?
            .ok_or(Failure::EndedEarly)
    }
}

impl SendSlice for Producer<u64> {
    #[inline]
    fn send_slice(&mut self, items: &[u64]) -> Result<(), Failure> {
        self.push_slice(items)
            .map_err(Failure::contender("push a slice"))
    }
}

impl ReceiveSlice for Consumer<u64> {
    #[inline]
    fn receive_slice(&mut self, into: &mut [u64]) -> Result<usize, Failure> {
        self.pop_slice(into)
            .map_err(Failure::contender("pop a slice"))?
            .ok_or(Failure::EndedEarly)
    }
}
