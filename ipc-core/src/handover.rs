//! Handing a segment to another process through a Unix socket.

use crate::error::{Error, Result};
use crate::segment::Segment;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The one byte that carries the descriptor.
const CARRIER: [u8; 1] = *b"S";

impl Segment {
    /// Sends the segment's descriptor, with one byte, over a connected socket.
    ///
    /// # Errors
    /// [`Error::Os`] if the socket does not take it.
    pub fn send(&self, socket: &UnixStream) -> Result<()> {
        let descriptor = self.descriptor()?;
        let descriptors = [descriptor.as_raw_fd()];
        sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(&CARRIER)],
            &[ControlMessage::ScmRights(&descriptors)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
        .map(drop)
        .map_err(|source| Error::os(self.place(), "sending", source.into()))
    }

    /// Receives a descriptor that [`send`](Self::send) sent, and attaches to its segment. Waits
    /// for it as long as the socket's read time-out.
    ///
    /// # Errors
    /// [`Error::Os`] if what arrives carries no descriptor; those of [`open`](Self::open).
    pub fn receive(socket: &UnixStream) -> Result<Segment> {
        Segment::open(receive_descriptor(socket)?)
    }
}

fn receive_descriptor(socket: &UnixStream) -> Result<OwnedFd> {
    let failed = |source| Error::os("a segment", "receiving", source);
    let mut carrier = CARRIER;
    let mut parts = [IoSliceMut::new(&mut carrier)];
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )
    .map_err(|source| failed(source.into()))?;
    let mut received = Vec::new();
    for part in message.cmsgs().map_err(|source| failed(source.into()))? {
        if let ControlMessageOwned::ScmRights(descriptors) = part {
            // SAFETY: the kernel has just made these descriptors for us; nobody else owns them.
            received.extend(
                descriptors
                    .into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    received
        .pop()
        .ok_or_else(|| failed(std::io::Error::other("the message carried no descriptor")))
}
