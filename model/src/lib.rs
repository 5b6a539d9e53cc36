//! An explicit-state model of the MPMC queue's protocol, as `ipc-queue/src/mpmc` has it: each shared
//! access is a step, plain stores wait in a buffer until they drain, and anybody may be killed
//! between any two steps.
//!
//! The searches are in `tests/`. This crate is one of its own so that they are compiled with
//! optimisation.

pub mod end;
pub mod explore;
pub mod invariants;
pub mod join;
pub mod memory;
pub mod pop;
pub mod push;
pub mod rules;
pub mod state;
pub mod sweep;
pub mod trace;
pub mod world;
