//! Sleeping on the low half of a 64-bit word: the half with which all its changes can be told.

use ipc_core::Deadline;
use ipc_core::atomic::AtomicU64;

/// Where sleepers sleep: in the kernel, or in a model of it.
pub(crate) trait Park {
    /// Sleeps until woken, until the low half of the word is not that of `expected`, or until the
    /// deadline. May return early for no reason.
    fn sleep(&self, word: &AtomicU64, expected: u64, until: Deadline);

    /// Wakes the one that sleeps longest. Returns how many it woke.
    fn wake_one(&self, word: &AtomicU64) -> u32;

    /// Wakes all.
    fn wake_all(&self, word: &AtomicU64);
}

/// The kernel's futexes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel;

#[cfg(not(loom))]
impl Park for Kernel {
    fn sleep(&self, word: &AtomicU64, expected: u64, until: Deadline) {
        ipc_core::futex::wait(low_half(word), expected as u32, until);
    }

    fn wake_one(&self, word: &AtomicU64) -> u32 {
        ipc_core::futex::wake(low_half(word), 1)
    }

    fn wake_all(&self, word: &AtomicU64) {
        ipc_core::futex::wake_all(low_half(word));
    }
}

#[cfg(not(loom))]
fn low_half(word: &AtomicU64) -> &std::sync::atomic::AtomicU32 {
    let offset = if cfg!(target_endian = "big") { 4 } else { 0 };
    // SAFETY: the half lies within the word and is aligned to 4. Only its address is used, by the
    // kernel, which reads it atomically; this process never loads through the reference.
    unsafe { &*word.as_ptr().cast::<u8>().add(offset).cast() }
}

/// Nothing is mapped under loom, where the state machines sleep in [`model::Model`].
#[cfg(loom)]
impl Park for Kernel {
    fn sleep(&self, _: &AtomicU64, _: u64, _: Deadline) {
        unreachable!("there is no kernel under loom");
    }

    fn wake_one(&self, _: &AtomicU64) -> u32 {
        unreachable!("there is no kernel under loom");
    }

    fn wake_all(&self, _: &AtomicU64) {
        unreachable!("there is no kernel under loom");
    }
}

/// What the kernel does, for loom: looking at the word and falling asleep are one step for wakers.
/// No time passes here, so a lost wake is a deadlock, which loom reports.
#[cfg(loom)]
pub(crate) mod model {
    use super::{AtomicU64, Deadline, Park};
    use ipc_core::atomic::Ordering;
    use loom::sync::{Condvar, Mutex};

    #[derive(Debug, Default)]
    pub(crate) struct Model {
        asleep: Mutex<u32>,
        woken: Condvar,
    }

    impl Park for Model {
        fn sleep(&self, word: &AtomicU64, expected: u64, _: Deadline) {
            let mut asleep = self.asleep.lock().unwrap();
            if word.load(Ordering::Relaxed) as u32 == expected as u32 {
                *asleep += 1;
                drop(self.woken.wait(asleep).unwrap());
            }
        }

        fn wake_one(&self, _: &AtomicU64) -> u32 {
            let mut asleep = self.asleep.lock().unwrap();
            let woken = (*asleep).min(1);
            *asleep -= woken;
            if woken == 1 {
                self.woken.notify_one();
            }
            woken
        }

        fn wake_all(&self, _: &AtomicU64) {
            let mut asleep = self.asleep.lock().unwrap();
            *asleep = 0;
            self.woken.notify_all();
        }
    }
}
