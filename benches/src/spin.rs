//! How a contender without a wait of its own waits: it tries again.

use std::hint::spin_loop;

/// Calls `attempt` until it gives a value, with `PAUSES` pause instructions between two tries.
///
/// Few pauses notice a change soon, many leave the line that is polled to the other CPU for
/// longer, so that it can fill or drain more before the line goes back; which is best differs from
/// queue to queue. Never returns while `attempt` gives `None`.
#[inline(always)]
pub fn until<const PAUSES: u32, T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        for _ in 0..PAUSES {
            spin_loop();
        }
    }
}
