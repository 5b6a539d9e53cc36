//! The lock that mutex and once are made of: one word, robust against the death of its holder.

pub(crate) mod handle;
#[cfg(all(test, loom))]
mod loom_tests;
mod steps;
mod thread;
mod word;

pub(crate) use steps::{Condition, Leave, Refusal};
pub(crate) use word::Holder;
