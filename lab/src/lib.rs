//! The fault lab: every operation killed, and stopped, after each of its instructions.
//!
//! ```console
//! $ cargo run --release -p lab            # every 7th instruction
//! $ cargo run --release -p lab -- --full  # every instruction
//! ```
//!
//! A [`Subject`] is one operation in one scene: a queue that is full, a mutex that another holds.
//! For each of the operation's instructions the lab sets the scene anew, lets a victim, a forked
//! child under ptrace, run to the instruction, and kills it there. Then those who survive go on at
//! once, and check everything: what was committed is there once and whole, what the dead held is
//! free again, and when all have left, nobody's belongings are in the segment. The same with a
//! victim that is stopped there and continued later, when the others have gone on without it.
//!
//! With `RUSTFLAGS="--cfg planted_faults" cargo run --release -p lab -- --planted` it shows that it
//! sees: the libraries then have faults, one after the other, and it says where a victim died with
//! each, and what broke.
//!
//! How it gets to the i-th instruction in one step: the operation is stepped through once, which
//! [records](trace::Trace) the address of each instruction. Victims are forked from one process
//! with one thread, so that all of them have the same addresses, and do the same. The i-th
//! instruction is the n-th time that the processor comes to its address: a debug register, and n - 1
//! hits to go by.

pub mod board;
pub mod case;
pub mod cli;
pub mod crew;
#[cfg(planted_faults)]
pub mod faults;
pub mod marker;
pub mod place;
pub mod plan;
pub mod play;
pub mod report;
pub mod run;
pub mod subject;
pub mod subjects;
pub mod tally;
pub mod trace;
pub mod tracee;

pub use subject::{Outcome, Said, Subject};
