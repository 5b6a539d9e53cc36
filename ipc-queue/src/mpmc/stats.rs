//! Numbers about a queue.

/// What a queue has seen since it was created, as of some moment while it was asked.
///
/// The counters cost one store an operation, to a line of the handle's own. They are read one after
/// the other while others go on counting, so `popped` can be ahead of `pushed`. A process that is
/// killed between an operation and its count leaves that one uncounted. All of them go round at
/// 2^64: take differences with `wrapping_sub`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages committed.
    pub pushed: u64,
    /// Messages finished.
    pub popped: u64,
    /// Messages given back, by their readers or because those died.
    pub redelivered: u64,
    /// How often what a dead process held here was given back.
    pub sweeps: u64,
    /// How often senders went to sleep because the queue was full.
    pub sender_sleeps: u64,
    /// How often receivers went to sleep because it was empty.
    pub receiver_sleeps: u64,
    /// Senders attached, dead ones that nobody has found yet among them.
    pub senders: usize,
    /// Receivers attached, likewise.
    pub receivers: usize,
    /// Messages that appeared behind the receivers, who then had to look for them: commits of
    /// senders that were too slow, messages given back, sweeps.
    pub late: u64,
}
