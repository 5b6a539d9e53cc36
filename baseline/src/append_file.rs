//! A queue in an append-only file of length-prefixed records, with the receiver's place in a
//! second file beside it.
//!
//! ```
//! use baseline::{Polling, Received, Receiver, Sender, append_file};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("queue");
//! append_file::create(&path)?;
//! let mut sender = append_file::AppendSender::open(&path)?;
//! let mut receiver = append_file::AppendReceiver::open(&path, Polling::default())?;
//!
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
//! The fairer of the file queues: the files stay open, a message is one write, and a receiver
//! reads only the record that it takes. The sender appends under an exclusive lock on the data;
//! the receiver holds an exclusive lock on the offset file, in which it keeps its place (8 bytes,
//! little-endian) so that it may be restarted, and a shared lock on the data while it reads.
//!
//! Nothing bounds the queue but the disk, and what was received stays in the file: a sender never
//! waits for its receiver. There is no fsync. A peer that died goes unnoticed, unless it left half
//! a record behind ([`Error::CutShort`]).

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::{
    Error, Polling, Received, Receiver, Result, Sender,
    file_lock::FileLock,
    framing::{self, HEADER_LEN, Header},
};

/// Creates the two files of an empty queue: `path`, and beside it `path` with `.offset` added.
/// They stay until somebody removes them.
///
/// # Errors
///
/// [`Error::Create`] when the directory is missing or not writable, or one of the files is there
/// already.
pub fn create(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let make = |path: &Path, content: &[u8]| {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .and_then(|mut file| file.write_all(content))
            .map_err(|source| Error::Create {
                path: path.into(),
                source,
            })
    };
    make(&offset_path(path), &0u64.to_le_bytes())?;
    make(path, b"")
}

fn offset_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".offset");
    name.into()
}

fn open(path: &Path, options: &OpenOptions) -> Result<File> {
    options.open(path).map_err(|source| Error::Open {
        path: path.into(),
        source,
    })
}

/// The sending end.
#[derive(Debug)]
pub struct AppendSender {
    data: File,
    path: PathBuf,
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

impl AppendSender {
    /// Opens the queue to send.
    ///
    /// # Errors
    ///
    /// [`Error::Open`] when there is no such file or it may not be written.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let data = open(&path, OpenOptions::new().append(true))?;
        Ok(Self {
            data,
            path,
            record: Vec::new(),
            state: State::Open,
        })
    }

    fn append_record(&mut self) -> Result<()> {
        let _lock = FileLock::exclusive(&self.data, &self.path)?;
        (&self.data).write_all(&self.record).map_err(|source| {
            self.state = State::Failed;
            Error::File {
                operation: "append to",
                path: self.path.clone(),
                source,
            }
        })
    }
}

