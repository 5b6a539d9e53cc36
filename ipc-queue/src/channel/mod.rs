//! A pipe in both directions: two ends, each of which sends and receives messages of bytes.
//!
//! ```
//! use ipc_core::Place;
//! use ipc_queue::channel::Channel;
//!
//! // 64 KiB each way, for messages of at most 4000 bytes.
//! let channel = Channel::create(Place::memfd("questions"), 1 << 16, 4000)?;
//! let mut client = channel.first()?;
//!
//! // Usually in another process, which opens the channel by name or by descriptor.
//! let same = Channel::open(channel.segment().descriptor()?)?;
//! let server = std::thread::spawn(move || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//!     let mut server = same.second()?;
//!     let mut question = Vec::new();
//!     while server.recv_into(&mut question)?.is_some() {
//!         question.make_ascii_uppercase();
//!         server.send(&question)?;
//!     }
//!     Ok(())
//! });
//!
//! let mut answer = Vec::new();
//! client.request(b"how loud?", &mut answer)?;
//! assert_eq!(answer, b"HOW LOUD?");
//! client.close()?;
//! server.join().expect("it did not panic").expect("it went well");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It is what a socketpair of datagrams or `multiprocessing.Pipe` is, in shared memory: two
//! [byte rings](crate::spsc::bytes) in one object, one for each direction, with all that they promise.
//!
//! * A message is there as a whole once `send` has returned, or not at all. It has 0 to
//!   [`max_message`](Channel::max_message) bytes, and takes its length, rounded up to a multiple of 8,
//!   and 8 more out of its direction's capacity.
//! * Each end has one owner at a time. When that has died, or dropped its handle, a newcomer takes
//!   the end over: what was sent to it and not received waits for it, what it sent stays sent.
//! * Dropping an end does not close the channel; [`End::close`] does, for both sides and for good.
//!   The other side receives what was sent before, and then the end; it sends no more
//!   ([`SendError::Closed`]), also if it was waiting for room.
//! * A dead peer is told of once in each direction: to who receives, when everything that the dead
//!   one had sent has been received; to who sends, when there is no room. Until there is no room,
//!   messages are taken for a successor.
//!
//! # Requests
//!
//! [`End::request`] is a `send` and the receipt of the next message, as over a socket: messages have
//! no marks that say which request they answer.
//!
//! * When a request fails with [`RequestError::Send`], nothing was sent. When it fails with
//!   [`RequestError::Receive`], it was sent, and its reply may still come, later or from a successor of
//!   the dead peer. It would be taken for the reply to the next request: receive it first, or
//!   number the messages. The successor of an end that died with a request under way likewise; it
//!   takes what is there before it asks, so that a server that waits for room goes on.
//! * Two ends that request something of each other at the same time get each other's requests. One
//!   asks and one answers; for both ways, use two channels.
//! * Two ends that send while neither receives wait for each other when both directions are full,
//!   as over a socket. So do two requests then: a request does not receive before it has sent. The
//!   forms with a time-out end with [`SendError::TimedOut`]. Who asks and waits for the reply, and
//!   who answers what it has received, have one message under way and never get there.

mod end;
mod error;
mod half;
mod object;

pub use end::End;
pub use error::{OpenError, RecvError, RequestError, SendError};
pub use half::{RecvHalf, SendHalf};
pub use object::Channel;
