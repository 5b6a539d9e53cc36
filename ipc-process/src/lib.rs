//! Worker processes for Rust programs, like Python's `multiprocessing.Process`:
//! a worker executes the current program anew, in a role.
//!
//! ```
//! use ipc_process::{Process, WorkResult, Worker, run_if_worker};
//!
//! fn sum(worker: &mut Worker) -> WorkResult {
//!     let sum: u64 = worker.params().iter().copied().map(u64::from).sum();
//!     worker.set_result(&sum.to_ne_bytes())?;
//!     Ok(())
//! }
//!
//! fn main() -> Result<(), ipc_process::Error> {
//!     // In a worker this runs the role and exits; in the parent it returns.
//!     run_if_worker("sums", &[("sum", &sum)]);
//!
//!     let mut worker = Process::builder("sums", "sum")
//!         .name("sum-0")
//!         .params([1, 2, 3])
//!         .spawn()?;
//!     let result = worker.join()?.into_result()?;
//!     assert_eq!(result, 6u64.to_ne_bytes());
//!     Ok(())
//! }
//! ```
//!
//! What a worker gets: a name, [parameters](Params) of any size that it maps
//! instead of copying, descriptors by [key](Builder::fd), arguments, variables.
//! What it leaves: an [`Exit`] with its status, the message of its panic or
//! error, and a result of any size.
//!
//! What is guaranteed:
//!
//! * No process is left behind: a dropped [`Process`] is killed and reaped, and
//!   the kernel kills a worker when its parent dies, however it dies.
//!   [`Builder::outlive_parent`] and [`Process::detach`] are the ways out. Workers may start
//!   workers, unless they were started with [`Builder::no_children`].
//! * A signal never hits another process that got the number of one that ended.
//! * A worker killed at any moment leaves a complete result, or an empty one.
//!
//! # In tests
//!
//! A test is a worker of itself: its worker executes the test program and asks
//! for only this test, which then starts with [`run_if_worker`].
//!
//! ```
//! # use ipc_process::{Process, run_if_worker, test_name};
//! # const _: &str = stringify! {
//! #[test]
//! # };
//! fn the_worker_has_another_pid() {
//!     run_if_worker("pids", &[("pid", &|worker| {
//!         Ok(worker.set_result(&std::process::id().to_ne_bytes())?)
//!     })]);
//!     let mut worker = Process::builder("pids", "pid")
//!         .under_test(test_name!())
//!         .spawn()
//!         .unwrap();
//!     let pid = worker.join().unwrap().into_result().unwrap();
//!     assert_eq!(pid, worker.pid().to_ne_bytes());
//! }
//! # // The harness's arguments mean nothing to this main; the re-execution is the same.
//! # fn main() { the_worker_has_another_pid() }
//! ```
//!
//! # How it works
//!
//! [`Builder::spawn`] executes `/proc/self/exe`, with one environment variable,
//! `IPC_PROCESS_WORKER`, that tells the worker's scope, role, name and the numbers
//! of its descriptors. [`run_if_worker`] removes it again, so that nothing the
//! worker starts takes itself for a worker. It follows that
//!
//! * everything before [`run_if_worker`] runs in every worker as well;
//! * a program that never calls it runs its `main` as a worker: that leaves an
//!   [`Exit::error`], and cannot start workers in turn;
//! * a worker shares no memory with its parent but what it was given: statics,
//!   threads, open files and locks start afresh.
//!
//! Linux sends the signal of a dying parent when the *thread* that forked ends.
//! One thread, `worker-launcher`, which lives as long as the process, therefore
//! starts all workers. It is made by the first `spawn`, and workers inherit from
//! it what belongs to a thread: niceness, scheduling policy, namespaces,
//! capabilities. Processor affinity is that of the caller of `spawn`. A parent
//! that replaces itself by exec(3) loses this thread, and so its workers.
//!
//! Workers are children of the process: it must not ignore SIGCHLD, nor wait for
//! children of any pid, as in `waitpid(-1, ..)`, which takes their status away.
//!
//! Linux only, from 5.4 on (waiting for pidfds).
#![deny(missing_docs)]
#![allow(
    clippy::test_attr_in_doctest,
    reason = "the example shows a test; its body runs"
)]
#![deny(unsafe_op_in_unsafe_fn)]

mod assignment;
mod builder;
mod error;
mod exit;
mod last_panic;
mod launcher;
mod params;
mod pidfd;
mod process;
mod report;
mod test_name;
mod worker;

pub use builder::Builder;
pub use error::{Error, Result};
pub use exit::{Exit, ExitStatusKind};
pub use params::{Params, ParamsSource};
pub use process::{Process, join_any};
#[doc(hidden)]
pub use test_name::__name_of_enclosing;
pub use worker::{Role, WorkResult, Worker, run_if_worker, worker_scope};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
