//! All operations, in their scenes.

mod mpmc;
mod mutex;
mod spsc;

mod common;
mod peer;

use crate::run::Runnable;

/// All of them.
pub fn all() -> Vec<Box<dyn Runnable>> {
    let mut all = Vec::new();
    all.extend(spsc::all());
    all.extend(mpmc::all());
    all.extend(mutex::all());
    all
}
