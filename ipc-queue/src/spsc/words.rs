//! The words at the beginning of a ring, whatever its records are.

use super::cursor::Cursors;
use super::role::Role;
use ipc_core::{Bell, Departed, Object, Result, SharedLayout};

/// What lies at the beginning of the object; the slots, or the bytes, follow.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Words {
    pub cursors: Cursors,
    pub producer: Role,
    pub consumer: Role,
    /// The consumer sleeps here until there are messages.
    pub messages: Bell,
    /// The producer sleeps here until there is room.
    pub room: Bell,
    _to_the_line: [u64; 9],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Words>().is_multiple_of(128) && size_of::<Words>() == 512);

// SAFETY: `repr(C)`, atomics only (the filler is never accessed). Under loom nothing is mapped.
unsafe impl SharedLayout for Words {}

/// Takes the roles of an object's only ring from the dead.
pub(super) fn sweep(object: &Object, departed: &Departed<'_>) -> Result<()> {
    sweep_at(object, 0, departed)
}

/// Takes the roles of the ring that begins there in the object from the dead.
pub(crate) fn sweep_at(object: &Object, at: u64, departed: &Departed<'_>) -> Result<()> {
    let words = object.structure::<Words>(at)?;
    words.producer.sweep(departed);
    words.consumer.sweep(departed);
    // Whoever waits for the dead looks again.
    let fences = object.segment().attachment().fences();
    words.messages.ring(fences);
    words.room.ring(fences);
    Ok(())
}
