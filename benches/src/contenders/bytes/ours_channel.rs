//! Our pipe in both directions, between two processes.

use std::os::fd::OwnedFd;
use std::path::Path;

use ipc_core::{Place, Wait};
use ipc_queue::channel::{self, End, RecvError, RequestError, SendError};

use crate::bytes::{ReceiveBytes, SendBytes};
use crate::channel::Channel;
use crate::duplex::{Answer, Ask, Duplex};
use crate::failure::Failure;

/// What a message takes beside its bytes.
const OVERHEAD: usize = 8;

/// A channel in a memfd, which each side opens by its descriptor. Both ends spin.
pub struct OursChannel<const LENGTH: usize, const MESSAGES: usize>(OwnedFd);

impl<const LENGTH: usize, const MESSAGES: usize> OursChannel<LENGTH, MESSAGES> {
    fn new() -> Result<Self, Failure> {
        let capacity = MESSAGES * (LENGTH + OVERHEAD);
        channel::Channel::create(Place::memfd("bench"), capacity, LENGTH)
            .and_then(|channel| channel.segment().descriptor())
            .map(Self)
            .map_err(Failure::contender("create the channel"))
    }

    fn open(&self) -> Result<channel::Channel, Failure> {
        let segment = self.0.try_clone();
        channel::Channel::open(
            segment.map_err(Failure::system("duplicate the segment's descriptor"))?,
        )
        .map_err(Failure::contender("open the channel"))
    }

    fn first(&self) -> Result<End, Failure> {
        let end = self.open()?.first();
        spinning(end.map_err(Failure::contender("take the first end"))?)
    }

    fn second(&self) -> Result<End, Failure> {
        let end = self.open()?.second();
        spinning(end.map_err(Failure::contender("take the second end"))?)
    }
}

fn spinning(mut end: End) -> Result<End, Failure> {
    end.set_wait(Wait::Busy);
    Ok(end)
}

impl<const LENGTH: usize, const MESSAGES: usize> Channel for OursChannel<LENGTH, MESSAGES> {
    type Sender = End;
    type Receiver = End;

    fn how() -> String {
        "send and recv_into, Wait::Busy".into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        Self::new()
    }

    fn sender(&mut self) -> Result<End, Failure> {
        self.first()
    }

    fn receiver(&mut self) -> Result<End, Failure> {
        self.second()
    }
}

impl<const LENGTH: usize, const MESSAGES: usize> Duplex for OursChannel<LENGTH, MESSAGES> {
    type Asking = End;
    type Answering = End;

    fn how() -> String {
        "request, recv_into and send, Wait::Busy".into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        Self::new()
    }

    fn asking(&mut self) -> Result<End, Failure> {
        self.first()
    }

    fn answering(&mut self) -> Result<End, Failure> {
        self.second()
    }
}

impl SendBytes for End {
    #[inline(always)]
    fn send_bytes(&mut self, message: &[u8]) -> Result<(), Failure> {
        self.send(message).map_err(not_sent)
    }
}

impl ReceiveBytes for End {
    #[inline(always)]
    fn receive_bytes(&mut self, into: &mut Vec<u8>) -> Result<usize, Failure> {
        self.recv_into(into.as_mut_slice())
            .map_err(not_received)?
            .ok_or_else(|| Failure::EndedEarly)
    }
}

impl Ask for End {
    #[inline(always)]
    fn ask(&mut self, request: &[u8], reply: &mut Vec<u8>) -> Result<usize, Failure> {
        self.request(request, reply.as_mut_slice())
            .map_err(not_answered)
    }
}

impl Answer for End {
    #[inline(always)]
    fn answer(&mut self, message: &mut Vec<u8>) -> Result<(), Failure> {
        let length = self.receive_bytes(message)?;
        self.send_bytes(&message[..length])
    }
}

// Apart from the calls above, which are inlined into the loops that are measured, where even an
// unused `Failure` would be dropped once for every message.
#[cold]
fn not_sent(error: SendError) -> Failure {
    Failure::contender("send")(error)
}

#[cold]
fn not_received(error: RecvError) -> Failure {
    Failure::contender("receive")(error)
}

#[cold]
fn not_answered(error: RequestError) -> Failure {
    Failure::contender("request")(error)
}
