//! One shared cache line: the limit for any round trip between two CPUs that spin. It is no queue,
//! a value not yet seen is overwritten; in a round trip there is never more than one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::channel::{Channel, ReceiveItem, SendItem};
use crate::failure::Failure;
use crate::shared::{ForkShared, Shared};
use crate::spin;

/// Two lines, as CPUs prefetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Line(AtomicU64);

// SAFETY: one atomic, no pointers.
unsafe impl ForkShared for Line {}

/// A line in a shared map, looked at with `PAUSES` pauses in between.
pub struct CacheLine<const PAUSES: u32>(Arc<Shared<Line>>);

/// Stores items.
pub struct Storing(Arc<Shared<Line>>);

/// Waits for an item that differs from the last one.
pub struct Watching<const PAUSES: u32> {
    line: Arc<Shared<Line>>,
    last: u64,
}

impl<const PAUSES: u32> Channel for CacheLine<PAUSES> {
    type Sender = Storing;
    type Receiver = Watching<PAUSES>;

    fn how() -> String {
        format!("an atomic store, and loads with {PAUSES} spin_loop until the value changes")
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        Ok(Self(Arc::new(Shared::new()?)))
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        Ok(Storing(Arc::clone(&self.0)))
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        Ok(Watching {
            line: Arc::clone(&self.0),
            last: 0,
        })
    }
}

impl SendItem for Storing {
    #[inline]
    fn send(&mut self, item: u64) -> Result<(), Failure> {
        // Release, with Acquire below, as a queue would need it for the item behind its index.
        self.0.0.store(item, Ordering::Release);
        Ok(())
    }
}

impl<const PAUSES: u32> ReceiveItem for Watching<PAUSES> {
    #[inline]
    fn receive(&mut self) -> Result<u64, Failure> {
        self.last = spin::until::<PAUSES, _>(|| {
            let item = self.line.0.load(Ordering::Acquire);
            (item != self.last).then_some(item)
        });
        Ok(self.last)
    }
}
