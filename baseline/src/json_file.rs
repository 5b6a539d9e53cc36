//! A queue in a JSON file, `{"messages":[...],"ended":false}`: the file is opened by its path,
//! locked, read whole, changed and written back for each message, by the sender and by the
//! receiver.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use baseline::{Polling, Received, Receiver, Sender, json_file};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("queue.json");
//! json_file::create(&path)?;
//! let capacity = NonZeroUsize::new(16).unwrap();
//! let mut sender = json_file::JsonSender::open(&path, capacity, Polling::default())?;
//! let mut receiver = json_file::JsonReceiver::open(&path, Polling::default())?;
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
//! A message is a JSON string: its own text when it is valid UTF-8, and base64 in a `data:` URL
//! otherwise, the usual answer to bytes in JSON, and smaller than an array of numbers. The file is
//! rewritten in place without fsync: a process killed while it writes leaves a file that its peer
//! reports as [`Error::Document`]. A peer that died otherwise goes unnoticed, and the other side
//! polls forever. A full queue makes the sender poll, an empty one the receiver, and each look
//! reads the whole file under the lock.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize, de::Error as _};

use crate::{
    Error, Polling, Received, Receiver, Result, Sender, file_lock::FileLock, framing::check_length,
};

/// Creates the file of an empty queue. It stays until somebody removes it.
///
/// # Errors
///
/// [`Error::Create`] when the directory is missing or not writable, or the file is there already.
pub fn create(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let failed = |source| Error::Create {
        path: path.into(),
        source,
    };
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(failed)?;
    let _lock = FileLock::exclusive(&file, path)?;
    let document = serde_json::to_vec(&Document::default()).map_err(|e| failed(e.into()))?;
    (&file).write_all(&document).map_err(failed)
}

/// The sending end.
#[derive(Debug)]
pub struct JsonSender {
    path: PathBuf,
    capacity: NonZeroUsize,
    polling: Polling,
    finished: bool,
}

impl JsonSender {
    /// Opens the queue to send. At most `capacity` messages are in the file at a time; `polling`
    /// says how to wait while they are.
    ///
    /// # Errors
    ///
    /// [`Error::Open`] when there is no such file or it may not be read and written,
    /// [`Error::Document`] when it holds something else.
    pub fn open(
        path: impl Into<PathBuf>,
        capacity: NonZeroUsize,
        polling: Polling,
    ) -> Result<Self> {
        let path = path.into();
        transact(&path, |_| Step::Kept(()))?;
        Ok(Self {
            path,
            capacity,
            polling,
            finished: false,
        })
    }

    /// One look at the file: stores the entry if there is room, or gives it back.
    fn offer(&self, entry: String) -> Result<Offer> {
        transact(&self.path, |document| {
            if document.messages.len() >= self.capacity.get() {
                return Step::Kept(Offer::Full(entry));
            }
            document.messages.push_back(entry);
            Step::Changed(Offer::Stored)
        })
    }
}

enum Offer {
    Stored,
    Full(String),
}