impl Sender for AppendSender {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        let name = self.path.to_string_lossy();
        if self.state != State::Open {
            return Err(Error::Finished { name: name.into() });
        }
        framing::encode(message, &mut self.record, &name)?;
        self.append_record()
    }

    fn finish(&mut self) -> Result<()> {
        match self.state {
            State::Finished => Ok(()),
            State::Failed => Err(Error::Finished {
                name: self.path.display().to_string(),
            }),
            State::Open => {
                framing::encode_end(&mut self.record);
                self.append_record()?;
                self.state = State::Finished;
                Ok(())
            }
        }
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct AppendReceiver {
    data: File,
    path: PathBuf,
    offset: File,
    offset_path: PathBuf,
    polling: Polling,
}

impl AppendReceiver {
    /// Opens the queue to receive, from where the last receiver stopped; `polling` says how to
    /// wait while there is nothing new.
    ///
    /// # Errors
    ///
    /// [`Error::Open`] when one of the files is missing or may not be read, or the offset not
    /// written.
    pub fn open(path: impl Into<PathBuf>, polling: Polling) -> Result<Self> {
        let path = path.into();
        let offset_path = offset_path(&path);
        Ok(Self {
            data: open(&path, OpenOptions::new().read(true))?,
            offset: open(&offset_path, OpenOptions::new().read(true).write(true))?,
            path,
            offset_path,
            polling,
        })
    }

    /// One look at the files.
    fn take(&self, into: &mut Vec<u8>) -> Result<Take> {
        let failed = |operation| {
            move |source| Error::File {
                operation,
                path: self.offset_path.clone(),
                source,
            }
        };
        let _place = FileLock::exclusive(&self.offset, &self.offset_path)?;
        let mut bytes = [0; size_of::<u64>()];
        self.offset
            .read_exact_at(&mut bytes, 0)
            .map_err(failed("read"))?;
        let start = u64::from_le_bytes(bytes);

        let taken = self.read_record(start, into)?;
        if taken == Take::Message {
            let next = start + (HEADER_LEN + into.len()) as u64;
            self.offset
                .write_all_at(&next.to_le_bytes(), 0)
                .map_err(failed("write"))?;
        }
        Ok(taken)
    }

    fn read_record(&self, start: u64, into: &mut Vec<u8>) -> Result<Take> {
        let failed = |source| Error::File {
            operation: "read",
            path: self.path.clone(),
            source,
        };
        let name = self.path.to_string_lossy();
        let cut_short = || Error::CutShort {
            name: name.clone().into(),
            offset: start,
        };

        // Senders write whole records under the lock, so that half a record seen under it is one
        // that will never be whole.
        let _lock = FileLock::shared(&self.data, &self.path)?;
        let mut header = [0; HEADER_LEN];
        match self.data.read_at(&mut header, start).map_err(failed)? {
            0 => return Ok(Take::Nothing),
            HEADER_LEN => {}
            _ => return Err(cut_short()),
        }
        match Header::decode(header, &name, start)? {
            Header::End => Ok(Take::End),
            Header::Message(length) => {
                into.resize(length, 0);
                match self.data.read_exact_at(into, start + HEADER_LEN as u64) {
                    Ok(()) => Ok(Take::Message),
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(cut_short()),
                    Err(error) => Err(failed(error)),
                }
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Take {
    Message,
    Nothing,
    End,
}

impl Receiver for AppendReceiver {
    fn receive(&mut self, into: &mut Vec<u8>) -> Result<Received> {
        loop {
            match self.take(into)? {
                Take::Message => return Ok(Received::Message),
                Take::End => return Ok(Received::End),
                Take::Nothing => self.polling.pause(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(directory: &tempfile::TempDir) -> (AppendSender, AppendReceiver) {
        let path = directory.path().join("queue");
        create(&path).unwrap();
        let receiver = AppendReceiver::open(&path, Polling::Yield).unwrap();
        (AppendSender::open(path).unwrap(), receiver)
    }

    #[test]
    fn an_empty_queue_has_nothing_to_take() {
        let directory = tempfile::tempdir().unwrap();
        let (mut sender, receiver) = queue(&directory);
        assert_eq!(receiver.take(&mut Vec::new()).unwrap(), Take::Nothing);
        sender.send(b"").unwrap();
        assert_eq!(receiver.take(&mut Vec::new()).unwrap(), Take::Message);
        assert_eq!(receiver.take(&mut Vec::new()).unwrap(), Take::Nothing);
    }

    #[test]
    fn a_restarted_receiver_goes_on_where_the_last_one_stopped() {
        let directory = tempfile::tempdir().unwrap();
        let (mut sender, mut receiver) = queue(&directory);
        sender.send(b"first").unwrap();
        sender.send(b"second").unwrap();
        let mut message = Vec::new();
        assert_eq!(receiver.receive(&mut message).unwrap(), Received::Message);

        let mut restarted = AppendReceiver::open(receiver.path, Polling::Yield).unwrap();
        assert_eq!(restarted.receive(&mut message).unwrap(), Received::Message);
        assert_eq!(message, b"second");
    }

    #[test]
    fn half_a_record_is_an_error_that_says_where() {
        for half in [b"\x05\0".as_slice(), b"\x05\0\0\0ab"] {
            let directory = tempfile::tempdir().unwrap();
            let (mut sender, mut receiver) = queue(&directory);
            sender.send(b"whole").unwrap();
            (&sender.data).write_all(half).unwrap();
            let mut message = Vec::new();
            assert_eq!(receiver.receive(&mut message).unwrap(), Received::Message);
            let error = receiver.receive(&mut message).unwrap_err();
            assert!(
                matches!(error, Error::CutShort { offset: 9, .. }),
                "{error}"
            );
        }
    }
}
