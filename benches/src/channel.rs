//! What a contender is: a way to hand 64-bit items from one peer to one other.

use std::path::Path;

use crate::failure::Failure;

/// Items that every bounded queue has room for, so that none profits from a larger buffer.
pub const CAPACITY: usize = 1024;

/// One way to hand items from a sending peer to a receiving one.
///
/// The runner creates the channel and then either forks its peer, so that each process holds its
/// own copy of the channel and takes one end from it, or starts a thread and takes both ends from
/// the one channel. Each end is taken once.
pub trait Channel: Sized {
    /// The sending end.
    type Sender;
    /// The receiving end.
    type Receiver;

    /// How the contender is used, in a line, for the report: whoever knows it better can correct
    /// us.
    fn how() -> String;

    /// Creates the channel. `scratch` is an empty directory that is removed afterwards, for those
    /// that need files, and so is what is in `/dev/shm` under names that begin with its own; nothing may
    /// be left anywhere else.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn create(scratch: &Path) -> Result<Self, Failure>;

    /// Takes the sending end, in the peer that sends.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn sender(&mut self) -> Result<Self::Sender, Failure>;

    /// Takes the receiving end, in the peer that receives.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn receiver(&mut self) -> Result<Self::Receiver, Failure>;
}

/// A sending end that takes one item at a time.
pub trait SendItem {
    /// Sends one item; waits, in the contender's best way, while there is no room.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn send(&mut self, item: u64) -> Result<(), Failure>;
}

/// A receiving end that gives one item at a time.
pub trait ReceiveItem {
    /// Receives one item; waits, in the contender's best way, while there is none.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn receive(&mut self) -> Result<u64, Failure>;
}

/// A sending end that takes many items at once.
pub trait SendSlice {
    /// Sends all of `items`, waiting where there is no room for the rest.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn send_slice(&mut self, items: &[u64]) -> Result<(), Failure>;
}

/// A receiving end that gives many items at once.
pub trait ReceiveSlice {
    /// Receives at least one item and at most as many as `into` holds, copied to its front, and
    /// says how many; waits while there is none.
    ///
    /// # Errors
    /// Whatever the contender says, see [`Failure`].
    fn receive_slice(&mut self, into: &mut [u64]) -> Result<usize, Failure>;
}

/// A channel whose ends any number of peers can take, one or more each.
pub trait Many: Channel {}

/// A channel whose ends can be asked without waiting. Who measures decides how to try again: see
/// [`Polled`](crate::polled::Polled).
pub trait NonBlocking: Channel {
    /// As [`Channel::how`], of the calls that do not wait.
    fn how_tried() -> String {
        Self::how()
    }
}

/// A sending end that takes one item, or refuses at once.
pub trait TrySend {
    /// Sends one item; `None` if there is no room.
    fn try_send(&mut self, item: u64) -> Option<Result<(), Failure>>;
}

/// A receiving end that gives one item, or refuses at once.
pub trait TryReceive {
    /// Receives one item; `None` if there is none.
    fn try_receive(&mut self) -> Option<Result<u64, Failure>>;
}

/// A sending end that takes as many items as there is room for.
pub trait TrySendSlice {
    /// Sends some of `items`, from the first on, and says how many; `None` if there is no room.
    fn try_send_slice(&mut self, items: &[u64]) -> Option<Result<usize, Failure>>;
}

/// A receiving end that gives as many items as there are.
pub trait TryReceiveSlice {
    /// Receives at least one item and at most as many as `into` holds, copied to its front, and
    /// says how many; `None` if there is none.
    fn try_receive_slice(&mut self, into: &mut [u64]) -> Option<Result<usize, Failure>>;
}
