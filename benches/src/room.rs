//! Raw memory for objects of the C library, in a map that forked children share.

use std::sync::atomic::AtomicU64;

use crate::shared::ForkShared;

const LENGTH: usize = 512;

/// Room for one such object and what it protects, zeroed and aligned to two cache lines.
#[repr(align(128))]
pub(crate) struct Room([AtomicU64; LENGTH / 8]);

// SAFETY: atomics, no pointers. What others build in this memory they change through the address
// that `at` gives, under their own rules.
unsafe impl ForkShared for Room {}

impl Default for Room {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Room {
    /// The address of the byte at `offset`, at which there are `length` more.
    pub(crate) fn at(&self, offset: usize, length: usize) -> *mut u8 {
        assert!(offset + length <= LENGTH, "the room is too small");
        self.0.as_ptr().cast_mut().cast::<u8>().wrapping_add(offset)
    }
}
