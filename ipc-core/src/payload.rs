//! Which types may travel through shared memory.

use bytemuck::{AnyBitPattern, NoUninit};

/// A type whose values can be copied into shared memory and out again: every bit pattern is a
/// valid value (so damaged memory gives a wrong value, never undefined behaviour), and there is no
/// padding (so no stray byte of the sender leaks).
///
/// Implemented for every [`bytemuck::Pod`] type; derive that for your own:
///
/// ```
/// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
/// #[repr(C)]
/// struct Job { id: u64, weight: f64 }
///
/// fn takes_payload<T: ipc_core::Payload>(_: T) {}
/// takes_payload(Job { id: 1, weight: 0.5 });
/// takes_payload([1u32, 2, 3]);
/// ```
pub trait Payload: AnyBitPattern + NoUninit + Send + Sync {}

impl<T: AnyBitPattern + NoUninit + Send + Sync> Payload for T {}
