//! Byte messages of any length up to a longest one, between any number of processes.
//!
//! ```
//! use ipc_core::Place;
//! use ipc_queue::mpmc::bytes::Queue;
//!
//! // 256 messages of up to 64 KiB.
//! let lines = Queue::create(Place::memfd("lines"), 256, 65_536)?;
//! let mut tx = lines.sender()?;
//!
//! // Usually in other processes, which open the queue by name or by descriptor.
//! let same = Queue::open(lines.segment().descriptor()?)?;
//! let mut rx = same.receiver()?;
//!
//! tx.push(b"a copy")?;
//! let mut grant = tx.reserve(1000)?; // or in place
//! grant[..8].copy_from_slice(b"in place");
//! grant.commit(8)?;
//! tx.close()?;
//!
//! while let Some(line) = rx.take()? {
//!     assert!(line.ends_with(b"a copy") || line.ends_with(b"in place"));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It is the [queue](super) of fixed-size messages with all its promises. What is more:
//!
//! * A message of up to [`INLINE`] bytes lies in its slot. A longer one lies in a *block* of a pool
//!   that the queue has in its object: blocks of a few sizes, so that small messages waste nothing
//!   and a large one needs no slot of its size.
//! * The queue is full when it has no slot, or no block that is large enough. A message takes the
//!   smallest block that is free and holds it.
//! * No kill, at no instruction, loses a block or gives it to two: see below.
//! * Of a length or a block number that cannot be, the receiver says
//!   [`Corrupted`](ipc_core::Error::Corrupted). The message is gone then.
//! * The copying forms are safe whatever others write into the segment. The in-place forms rest on
//!   peers that follow the protocol, see [`WriteGrant`] and [`ReadGuard`], and are refused on a
//!   segment that other users can write to.
//!
//! # Whose a block is
//!
//! A message passes from its sender to the queue and to a receiver, perhaps to several in turn, and
//! each of them may be killed at any instruction. A block that named its holder would have to be
//! handed over each time, together with the slot's word, in one step that does not exist. So it
//! names none of them. Its word names the *lap of a slot* for which it was taken, and whoever has
//! that, has the block:
//!
//! ```text
//! block   | lap 44 | slot + 1, 20 |      zero: free
//! ```
//!
//! Sender, queue and receivers pass the lap on as ever, by the claim and the slot's word; the block
//! goes with it, and there is no step of its own in which it could be lost. When the lap is *over*,
//! so is the block's use, for ever: laps do not come back. From then on anybody may free it, by one
//! compare-and-swap from the very word, which succeeds once.
//!
//! Whether lap `n` of slot `i` is over is read from its claim, and then its slot word:
//!
//! | slot word | claim | |
//! |---|---|---|
//! | a lap after `n` | | over: it was finished, taken back or rejected |
//! | `FULL`, `READING` | | not over: a message, or its reader's |
//! | `FREE` | lap `n`, with owner, not void | not over: its owner is writing |
//! | `FREE` | lap `n`, void | over: given up, or swept. An owner is one of an earlier lap |
//! | `FREE` | a later lap, no owner | over: who wrote for lap `n` would have left a message first |
//! | `FREE` | a later lap, with owner, not void | over: it was claimed with nobody at it |
//! | `FREE` | a later lap, with owner, void | perhaps: the owner, of a lap in between, is overtaken. Its own block is among those that look like this, so not over |
//!
//! No other combination is ever written; of damaged words a block counts as not over.
//!
//! # The steps
//!
//! They are added to those of the [queue](super#the-protocol); a short message does without them.
//!
//! | step | access | what |
//! |---|---|---|
//! | B1 | load `block[b]` = w | free: B3. Of all that are large enough none is: B2 for each |
//! | B2 | load `claim[i]`, `slot[i]` of w's slot and lap | over: B3. None is: full |
//! | B3 | P1 to P5 | the claim, of lap `n` of slot `i` |
//! | B4 | CAS `block[b]` w → (n, i) | if it fails: B1. No other: P13 with void, full |
//! | B5 | store the message and its header (length, `b`) | then P6 |
//! | B6 | CAS `block[b]` (n, i) → free | after P13 with void (given up), after a commit that was too late |
//! | B7 | load the header; load `block[b]` | after C4: is it this lap's? else damaged |
//! | B8 | CAS `block[b]` (m, i) → free | after C7. Then wake who sleeps |
//! | B9 | B2 and CAS w → free, for all blocks | after S5, before the dead's place is freed |
//!
//! What is left when somebody dies (or is stopped: then B2 finds it as well) behind a step:
//!
//! | who | behind | the block's word | the slot | freed by |
//! |---|---|---|---|---|
//! | sender | B1, B2 | not changed | not changed | |
//! | sender | B3 | not changed | S3: lap `n` void | |
//! | sender | B4, B5 | (n, i) | S3: lap `n` void | B9 of the same sweep |
//! | sender | P6 and later | (n, i) | a message | B8 of its receiver |
//! | sender | P10, P13 | (n, i) | lap over | B9 |
//! | sender | B6 | free | lap over | |
//! | receiver | C4 to B7 | (m, i) | S5: a message again | B8 of the next receiver |
//! | receiver | C7 | (m, i) | `FREE(m+1)`, lap over | B9 |
//! | receiver | B8 | free | `FREE(m+1)` | |
//! | receiver | C10 | (m, i) | a message again | B8 of the next receiver |
//! | receiver | A6 | (m, i) | lap over | B6 of its sender, or B9 of the sender's sweep |
//! | sweeper | anywhere | | | the next sweeper: the dead keeps its place until one has gone through |
//!
//! B6, B8, B9 and a B4 from an over lap's word all expect the word of that lap: of any number of
//! them at once, one succeeds. A reader is never disturbed: B2 finds the lap over only after C7.
//! A sender that is stopped anywhere costs, as ever, its slot, and a block if it has one.
//! (When the stream has ended, a dead sender's message that nobody will have keeps its block. There
//! is nobody to whom it could be of use.)
//!
//! Two senders that find the same last block each have a claim when one of them loses it at B4; it
//! gives its claim up, and the capacity is one less until the others have gone round.

mod block;
mod guard;
mod header;
mod hold;
mod layout;
mod options;
mod pool;
mod queue;
mod receiver;
mod sender;
mod store;
mod survey;

#[cfg(all(loom, test))]
mod loom_tests;

pub use guard::{ReadGuard, WriteGrant};
pub(crate) use hold::Held;
pub use layout::INLINE;
pub use options::QueueOptions;
pub use queue::Queue;
pub use receiver::Receiver;
pub use sender::Sender;
pub use survey::{BlockClass, PoolSurvey};
