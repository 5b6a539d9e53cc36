//! rtrb, the ring of the crate of that name, between two threads.

use std::marker::PhantomData;
use std::path::Path;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::channel::{CAPACITY, Channel, ReceiveItem, ReceiveSlice, SendItem, SendSlice};
use crate::failure::Failure;
use crate::spin;

/// Many items by `push_partial_slice` and `pop_partial_slice`.
pub enum BySlice {}

/// Many items by `write_chunk_uninit` with `fill_from_iter`, and `read_chunk` with a copy out of
/// its `as_slices`.
pub enum ByChunk {}

/// How many items are handed over.
pub trait Manner {
    /// By which calls.
    const HOW: &'static str;
}

impl Manner for BySlice {
    const HOW: &'static str = "push_partial_slice and pop_partial_slice";
}

impl Manner for ByChunk {
    const HOW: &'static str = "write_chunk_uninit with fill_from_iter and read_chunk";
}

/// A `RingBuffer` tried again with `PAUSES` pauses while it is full or empty.
pub struct Rtrb<const PAUSES: u32, M = BySlice> {
    producer: Option<Producer<u64>>,
    consumer: Option<Consumer<u64>>,
    manner: PhantomData<M>,
}

/// The producer, and how it takes many items.
pub struct Sending<const PAUSES: u32, M>(Producer<u64>, PhantomData<M>);

/// The consumer, and how it gives many items.
pub struct Receiving<const PAUSES: u32, M>(Consumer<u64>, PhantomData<M>);

impl<const PAUSES: u32, M: Manner> Channel for Rtrb<PAUSES, M> {
    type Sender = Sending<PAUSES, M>;
    type Receiver = Receiving<PAUSES, M>;

    fn how() -> String {
        format!(
            "push and pop, or {}; tried again after {PAUSES} spin_loop while full or empty",
            M::HOW
        )
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        let (producer, consumer) = RingBuffer::new(CAPACITY);
        Ok(Self {
            producer: Some(producer),
            consumer: Some(consumer),
            manner: PhantomData,
        })
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        let producer = self.producer.take().ok_or(Failure::EndTaken)?;
        Ok(Sending(producer, PhantomData))
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        let consumer = self.consumer.take().ok_or(Failure::EndTaken)?;
        Ok(Receiving(consumer, PhantomData))
    }
}

impl<const PAUSES: u32, M> SendItem for Sending<PAUSES, M> {
    #[inline]
    fn send(&mut self, item: u64) -> Result<(), Failure> {
        spin::until::<PAUSES, _>(|| self.0.push(item).ok());
        Ok(())
    }
}

impl<const PAUSES: u32, M> ReceiveItem for Receiving<PAUSES, M> {
    #[inline]
    fn receive(&mut self) -> Result<u64, Failure> {
        Ok(spin::until::<PAUSES, _>(|| self.0.pop().ok()))
    }
}

impl<const PAUSES: u32> SendSlice for Sending<PAUSES, BySlice> {
    #[inline]
    fn send_slice(&mut self, items: &[u64]) -> Result<(), Failure> {
        let mut rest = items;
        spin::until::<PAUSES, _>(|| {
            (_, rest) = self.0.push_partial_slice(rest);
            rest.is_empty().then_some(())
        });
        Ok(())
    }
}

impl<const PAUSES: u32> ReceiveSlice for Receiving<PAUSES, BySlice> {
    #[inline]
    fn receive_slice(&mut self, into: &mut [u64]) -> Result<usize, Failure> {
        Ok(spin::until::<PAUSES, _>(|| {
            let (received, _) = self.0.pop_partial_slice(into);
            (!received.is_empty()).then_some(received.len())
        }))
    }
}

impl<const PAUSES: u32> SendSlice for Sending<PAUSES, ByChunk> {
    #[inline]
    fn send_slice(&mut self, items: &[u64]) -> Result<(), Failure> {
        let mut rest = items;
        spin::until::<PAUSES, _>(|| {
            let room = rest.len().min(self.0.slots());
            let chunk = self.0.write_chunk_uninit(room).ok()?;
            let sent = chunk.fill_from_iter(rest.iter().copied());
            rest = &rest[sent..];
            rest.is_empty().then_some(())
        });
        Ok(())
    }
}

impl<const PAUSES: u32> ReceiveSlice for Receiving<PAUSES, ByChunk> {
    #[inline]
    fn receive_slice(&mut self, into: &mut [u64]) -> Result<usize, Failure> {
        Ok(spin::until::<PAUSES, _>(|| {
            let available = into.len().min(self.0.slots());
            let chunk = self.0.read_chunk(available).ok()?;
            let (first, second) = chunk.as_slices();
            into[..first.len()].copy_from_slice(first);
            into[first.len()..available].copy_from_slice(second);
            chunk.commit_all();
            (available > 0).then_some(available)
        }))
    }
}
