//! Our ring of byte records, between two processes.

use std::os::fd::OwnedFd;
use std::path::Path;

use ipc_core::{Place, Wait};
use ipc_queue::spsc::bytes::{ByteConsumer, ByteProducer, ByteRing};
use ipc_queue::spsc::{PopError, PushError};

use crate::bytes::{HandOver, ReceiveBatch, ReceiveBytes, SendBatch, SendBytes, TakeOver};
use crate::channel::Channel;
use crate::failure::Failure;

/// What a record takes beside its bytes.
const OVERHEAD: usize = 8;

/// A ring in a memfd, which each side opens by its descriptor. Both ends spin.
pub struct OursBytes<const LENGTH: usize, const MESSAGES: usize>(OwnedFd);

impl<const LENGTH: usize, const MESSAGES: usize> OursBytes<LENGTH, MESSAGES> {
    fn open(&self) -> Result<ByteRing, Failure> {
        let segment = self.0.try_clone();
        ByteRing::open(segment.map_err(Failure::system("duplicate the segment's descriptor"))?)
            .map_err(Failure::contender("open the ring"))
    }
}

impl<const LENGTH: usize, const MESSAGES: usize> Channel for OursBytes<LENGTH, MESSAGES> {
    type Sender = ByteProducer;
    type Receiver = ByteConsumer;

    fn how() -> String {
        "push and pop_into, or batch().try_push and take_batch, Wait::Busy".into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        let capacity = MESSAGES * (LENGTH + OVERHEAD);
        ByteRing::create(Place::memfd("bench"), capacity, LENGTH)
            .and_then(|ring| ring.segment().descriptor())
            .map(Self)
            .map_err(Failure::contender("create the ring"))
    }

    fn sender(&mut self) -> Result<ByteProducer, Failure> {
        let mut producer = self
            .open()?
            .producer()
            .map_err(Failure::contender("become the producer"))?;
        producer.set_wait(Wait::Busy);
        Ok(producer)
    }

    fn receiver(&mut self) -> Result<ByteConsumer, Failure> {
        let mut consumer = self
            .open()?
            .consumer()
            .map_err(Failure::contender("become the consumer"))?;
        consumer.set_wait(Wait::Busy);
        Ok(consumer)
    }
}

impl SendBytes for ByteProducer {
    #[inline(always)]
    fn send_bytes(&mut self, message: &[u8]) -> Result<(), Failure> {
        self.push(message).map_err(not_pushed)
    }
}

impl ReceiveBytes for ByteConsumer {
    #[inline(always)]
    fn receive_bytes(&mut self, into: &mut Vec<u8>) -> Result<usize, Failure> {
        self.pop_into(into.as_mut_slice())
            .map_err(not_popped)?
            .ok_or_else(|| Failure::EndedEarly)
    }
}

impl SendBatch for ByteProducer {
    #[inline(always)]
    fn send_batch(&mut self, messages: &[&[u8]]) -> Result<(), Failure> {
        self.push_batch(messages).map_err(not_pushed)
    }
}

impl ReceiveBatch for ByteConsumer {
    #[inline(always)]
    fn receive_batch(
        &mut self,
        most: usize,
        into: &mut [u8],
        mut see: impl FnMut(&[u8]),
    ) -> Result<usize, Failure> {
        let batch = self
            .take_batch(most)
            .map_err(not_popped)?
            .ok_or_else(|| Failure::EndedEarly)?;
        for record in batch.iter() {
            let into = &mut into[..record.len()];
            into.copy_from_slice(record);
            see(into);
        }
        Ok(batch.len())
    }
}

impl HandOver for ByteProducer {
    #[inline(always)]
    fn hand_over(&mut self, length: usize) -> Result<(), Failure> {
        self.reserve(length)
            .and_then(|record| record.commit(length))
            .map_err(not_pushed)
    }
}

impl TakeOver for ByteConsumer {
    #[inline(always)]
    fn take_over(&mut self) -> Result<usize, Failure> {
        let record = self
            .take()
            .map_err(not_popped)?
            .ok_or_else(|| Failure::EndedEarly)?;
        Ok(record.len())
    }
}

/// The same ring, written and read in place: the copies are the user's own.
pub struct OursBytesInPlace<const LENGTH: usize, const MESSAGES: usize>(
    OursBytes<LENGTH, MESSAGES>,
);

/// An end that is used in place.
pub struct InPlace<E>(E);

impl<const LENGTH: usize, const MESSAGES: usize> Channel for OursBytesInPlace<LENGTH, MESSAGES> {
    type Sender = InPlace<ByteProducer>;
    type Receiver = InPlace<ByteConsumer>;

    fn how() -> String {
        "reserve and take, each with a copy_from_slice, Wait::Busy".into()
    }

    fn create(scratch: &Path) -> Result<Self, Failure> {
        OursBytes::create(scratch).map(Self)
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        self.0.sender().map(InPlace)
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        self.0.receiver().map(InPlace)
    }
}

impl SendBytes for InPlace<ByteProducer> {
    #[inline(always)]
    fn send_bytes(&mut self, message: &[u8]) -> Result<(), Failure> {
        let mut record = self.0.reserve(message.len()).map_err(not_pushed)?;
        record.copy_from_slice(message);
        record.commit(message.len()).map_err(not_pushed)
    }
}

impl ReceiveBytes for InPlace<ByteConsumer> {
    #[inline(always)]
    fn receive_bytes(&mut self, into: &mut Vec<u8>) -> Result<usize, Failure> {
        let record = self
            .0
            .take()
            .map_err(not_popped)?
            .ok_or_else(|| Failure::EndedEarly)?;
        into[..record.len()].copy_from_slice(&record);
        Ok(record.len())
    }
}

// Apart from the calls above, which are inlined into the loops that are measured, where even an
// unused `Failure` would be dropped once for every message.
#[cold]
fn not_pushed(error: PushError) -> Failure {
    Failure::contender("push")(error)
}

#[cold]
fn not_popped(error: PopError) -> Failure {
    Failure::contender("pop")(error)
}
