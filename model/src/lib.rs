//! An explicit-state model of the MPMC queue.

mod commit;
mod end;
mod explore;
mod fingerprint;
mod geometry;
mod hold;
mod invariants;
mod join;
mod memory;
mod pop;
mod progress;
mod push;
mod rules;
mod scan;
mod schedule;
mod state;
mod sweep;
mod trace;
mod world;

pub use explore::{Found, at_random, everything, replay};
pub use rules::Rule;
pub use schedule::{NotASchedule, Schedule};
pub use trace::Trace;
pub use world::{Role, Violation, World};
