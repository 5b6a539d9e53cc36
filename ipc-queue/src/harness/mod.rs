//! Producers and consumers as processes, without ceremony: two functions and a `run`.
//!
//! ```
//! use ipc_queue::harness::{Harness, HarnessError};
//!
//! fn main() -> Result<(), HarnessError> {
//!     let report = Harness::new("squares")
//!         .producers(1, |source| {
//!             for n in 1..=1000u64 {
//!                 source.send(n)?;
//!             }
//!             Ok(())
//!         })
//!         .consumers(1, |sink| {
//!             let mut sum = 0;
//!             while let Some(n) = sink.receive()? {
//!                 sum += n * n;
//!             }
//!             sink.set_result(&sum.to_ne_bytes())?;
//!             Ok(())
//!         })
//!         .run()?;
//!     assert_eq!(report.messages.received, 1000);
//!     assert_eq!(report.consumers[0].result, 333_833_500u64.to_ne_bytes());
//!     Ok(())
//! }
//! ```
//!
//! Messages are values of any [`Payload`](ipc_core::Payload) type, or bytes, `[u8]`, of any length up
//! to a [longest](Harness::longest), written and read where they lie:
//!
//! ```
//! # use ipc_queue::harness::{Harness, HarnessError};
//! # fn main() -> Result<(), HarnessError> {
//! let mut lines = 0;
//! let report = Harness::<[u8]>::new("lines")
//!     .longest(1 << 20)
//!     .producers(1, |source| {
//!         source.send_bytes(b"a copy\nof two lines\n")?;
//!         let mut room = source.reserve(1000)?; // or in place
//!         room[..9].copy_from_slice(b"in place\n");
//!         Ok(room.commit(9)?)
//!     })
//!     .consumers(1, |sink| {
//!         while let Some(batch) = sink.batch()? {
//!             let newlines = |message: &[u8]| message.iter().filter(|&&it| it == b'\n').count();
//!             let count: usize = batch.iter().map(newlines).sum();
//!             batch.commit(&count.to_ne_bytes())?;
//!         }
//!         Ok(())
//!     })
//!     .on_effect(|count| lines += usize::from_ne_bytes(count.try_into().unwrap_or_default()))
//!     .run()?;
//! assert_eq!((report.messages.received, lines), (2, 3));
//! # Ok(())
//! # }
//! ```
//!
//! [`Harness::run`] starts the current program again for each worker, and there runs its function:
//!
//! * What stands before `run` in `main` runs in the workers too, so that the same functions are
//!   there. Keep it free of effects, and of the command line: a worker inherits the environment,
//!   but gets no arguments (`main` may call [`Harness::run_if_worker`] before it reads its own).
//!   Nothing is shared between the processes but what is handed over:
//!   [parameters](Harness::params), messages, results.
//! * The stream ends when all producers' functions have returned: the consumers get the messages
//!   that are left, and then `None`. One mark for all, and no message is spent on it.
//! * Each message goes to one consumer. Killed workers are [replaced](Harness::replace_killed) if
//!   you ask for it: a message counts once all the same, and so does an effect that was
//!   [committed](Batch::commit) together with its messages.
//! * Every message carries its producer, its number and a checksum. Lost, doubled and torn ones
//!   are counted, and are an error.
//! * A worker that fails, panics or is killed is reported by name, with what the others did; the
//!   others come to their end. The queue is in a memfd: whatever happens to the parent, the kernel
//!   ends the workers, and nothing is left.
//! * SIGINT and SIGTERM end the workers, and `run` returns [`HarnessError::Interrupted`]. The
//!   handlers that were there before are put back; a signal that is ignored stays so.
//!
//! A program with several harnesses calls [`Harness::run_if_worker`] on each of them before it
//! runs the first. Within a `#[test]`, tell the test's name with [`Harness::under_test`].

mod batch;
mod bytes;
mod carrier;
mod crew;
mod disturb;
mod envelope;
mod error;
mod journal;
mod ledger;
mod monitor;
mod record;
mod report;
mod run;
mod sequence;
mod signals;
mod sink;
mod source;
mod stage;

pub use batch::{Batch, Iter};
pub use bytes::Grant;
pub use carrier::Message;
pub use error::{CommitError, HarnessError, ReceiveError, SendError};
pub use ipc_process::{Params, WorkResult, test_name};
pub use report::{Messages, Progress, Report, Survived, WorkerReport};
pub use run::Harness;
pub use sink::Sink;
pub use source::Source;
