//! What the harness needs of a queue. The two kinds of messages each have a queue that gives it.

mod bytes;
mod values;

use super::envelope::{Stamp, Torn};
use crate::mpmc::{OpenError, PopError};
use ipc_core::{Payload, Result, Segment};
use std::fmt::Debug;

/// The name of the queue in the segment.
const MESSAGES: &str = "messages";

/// What the workers of a harness send each other: values of a type that is a [`Payload`], or byte
/// messages, `[u8]`. Nothing else implements it.
pub trait Message: Carried {}

impl<T: Payload> Message for T {}
impl Message for [u8] {}

/// The queue for a kind of messages.
pub trait Carried: 'static {
    type Queue: Carrier<Receiver: Inlet<Message = Self>>;
}

/// A queue of stamped messages.
pub trait Carrier: Sized {
    /// What is to be known of it beside its capacity.
    type Settings: Clone + Debug + Default;
    type Sender;
    type Receiver: Inlet;

    /// Bytes that it takes of a segment with so many handles.
    fn size_for(capacity: usize, settings: &Self::Settings, handles: u32) -> Result<usize>;
    fn create_in(segment: &Segment, capacity: usize, settings: &Self::Settings) -> Result<Self>;
    fn open_in(segment: &Segment) -> Result<Self>;
    fn sender(&self) -> std::result::Result<Self::Sender, OpenError>;
    fn receiver(&self) -> std::result::Result<Self::Receiver, OpenError>;
    /// How many messages it holds at most.
    fn capacity(&self) -> usize;
    /// Ends the stream.
    fn close(&self) -> Result<()>;
    /// Whether a message with this stamp is there, and stays as long as this looks.
    fn contains(&self, stamp: Stamp) -> Result<bool>;
}

/// A receiver that holds several messages at once. What it holds when it is dropped, or dies, comes
/// to others.
pub trait Inlet {
    type Message: ?Sized;
    /// A message that is held.
    type Held;
    /// What is kept of a message beside that, to look at it.
    type Kept;

    /// Takes the next message; waits while there is none. `None` is the end of the stream.
    fn hold(&mut self) -> std::result::Result<Option<Self::Held>, PopError>;
    /// Takes a message if one is just there.
    fn hold_next(&mut self) -> Option<Self::Held>;
    /// How often somebody had it before.
    fn redeliveries(held: &Self::Held) -> u32;
    /// Checks that it is what was sent.
    fn open(&self, held: &Self::Held) -> std::result::Result<(Stamp, Self::Kept), Torn>;
    /// The message, once it was [opened](Self::open).
    fn message<'m>(&'m self, held: &'m Self::Held, kept: &'m Self::Kept) -> &'m Self::Message;
    fn finish(&mut self, held: Self::Held);
    fn give_back(&mut self, held: Self::Held);
}

pub(super) type QueueOf<T> = <T as Carried>::Queue;
pub(super) type SettingsOf<T> = <QueueOf<T> as Carrier>::Settings;
pub(super) type SenderOf<T> = <QueueOf<T> as Carrier>::Sender;
pub(super) type ReceiverOf<T> = <QueueOf<T> as Carrier>::Receiver;
pub(super) type HeldOf<T> = <ReceiverOf<T> as Inlet>::Held;
pub(super) type KeptOf<T> = <ReceiverOf<T> as Inlet>::Kept;
