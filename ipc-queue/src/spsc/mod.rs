//! A wait-free ring for one producer and one consumer, each in a process of its own.
//!
//! * A push or a pop is a copy, one store and two loads; it never waits for the other side, and
//!   never calls the kernel unless the other side sleeps.
//! * The ring holds exactly as many messages as was asked for, from 1 up.
//! * A message is visible once its push has returned, or not at all. A producer that is killed
//!   leaves everything it committed and nothing else; a consumer that is killed leaves everything
//!   it had not popped (a message is gone from the ring when `pop` returns: what a killed consumer
//!   had popped and not dealt with is lost with it).
//! * The two roles have owners. A second producer is refused while the first lives; when that has
//!   died, or dropped its handle, a newcomer goes on where it stopped.
//! * Dropping a producer does not end the stream: [`Producer::close`] does. The consumer gets all
//!   messages and then `None`. If the producer died without closing, the consumer gets all it
//!   committed and then, once, [`PopError::ProducerDied`].
//!
//! [`bytes`] is the same ring for records of any length.
//!
//! The algorithm is Lamport's ring (Proving the correctness of multiprocess programs, 1977) with
//! each side's private copy of the other's cursor (FastForward, 2008; MCRingBuffer, 2010).

pub mod bytes;
mod consumer;
mod cursor;
mod error;
mod guard;
mod producer;
mod reader;
mod ring;
mod role;
pub(crate) mod words;
mod writer;

#[cfg(all(loom, test))]
mod loom_tests;

pub use consumer::Consumer;
pub use error::{OpenError, PopError, PushError};
pub use guard::{ReadGuard, WriteGuard};
pub use producer::Producer;
pub use ring::{Ring, RingOptions};
