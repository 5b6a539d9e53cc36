//! The kinds, and what their handles can do.

pub(crate) mod channels;
pub(crate) mod directory;
pub(crate) mod locks;
pub(crate) mod queues;
pub(crate) mod rings;
pub(crate) mod values;
pub(crate) mod waits;
