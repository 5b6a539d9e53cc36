//! A channel that waits by trying again, in a way that does not depend on the contender: so that
//! only the queues differ.

use std::marker::PhantomData;
use std::path::Path;

use crate::channel::{
    Channel, Many, NonBlocking, ReceiveItem, ReceiveSlice, SendItem, SendSlice, TryReceive,
    TryReceiveSlice, TrySend, TrySendSlice,
};
use crate::failure::Failure;
use crate::spin::Retry;

/// The channel `C`, tried again by `R` while it refuses.
pub struct Polled<C, R> {
    channel: C,
    retry: PhantomData<R>,
}

/// An end of it.
pub struct End<E, R> {
    end: E,
    retry: PhantomData<R>,
}

impl<C, R> Polled<C, R> {
    /// The channel itself.
    pub fn channel(&mut self) -> &mut C {
        &mut self.channel
    }
}

fn end<E, R>(end: E) -> End<E, R> {
    let retry = PhantomData;
    End { end, retry }
}

impl<C: NonBlocking, R: Retry> Channel for Polled<C, R> {
    type Sender = End<C::Sender, R>;
    type Receiver = End<C::Receiver, R>;

    fn how() -> String {
        format!("{}, {}", C::how_tried(), R::how())
    }

    fn create(scratch: &Path) -> Result<Self, Failure> {
        Ok(Self {
            channel: C::create(scratch)?,
            retry: PhantomData,
        })
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        self.channel.sender().map(end)
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        self.channel.receiver().map(end)
    }
}

impl<C: NonBlocking + Many, R: Retry> Many for Polled<C, R> {}

impl<E: TrySend, R: Retry> SendItem for End<E, R> {
    #[inline(always)]
    fn send(&mut self, item: u64) -> Result<(), Failure> {
        R::until(|| self.end.try_send(item))
    }
}

impl<E: TryReceive, R: Retry> ReceiveItem for End<E, R> {
    #[inline(always)]
    fn receive(&mut self) -> Result<u64, Failure> {
        R::until(|| self.end.try_receive())
    }
}

impl<E: TrySendSlice, R: Retry> SendSlice for End<E, R> {
    #[inline(always)]
    fn send_slice(&mut self, mut items: &[u64]) -> Result<(), Failure> {
        while !items.is_empty() {
            let sent = R::until(|| self.end.try_send_slice(items))?;
            items = &items[sent..];
        }
        Ok(())
    }
}

impl<E: TryReceiveSlice, R: Retry> ReceiveSlice for End<E, R> {
    #[inline(always)]
    fn receive_slice(&mut self, into: &mut [u64]) -> Result<usize, Failure> {
        R::until(|| self.end.try_receive_slice(into))
    }
}
