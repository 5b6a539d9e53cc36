//! The naive queues in files, as they are taught, between two processes.

use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use baseline::append_file::{self, AppendReceiver, AppendSender};
use baseline::json_file::{self, JsonReceiver, JsonSender};
use baseline::{Polling, Received, Receiver, Sender};

use crate::channel::{CAPACITY, Channel, ReceiveItem, SendItem};
use crate::failure::Failure;

/// Messages that the document has room for. The other file grows without a bound.
const ROOM: NonZeroUsize = NonZeroUsize::new(CAPACITY).unwrap();

/// A queue in a file.
pub trait File {
    /// The sending end.
    type Sender: Sender;
    /// The receiving end.
    type Receiver: Receiver;
    /// What it does for each message.
    const HOW: &'static str;

    /// Creates the files.
    ///
    /// # Errors
    /// Those of the queue.
    fn create(path: &Path) -> baseline::Result<()>;

    /// Opens the queue to send.
    ///
    /// # Errors
    /// Those of the queue.
    fn sender(path: &Path) -> baseline::Result<Self::Sender>;

    /// Opens the queue to receive.
    ///
    /// # Errors
    /// Those of the queue.
    fn receiver(path: &Path) -> baseline::Result<Self::Receiver>;
}

/// One document, read and written whole for each message.
pub enum JsonFile {}

impl File for JsonFile {
    type Sender = JsonSender;
    type Receiver = JsonReceiver;
    const HOW: &'static str = "a JSON file, read and written whole for each message under a lock";

    fn create(path: &Path) -> baseline::Result<()> {
        json_file::create(path)
    }

    fn sender(path: &Path) -> baseline::Result<JsonSender> {
        JsonSender::open(path, ROOM, Polling::default())
    }

    fn receiver(path: &Path) -> baseline::Result<JsonReceiver> {
        JsonReceiver::open(path, Polling::default())
    }
}

/// Records appended to one file, an offset in another.
pub enum AppendFile {}

impl File for AppendFile {
    type Sender = AppendSender;
    type Receiver = AppendReceiver;
    const HOW: &'static str = "a file appended to, and the reader's offset in another, under locks";

    fn create(path: &Path) -> baseline::Result<()> {
        append_file::create(path)
    }

    fn sender(path: &Path) -> baseline::Result<AppendSender> {
        AppendSender::open(path)
    }

    fn receiver(path: &Path) -> baseline::Result<AppendReceiver> {
        AppendReceiver::open(path, Polling::default())
    }
}

/// A queue in the scratch directory.
pub struct Naive<F> {
    path: PathBuf,
    file: PhantomData<F>,
}

/// A receiver and the message that it was given last.
pub struct Receiving<R> {
    receiver: R,
    message: Vec<u8>,
}

/// A sender of eight bytes at a time.
pub struct Sending<S>(S);

impl<F: File> Channel for Naive<F> {
    type Sender = Sending<F::Sender>;
    type Receiver = Receiving<F::Receiver>;

    fn how() -> String {
        format!(
            "{}; {:?} while there is nothing to do",
            F::HOW,
            Polling::default()
        )
    }

    fn create(scratch: &Path) -> Result<Self, Failure> {
        let path = scratch.join("queue");
        F::create(&path).map_err(Failure::contender("create the file"))?;
        Ok(Self {
            path,
            file: PhantomData,
        })
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        F::sender(&self.path)
            .map(Sending)
            .map_err(Failure::contender("open the file to send"))
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        Ok(Receiving {
            receiver: F::receiver(&self.path)
                .map_err(Failure::contender("open the file to receive"))?,
            message: Vec::new(),
        })
    }
}

impl<S: Sender> SendItem for Sending<S> {
    fn send(&mut self, item: u64) -> Result<(), Failure> {
        self.0
            .send(&item.to_ne_bytes())
            .map_err(Failure::contender("send a message"))
    }
}

impl<R: Receiver> ReceiveItem for Receiving<R> {
    fn receive(&mut self) -> Result<u64, Failure> {
        let received = self
            .receiver
            .receive(&mut self.message)
            .map_err(Failure::contender("receive a message"))?;
        match (received, <[u8; 8]>::try_from(self.message.as_slice())) {
            (Received::Message, Ok(item)) => Ok(u64::from_ne_bytes(item)),
            _ => Err(Failure::EndedEarly),
        }
    }
}
