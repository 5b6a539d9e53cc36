//! What several tests need. Each test program uses a part of it.
#![allow(dead_code, unused_macros, unused_imports)]

pub mod forked;
pub mod line;
pub mod peer;
pub mod scratch;
pub mod seccomp;
pub mod solo;
pub mod stepped;
pub mod toy;
pub mod words;
