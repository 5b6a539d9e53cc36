//! Arrays in the mapping: of structures, and of payload slots that each have a word beside them.

use crate::atomic::AtomicU64;
use crate::attachment::Attachment;
use crate::payload::Payload;
use crate::shared::SharedLayout;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

/// An array of structures that several processes use at once.
///
/// In a forked child the mapping does not exist: check [`Attachment`]'s owner first, as all public
/// calls of this toolkit do.
pub struct SharedArray<T: SharedLayout> {
    base: NonNull<T>,
    len: usize,
    _keep: Arc<Attachment>,
}

impl<T: SharedLayout> SharedArray<T> {
    /// # Safety
    /// `base` lies in the mapping of `keep`, aligned for `T`, with room for `len` of them, and
    /// `len` is at least 1.
    pub(crate) unsafe fn new(base: NonNull<T>, len: usize, keep: Arc<Attachment>) -> Self {
        debug_assert!(len > 0);
        Self {
            base,
            len,
            _keep: keep,
        }
    }

    /// How many there are: at least one.
    #[inline(always)]
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The structure at an index. An index beyond the end, which is a mistake of the caller's,
    /// gives the first.
    #[inline(always)]
    pub fn at(&self, index: usize) -> &T {
        debug_assert!(index < self.len);
        let index = if index < self.len { index } else { 0 };
        // SAFETY: in bounds by the line above and aligned by the constructor's contract; mapped as
        // long as `_keep`; `T` consists of atomics, so a shared reference allows changes by others.
        unsafe { self.base.add(index).as_ref() }
    }

    /// All of them in turn.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len).map(|index| self.at(index))
    }
}

impl<T: SharedLayout> fmt::Debug for SharedArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedArray")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

// SAFETY: the pointer is to memory that every thread may use (`T: Sync`), kept mapped by `_keep`.
unsafe impl<T: SharedLayout> Send for SharedArray<T> {}
// SAFETY: as above.
unsafe impl<T: SharedLayout> Sync for SharedArray<T> {}

/// An array of payload slots, each with an atomic word before it on the same cache line.
///
/// Reading and writing are safe whatever others do: a copy that races with another gives a mixture
/// of bytes. Who may use which slot when is the protocol built on it. An index beyond the end,
/// which is a mistake of the caller's, means the first slot.
pub struct SharedCells<T: Payload> {
    base: NonNull<u8>,
    cells: usize,
    _keep: Arc<Attachment>,
    _elements: PhantomData<T>,
}

impl<T: Payload> SharedCells<T> {
    /// From the beginning of a cell to its payload.
    const PAYLOAD_AT: usize = if align_of::<T>() > 8 {
        align_of::<T>()
    } else {
        8
    };

    /// From one cell to the next, in bytes: a multiple of 8 and of the payload's alignment.
    pub const STRIDE: usize =
        (Self::PAYLOAD_AT + size_of::<T>()).next_multiple_of(Self::PAYLOAD_AT);

    /// Bytes needed for `cells` cells; `None` if that is beyond the address space.
    pub fn bytes(cells: usize) -> Option<usize> {
        cells.checked_mul(Self::STRIDE)
    }

    /// # Safety
    /// `base` lies in the mapping of `keep`, aligned to 128, with room for `cells * STRIDE` bytes;
    /// `cells` is at least 1. `align_of::<T>() <= 128`.
    pub(crate) unsafe fn new(base: NonNull<u8>, cells: usize, keep: Arc<Attachment>) -> Self {
        debug_assert!(cells > 0);
        Self {
            base,
            cells,
            _keep: keep,
            _elements: PhantomData,
        }
    }

