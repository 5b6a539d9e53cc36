//! Our queue of byte messages for many, between two processes.

use std::os::fd::OwnedFd;
use std::path::Path;

use ipc_core::{Place, Wait};
use ipc_queue::mpmc::bytes::{Queue, Receiver, Sender};
use ipc_queue::mpmc::{PopError, PushError};

use crate::bytes::{HandOver, ReceiveBytes, SendBytes, TakeOver};
use crate::channel::Channel;
use crate::failure::Failure;

/// A queue in a memfd, which each side opens by its descriptor, with a block for each message. Both
/// ends spin.
pub struct OursMpmcBytes<const LENGTH: usize, const MESSAGES: usize>(OwnedFd);

impl<const LENGTH: usize, const MESSAGES: usize> OursMpmcBytes<LENGTH, MESSAGES> {
    fn open(&self) -> Result<Queue, Failure> {
        let segment = self.0.try_clone();
        Queue::open(segment.map_err(Failure::system("duplicate the segment's descriptor"))?)
            .map_err(Failure::contender("open the queue"))
    }
}

impl<const LENGTH: usize, const MESSAGES: usize> Channel for OursMpmcBytes<LENGTH, MESSAGES> {
    type Sender = Sender;
    type Receiver = Receiver;

    fn how() -> String {
        "push and pop_into, Wait::Busy".into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        Queue::options()
            .blocks(LENGTH, MESSAGES)
            .create(Place::memfd("bench"), MESSAGES, LENGTH)
            .and_then(|queue| queue.segment().descriptor())
            .map(Self)
            .map_err(Failure::contender("create the queue"))
    }

    fn sender(&mut self) -> Result<Sender, Failure> {
        let mut sender = self
            .open()?
            .sender()
            .map_err(Failure::contender("become a sender"))?;
        sender.set_wait(Wait::Busy);
        Ok(sender)
    }

    fn receiver(&mut self) -> Result<Receiver, Failure> {
        let mut receiver = self
            .open()?
            .receiver()
            .map_err(Failure::contender("become a receiver"))?;
        receiver.set_wait(Wait::Busy);
        Ok(receiver)
    }
}

impl SendBytes for Sender {
    #[inline(always)]
    fn send_bytes(&mut self, message: &[u8]) -> Result<(), Failure> {
        self.push(message).map_err(not_pushed)
    }
}

impl ReceiveBytes for Receiver {
    #[inline(always)]
    fn receive_bytes(&mut self, into: &mut Vec<u8>) -> Result<usize, Failure> {
        self.pop_into(into)
            .map_err(not_popped)?
            .ok_or_else(|| Failure::EndedEarly)
    }
}

impl HandOver for Sender {
    #[inline(always)]
    fn hand_over(&mut self, length: usize) -> Result<(), Failure> {
        self.reserve(length)
            .and_then(|grant| grant.commit(length))
            .map_err(not_pushed)
    }
}

impl TakeOver for Receiver {
    #[inline(always)]
    fn take_over(&mut self) -> Result<usize, Failure> {
        let message = self
            .take()
            .map_err(not_popped)?
            .ok_or_else(|| Failure::EndedEarly)?;
        Ok(message.len())
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
