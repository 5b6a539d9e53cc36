//! An event in memory of the caller's, for users of the crate `raw_sync`.
//!
//! | `mode` | meaning |
//! |---|---|
//! | [`MANUAL`] | an event with manual reset |
//! | [`AUTO`] | an event with automatic reset |
//!
//! The rest is an [`Event`](crate::Event)'s words, with the states of that. There is no segment, so
//! there are no participants: nobody is told of a death, and none matters, as nobody owns an event.

use crate::event::{EventError, Reset, Words};
use ipc_core::atomic::{AtomicU32, Ordering};
use ipc_core::{Deadline, Fences, Wait};
use raw_sync::Timeout;
use raw_sync::events::{EventImpl, EventInit, EventState};
use std::error::Error;

/// What nobody has in memory by chance, with the low bit for the mode.
const MANUAL: u32 = 0x4556_5430;
const AUTO: u32 = MANUAL | 1;

/// In the caller's memory.
#[repr(C)]
struct Layout {
    mode: AtomicU32,
    words: Words,
}

/// An event of ours behind `raw_sync`'s traits: in place of `raw_sync::events::Event`, whose waiters
/// hang for ever once a process was killed at the wrong moment.
///
/// ```
/// use ipc_sync::RawEvent;
/// use raw_sync::Timeout;
/// use raw_sync::events::{EventImpl, EventInit, EventState};
///
/// let mut memory = [0u64; 8]; // Shared between processes, in earnest.
/// let at = memory.as_mut_ptr().cast::<u8>();
/// // SAFETY: the memory is large enough for an event and outlives both handles.
/// let (event, used) = unsafe { RawEvent::new(at, true) }?;
/// assert!(used <= 64);
/// let (same, _) = unsafe { RawEvent::from_existing(at) }?;
/// event.set(EventState::Signaled)?;
/// same.wait(Timeout::Infinite)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Waiting spins for some tens of microseconds and then sleeps; killed waiters and setters leave
/// nothing behind; a timeout is measured on the monotonic clock. The memory need not be aligned.
/// `from_existing` refuses memory in which there is no event of this kind.
#[derive(Debug)]
pub struct RawEvent {
    layout: *const Layout,
    reset: Reset,
}

// SAFETY: the pointer is to atomics that any thread may use; whoever made the handle answers for
// the memory as long as it exists.
unsafe impl Send for RawEvent {}
// SAFETY: as above.
unsafe impl Sync for RawEvent {}

/// Both sides pay for the barriers: nobody knows whether all processes are registered for the
/// cheap ones.
const FENCES: Fences = Fences::Symmetric;

fn padding(at: *const u8) -> usize {
    at.align_offset(align_of::<Layout>())
}

impl RawEvent {
    /// # Safety
    /// The memory is writable for as many bytes as `size_of` says, and nothing but atomics of ours
    /// or zeros are written there as long as the handle exists.
    unsafe fn at(mem: *mut u8) -> *const Layout {
        // SAFETY: within the memory, by the contract.
        unsafe { mem.add(padding(mem)) }.cast()
    }

    fn layout(&self) -> &Layout {
        // SAFETY: valid, aligned and atomics only by the contract of `at`, which all constructors
        // pass on to their callers.
        unsafe { &*self.layout }
    }
}

impl EventInit for RawEvent {
    /// Bytes from this address, with what must be left out to align it; without an address at most.
    fn size_of(addr: Option<*mut u8>) -> usize {
        let before = addr.map_or(align_of::<Layout>() - 1, |at| padding(at));
        before + size_of::<Layout>()
    }

    /// Makes an event, not set.
    ///
    /// # Safety
    /// The memory is writable for `size_of(Some(mem))` bytes as long as the handle exists, nobody
    /// uses it yet, and later only events of this kind do.
    unsafe fn new(
        mem: *mut u8,
        auto_reset: bool,
    ) -> Result<(Box<dyn EventImpl>, usize), Box<dyn Error>> {
        let (mode, reset) = if auto_reset {
            (AUTO, Reset::Auto)
        } else {
            (MANUAL, Reset::Manual)
        };
        // SAFETY: by this function's contract.
        let layout = unsafe { Self::at(mem) };
        // SAFETY: valid and aligned, and nobody uses it yet. All zeros are an event that is not set.
        unsafe { layout.cast_mut().write_bytes(0, 1) };
        let event = Self { layout, reset };
        // Release: pairs with the Acquire in `from_existing`.
        event.layout().mode.store(mode, Ordering::Release);
        Ok((Box::new(event), Self::size_of(Some(mem))))
    }

    /// Uses the event that another made there.
    ///
    /// # Safety
    /// As for `new`, but the memory is in use by events of this kind, or was never used.
    ///
    /// # Errors
    /// If there is no event of this kind.
    unsafe fn from_existing(mem: *mut u8) -> Result<(Box<dyn EventImpl>, usize), Box<dyn Error>> {
        let mut event = Self {
            // SAFETY: by this function's contract.
            layout: unsafe { Self::at(mem) },
            reset: Reset::Manual,
        };
        // Acquire: the event was made before.
        event.reset = match event.layout().mode.load(Ordering::Acquire) {
            MANUAL => Reset::Manual,
            AUTO => Reset::Auto,
            _ => return Err("there is no event of ipc-sync in this memory; make it first".into()),
        };
        Ok((Box::new(event), Self::size_of(Some(mem))))
    }
}

impl EventImpl for RawEvent {
    fn wait(&self, timeout: Timeout) -> Result<(), Box<dyn Error>> {
        let deadline = match timeout {
            Timeout::Infinite => Deadline::NEVER,
            Timeout::Val(timeout) => Deadline::after(timeout),
        };
        let words = &self.layout().words;
        words
            .wait(self.reset, Wait::default(), FENCES, deadline)
            .map_err(|error: EventError| error.into())
    }

    fn set(&self, state: EventState) -> Result<(), Box<dyn Error>> {
        match state {
            EventState::Clear => self.layout().words.reset(),
            EventState::Signaled => self.layout().words.set(FENCES),
        }
        Ok(())
    }
}
