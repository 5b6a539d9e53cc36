//! rtrb, a ring of arrays of bytes, between two threads.

use std::path::Path;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::bytes::{ReceiveBytes, SendBytes};
use crate::channel::Channel;
use crate::failure::Failure;
use crate::spin;

/// A `RingBuffer` of arrays, written and read where they lie, tried again with a pause while it is
/// full or empty.
pub struct RtrbBytes<const LENGTH: usize, const MESSAGES: usize> {
    producer: Option<Producer<[u8; LENGTH]>>,
    consumer: Option<Consumer<[u8; LENGTH]>>,
}

impl<const LENGTH: usize, const MESSAGES: usize> Channel for RtrbBytes<LENGTH, MESSAGES> {
    type Sender = Producer<[u8; LENGTH]>;
    type Receiver = Consumer<[u8; LENGTH]>;

    fn how() -> String {
        "write_chunk_uninit and read_chunk of one array, with a copy each; tried again after 1 \
         spin_loop while full or empty"
            .into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        let (producer, consumer) = RingBuffer::new(MESSAGES);
        Ok(Self {
            producer: Some(producer),
            consumer: Some(consumer),
        })
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        self.producer.take().ok_or(Failure::EndTaken)
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        self.consumer.take().ok_or(Failure::EndTaken)
    }
}

impl<const LENGTH: usize> SendBytes for Producer<[u8; LENGTH]> {
    #[inline(always)]
    fn send_bytes(&mut self, message: &[u8]) -> Result<(), Failure> {
        let message: &[u8; LENGTH] = message.try_into().map_err(Failure::contender("push"))?;
        spin::until::<1, _>(|| {
            let mut chunk = self.write_chunk_uninit(1).ok()?;
            let (slots, _) = chunk.as_mut_slices();
            slots[0].write(*message);
            // SAFETY: the one slot of the chunk was just written.
            unsafe { chunk.commit_all() };
            Some(())
        });
        Ok(())
    }
}

impl<const LENGTH: usize> ReceiveBytes for Consumer<[u8; LENGTH]> {
    #[inline(always)]
    fn receive_bytes(&mut self, into: &mut Vec<u8>) -> Result<usize, Failure> {
        spin::until::<1, _>(|| {
            let chunk = self.read_chunk(1).ok()?;
            let (slots, _) = chunk.as_slices();
            into[..LENGTH].copy_from_slice(&slots[0]);
            chunk.commit_all();
            Some(())
        });
        Ok(LENGTH)
    }
}
