//! What several tests need. Each test program uses a part of it.
#![allow(dead_code, unused_macros, unused_imports)]
pub mod line;
pub mod peer;
pub mod seccomp;
pub mod toy;
pub mod words;
