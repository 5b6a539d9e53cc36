//! Copies between private and shared memory that stay defined whatever a peer does meanwhile.
//!
//! A plain read of memory that somebody else writes is undefined behaviour. Up to 64 bytes are
//! moved as relaxed atomic words (measured equal to plain moves for a word or two), more by
//! machine code that the compiler cannot look into; and what is long goes to shared memory past the
//! caches.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Up to this many bytes go word by word.
const WORDWISE: usize = 64;

/// Copies `len` private bytes to shared memory.
///
/// # Safety
/// `from` is readable for `len` bytes; `to` lies in a live shared mapping, writable for `len`
/// bytes. Others may access the shared bytes at the same time.
#[inline(always)]
pub(crate) unsafe fn to_shared(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: offsets stay below `len`; atomics are used where the shared address is aligned for
    // them (checked), the private side is read unaligned.
    unsafe {
        if len == 8 && to.addr().is_multiple_of(8) {
            (*to.cast::<AtomicU64>()).store(from.cast::<u64>().read_unaligned(), Relaxed);
        } else if len <= WORDWISE {
            let mut at = 0;
            while at < len {
                at += step_to_shared(to.add(at), from.add(at), len - at);
            }
        } else {
            opaque_copy(to, from, len);
        }
    }
}

/// Copies `len` shared bytes to private memory. What is read while somebody writes is some mixture
/// of bytes.
///
/// # Safety
/// `from` lies in a live shared mapping, readable for `len` bytes; `to` is writable for `len`
/// bytes and private. Others may access the shared bytes at the same time.
#[inline(always)]
pub(crate) unsafe fn from_shared(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: as in `to_shared`.
    unsafe {
        if len == 8 && from.addr().is_multiple_of(8) {
            to.cast::<u64>()
                .write_unaligned((*from.cast::<AtomicU64>()).load(Relaxed));
        } else if len <= WORDWISE {
            let mut at = 0;
            while at < len {
                at += step_from_shared(to.add(at), from.add(at), len - at);
            }
        } else {
            opaque_copy(to, from, len);
        }
    }
}

/// One step with the widest atomic that fits the shared address and the rest.
///
/// # Safety
/// As for [`to_shared`], with `rest > 0`.
#[inline(always)]
unsafe fn step_to_shared(to: *mut u8, from: *const u8, rest: usize) -> usize {
    let free = to.addr();
    // SAFETY: each branch moves at most `rest` bytes and checked the alignment it needs.
    unsafe {
        if rest >= 8 && free.is_multiple_of(8) {
            (*to.cast::<AtomicU64>()).store(from.cast::<u64>().read_unaligned(), Relaxed);
            8
        } else if rest >= 4 && free.is_multiple_of(4) {
            (*to.cast::<AtomicU32>()).store(from.cast::<u32>().read_unaligned(), Relaxed);
            4
        } else if rest >= 2 && free.is_multiple_of(2) {
            (*to.cast::<AtomicU16>()).store(from.cast::<u16>().read_unaligned(), Relaxed);
            2
        } else {
            (*to.cast::<AtomicU8>()).store(from.read(), Relaxed);
            1
        }
    }
}

/// # Safety
/// As for [`from_shared`], with `rest > 0`.
#[inline(always)]
unsafe fn step_from_shared(to: *mut u8, from: *const u8, rest: usize) -> usize {
    let free = from.addr();
    // SAFETY: each branch moves at most `rest` bytes and checked the alignment it needs.
    unsafe {
        if rest >= 8 && free.is_multiple_of(8) {
            to.cast::<u64>()
                .write_unaligned((*from.cast::<AtomicU64>()).load(Relaxed));
            8
        } else if rest >= 4 && free.is_multiple_of(4) {
            to.cast::<u32>()
                .write_unaligned((*from.cast::<AtomicU32>()).load(Relaxed));
            4
        } else if rest >= 2 && free.is_multiple_of(2) {
            to.cast::<u16>()
                .write_unaligned((*from.cast::<AtomicU16>()).load(Relaxed));
            2
        } else {
            to.write((*from.cast::<AtomicU8>()).load(Relaxed));
            1
        }
    }
}

/// As [`to_shared`], for bytes that another core will read next: many of them go past the caches
/// ([`stream`]). They are ordered as plain stores are.
///
/// # Safety
/// As for [`to_shared`].
#[inline(always)]
pub(crate) unsafe fn away_to_shared(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: as for the caller.
    unsafe {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if len >= PAST_CACHES {
            return stream(to, from, len);
        }
        to_shared(to, from, len);
    }
}

/// From so many bytes on, whole lines of them go past the caches.
pub(crate) const PAST_CACHES: usize = 4096;

#[cfg(all(target_arch = "x86_64", not(miri)))]
const LINE: usize = 64;

