//! A small number for each of a few threads of the process, used again when the thread has ended.
//!
//! Without a lock: a child forked while another thread has it would wait for that thread for ever.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

/// As many threads can have one.
pub(super) const NUMBERS: usize = u32::BITS as usize;

/// A bit for each number that a thread has.
static TAKEN: AtomicU32 = AtomicU32::new(0);

/// Gives the number back when the thread ends.
struct Number(Option<u32>);

impl Number {
    fn take() -> Self {
        let lowest_free = |taken: u32| taken.checked_add(1).map(|more| taken | more);
        // Acquire: what the thread before did with this number comes before.
        let taken = TAKEN.fetch_update(Ordering::Acquire, Ordering::Relaxed, lowest_free);
        Self(taken.ok().map(u32::trailing_ones))
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        KNOWN.set(UNKNOWN);
        if let Some(number) = self.0 {
            // Release: pairs with the Acquire in `take`.
            TAKEN.fetch_and(!(1 << number), Ordering::Release);
        }
    }
}

const UNKNOWN: u32 = u32::MAX;

thread_local! {
    static NUMBER: Number = Number::take();
    /// The same without a destructor: so it is read without a look at whether it exists.
    static KNOWN: Cell<u32> = const { Cell::new(UNKNOWN) };
}

/// The calling thread's number: no other thread has it as long as this one runs. `None` if all are
/// taken, and while the thread is ending.
#[inline(always)]
pub(super) fn thread_number() -> Option<usize> {
    let number = KNOWN.get();
    if number == UNKNOWN {
        return first_time();
    }
    Some(number as usize)
}

#[cold]
fn first_time() -> Option<usize> {
    let number = NUMBER.try_with(|number| number.0).ok()??;
    KNOWN.set(number);
    Some(number as usize)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn threads_that_run_at_once_have_different_numbers_and_later_ones_use_them_again() {
        let number = || thread_number().unwrap();
        let mine = number();
        assert_eq!(number(), mine);
        let together = std::sync::Barrier::new(4);
        let mut all: Vec<usize> = std::thread::scope(|scope| {
            let others: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let number = number();
                        together.wait();
                        number
                    })
                })
                .collect();
            others.into_iter().map(|it| it.join().unwrap()).collect()
        });
        all.push(mine);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 5);
        for _ in 0..1000 {
            let reused = std::thread::spawn(number).join().unwrap();
            assert!(reused < NUMBERS);
        }
    }
}
