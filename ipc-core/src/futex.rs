//! Sleeping on a word of shared memory and waking who sleeps there.

use crate::deadline::Deadline;
use std::sync::atomic::AtomicU32;

/// Why [`wait`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Somebody called [`wake`], or a signal arrived, or there was no reason to sleep: look at the
    /// word again.
    LookAgain,
    /// The deadline passed.
    TimedOut,
}

/// Sleeps until somebody wakes the word, it no longer holds `expected`, or the deadline passes.
/// May return early for no reason; never sleeps if the word does not hold `expected`.
///
/// The time is `CLOCK_MONOTONIC`: setting the machine's clock changes nothing.
pub fn wait(word: &AtomicU32, expected: u32, deadline: Deadline) -> Woken {
    let limit = deadline.as_timespec();
    let limit_ptr = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word outlives the call (a reference), the timespec too or is null. The operation
    // is the shared form (no FUTEX_PRIVATE_FLAG), so it works between processes.
    let done = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            // The bitset form takes an absolute time, the plain one a relative one.
            libc::FUTEX_WAIT_BITSET,
            expected,
            limit_ptr,
            std::ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    if done == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ETIMEDOUT) {
        Woken::TimedOut
    } else {
        Woken::LookAgain
    }
}

/// Wakes up to `count` sleepers of the word, in all processes. Returns how many it woke.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    let count = count.min(i32::MAX as u32);
    // SAFETY: the word is valid (a reference); waking reads and writes nothing else.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
    u32::try_from(woken).unwrap_or(0)
}

/// Wakes everybody who sleeps on the word.
pub fn wake_all(word: &AtomicU32) -> u32 {
    wake(word, u32::MAX)
}
