//! A pair of Unix sockets, which keep messages apart, between two processes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt::SndBuf,
};

use crate::bytes::{ReceiveBytes, SendBytes};
use crate::channel::Channel;
use crate::duplex::{Answer, Ask, Duplex};
use crate::failure::Failure;

/// A pair of sockets with as much room as the others have, or as much as the system gives.
pub struct SocketOfBytes<const LENGTH: usize, const MESSAGES: usize>([Option<File>; 2]);

impl<const LENGTH: usize, const MESSAGES: usize> SocketOfBytes<LENGTH, MESSAGES> {
    fn new() -> Result<Self, Failure> {
        let (first, second) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .map_err(Failure::errno("make a pair of sockets"))?;
        let end = |socket: OwnedFd| {
            setsockopt(&socket, SndBuf, &(MESSAGES * LENGTH))
                .map_err(Failure::errno("make a socket's buffer larger"))?;
            Ok(Some(File::from(socket)))
        };
        Ok(Self([end(first)?, end(second)?]))
    }

    fn take(&mut self, end: usize) -> Result<File, Failure> {
        self.0[end].take().ok_or(Failure::EndTaken)
    }
}

impl<const LENGTH: usize, const MESSAGES: usize> Channel for SocketOfBytes<LENGTH, MESSAGES> {
    type Sender = File;
    type Receiver = File;

    fn how() -> String {
        "one blocking write and one read per message, SOCK_SEQPACKET".into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        Self::new()
    }

    fn sender(&mut self) -> Result<File, Failure> {
        self.take(0)
    }

    fn receiver(&mut self) -> Result<File, Failure> {
        self.take(1)
    }
}

impl<const LENGTH: usize, const MESSAGES: usize> Duplex for SocketOfBytes<LENGTH, MESSAGES> {
    type Asking = File;
    type Answering = File;

    fn how() -> String {
        <Self as Channel>::how()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        Self::new()
    }

    fn asking(&mut self) -> Result<File, Failure> {
        self.take(0)
    }

    fn answering(&mut self) -> Result<File, Failure> {
        self.take(1)
    }
}

impl SendBytes for File {
    fn send_bytes(&mut self, message: &[u8]) -> Result<(), Failure> {
        // A packet is sent whole.
        self.write(message)
            .map(drop)
            .map_err(Failure::system("write to a socket"))
    }
}

impl ReceiveBytes for File {
    fn receive_bytes(&mut self, into: &mut Vec<u8>) -> Result<usize, Failure> {
        self.read(into)
            .map_err(Failure::system("read from a socket"))
    }
}

impl Ask for File {
    fn ask(&mut self, request: &[u8], reply: &mut Vec<u8>) -> Result<usize, Failure> {
        self.send_bytes(request)?;
        self.receive_bytes(reply)
    }
}

impl Answer for File {
    fn answer(&mut self, message: &mut Vec<u8>) -> Result<(), Failure> {
        let length = self.receive_bytes(message)?;
        self.send_bytes(&message[..length])
    }
}
