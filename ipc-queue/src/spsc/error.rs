//! What can go wrong with a ring.

/// Why a ring could not be made, found, or joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The role has an owner that lives.
    #[error(
        "the {role} of the ring {ring} is process {pid}, which is alive; a ring has one {role} at a time"
    )]
    RoleTaken {
        /// The ring.
        ring: String,
        /// `"producer"` or `"consumer"`.
        role: &'static str,
        /// The owner's process id as it sees it itself, or 0 if it has only just come.
        pid: u32,
    },
    /// The producer's role of a stream that has ended.
    #[error("the stream of the ring {ring} was ended by close; create a new ring for a new stream")]
    Ended {
        /// The ring.
        ring: String,
    },
    /// The segment or the object.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
}

/// Why a message could not be pushed. Nothing was pushed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The ring is full at this moment.
    #[error("the ring is full; pop something, or use push, which waits")]
    Full,
    /// The ring stayed full until the time was up.
    #[error("the ring stayed full until the time was up")]
    TimedOut,
    /// The ring is full and its consumer has died. Reported once, to whoever is the producer then;
    /// a further push waits for a new consumer.
    #[error(
        "the ring is full and its consumer has died; start another consumer, which goes on where it stopped"
    )]
    ConsumerDied,
    /// A byte record is longer than the ring takes, or than was reserved.
    #[error(
        "a record of {len} bytes is too long: {most} is the most; push less, reserve more, or create a ring with a larger max_record"
    )]
    TooLong {
        /// The record's length in bytes.
        len: usize,
        /// The longest possible, in bytes.
        most: usize,
    },
    /// In-place access to a segment that other users can write to.
    #[error(
        "in-place access is refused: other users can write to this segment; use push, which copies"
    )]
    NotPrivate,
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
}

/// Why no message could be popped. Nothing was taken then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PopError {
    /// The ring is empty at this moment, and the stream has not ended.
    #[error("the ring is empty; push something, or use pop, which waits")]
    Empty,
    /// The ring stayed empty until the time was up.
    #[error("the ring stayed empty until the time was up")]
    TimedOut,
    /// Everything that was committed has been popped, and the producer has died without closing
    /// the stream. Reported once, to whoever is the consumer then; a further pop waits for a new
    /// producer. Producers that die one after the other may be reported together or singly.
    #[error(
        "the producer has died without ending the stream, and all it committed has been popped; start another producer, which goes on where it stopped"
    )]
    ProducerDied,
    /// The buffer for a byte record is shorter than the record.
    #[error(
        "the next record has {len} bytes and the buffer {room}; it stays in the ring: pop it into a Vec, or a slice of max_record bytes"
    )]
    TooShort {
        /// The record's length in bytes.
        len: usize,
        /// The buffer's length in bytes.
        room: usize,
    },
    /// In-place access to a segment that other users can write to.
    #[error(
        "in-place access is refused: other users can write to this segment; use pop (pop_into for bytes), which copies"
    )]
    NotPrivate,
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
}
