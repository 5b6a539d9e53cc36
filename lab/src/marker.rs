//! Where an operation begins and ends.

use std::arch::asm;

/// The victim stands still here until its tracer lets it go on: the operation's first instruction
/// is the next but few.
#[inline(always)]
pub fn begin() {
    // SAFETY: a breakpoint. Only a traced process comes here, and its tracer keeps the signal.
    unsafe { asm!("int3") };
}

/// The operation is over. Nothing happens here but that the address is known.
#[inline(never)]
pub extern "C" fn end() {
    // SAFETY: does nothing. It is here so that the function is none that looks like another.
    unsafe { asm!("nop") };
}

/// The address of [`end`].
pub fn end_address() -> u64 {
    end as *const () as u64
}
