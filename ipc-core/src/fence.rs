//! The store-load barrier between "publish, then look for sleepers" and "announce, then look for
//! data", with its cost moved to the side that is about to sleep anyway.
//!
//! Source of the idea: the `membarrier(2)` manual page, "asymmetric fences" (P1202 of WG21).

use std::io;

/// How the two sides of a store-load race are ordered in one segment.
///
/// Fixed when the segment is created and the same for all its participants: a side that relied on
/// the other's barrier would be wrong if the other did not take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fences {
    /// The frequent side pays nothing; the rare side makes every running thread of every
    /// registered process pass a full barrier (`membarrier`, about half a microsecond).
    Asymmetric,
    /// Both sides pay a full barrier. For kernels and sandboxes without `membarrier`.
    Symmetric,
}

impl Fences {
    /// What this system can do for the calling process, which is registered on the way.
    pub(crate) fn available() -> Self {
        match register() {
            Ok(()) => Fences::Asymmetric,
            Err(_) => Fences::Symmetric,
        }
    }

    /// The barrier of the frequent side: between its store and its load.
    #[inline(always)]
    pub fn light(self) {
        #[cfg(not(loom))]
        match self {
            // Keeps the compiler from swapping the two; the processor is kept from it by the
            // `heavy` of the other side.
            Fences::Asymmetric => {
                std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst)
            }
            Fences::Symmetric => std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst),
        }
        #[cfg(loom)]
        loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
    }

    /// The barrier of the rare side: between its store and its load.
    ///
    /// # Errors
    /// Only if `membarrier` was available at attach and is not any more (a sandbox installed
    /// later). The caller must then not rely on the ordering.
    pub fn heavy(self) -> io::Result<()> {
        #[cfg(not(loom))]
        match self {
            Fences::Asymmetric => membarrier(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED),
            Fences::Symmetric => {
                std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
                Ok(())
            }
        }
        #[cfg(loom)]
        {
            loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
            Ok(())
        }
    }
}

/// Registers the calling process, so that the `heavy` of others reaches it. `exec` undoes it (and
/// every mapping), `fork` keeps it.
pub(crate) fn register() -> io::Result<()> {
    membarrier(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED)
}

fn membarrier(command: libc::c_int) -> io::Result<()> {
    // SAFETY: membarrier takes three integers and touches no memory of ours.
    let done = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
