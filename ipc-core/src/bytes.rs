//! Ranges of plain bytes in the mapping.

use crate::attachment::Attachment;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

/// A region of bytes that several processes use at once.
///
/// Reading and writing are safe whatever others do: a copy that races with another gives a mixture
/// of bytes. Who may use which of them when is the protocol built on it. Whatever part of a range
/// lies beyond the region, which is a mistake of the caller's, is left out.
///
/// In a forked child the mapping does not exist: check [`Attachment`]'s owner first, as all public
/// calls of this toolkit do.
pub struct SharedBytes {
    base: NonNull<u8>,
    len: usize,
    _keep: Arc<Attachment>,
}

impl SharedBytes {
    /// # Safety
    /// `base` lies in the mapping of `keep`, with room for `len` bytes.
    pub(crate) unsafe fn new(base: NonNull<u8>, len: usize, keep: Arc<Attachment>) -> Self {
        Self {
            base,
            len,
            _keep: keep,
        }
    }

    /// How long the region is.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A range of the region. Valid for reads and writes while `self` lives; what others do with it
    /// meanwhile is a matter of the protocol.
    #[inline(always)]
    pub fn range(&self, at: usize, len: usize) -> NonNull<[u8]> {
        debug_assert!(at.checked_add(len).is_some_and(|end| end <= self.len));
        let at = at.min(self.len);
        let len = len.min(self.len - at);
        // SAFETY: `at` is at most the region's length, so this is within it or at its end.
        NonNull::slice_from_raw_parts(unsafe { self.base.add(at) }, len)
    }

    /// Copies bytes into the region.
    #[inline(always)]
    pub fn write(&self, at: usize, bytes: &[u8]) {
        let to = self.range(at, bytes.len());
        // SAFETY: the range is valid for its own length, which is at most that of `bytes`.
        unsafe { crate::copy::to_shared(to.cast().as_ptr(), bytes.as_ptr(), to.len()) };
    }

    /// Copies bytes of the region to the end of a vector.
    #[inline(always)]
    pub fn append_to(&self, into: &mut Vec<u8>, at: usize, len: usize) {
        let from = self.range(at, len);
        into.reserve(from.len());
        // SAFETY: the vector has room for so many bytes behind its length, and all of them are
        // written before they count.
        unsafe {
            let to = into.as_mut_ptr().add(into.len());
            crate::copy::from_shared(to, from.cast().as_ptr(), from.len());
            into.set_len(into.len() + from.len());
        }
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBytes")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

// SAFETY: all access goes through copies that allow concurrent access, or through `range`, whose
// users answer for it; the memory is kept mapped.
unsafe impl Send for SharedBytes {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes {}
