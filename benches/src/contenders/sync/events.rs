//! Events as channels: an item, and an event that says that it is there. They are no queues, as the
//! bare [futex](super::super::futex) is none.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::Wait;
use ipc_sync::{Event, Reset};
use raw_sync::Timeout;
use raw_sync::events::EventState;

use super::raw_sync::{RawEvent, RawEventHandle, failed};
use crate::channel::{Channel, ReceiveItem, SendItem};
use crate::failure::Failure;
use crate::in_segment::{InSegment, NAME};
use crate::shared::{ForkShared, Shared};

/// The item, on lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Item(AtomicU64);

// SAFETY: an atomic, no pointers.
unsafe impl ForkShared for Item {}

/// An event, for a channel.
pub(crate) trait Signal: Sized {
    /// What each side uses.
    type Handle;
    /// How it is used.
    const HOW: &'static str;

    /// Creates it, with automatic reset.
    fn create() -> Result<Self, Failure>;
    /// A handle for the calling process.
    fn handle(&self) -> Result<Self::Handle, Failure>;
    /// Lets one wait pass.
    fn set(handle: &Self::Handle) -> Result<(), Failure>;
    /// Waits for that.
    fn wait(handle: &Self::Handle) -> Result<(), Failure>;
}

/// A channel made of an event.
pub(crate) struct Signalled<S> {
    signal: S,
    item: Arc<Shared<Item>>,
}

/// One side of it.
pub(crate) struct Side<S: Signal> {
    handle: S::Handle,
    item: Arc<Shared<Item>>,
}

impl<S: Signal> Signalled<S> {
    fn side(&self) -> Result<Side<S>, Failure> {
        Ok(Side {
            handle: self.signal.handle()?,
            item: Arc::clone(&self.item),
        })
    }
}

impl<S: Signal> Channel for Signalled<S> {
    type Sender = Side<S>;
    type Receiver = Side<S>;

    fn how() -> String {
        S::HOW.into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        Ok(Self {
            signal: S::create()?,
            item: Arc::new(Shared::new()?),
        })
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        self.side()
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        self.side()
    }
}

// Relaxed, below: the event orders the item's store before the load.

impl<S: Signal> SendItem for Side<S> {
    #[inline(always)]
    fn send(&mut self, item: u64) -> Result<(), Failure> {
        self.item.0.store(item, Ordering::Relaxed);
        S::set(&self.handle)
    }
}

impl<S: Signal> ReceiveItem for Side<S> {
    #[inline(always)]
    fn receive(&mut self) -> Result<u64, Failure> {
        S::wait(&self.handle)?;
        Ok(self.item.0.load(Ordering::Relaxed))
    }
}

/// `ipc_sync::Event`, asleep at once.
pub(crate) struct OursEvent(InSegment);

impl Signal for OursEvent {
    type Handle = Event;
    const HOW: &'static str = "ipc_sync::Event, Reset::Auto, Wait::Park: set, wait";

    fn create() -> Result<Self, Failure> {
        InSegment::with(|segment| Event::create_in(segment, NAME, Reset::Auto)).map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        let mut event =
            Event::open_in(&self.0.open()?, NAME).map_err(Failure::contender("open the event"))?;
        event.set_wait(Wait::Park);
        Ok(event)
    }

    #[inline(always)]
    fn set(event: &Event) -> Result<(), Failure> {
        event.set().map_err(Failure::contender("set the event"))
    }

    #[inline(always)]
    fn wait(event: &Event) -> Result<(), Failure> {
        event
            .wait()
            .map_err(Failure::contender("wait for the event"))
    }
}

impl Signal for RawEvent {
    type Handle = RawEventHandle;
    const HOW: &'static str = "raw_sync::events::Event, automatic reset: set, wait";

    fn create() -> Result<Self, Failure> {
        Self::create()
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        self.handle()
    }

    #[inline(always)]
    fn set(handle: &RawEventHandle) -> Result<(), Failure> {
        let set = handle.event.set(EventState::Signaled);
        set.map_err(failed("set the event"))
    }

    #[inline(always)]
    fn wait(handle: &RawEventHandle) -> Result<(), Failure> {
        let waited = handle.event.wait(Timeout::Infinite);
        waited.map_err(failed("wait for the event"))
    }
}
