//! Where the bytes of messages lie, and the one look at what describes them.

use super::block::Tenancy;
use super::header::Header;
use super::layout::{INLINE, INLINE_AT, Plan, headers_at};
use super::pool::Pool;
use crate::mpmc::layout::Shape;
use ipc_core::atomic::Ordering;
use ipc_core::{Object, Result, SharedBytes, SharedWords};
use std::ptr::NonNull;

/// One handle's view of all messages' bytes.
#[derive(Debug)]
pub(super) struct Store {
    headers: SharedWords,
    /// From the first slot to the last block.
    area: SharedBytes,
    pub pool: Pool,
    stride: usize,
    pub longest: usize,
}

/// The bytes of a message. Within the area when it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    at: usize,
    pub len: usize,
    pub block: Option<usize>,
    pub tenancy: Tenancy,
}

impl Store {
    pub(super) fn of(plan: &Plan, shape: &Shape, object: &Object) -> Result<Self> {
        let end = shape.bytes().unwrap_or(0);
        Ok(Self {
            headers: object.words(headers_at(shape), shape.stride, shape.slots as usize)?,
            area: object.bytes(shape.slots_at(), end.saturating_sub(shape.slots_at()))?,
            pool: Pool::of(plan, shape, object)?,
            stride: shape.stride as usize,
            longest: plan.longest(),
        })
    }

    /// A claimed slot's own bytes.
    #[inline(always)]
    pub(super) fn inline(&self, index: usize, len: usize, tenancy: Tenancy) -> Extent {
        debug_assert!(len <= INLINE);
        Extent {
            at: index * self.stride + INLINE_AT,
            len,
            block: None,
            tenancy,
        }
    }

    /// Bytes of a block, which is taken for the claim. `None`: there is no block any more.
    #[inline]
    pub(super) fn take_block(&mut self, len: usize, tenancy: Tenancy) -> Option<Extent> {
        let (block, at) = self.pool.take(len, tenancy)?;
        Some(Extent {
            at,
            len,
            block: Some(block),
            tenancy,
        })
    }

    /// B5: says in the slot where the first `len` bytes of an extent lie. The commit follows.
    #[inline(always)]
    pub(super) fn describe(&self, index: usize, extent: &Extent, len: usize) {
        debug_assert!(len <= extent.len);
        let header = Header {
            block: extent.block,
            len: len as u64,
        };
        // Relaxed: the commit publishes it.
        self.headers
            .at(index)
            .store(header.to_word(), Ordering::Relaxed);
    }

    /// B7: where a message lies that was taken. Its header is read once.
    #[inline(always)]
    pub(super) fn locate(
        &self,
        index: usize,
        tenancy: Tenancy,
    ) -> std::result::Result<Extent, &'static str> {
        // Relaxed: what was committed is seen since the message was taken.
        let word = self.headers.at(index).load(Ordering::Relaxed);
        let Header { block, len } = Header::from_word(word);
        if len > self.longest as u64 {
            return Err("a message in it is longer than any can be");
        }
        let len = len as usize;
        match block {
            None if len <= INLINE => Ok(self.inline(index, len, tenancy)),
            None => Err("a message in it is longer than its slot"),
            Some(number) => match self.pool.locate(number, len, tenancy) {
                Some(at) => Ok(Extent {
                    at,
                    len,
                    block,
                    tenancy,
                }),
                None => Err("a message in it names a block that is not its own"),
            },
        }
    }

    /// Frees what an extent has beside its slot, once the lap is over.
    #[inline(always)]
    pub(super) fn release(&self, extent: &Extent) {
        if let Some(block) = extent.block {
            self.pool.release(block, extent.tenancy);
        }
    }

    /// Copies a message's bytes into an extent of its length.
    #[inline(always)]
    pub(super) fn write(&self, extent: &Extent, bytes: &[u8]) {
        self.area.write(extent.at, bytes);
    }

    /// Copies an extent's bytes to the end of a vector.
    #[inline(always)]
    pub(super) fn append_to(&self, into: &mut Vec<u8>, extent: &Extent) {
        self.area.append_to(into, extent.at, extent.len);
    }

    /// A copy of an extent's first bytes, if it has so many. Of a message that is finished
    /// meanwhile it may be any bytes.
    pub(super) fn start<const N: usize>(&self, extent: &Extent) -> Option<[u8; N]> {
        let mut start = [0; N];
        (extent.len >= N).then(|| self.area.read(extent.at, &mut start))?;
        Some(start)
    }

    /// An extent's bytes. Whose they are is the protocol's matter.
    #[inline(always)]
    pub(super) fn bytes(&self, extent: &Extent) -> NonNull<[u8]> {
        self.area.range(extent.at, extent.len)
    }
}
