//! What the tests of several crates share.
//!
//! | module | question |
//! |---|---|
//! | [`forked`] | how is a child forked, and gone at the end? |
//! | [`solo`] | how does a test get a process of its own, and a race its start line? |
//! | [`stepped`] | what could a kill at any instruction leave in a file? |
//! | [`stepper`] | how does a process end or stop before its n-th step, without a tracer? |
//! | [`scratch`] | which names may a test use, and what did it leave behind? |
//! | [`patience`] | how long is waited for what nobody tells? |
//! | [`random`] | how is a random run repeated, and made longer? |

pub mod forked;
pub mod patience;
pub mod random;
pub mod scratch;
pub mod solo;
pub mod stepped;
#[cfg(target_arch = "x86_64")]
pub mod stepper;
