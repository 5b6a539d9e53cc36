//! Numbers that tell the threads of one process apart.

use super::word::THREAD_BITS;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the threads beyond the last number have: as a number of [`THREAD_BITS`] it is 0, none.
const NUMBERLESS: u32 = 1 << THREAD_BITS;
const NOT_ASKED: u32 = 0;

static NEXT: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(NOT_ASKED) };
}

/// The calling thread's number. None is given twice in a process, and so none to two threads of a
/// forked child: it goes on counting where its parent was.
#[inline(always)]
pub(crate) fn number() -> u32 {
    match NUMBER.get() {
        NOT_ASKED => draw(),
        number => number,
    }
}

#[cold]
fn draw() -> u32 {
    // Relaxed: only uniqueness matters.
    let drawn = NEXT.fetch_add(1, Ordering::Relaxed);
    let number = drawn.min(u64::from(NUMBERLESS)) as u32;
    NUMBER.set(number);
    number
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_number_and_shares_it_with_none() {
        let mine = number();
        assert_eq!(number(), mine);
        let mut all: Vec<_> = (0..20)
            .map(|_| std::thread::spawn(number).join().unwrap())
            .chain([mine])
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 21);
    }
}
