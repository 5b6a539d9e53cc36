//! What can go wrong with a baseline transport.

use std::{io, path::PathBuf};

/// The result of an operation on a transport.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation on a transport failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file of a queue could not be made.
    #[error(
        "cannot create the queue file {}: its directory must exist and be writable, and no file of \
         that name may be left from an earlier run", path.display()
    )]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file of a queue could not be opened.
    #[error("cannot open the queue file {}: create the queue before its ends", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An operation on the open file of a queue failed.
    #[error(
        "cannot {operation} the queue file {}: check its file system and the space left there",
        path.display()
    )]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file of a queue does not hold the document of a queue, as after a peer that was killed
    /// while it wrote.
    #[error(
        "the queue file {} does not hold a queue: create it anew, a peer may have died while \
         writing it", path.display()
    )]
    Document {
        /// The file.
        path: PathBuf,
        /// Where and why it could not be understood.
        source: serde_json::Error,
    },
    /// A file ends or a pipe closes within a record, as after a sender that was killed while it
    /// wrote.
    #[error(
        "the record at byte {offset} of {name} is cut short: start both ends anew, its sender died \
         or failed while writing it"
    )]
    CutShort {
        /// The file or pipe.
        name: String,
        /// Where the record begins, in bytes from the start of the stream.
        offset: u64,
    },
    /// A record claims a length that no sender writes.
    #[error(
        "the record at byte {offset} of {name} claims {length} bytes: something else than a \
         baseline sender wrote there"
    )]
    Length {
        /// The file or pipe.
        name: String,
        /// Where the record begins, in bytes from the start of the stream.
        offset: u64,
        /// The claimed length, in bytes.
        length: u32,
    },
    /// The message is longer than a transport takes.
    #[error(
        "a message of {length} bytes is too long for {name}: send at most {} bytes at a time",
        crate::MAX_MESSAGE_LEN
    )]
    TooLong {
        /// The file or pipe.
        name: String,
        /// The length of the message, in bytes.
        length: usize,
    },
    /// Something was sent after the end of the stream, or after a send that failed half way.
    #[error("{name} takes no more messages: it was finished or an earlier send failed")]
    Finished {
        /// The file or pipe.
        name: String,
    },
    /// The other end of a pipe is closed without the end of the stream.
    #[error("the other end of {name} is gone: see why its process ended")]
    PeerGone {
        /// The pipe.
        name: String,
    },
    /// An operation on a pipe failed.
    #[error("cannot {operation} a pipe: check the limit of open files and the descriptor passed")]
    Pipe {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
}