/// Writes whole cache lines past the caches. Who reads the bytes next has their lines in its cache, from
/// the last time round: a plain store fetches each of them from there before it overwrites it, and the
/// reader fetches it back; these stores fetch nothing. (Measured one way between two processes, of the
/// time of `memcpy`, with the cores near each other and far apart: 4 KiB 0.7 and 0.2, 64 KiB 0.9 and 0.2;
/// but 1 KiB 1.4 and 0.6, 64 bytes 9 and 2.)
///
/// # Safety
/// As for [`to_shared`], with `len` at least [`LINE`].
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(never)]
unsafe fn stream(to: *mut u8, from: *const u8, len: usize) {
    let before = to.addr().next_multiple_of(LINE) - to.addr();
    let lines = (len - before) / LINE;
    let streamed = before + lines * LINE;
    // SAFETY: `before` is less than a line, so that the three parts are within the ranges and make up
    // the whole. The lines are aligned for the stores; the private side is read unaligned. It is machine
    // code to the compiler, which takes it for something that reads and writes any memory.
    unsafe {
        opaque_copy(to, from, before);
        if lines > 0 {
            std::arch::asm!(
                // Such stores are ordered with no others, but by fences: neither with those before ...
                "sfence",
                "2:",
                "movups {a}, [{from}]",
                "movups {b}, [{from} + 16]",
                "movups {c}, [{from} + 32]",
                "movups {d}, [{from} + 48]",
                "movntps [{to}], {a}",
                "movntps [{to} + 16], {b}",
                "movntps [{to} + 32], {c}",
                "movntps [{to} + 48], {d}",
                "add {from}, 64",
                "add {to}, 64",
                "sub {lines}, 1",
                "jnz 2b",
                // ... nor with the publication that follows.
                "sfence",
                from = inout(reg) from.add(before) => _,
                to = inout(reg) to.add(before) => _,
                lines = inout(reg) lines => _,
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                options(nostack),
            );
        }
        opaque_copy(to.add(streamed), from.add(streamed), len - streamed);
    }
}

/// The C library's copy, which is tuned for the processor at hand, through a pointer that the
/// compiler knows nothing about: it can neither look into the call nor take it for a copy of its
/// own, which would be a plain access. (Measured beside it for slices of 2 KiB between two cores:
/// `rep movsb` and a loop over SSE registers have 0.7 to 0.9 of its rate.)
///
/// # Safety
/// Both ranges are valid for `len` bytes and do not overlap.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
unsafe fn opaque_copy(to: *mut u8, from: *const u8, len: usize) {
    use libc::{c_void, size_t};

    let mut copy: unsafe extern "C" fn(*mut c_void, *const c_void, size_t) -> *mut c_void =
        libc::memcpy;
    // SAFETY: the assembly has no instruction, so that the pointer remains the one to `memcpy`,
    // whose only demand is that of this function. It is machine code to the compiler, which sees
    // neither range as accessed by Rust code.
    unsafe {
        std::arch::asm!(
            "/* {0} */",
            inout(reg) copy,
            options(pure, readonly, nostack, preserves_flags)
        );
        copy(to.cast(), from.cast(), len);
    }
}

/// # Safety
/// Both ranges are valid for `len` bytes and do not overlap. Exactly one of them is shared; both
/// are accessed by byte atomics.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
unsafe fn opaque_copy(to: *mut u8, from: *const u8, len: usize) {
    for at in 0..len {
        // SAFETY: `at < len`; a byte atomic needs no alignment.
        unsafe {
            let byte = (*from.add(at).cast::<AtomicU8>()).load(Relaxed);
            (*to.add(at).cast::<AtomicU8>()).store(byte, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_arrive_whole_and_touch_nothing_else() {
        let source: Vec<u8> = (0..9000).map(|at| (at * 31 / 7) as u8).collect();
        for len in [0, 1, 4095, 4096, 4097, 4096 + 63, 4096 + 64, 5000, 8192] {
            for shift in (0..130).chain([255, 256, 257]) {
                let mut shared = vec![0xAAu8; 9000];
                // SAFETY: both vectors have 9000 bytes; shift + len <= 8449.
                unsafe {
                    away_to_shared(shared.as_mut_ptr().add(shift), source.as_ptr().add(5), len)
                };
                assert_eq!(shared[shift..shift + len], source[5..5 + len]);
                assert!(shared[..shift].iter().all(|&b| b == 0xAA));
                assert!(shared[shift + len..].iter().all(|&b| b == 0xAA));
            }
        }
    }

    #[test]
    fn every_length_and_alignment_arrives_whole_and_touches_nothing_else() {
        let source: Vec<u8> = (0..200u8).collect();
        for len in 0..150 {
            for shift in 0..9 {
                let mut shared = vec![0xAAu8; 200];
                // SAFETY: both vectors have 200 bytes; shift + len <= 159.
                unsafe { to_shared(shared.as_mut_ptr().add(shift), source.as_ptr().add(3), len) };
                assert_eq!(shared[shift..shift + len], source[3..3 + len]);
                assert!(shared[..shift].iter().all(|&b| b == 0xAA));
                assert!(shared[shift + len..].iter().all(|&b| b == 0xAA));

                let mut back = vec![0x55u8; 200];
                // SAFETY: as above.
                unsafe { from_shared(back.as_mut_ptr().add(5), shared.as_ptr().add(shift), len) };
                assert_eq!(back[5..5 + len], source[3..3 + len]);
                assert!(back[..5].iter().all(|&b| b == 0x55));
                assert!(back[5 + len..].iter().all(|&b| b == 0x55));
            }
        }
    }
}
