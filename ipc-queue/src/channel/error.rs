//! What can go wrong with a channel.

use crate::spsc::{self, PopError, PushError};

/// Why an end could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The end has an owner that lives.
    #[error(
        "the {end} end of the channel {channel} is process {pid}'s, which is alive; an end has one owner at a time"
    )]
    EndTaken {
        /// The channel.
        channel: String,
        /// `"first"` or `"second"`.
        end: &'static str,
        /// The owner's process id as it sees it itself, or 0 if it has only just come.
        pid: u32,
    },
    /// The end was closed.
    #[error("the {end} end of the channel {channel} was closed; create a new channel")]
    Closed {
        /// The channel.
        channel: String,
        /// `"first"` or `"second"`.
        end: &'static str,
    },
    /// The segment or the object.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
}

impl OpenError {
    pub(super) fn of_end(error: spsc::OpenError, end: &'static str) -> Self {
        match error {
            spsc::OpenError::RoleTaken { ring, pid, .. } => Self::EndTaken {
                channel: ring,
                end,
                pid,
            },
            spsc::OpenError::Ended { ring } => Self::Closed { channel: ring, end },
            spsc::OpenError::Segment(error) => Self::Segment(error),
        }
    }
}

/// Why a message could not be sent. Nothing was sent then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no room at this moment.
    #[error(
        "the channel is full in this direction; receive at the other end, or use send, which waits"
    )]
    Full,
    /// There was no room until the time was up.
    #[error("the channel stayed full in this direction until the time was up")]
    TimedOut,
    /// The other side closed its end.
    #[error("the other end was closed; create a new channel")]
    Closed,
    /// There is no room, and the other end's owner has died. Reported once; a further send waits
    /// for a new owner.
    #[error(
        "the channel is full in this direction and the other end's owner has died; start another one, which goes on where it stopped"
    )]
    PeerDied,
    /// The message is longer than the channel takes.
    #[error(
        "a message of {len} bytes is too long: {most} is the most; send less, or create a channel with a larger max_message"
    )]
    TooLong {
        /// The message's length in bytes.
        len: usize,
        /// The longest possible, in bytes.
        most: usize,
    },
    /// In-place access to a segment that other users can write to.
    #[error(
        "in-place access is refused: other users can write to this segment; use send, which copies"
    )]
    NotPrivate,
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
}

impl From<PushError> for SendError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Full => Self::Full,
            PushError::TimedOut => Self::TimedOut,
            PushError::ConsumerDied => Self::PeerDied,
            PushError::TooLong { len, most } => Self::TooLong { len, most },
            PushError::NotPrivate => Self::NotPrivate,
            PushError::Segment(error) => Self::Segment(error),
        }
    }
}

/// Why no message could be received. Nothing was taken then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// No message is there at this moment, and the other end was not closed.
    #[error("no message is there; send one at the other end, or use recv_into, which waits")]
    Empty,
    /// No message came until the time was up.
    #[error("no message came until the time was up")]
    TimedOut,
    /// The other end's owner has died without closing it, and all that it sent has been received.
    /// Reported once; a further call waits for a new owner.
    #[error(
        "the other end's owner has died without closing it, and all it sent has been received; start another one, which goes on where it stopped"
    )]
    PeerDied,
    /// The buffer is shorter than the message.
    #[error(
        "the next message has {len} bytes and the buffer {room}; it stays in the channel: receive it into a Vec, or a slice of max_message bytes"
    )]
    TooShort {
        /// The message's length in bytes.
        len: usize,
        /// The buffer's length in bytes.
        room: usize,
    },
    /// In-place access to a segment that other users can write to.
    #[error(
        "in-place access is refused: other users can write to this segment; use recv_into, which copies"
    )]
    NotPrivate,
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
}

impl From<PopError> for RecvError {
    fn from(error: PopError) -> Self {
        match error {
            PopError::Empty => Self::Empty,
            PopError::TimedOut => Self::TimedOut,
            PopError::ProducerDied => Self::PeerDied,
            PopError::TooShort { len, room } => Self::TooShort { len, room },
            PopError::NotPrivate => Self::NotPrivate,
            PopError::Segment(error) => Self::Segment(error),
        }
    }
}

/// Why a request has no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It was not sent.
    #[error("the request was not sent: {0}")]
    Send(#[source] SendError),
    /// It was sent, and no reply was received; one may still come.
    #[error("the request was sent, and its reply not received: {0}")]
    Receive(#[source] RecvError),
    /// It was sent, and the other end was closed without a reply.
    #[error("the request was sent, and the other end was closed without a reply")]
    Closed,
}