    /// How many cells there are: at least one.
    #[inline(always)]
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.cells
    }

    #[inline(always)]
    fn cell(&self, index: usize) -> NonNull<u8> {
        debug_assert!(index < self.cells);
        let index = if index < self.cells { index } else { 0 };
        // SAFETY: the cell lies within the region promised to `new`.
        unsafe { self.base.add(index * Self::STRIDE) }
    }

    /// A cell's word.
    #[inline(always)]
    pub fn word(&self, index: usize) -> &AtomicU64 {
        // SAFETY: the word is the first of the cell, which is in bounds and aligned to 8; mapped as
        // long as `_keep`; only ever accessed through this atomic.
        unsafe { self.cell(index).cast::<AtomicU64>().as_ref() }
    }

    /// A cell's payload. Valid for reads and writes while `self` lives, aligned for `T`; what
    /// others do with it meanwhile is a matter of the protocol.
    #[inline(always)]
    pub fn payload(&self, index: usize) -> NonNull<T> {
        // SAFETY: within the cell, by the stride. The base is aligned to 128 and the stride is a
        // multiple of `PAYLOAD_AT`: the copies need not look at the address again.
        unsafe {
            let payload = self.cell(index).add(Self::PAYLOAD_AT);
            std::hint::assert_unchecked(payload.addr().get().is_multiple_of(Self::PAYLOAD_AT));
            payload.cast()
        }
    }

    /// Copies a value into a cell.
    #[inline(always)]
    pub fn write(&self, index: usize, value: &T) {
        let to = self.payload(index).cast().as_ptr();
        // SAFETY: `payload` is valid for `size_of::<T>()` bytes; `value` is a reference.
        unsafe { crate::copy::to_shared(to, std::ptr::from_ref(value).cast(), size_of::<T>()) };
    }

    /// Copies the value in a cell.
    #[inline(always)]
    pub fn read(&self, index: usize) -> T {
        let mut value = T::zeroed();
        let from = self.payload(index).cast().as_ptr();
        let to = std::ptr::from_mut(&mut value).cast();
        // SAFETY: `payload` is valid for `size_of::<T>()` bytes; any bytes are a `T`.
        unsafe { crate::copy::from_shared(to, from, size_of::<T>()) };
        value
    }
}

impl<T: Payload> fmt::Debug for SharedCells<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCells")
            .field("cells", &self.cells)
            .finish_non_exhaustive()
    }
}

// SAFETY: all access goes through atomics and copies that allow concurrent access, or through
// `payload`, whose users answer for it; `T` is `Send + Sync`; the memory is kept mapped.
unsafe impl<T: Payload> Send for SharedCells<T> {}
// SAFETY: as above.
unsafe impl<T: Payload> Sync for SharedCells<T> {}

/// The words of payload slots, for code that does not know the payload's type.
pub struct SharedWords {
    base: NonNull<u8>,
    stride: usize,
    len: usize,
    _keep: Arc<Attachment>,
}

impl SharedWords {
    /// # Safety
    /// `base` lies in the mapping of `keep`, aligned to 8, with room for `len * stride` bytes;
    /// `stride` is a multiple of 8 and not zero, `len` is at least 1.
    pub(crate) unsafe fn new(
        base: NonNull<u8>,
        stride: usize,
        len: usize,
        keep: Arc<Attachment>,
    ) -> Self {
        debug_assert!(len > 0 && stride > 0 && stride.is_multiple_of(8));
        Self {
            base,
            stride,
            len,
            _keep: keep,
        }
    }

    /// The word at an index. An index beyond the end, which is a mistake of the caller's, gives
    /// the first.
    #[inline]
    pub fn at(&self, index: usize) -> &AtomicU64 {
        debug_assert!(index < self.len);
        let index = if index < self.len { index } else { 0 };
        // SAFETY: in bounds by the line above, aligned by the constructor's contract; mapped as
        // long as `_keep`; only ever accessed through atomics.
        unsafe { self.base.add(index * self.stride).cast().as_ref() }
    }
}

impl fmt::Debug for SharedWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWords")
            .field("len", &self.len)
            .field("stride", &self.stride)
            .finish_non_exhaustive()
    }
}

// SAFETY: all access goes through atomics; the memory is kept mapped.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}
