//! Handing a segment to another process through a Unix socket.

use crate::error::{Error, Result};
use crate::segment::Segment;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
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
        loop {
            let sent = sendmsg::<()>(
                socket.as_raw_fd(),
                &[IoSlice::new(&CARRIER)],
                &[ControlMessage::ScmRights(&descriptors)],
                MsgFlags::MSG_NOSIGNAL,
                None,
            );
            match sent {
                Ok(_) => return Ok(()),
                Err(nix::Error::EINTR) => {}
                Err(source) => return Err(Error::os(self.place(), "sending", source.into())),
            }
        }
    }

    /// Receives a descriptor that [`send`](Self::send) sent, and attaches to its segment. Waits
    /// for it as long as the socket's read time-out.
    ///
    /// # Errors
    /// [`Error::Os`] if what arrives carries no descriptor or several, or if the other end was
    /// closed; those of [`open`](Self::open).
    pub fn receive(socket: &UnixStream) -> Result<Segment> {
        Segment::open(receive_descriptor(socket)?)
    }
}

fn receive_descriptor(socket: &UnixStream) -> Result<OwnedFd> {
    let failed = |source| Error::os("a segment", "receiving", source);
    let (bytes, mut received) = receive_all(socket).map_err(failed)?;
    match (received.pop(), received.is_empty()) {
        (Some(descriptor), true) => Ok(descriptor),
        (None, _) if bytes == 0 => Err(failed(io::ErrorKind::UnexpectedEof.into())),
        (None, _) => Err(failed(io::Error::other(
            "the message carried no descriptor",
        ))),
        (Some(_), false) => Err(failed(io::Error::other(
            "the message carried several descriptors",
        ))),
    }
}

/// Receives one byte and all descriptors that came with it. By hand, because the kernel delivers
/// descriptors also where it had to cut the message, and they must be closed then.
fn receive_all(socket: &UnixStream) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut carrier = CARRIER;
    let mut part = libc::iovec {
        iov_base: carrier.as_mut_ptr().cast(),
        iov_len: carrier.len(),
    };
    // More than the kernel lets one message carry. Words, for the alignment.
    let mut space = [0_u64; 256];
    // SAFETY: all zeros are a valid `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = space.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&space) as _;
    let bytes = loop {
        // SAFETY: the message names buffers of ours with their lengths.
        let got =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        match usize::try_from(got) {
            Ok(bytes) => break bytes,
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    };
    let mut received = Vec::new();
    // SAFETY: the kernel has filled the control buffer that `message` names.
    let mut part = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: the two macros return null or a pointer to a whole header within the buffer.
    while let Some(header) = unsafe { part.as_ref() } {
        if header.cmsg_level == libc::SOL_SOCKET && header.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: as above.
            let (data, len) = unsafe { (libc::CMSG_DATA(part), libc::CMSG_LEN(0)) };
            #[allow(clippy::unnecessary_cast, reason = "not with every C library")]
            let count = (header.cmsg_len as usize - len as usize) / size_of::<RawFd>();
            for index in 0..count {
                // SAFETY: the header says that there are as many; the kernel has just made them
                // for us and nobody else owns them.
                received.push(unsafe {
                    OwnedFd::from_raw_fd(data.cast::<RawFd>().add(index).read_unaligned())
                });
            }
        }
        // SAFETY: as above.
        part = unsafe { libc::CMSG_NXTHDR(&raw const message, part) };
    }
    Ok((bytes, received))
}
