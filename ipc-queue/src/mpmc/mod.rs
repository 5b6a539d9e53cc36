//! A queue between any number of producer and consumer processes that no kill can break.
//!
//! ```
//! use ipc_core::Place;
//! use ipc_queue::mpmc::Queue;
//!
//! let jobs = Queue::<u64>::create(Place::memfd("jobs"), 1024)?;
//! let mut tx = jobs.sender()?;
//!
//! // Usually in other processes, which open the queue by name or by descriptor.
//! let same = Queue::<u64>::open(jobs.segment().descriptor()?)?;
//! let mut rx = same.receiver()?;
//!
//! tx.push(7)?;
//! tx.push(8)?;
//! tx.close()?;
//! let mut sum = 0;
//! while let Some(job) = rx.pop()? {
//!     sum += job;
//! }
//! assert_eq!(sum, 15);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it promises
//!
//! * Anybody may be killed or stopped at any instruction, for ever, and the others go on. While
//!   somebody is stopped in the middle of an operation, one slot of capacity can be missing (with
//!   [`take_slice`](Receiver::take_slice) as many as it holds); what
//!   the dead held comes back, all of it, as soon as somebody needs it. Nobody waits for a
//!   particular process, and no time-out ever declares a death.
//! * A message whose push has returned `Ok` is finished exactly once by a receiver that lives. One
//!   that is held by a receiver which dies comes to another one, and says so
//!   ([`ReadGuard::redeliveries`]). One whose push had not returned is there whole or not at all.
//! * The messages of one sender reach one receiver in their order (redelivered ones come again,
//!   late). Between senders the order is that of their claims of slots; only a message whose sender
//!   was slow, stopped or dead in the middle of its push is overtaken.
//! * The stream ends when somebody closes it: [`Queue::close`], [`Sender::close`]. Each receiver
//!   gets what is left, and then `None`. Dropping senders never ends it. Receivers that find no
//!   message, no sender, and that one has died are told so, once each:
//!   [`PopError::ProducersDied`].
//! * The capacity is exactly what was asked for, from 1 up.
//!
//! # At most once, at least once, exactly once
//!
//! * [`Receiver::pop`] copies the message out and finishes it: a process killed after that has
//!   taken the message with it (*at most once* for what it does with it).
//! * [`Receiver::take`] finishes it when the guard is dropped, after the work: a process killed
//!   before leaves the message to another, and parts of the work may be done twice (*at least
//!   once*). [`Receiver::take_slice`] does that for several at a time.
//! * For effects that happen exactly once, make them and "message number `n` of sender `s` is done"
//!   one step (a rename, a transaction, a store to one word), work under a guard, and skip what is
//!   done when [`ReadGuard::is_redelivered`].
//!
//! # The protocol
//!
//! Each slot has two words (`word.rs`): its *claim*, an array of its own that senders use, and its
//! *slot word* beside the payload. A message's position `p` is lap `n` of slot `i`. Claiming a slot
//! is one compare-and-swap that also records who claimed it, so a sender that dies at any
//! instruction is found. No shared counter is ever swapped: cursors are private, and what is shared
//! of them are hints, plain stores that may be stale.
//!
//! | step | access | what |
//! |---|---|---|
//! | P1 | load `tail` | go there if it is further |
//! | P2 | load `claim[i]` = a | lap `n-1`, or somebody is further: go behind it. Revoked: refused as closed |
//! | P3 | load `slot[i]` = d | who has the slot? |
//! | P4 | CAS `claim[i]` a → (n, me) | if it is free and nobody is at it: the claim |
//! | P5 | load `end` | if closed: P13 with void, refused |
//! | P6 | store `slot[i]` FULL(n) | after the payload: the commit. Then a light barrier |
//! | P7 | load `claim[i]` | still (n, me): P8. Else somebody went on without us: P9 |
//! | P8 | store `tail` | then wake who sleeps |
//! | P9 | load `claim[i]` = c | revoked, also if it does not name us: P10. Names us: P11, P12. Does not: P11 |
//! | P10 | CAS `slot[i]` FULL(n) → FREE(n+1) | done: too late, P13. Else somebody has taken it: P16 |
//! | P11 | `late` + 1 | once |
//! | P12 | CAS `claim[i]` c → without owner | if it fails: P9 |
//! | P13 | CAS `claim[i]` c → without owner (and void) | as long as it names us |
//! | P14 | load `claim[i]`; load `end` | full only if still a; refused as closed if so |
//! | P15 | load `claim[q]`, `slot[q]` for q behind p | slot i is held by somebody slow: is there room behind such ones? |
//! | P16 | load `end` | CLOSED(v): P17. ENDED: P18 |
//! | P17 | CAS `end` CLOSED(v) → CLOSED(v+1) | done: pushed, P13. Else P16 |
//! | P18 | load `slot[i]` = d | lap n: too late, P13. Not FREE(n+1): pushed, P13 |
//! | P19 | load `claim[i]` | not rejected: pushed, P13 |
//! | P20 | load `slot[i]` | still FREE(n+1): it is ours that was rejected: too late. Else pushed, and a later lap's was rejected. P13 |
//! | V1 | heavy barrier | before the first void over a pending passed claim |
//! | V2 | load `slot[i]` | is it still pending? |
//! | V3 | CAS `claim[i]` a → (n, owner if pending, void) | this lap holds no message; the cursor moves on |
//! | C1 | load `head` | go there, with its `seen`, if it is further |
//! | C2 | load `slot[i]` = d | FULL(m), m ≤ n: a message. READING(n) or a newer lap: walk on |
//! | C3 | load `late` | differs from `seen`: C9 first |
//! | C4 | CAS `slot[i]` d → READING(m, me) | taken; the cursor moves on if m = n (also from C9). Then A1 |
//! | A1 | load `end` | OPEN: go on. CLOSED(v): A2. ENDED: A5 |
//! | A2 | load `claim[i]` = c | not revoked: go on |
//! | A3 | CAS `end` CLOSED(v) → CLOSED(v+1) | if it fails: A1 |
//! | A4 | CAS `claim[i]` c → without owner, not revoked | go on. If it fails: A1 |
//! | A5 | CAS `claim[i]` c → rejected, without owner | again until it is |
//! | A6 | store `slot[i]` FREE(m+1) | not taken after all: C2 |
//! | C5 | load `claim[i]` = a | lap < n: empty, after C3. Later lap, or void: C2 once more, walk on |
//! | C6 | CAS `claim[i]` a → passed | being written: after some patience. Then a heavy barrier, and C2 once more: still FREE: walk on |
//! | C7 | store `slot[i]` FREE(m+1) | after reading: finished. Then wake who sleeps |
//! | C8 | store `head` | position and `seen` |
//! | C9 | load `slot[q]` of the N positions before p | take the oldest message (C4); it fails: C9 again. If there is none: `seen` = the `late` of C3 |
//! | C10 | store `slot[i]` FULL(m), redelivered; `late` + 1 | given back |
//! | E1 | load `end` | the queue was found empty. OPEN: empty. ENDED: the end |
//! | E2 | load `claim[i]`, `slot[i]` for all i | a message: take it. One being read: not yet |
//! | E3 | CAS `claim[i]` a → revoked | if pending |
//! | E4 | heavy barrier | if any was pending |
//! | E5 | load `claim[i]`, `slot[i]` for all i | as E2; pending and not revoked: not yet |
//! | E6 | CAS `end` CLOSED(v) of E1 → ENDED | if it fails: not yet |
//! | S1 | load `claim[i]` = a, for all i | names the dead? |
//! | S2 | load `slot[i]` | is a pending? |
//! | S3 | CAS `claim[i]` a → void without owner; without owner | pending; not. If it fails: S1 |
//! | S4 | load `slot[i]` = d | READING(m, dead)? |
//! | S5 | CAS `slot[i]` d → FULL(m), redelivered | |
//! | S6 | `late` + 1 | always; then wake everybody, and free the dead's place |
//!
//! Before S3 and S5 the sweeper looks whether the dead still has its place in the queue's table.
//! A receiver that waits, or is refused often, forgets `seen` now and then: whoever was to raise
//! `late` may be stopped before it. A slot whose message was given back counts as held by somebody
//! slow (P3, P15).
//! *Pending*, of a claim and then the slot's word: the claim names an owner, the word is FREE, and
//! the claim is void or the word's lap is at most the claim's.
//!
//! # How long it lasts
//!
//! Laps in words have 44 bits and are compared by their distance, so going round is harmless. What
//! is not is one participant stopped in the middle of an operation while the others go 2^43 laps
//! further, and continued then: with 1024 slots at 100 million messages a second after 2.8 years,
//! with 16 after 16 days.

pub mod bytes;
mod end;
mod error;
mod guard;
mod layout;
mod members;
mod membership;
mod memory;
mod options;
mod peek;
mod pop;
mod push;
mod queue;
mod receiver;
mod seat;
mod sender;
mod slice_guard;
mod stats;
mod sweep;
mod wait;
mod waiters;
mod word;

#[cfg(all(loom, test))]
mod loom_tests;

pub use error::{OpenError, PopError, PushError};
pub use guard::{ReadGuard, WriteGuard};
pub use options::QueueOptions;
pub(crate) use pop::Taken;
pub use queue::Queue;
pub use receiver::Receiver;
pub use sender::Sender;
pub use slice_guard::{HeldMessage, ReadSliceGuard};
pub use stats::Stats;
