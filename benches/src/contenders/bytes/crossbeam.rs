//! `ArrayQueue` of crossbeam-queue, of arrays of bytes, between two threads.

use std::path::Path;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::bytes::{ReceiveBytes, SendBytes};
use crate::channel::Channel;
use crate::failure::Failure;
use crate::spin;

/// An `ArrayQueue` of arrays.
pub struct CrossbeamBytes<const LENGTH: usize, const MESSAGES: usize>(
    Arc<ArrayQueue<[u8; LENGTH]>>,
);

/// One end: crossbeam's queue is the same from both.
pub struct End<const LENGTH: usize>(Arc<ArrayQueue<[u8; LENGTH]>>);

impl<const LENGTH: usize, const MESSAGES: usize> Channel for CrossbeamBytes<LENGTH, MESSAGES> {
    type Sender = End<LENGTH>;
    type Receiver = End<LENGTH>;

    fn how() -> String {
        "push and pop of an array; looked at again after 256 spin_loop while full, tried while empty"
            .into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        Ok(Self(Arc::new(ArrayQueue::new(MESSAGES))))
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        Ok(End(Arc::clone(&self.0)))
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        Ok(End(Arc::clone(&self.0)))
    }
}

impl<const LENGTH: usize> SendBytes for End<LENGTH> {
    #[inline(always)]
    fn send_bytes(&mut self, message: &[u8]) -> Result<(), Failure> {
        let array: [u8; LENGTH] = message.try_into().map_err(Failure::contender("push"))?;
        // Looked at before, because a push that is refused moves the array there and back.
        spin::until::<256, _>(|| (!self.0.is_full()).then(|| self.0.push(array)))
            .map_err(|_| Failure::Refused)
    }
}

impl<const LENGTH: usize> ReceiveBytes for End<LENGTH> {
    #[inline(always)]
    fn receive_bytes(&mut self, into: &mut Vec<u8>) -> Result<usize, Failure> {
        let array = spin::until::<256, _>(|| self.0.pop());
        into[..LENGTH].copy_from_slice(&array);
        Ok(LENGTH)
    }
}