impl Sender for JsonSender {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        let name = || self.path.display().to_string();
        if self.finished {
            return Err(Error::Finished { name: name() });
        }
        check_length(message, &name())?;
        let mut entry = to_entry(message);
        while let Offer::Full(refused) = self.offer(entry)? {
            entry = refused;
            self.polling.pause();
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        transact(&self.path, |document| {
            document.ended = true;
            Step::Changed(())
        })?;
        self.finished = true;
        Ok(())
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct JsonReceiver {
    path: PathBuf,
    polling: Polling,
}

impl JsonReceiver {
    /// Opens the queue to receive; `polling` says how to wait while it is empty.
    ///
    /// # Errors
    ///
    /// [`Error::Open`] when there is no such file or it may not be read and written,
    /// [`Error::Document`] when it holds something else.
    pub fn open(path: impl Into<PathBuf>, polling: Polling) -> Result<Self> {
        let path = path.into();
        transact(&path, |_| Step::Kept(()))?;
        Ok(Self { path, polling })
    }
}

enum Take {
    Entry(String),
    Empty,
    Ended,
}

impl Receiver for JsonReceiver {
    fn receive(&mut self, into: &mut Vec<u8>) -> Result<Received> {
        loop {
            let taken = transact(&self.path, |document| match document.messages.pop_front() {
                Some(entry) => Step::Changed(Take::Entry(entry)),
                None if document.ended => Step::Kept(Take::Ended),
                None => Step::Kept(Take::Empty),
            })?;
            match taken {
                Take::Entry(entry) => {
                    *into = to_message(entry).map_err(|source| Error::Document {
                        path: self.path.clone(),
                        source,
                    })?;
                    return Ok(Received::Message);
                }
                Take::Ended => return Ok(Received::End),
                Take::Empty => self.polling.pause(),
            }
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Document {
    messages: VecDeque<String>,
    ended: bool,
}

/// Begins a string that stands for bytes. Text that happens to begin so is sent as bytes too, so
/// that the two are never confused.
const AS_BASE64: &str = "data:;base64,";

fn to_entry(message: &[u8]) -> String {
    match str::from_utf8(message) {
        Ok(text) if !text.starts_with(AS_BASE64) => text.into(),
        _ => {
            let mut entry = String::from(AS_BASE64);
            BASE64_STANDARD.encode_string(message, &mut entry);
            entry
        }
    }
}

fn to_message(entry: String) -> serde_json::Result<Vec<u8>> {
    match entry.strip_prefix(AS_BASE64) {
        Some(base64) => BASE64_STANDARD
            .decode(base64)
            .map_err(serde_json::Error::custom),
        None => Ok(entry.into_bytes()),
    }
}

/// What a transaction did to the document.
enum Step<T> {
    /// Changed it: it is written back.
    Changed(T),
    /// Only looked.
    Kept(T),
}

fn transact<T>(path: &Path, step: impl FnOnce(&mut Document) -> Step<T>) -> Result<T> {
    let failed = |operation| {
        move |source| Error::File {
            operation,
            path: path.into(),
            source,
        }
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|source| Error::Open {
            path: path.into(),
            source,
        })?;
    let _lock = FileLock::exclusive(&file, path)?;

    let mut bytes = Vec::new();
    (&file).read_to_end(&mut bytes).map_err(failed("read"))?;
    let mut document = serde_json::from_slice(&bytes).map_err(|source| Error::Document {
        path: path.into(),
        source,
    })?;
    match step(&mut document) {
        Step::Kept(outcome) => Ok(outcome),
        Step::Changed(outcome) => {
            let bytes = serde_json::to_vec(&document).map_err(|source| Error::Document {
                path: path.into(),
                source,
            })?;
            write_back(&file, &bytes).map_err(failed("write"))?;
            Ok(outcome)
        }
    }
}

fn write_back(mut file: &File, bytes: &[u8]) -> std::io::Result<()> {
    file.rewind()?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(directory: &tempfile::TempDir, capacity: usize) -> JsonSender {
        let path = directory.path().join("queue.json");
        create(&path).unwrap();
        JsonSender::open(path, NonZeroUsize::new(capacity).unwrap(), Polling::Yield).unwrap()
    }

    #[test]
    fn a_full_queue_takes_a_message_only_after_one_is_received() {
        let directory = tempfile::tempdir().unwrap();
        let mut sender = sender(&directory, 2);
        let mut receiver = JsonReceiver::open(&sender.path, Polling::Yield).unwrap();
        sender.send(b"a").unwrap();
        sender.send(b"b").unwrap();
        let Offer::Full(refused) = sender.offer(to_entry(b"c")).unwrap() else {
            panic!("a third message went into a queue of two");
        };
        assert_eq!(
            receiver.receive(&mut Vec::new()).unwrap(),
            Received::Message
        );
        assert!(matches!(sender.offer(refused).unwrap(), Offer::Stored));
    }

    #[test]
    fn the_document_is_the_one_that_is_taught() {
        let directory = tempfile::tempdir().unwrap();
        let mut sender = sender(&directory, 4);
        for message in [b"text \"quoted\"".as_slice(), b"", b"\xff\x00\x01"] {
            sender.send(message).unwrap();
        }
        sender.finish().unwrap();
        assert_eq!(
            std::fs::read_to_string(&sender.path).unwrap(),
            r#"{"messages":["text \"quoted\"","","data:;base64,/wAB"],"ended":true}"#
        );
    }

    #[test]
    fn text_that_looks_like_base64_stays_text() {
        for message in [b"data:;base64,".as_slice(), b"data:;base64,/wAB", b"data:"] {
            assert_eq!(to_message(to_entry(message)).unwrap(), message);
        }
        assert!(to_message("data:;base64,?".into()).is_err());
    }

    #[test]
    fn a_half_written_document_is_an_error_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let sender = sender(&directory, 4);
        let mut receiver = JsonReceiver::open(&sender.path, Polling::Yield).unwrap();
        std::fs::write(&sender.path, r#"{"messages":["te"#).unwrap();
        let error = receiver.receive(&mut Vec::new()).unwrap_err();
        assert!(matches!(error, Error::Document { .. }), "{error}");
        assert!(error.to_string().contains("queue.json"), "{error}");
    }
}
