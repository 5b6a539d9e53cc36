//! Side-by-side measurements: every contender in one run, on the same two CPUs, turn by turn.
//!
//! ```
//! use benches::case::Peers;
//! use benches::contenders;
//! use benches::measure::Measure;
//!
//! let cases = contenders::all();
//! let rtrb = cases
//!     .iter()
//!     .find(|case| case.contender == "rtrb" && case.measure == Measure::OneWay)
//!     .expect("rtrb takes part in the one-way measure");
//! assert_eq!(rtrb.peers, Peers::Threads);
//! ```
//!
//! The program is `cargo run --release -p benches --bin side_by_side`. Its parts are apart:
//!
//! * a **contender** ([`contenders`]) is one file that implements [`channel::Channel`] for one way
//!   to hand items from one peer to another, and the sending and receiving ends that it has;
//! * a **workload** ([`workloads`]) says what the two ends do with a channel and what is timed;
//! * messages of [`bytes`] have ends of their own, and a [`script`]; requests and replies go through a
//!   [`duplex`];
//! * a **pair** ([`pair`]) runs a workload between two processes or two threads, each on its CPU;
//! * a **crew** ([`crew`]) runs traffic ([`traffic`]) between several senders and several receivers,
//!   spread over the two CPUs, and perhaps a bystander that is stopped ([`bystander`]);
//! * a **lock** ([`lock`]) is what several share in another way; it is measured [`alone`], and under
//!   contention by the [traffic](counter) of a crew that increments a number;
//! * a **runner** ([`runner`]) is the process forked for one measurement, killed if it hangs;
//! * a **schedule** ([`schedule`]) takes the contenders of a measure in turn, round by round;
//! * [`deaths`] is the other program, `cargo run --release -p benches --bin who_hangs`: who goes on when
//!   a process is killed;
//! * [`statistics`] and [`report`] turn the rounds into medians, spreads and ratios.

#![deny(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]

pub mod alone;
pub mod bystander;
pub mod bytes;
pub mod case;
pub mod channel;
pub mod companion;
pub mod contenders;
pub mod control;
pub mod counter;
pub mod cpu;
pub mod crew;
pub mod deaths;
pub mod distance;
pub mod duplex;
pub mod failure;
pub mod fork;
pub mod gate;
mod in_segment;
pub mod interrupt;
mod line;
pub mod lock;
pub mod measure;
pub mod pair;
pub mod polled;
pub mod report;
mod room;
pub mod runner;
pub mod schedule;
pub mod script;
pub mod shared;
pub mod spin;
pub mod statistics;
pub mod tally;
pub mod target;
pub mod traffic;
pub mod workloads;
