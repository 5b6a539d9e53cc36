//! What the blocks of a queue are used for.

/// The blocks of a queue at some moment, by size. Looks at one block after the other: while others
/// push and pop, the sum is one that may never have been right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolSurvey {
    /// The smallest first. None if the queue is only for messages of up to
    /// [`INLINE`](super::INLINE) bytes.
    pub classes: Vec<BlockClass>,
}

/// Blocks of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockClass {
    /// The size of each in bytes.
    pub size: usize,
    /// How many there are.
    pub blocks: usize,
    /// Those that nobody has.
    pub free: usize,
    /// Those that senders have, dead ones that nobody has swept yet among them.
    pub writing: usize,
    /// Those with a message in them, whether or not somebody is reading it.
    pub messages: usize,
    /// Those whose use is over and which nobody has freed: somebody was stopped, or killed, just
    /// before. The next sweep frees them, or a sender that finds no other.
    pub over: usize,
}
