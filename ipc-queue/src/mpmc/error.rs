//! What can go wrong with a queue.

/// Why a queue could not be joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// As many senders, or receivers, as the queue has places for.
    #[error(
        "the queue {queue} has places for {limit} {role}s and all are taken; drop some, or create its segment with more handles (SegmentBuilder::handles)"
    )]
    Crowded {
        /// The queue.
        queue: String,
        /// `"sender"` or `"receiver"`.
        role: &'static str,
        /// How many places there are.
        limit: usize,
    },
    /// A sender's role in a stream that was closed.
    #[error("the stream of the queue {queue} was closed; create a new queue for a new stream")]
    Closed {
        /// The queue.
        queue: String,
    },
    /// The segment or the object.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
}

/// Why a message could not be pushed. Nothing was pushed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The queue is full at this moment.
    #[error("the queue is full; pop something, or use push, which waits")]
    Full,
    /// The queue stayed full until the time was up.
    #[error("the queue stayed full until the time was up")]
    TimedOut,
    /// Somebody closed the stream.
    #[error("the stream was closed; create a new queue for a new stream")]
    Closed,
    /// A [byte message](super::bytes) longer than the queue was made for.
    #[error(
        "a message of {asked} bytes is longer than the {longest} bytes that this queue was made for; send it in parts, or create the queue for longer ones"
    )]
    TooLong {
        /// Its length in bytes.
        asked: usize,
        /// The longest that the queue takes.
        longest: usize,
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
    /// The queue is empty at this moment, and the stream has not ended.
    #[error("the queue is empty; push something, or use pop, which waits")]
    Empty,
    /// The queue stayed empty until the time was up.
    #[error("the queue stayed empty until the time was up")]
    TimedOut,
    /// Everything that was committed has been taken, there is no sender any more, and at least one
    /// has died without closing the stream. Each receiver is told once; a further pop waits for a
    /// new sender.
    #[error(
        "there is no sender any more, one has died without closing the stream, and all that was committed has been taken; start another sender, or close the queue"
    )]
    ProducersDied,
    /// In-place access to a segment that other users can write to.
    #[error(
        "in-place access is refused: other users can write to this segment; use pop, which copies"
    )]
    NotPrivate,
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] ipc_core::Error),
}
