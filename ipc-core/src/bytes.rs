//! A run of bytes in the mapping, for records of any length.

use crate::atomic::AtomicU64;
use crate::attachment::Attachment;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

/// A run of bytes in the mapping.
///
/// Copying in and out is safe whatever others do: a copy that races with another gives a mixture of
/// bytes. Who may use which bytes when is the protocol built on it. A range that does not lie
/// within the run, which is a mistake of the caller's, is empty: check lengths that come from shared
/// memory before.
pub struct SharedBytes {
    base: NonNull<u8>,
    len: usize,
    _keep: Arc<Attachment>,
}

impl SharedBytes {
    /// So many bytes, or more, are [written](Self::write) past the caches of the writer's core, and come
    /// from memory to who reads them. (Where the processor can do that.)
    pub const PAST_CACHES: usize = crate::copy::PAST_CACHES;

    /// # Safety
    /// `base` lies in the mapping of `keep`, aligned to 128, with room for `len` bytes; `len` is at
    /// least 8.
    pub(crate) unsafe fn new(base: NonNull<u8>, len: usize, keep: Arc<Attachment>) -> Self {
        debug_assert!(len >= 8);
        Self {
            base,
            len,
            _keep: keep,
        }
    }

    /// How many there are: at least eight.
    #[inline(always)]
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The word at an offset, a multiple of 8. An offset without a word, which is a mistake of the
    /// caller's, gives the first.
    #[inline(always)]
    pub fn word(&self, at: usize) -> &AtomicU64 {
        let fits = at.is_multiple_of(8) && at <= self.len - 8;
        debug_assert!(fits);
        // SAFETY: in bounds and, as the base is aligned to 128, aligned to 8; mapped as long as
        // `_keep`. Copies to and from the same bytes are of the kind that allow concurrent access;
        // who hands out references to them keeps this word out of them (`range`).
        unsafe {
            self.base
                .add(if fits { at } else { 0 })
                .cast::<AtomicU64>()
                .as_ref()
        }
    }

    /// The `len` bytes at an offset. Valid for reads and writes while `self` lives; what others do
    /// with them meanwhile is a matter of the protocol.
    #[inline(always)]
    pub fn range(&self, at: usize, len: usize) -> NonNull<[u8]> {
        let fits = at <= self.len && len <= self.len - at;
        debug_assert!(fits);
        let (at, len) = if fits { (at, len) } else { (0, 0) };
        // SAFETY: `at` is at most the length of the run. The alignment of the base is promised to
        // `new`, and saves the copies of aligned ranges from looking at the address again.
        unsafe {
            std::hint::assert_unchecked(self.base.addr().get().is_multiple_of(128));
            NonNull::slice_from_raw_parts(self.base.add(at), len)
        }
    }

    /// Copies bytes to an offset, for another core to read: see [`PAST_CACHES`](Self::PAST_CACHES).
    #[inline(always)]
    pub fn write(&self, at: usize, bytes: &[u8]) {
        let to = self.range(at, bytes.len());
        // SAFETY: `range` is valid for its length, which is at most that of `bytes`.
        unsafe { crate::copy::away_to_shared(to.cast().as_ptr(), bytes.as_ptr(), to.len()) };
    }

    /// Copies the bytes at an offset.
    #[inline(always)]
    pub fn read(&self, at: usize, into: &mut [u8]) {
        let from = self.range(at, into.len());
        // SAFETY: `range` is valid for its length, which is at most that of `into`.
        unsafe { crate::copy::from_shared(into.as_mut_ptr(), from.cast().as_ptr(), from.len()) };
    }

    /// Appends a copy of the `len` bytes at an offset.
    #[inline(always)]
    pub fn append_to(&self, into: &mut Vec<u8>, at: usize, len: usize) {
        let from = self.range(at, len);
        into.reserve(from.len());
        // SAFETY: `range` is valid for its length; so much room was reserved behind the length of
        // the vector, and is initialised before the length says so.
        unsafe {
            let end = into.as_mut_ptr().add(into.len());
            crate::copy::from_shared(end, from.cast().as_ptr(), from.len());
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

// SAFETY: all access goes through atomics and copies that allow concurrent access, or through
// `range`, whose users answer for it; the memory is kept mapped.
unsafe impl Send for SharedBytes {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes {}
