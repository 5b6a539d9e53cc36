//! A small number for each thread of the process, used again when the thread has ended.

use std::sync::{Mutex, PoisonError};

/// Numbers that were given back, and the first one that was never given out.
static FREE: Mutex<(Vec<u32>, u32)> = Mutex::new((Vec::new(), 0));

struct Number(u32);

impl Number {
    fn take() -> Self {
        let (free, next) = &mut *FREE.lock().unwrap_or_else(PoisonError::into_inner);
        Self(free.pop().unwrap_or_else(|| {
            let new = *next;
            *next += 1;
            new
        }))
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        let (free, _) = &mut *FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(self.0);
    }
}

thread_local! {
    static NUMBER: Number = Number::take();
}

/// The calling thread's number: no other thread has it as long as this one runs. `None` while the
/// thread is ending.
#[inline]
pub(crate) fn thread_number() -> Option<usize> {
    NUMBER.try_with(|number| number.0 as usize).ok()
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
            assert!(reused < 1000, "numbers are not used again");
        }
    }
}
