//! One shared word and the system's futex: the limit for any round trip that sleeps and wakes. It
//! is no queue, a value not yet seen is overwritten; in a round trip there is never more than one.

use std::io;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::channel::{Channel, ReceiveItem, SendItem};
use crate::failure::Failure;
use crate::shared::{ForkShared, Shared};

/// An item and how many there have been.
#[derive(Default)]
#[repr(align(128))]
struct Word {
    turn: AtomicU32,
    item: AtomicU64,
}

// SAFETY: two atomics, no pointers.
unsafe impl ForkShared for Word {}

/// A futex word and an item in a shared map.
pub struct Futex(Arc<Shared<Word>>);

/// Stores an item and wakes.
pub struct Waking(Arc<Shared<Word>>);

/// Looks once and sleeps.
pub struct Sleeping {
    word: Arc<Shared<Word>>,
    turn: u32,
}

impl Channel for Futex {
    type Sender = Waking;
    type Receiver = Sleeping;

    fn how() -> String {
        "an atomic store and FUTEX_WAKE each time; FUTEX_WAIT after one look, no spinning".into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        Ok(Self(Arc::new(Shared::new()?)))
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        Ok(Waking(Arc::clone(&self.0)))
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        Ok(Sleeping {
            word: Arc::clone(&self.0),
            turn: 0,
        })
    }
}

impl SendItem for Waking {
    fn send(&mut self, item: u64) -> Result<(), Failure> {
        self.0.item.store(item, Ordering::Relaxed);
        // Pairs with the load in `receive`: who sees the turn sees the item.
        self.0.turn.fetch_add(1, Ordering::Release);
        // SAFETY: the word lies in a map that outlives the call; FUTEX_WAKE does not access it.
        let woken =
            unsafe { libc::syscall(libc::SYS_futex, self.0.turn.as_ptr(), libc::FUTEX_WAKE, 1) };
        if woken < 0 {
            return Err(Failure::system("wake on a futex")(
                io::Error::last_os_error(),
            ));
        }
        Ok(())
    }
}

impl ReceiveItem for Sleeping {
    fn receive(&mut self) -> Result<u64, Failure> {
        while self.word.turn.load(Ordering::Acquire) == self.turn {
            // SAFETY: the word lies in a map that outlives the call, and is an atomic that the
            // kernel may read at any time; a null time means no limit.
            let slept = unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.word.turn.as_ptr(),
                    libc::FUTEX_WAIT,
                    self.turn,
                    ptr::null::<libc::timespec>(),
                )
            };
            if slept < 0 {
                let error = io::Error::last_os_error();
                // The word had changed already, or a signal came: look again.
                if !matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) {
                    return Err(Failure::system("wait on a futex")(error));
                }
            }
        }
        self.turn = self.turn.wrapping_add(1);
        Ok(self.word.item.load(Ordering::Relaxed))
    }
}
