//! The limit for copies between two processes: memory that both share, as large as the others' queues,
//! in eight parts, and a word each way that says how many parts were filled and emptied. It is no
//! queue: there is nothing but the copies, and one publication for an eighth of the room.

use std::hint::black_box;
use std::path::Path;
use std::ptr::copy_nonoverlapping;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bytes::{ReceiveBatch, SendBatch, batch};
use crate::channel::Channel;
use crate::failure::Failure;
use crate::shared::{Area, ForkShared, Shared};
use crate::spin;

/// Two lines, as CPUs prefetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Line(AtomicU64);

/// How many parts were filled and emptied since the beginning.
#[derive(Default)]
struct Counts {
    filled: Line,
    emptied: Line,
}

// SAFETY: two atomics, no pointers.
unsafe impl ForkShared for Counts {}

/// The memory, for messages of `LENGTH` bytes.
pub struct Memcpy<const LENGTH: usize, const MESSAGES: usize> {
    counts: Arc<Shared<Counts>>,
    area: Arc<Area>,
}

/// One end: the parts that it has gone through.
pub struct End<const LENGTH: usize, const MESSAGES: usize> {
    counts: Arc<Shared<Counts>>,
    area: Arc<Area>,
    part: u64,
}

impl<const LENGTH: usize, const MESSAGES: usize> Memcpy<LENGTH, MESSAGES> {
    fn end(&self) -> End<LENGTH, MESSAGES> {
        End {
            counts: Arc::clone(&self.counts),
            area: Arc::clone(&self.area),
            part: 0,
        }
    }
}

impl<const LENGTH: usize, const MESSAGES: usize> End<LENGTH, MESSAGES> {
    const PARTS: u64 = (MESSAGES / batch(MESSAGES)) as u64;

    /// A message of the part at hand.
    #[inline(always)]
    fn message(&self, index: usize) -> *mut u8 {
        let part = (self.part % Self::PARTS) as usize;
        self.area
            .at((part * batch(MESSAGES) + index) * LENGTH, LENGTH)
    }
}

impl<const LENGTH: usize, const MESSAGES: usize> Channel for Memcpy<LENGTH, MESSAGES> {
    type Sender = End<LENGTH, MESSAGES>;
    type Receiver = End<LENGTH, MESSAGES>;

    fn how() -> String {
        "memcpy in and out of shared memory, in eight parts".into()
    }

    fn create(_scratch: &Path) -> Result<Self, Failure> {
        Ok(Self {
            counts: Arc::new(Shared::new()?),
            area: Arc::new(Area::new(MESSAGES * LENGTH)?),
        })
    }

    fn sender(&mut self) -> Result<Self::Sender, Failure> {
        Ok(self.end())
    }

    fn receiver(&mut self) -> Result<Self::Receiver, Failure> {
        Ok(self.end())
    }
}

impl<const LENGTH: usize, const MESSAGES: usize> SendBatch for End<LENGTH, MESSAGES> {
    #[inline(always)]
    fn send_batch(&mut self, messages: &[&[u8]]) -> Result<(), Failure> {
        assert!(messages.len() == batch(MESSAGES), "a batch is a part");
        spin::until::<1, _>(|| {
            let emptied = self.counts.emptied.0.load(Ordering::Acquire);
            (self.part - emptied < Self::PARTS).then_some(())
        });
        // As for the others, of a length that the compiler does not know.
        let length = black_box(LENGTH);
        for (index, message) in messages.iter().enumerate() {
            assert!(message.len() == length, "all messages have one length");
            // SAFETY: both are of this length; the part belongs to the sender until it is counted as
            // filled, as it was counted as emptied.
            unsafe { copy_nonoverlapping(message.as_ptr(), self.message(index), length) };
        }
        self.part += 1;
        self.counts.filled.0.store(self.part, Ordering::Release);
        Ok(())
    }
}

impl<const LENGTH: usize, const MESSAGES: usize> ReceiveBatch for End<LENGTH, MESSAGES> {
    #[inline(always)]
    fn receive_batch(
        &mut self,
        most: usize,
        into: &mut [u8],
        mut see: impl FnMut(&[u8]),
    ) -> Result<usize, Failure> {
        assert!(most == batch(MESSAGES), "a batch is a part");
        spin::until::<1, _>(|| {
            let filled = self.counts.filled.0.load(Ordering::Acquire);
            (filled > self.part).then_some(())
        });
        let length = black_box(LENGTH);
        for index in 0..most {
            let into = &mut into[..length];
            // SAFETY: both are of this length; the part belongs to the receiver until it is counted as
            // emptied, as it was counted as filled.
            unsafe { copy_nonoverlapping(self.message(index), into.as_mut_ptr(), length) };
            see(into);
        }
        self.part += 1;
        self.counts.emptied.0.store(self.part, Ordering::Release);
        Ok(most)
    }
}
