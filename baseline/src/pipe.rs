//! Length-prefixed records over an OS pipe.
//!
//! ```
//! use baseline::{Received, Receiver, Sender, pipe};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut sender, mut receiver) = pipe::pair()?;
//! sender.send(b"hello")?;
//! sender.finish()?;
//! let mut message = Vec::new();
//! assert_eq!(receiver.receive(&mut message)?, Received::Message);
//! assert_eq!(message, b"hello");
//! assert_eq!(receiver.receive(&mut message)?, Received::End);
//! # Ok(())
//! # }
//! ```
//!
//! A message is put together with its length and written by one write: nothing is held back, so
//! that there is nothing to flush. The receiver reads as much as is there, up to 64 KiB (the usual
//! capacity of a pipe) at a time, and takes its messages from that buffer. Both sides block in the
//! kernel, which wakes them. The stream ends with a record of its own, so that a sender that died
//! ([`Error::PeerGone`], [`Error::CutShort`]) is not taken for one that finished; a side notices
//! that only when no process has the other end open, so each drops the end it does not use.

use std::{
    io::{self, BufReader, ErrorKind, PipeReader, PipeWriter, Read, Write as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use crate::{
    Error, Received, Receiver, Result, Sender,
    framing::{self, HEADER_LEN, Header},
};

const NAME: &str = "the pipe";
const READ_BUFFER: usize = 64 << 10;

/// Makes a pipe and gives its two ends. Both are closed on exec unless that is changed.
///
/// # Errors
///
/// [`Error::Pipe`] when the process or the system has too many open files.
pub fn pair() -> Result<(PipeSender, PipeReceiver)> {
    let (reader, writer) = io::pipe().map_err(|source| Error::Pipe {
        operation: "create",
        source,
    })?;
    Ok((
        PipeSender::from(OwnedFd::from(writer)),
        PipeReceiver::from(OwnedFd::from(reader)),
    ))
}

/// The sending end. Made from the descriptor of a pipe's write end, or by [`pair`].
#[derive(Debug)]
pub struct PipeSender {
    writer: PipeWriter,
    record: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Finished,
    /// A write failed and may have left half a record, after which nothing can be told apart.
    Failed,
}

impl From<OwnedFd> for PipeSender {
    fn from(write_end: OwnedFd) -> Self {
        Self {
            writer: write_end.into(),
            record: Vec::new(),
            state: State::Open,
        }
    }
}

impl AsFd for PipeSender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }
}

impl PipeSender {
    fn write_record(&mut self) -> Result<()> {
        self.writer.write_all(&self.record).map_err(|source| {
            self.state = State::Failed;
            match source.kind() {
                ErrorKind::BrokenPipe => Error::PeerGone { name: NAME.into() },
                _ => Error::Pipe {
                    operation: "write to",
                    source,
                },
            }
        })
    }
}

impl Sender for PipeSender {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        if self.state != State::Open {
            return Err(Error::Finished { name: NAME.into() });
        }
        framing::encode(message, &mut self.record, NAME)?;
        self.write_record()
    }

    fn finish(&mut self) -> Result<()> {
        match self.state {
            State::Finished => Ok(()),
            State::Failed => Err(Error::Finished { name: NAME.into() }),
            State::Open => {
                framing::encode_end(&mut self.record);
                self.write_record()?;
                self.state = State::Finished;
                Ok(())
            }
        }
    }
}

/// The receiving end. Made from the descriptor of a pipe's read end, or by [`pair`].
#[derive(Debug)]
pub struct PipeReceiver {
    reader: BufReader<PipeReader>,
    /// Bytes taken so far, for messages about errors.
    offset: u64,
    stream: Stream,
}

#[derive(Debug)]
enum Stream {
    Running,
    Ended,
}

impl From<OwnedFd> for PipeReceiver {
    fn from(read_end: OwnedFd) -> Self {
        let reader = BufReader::with_capacity(READ_BUFFER, read_end.into());
        Self {
            reader,
            offset: 0,
            stream: Stream::Running,
        }
    }
}

/// The descriptor of the read end. What this receiver has already read into its buffer cannot be
/// read there any more: pass it on before the first receive.
impl AsFd for PipeReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.get_ref().as_fd()
    }
}

impl PipeReceiver {
    fn failed(&self, source: io::Error) -> Error {
        match source.kind() {
            ErrorKind::UnexpectedEof => Error::CutShort {
                name: NAME.into(),
                offset: self.offset,
            },
            _ => Error::Pipe {
                operation: "read from",
                source,
            },
        }
    }

    /// The header of the next record, or that there is none and never will be.
    fn read_header(&mut self) -> Result<[u8; HEADER_LEN]> {
        let mut header = [0; HEADER_LEN];
        let at_end = loop {
            match self.reader.read(&mut header[..1]) {
                Ok(count) => break count == 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        };
        if at_end {
            return Err(Error::PeerGone { name: NAME.into() });
        }
        self.reader
            .read_exact(&mut header[1..])
            .map_err(|error| self.failed(error))?;
        Ok(header)
    }
}

impl Receiver for PipeReceiver {
    fn receive(&mut self, into: &mut Vec<u8>) -> Result<Received> {
        if let Stream::Ended = self.stream {
            return Ok(Received::End);
        }
        let header = self.read_header()?;
        match Header::decode(header, NAME, self.offset)? {
            Header::End => {
                self.stream = Stream::Ended;
                Ok(Received::End)
            }
            Header::Message(length) => {
                into.resize(length, 0);
                self.reader
                    .read_exact(into)
                    .map_err(|error| self.failed(error))?;
                self.offset += (HEADER_LEN + length) as u64;
                Ok(Received::Message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_that_is_gone_has_not_finished() {
        let (mut sender, mut receiver) = pair().unwrap();
        sender.send(b"last words").unwrap();
        drop(sender);
        let mut message = Vec::new();
        assert_eq!(receiver.receive(&mut message).unwrap(), Received::Message);
        let error = receiver.receive(&mut message).unwrap_err();
        assert!(matches!(error, Error::PeerGone { .. }), "{error}");
    }

    #[test]
    fn half_a_record_is_an_error_that_says_where() {
        for half in [b"\x05\0".as_slice(), b"\x05\0\0\0ab"] {
            let (mut sender, mut receiver) = pair().unwrap();
            sender.send(b"whole").unwrap();
            sender.writer.write_all(half).unwrap();
            drop(sender);
            let mut message = Vec::new();
            assert_eq!(receiver.receive(&mut message).unwrap(), Received::Message);
            let error = receiver.receive(&mut message).unwrap_err();
            assert!(
                matches!(error, Error::CutShort { offset: 9, .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn a_receiver_that_is_gone_is_noticed_and_nothing_follows() {
        let (mut sender, receiver) = pair().unwrap();
        drop(receiver);
        let error = sender.send(b"nobody there").unwrap_err();
        assert!(matches!(error, Error::PeerGone { .. }), "{error}");
        assert!(matches!(sender.send(b"again"), Err(Error::Finished { .. })));
        assert!(matches!(sender.finish(), Err(Error::Finished { .. })));
    }
}
