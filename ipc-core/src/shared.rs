//! References into the mapping: the only places where an offset becomes a pointer.

use crate::attachment::Attachment;
use crate::payload::Payload;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

/// A structure that several processes use at once: made of atomics (and padding) only.
///
/// # Safety
/// The type is `#[repr(C)]`, every bit pattern of it is a valid value, and all its fields are
/// atomics, arrays of atomics, structures of this kind, or zero-sized. Its alignment is at most
/// 128.
pub unsafe trait SharedLayout: Send + Sync + 'static {}

// SAFETY: an atomic; every bit pattern is valid.
unsafe impl SharedLayout for std::sync::atomic::AtomicU64 {}
// SAFETY: an atomic; every bit pattern is valid.
unsafe impl SharedLayout for std::sync::atomic::AtomicU32 {}

/// A counted reference to a structure in the mapping. Keeps the attachment (and with it the
/// mapping) alive.
///
/// In a forked child the mapping does not exist: check [`Attachment`]'s owner first, as all public
/// calls of this toolkit do.
pub struct SharedRef<T: SharedLayout> {
    at: NonNull<T>,
    keep: Arc<Attachment>,
}

impl<T: SharedLayout> SharedRef<T> {
    /// # Safety
    /// `at` lies in the mapping of `keep`, with room for a `T`, aligned for it.
    pub(crate) unsafe fn new(at: NonNull<T>, keep: Arc<Attachment>) -> Self {
        Self { at, keep }
    }
}

impl<T: SharedLayout> Deref for SharedRef<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: in bounds and aligned by the constructor's contract; the mapping lives as long
        // as `keep`; `T` consists of atomics, so a shared reference allows changes by others.
        unsafe { self.at.as_ref() }
    }
}

impl<T: SharedLayout> Clone for SharedRef<T> {
    fn clone(&self) -> Self {
        Self {
            at: self.at,
            keep: self.keep.clone(),
        }
    }
}

impl<T: SharedLayout> fmt::Debug for SharedRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRef").finish_non_exhaustive()
    }
}

// SAFETY: the pointer is to memory that every thread may use (`T: Sync`), kept mapped by `keep`.
unsafe impl<T: SharedLayout> Send for SharedRef<T> {}
// SAFETY: as above.
unsafe impl<T: SharedLayout> Sync for SharedRef<T> {}

/// An array of payload slots in the mapping, a power of two of them, addressed by ever-growing
/// positions.
///
/// Reading and writing are safe whatever others do: a position is masked, and a copy that races
/// with another gives a mixture of bytes. Who may use which slot when is the protocol of the ring
/// built on it.
pub struct SharedSlots<T: Payload> {
    base: NonNull<u8>,
    mask: usize,
    _keep: Arc<Attachment>,
    _elements: PhantomData<T>,
}

impl<T: Payload> SharedSlots<T> {
    /// The distance between slots: the size, rounded up so that a slot of eight bytes or more can
    /// be moved in whole words.
    pub const STRIDE: usize = if size_of::<T>() >= 8 {
        size_of::<T>().next_multiple_of(if align_of::<T>() > 8 {
            align_of::<T>()
        } else {
            8
        })
    } else {
        size_of::<T>()
    };

    /// What every slot's address is a multiple of: the region's own alignment, or as much of it as
    /// the stride keeps.
    const ALIGN: usize = match Self::STRIDE.trailing_zeros() {
        kept @ 0..7 => 1 << kept,
        // Also of a size of 0: all its slots are at the base.
        _ => 128,
    };

    /// Bytes needed for `slots` slots; `None` if that is beyond the address space.
    pub fn bytes(slots: usize) -> Option<usize> {
        slots.checked_mul(Self::STRIDE)
    }

    /// # Safety
    /// `base` lies in the mapping of `keep`, aligned to 128, with room for `slots * STRIDE` bytes.
    /// `slots` is a power of two. `align_of::<T>() <= 128`.
    pub(crate) unsafe fn new(base: NonNull<u8>, slots: usize, keep: Arc<Attachment>) -> Self {
        debug_assert!(slots.is_power_of_two());
        Self {
            base,
            mask: slots - 1,
            _keep: keep,
            _elements: PhantomData,
        }
    }

    /// How many slots there are.
    #[inline(always)]
    pub fn slots(&self) -> usize {
        self.mask + 1
    }

    /// The slot of a position. Valid for reads and writes while `self` lives, aligned for `T`;
    /// what others do with it meanwhile is a matter of the protocol.
    #[inline(always)]
    pub fn slot(&self, position: u64) -> NonNull<T> {
        let index = position as usize & self.mask;
        // SAFETY: `index <= mask`, so the slot lies within the region promised to `new`. The base
        // is aligned to 128 and the distance from it is a multiple of the stride: the copies need
        // not look at the address again.
        unsafe {
            let slot = self.base.add(index * Self::STRIDE);
            std::hint::assert_unchecked(slot.addr().get().is_multiple_of(Self::ALIGN));
            slot.cast()
        }
    }

    /// Copies a value into the slot of a position.
    #[inline(always)]
    pub fn write(&self, position: u64, value: &T) {
        let to = self.slot(position).cast().as_ptr();
        // SAFETY: `slot` is valid for `size_of::<T>()` bytes; `value` is a reference.
        unsafe { crate::copy::to_shared(to, std::ptr::from_ref(value).cast(), size_of::<T>()) };
    }

    /// Copies the value in the slot of a position.
    #[inline(always)]
    pub fn read(&self, position: u64) -> T {
        let mut value = T::zeroed();
        let from = self.slot(position).cast().as_ptr();
        let to = std::ptr::from_mut(&mut value).cast();
        // SAFETY: `slot` is valid for `size_of::<T>()` bytes; any bytes are a `T` (AnyBitPattern).
        unsafe { crate::copy::from_shared(to, from, size_of::<T>()) };
        value
    }

    /// Copies values into the slots from a position on, going round at the end. At most
    /// [`slots`](Self::slots) values are written.
    #[inline]
    pub fn write_slice(&self, position: u64, values: &[T]) {
        let values = &values[..values.len().min(self.slots())];
        let (first, second) = values.split_at(values.len().min(self.until_end(position)));
        self.write_run(position, first);
        self.write_run(position.wrapping_add(first.len() as u64), second);
    }

    /// Copies the values in the slots from a position on. At most [`slots`](Self::slots) values
    /// are read.
    #[inline]
    pub fn read_slice(&self, position: u64, values: &mut [T]) {
        let most = values.len().min(self.slots());
        let (first, second) = values[..most].split_at_mut(most.min(self.until_end(position)));
        self.read_run(position, first);
        self.read_run(position.wrapping_add(first.len() as u64), second);
    }

    /// Slots from this position's to the last one.
    fn until_end(&self, position: u64) -> usize {
        self.slots() - (position as usize & self.mask)
    }

    #[inline]
    fn write_run(&self, position: u64, values: &[T]) {
        if Self::STRIDE == size_of::<T>() {
            let to = self.slot(position).cast().as_ptr();
            // SAFETY: the run does not go past the last slot (`until_end`), and without gaps
            // between slots it is one range of `size_of_val` bytes.
            unsafe { crate::copy::to_shared(to, values.as_ptr().cast(), size_of_val(values)) };
        } else {
            for (offset, value) in values.iter().enumerate() {
                self.write(position.wrapping_add(offset as u64), value);
            }
        }
    }

    #[inline]
    fn read_run(&self, position: u64, values: &mut [T]) {
        if Self::STRIDE == size_of::<T>() {
            let from = self.slot(position).cast().as_ptr();
            // SAFETY: as in `write_run`; any bytes are a `T`.
            unsafe {
                crate::copy::from_shared(values.as_mut_ptr().cast(), from, size_of_val(values));
            }
        } else {
            for (offset, value) in values.iter_mut().enumerate() {
                *value = self.read(position.wrapping_add(offset as u64));
            }
        }
    }
}

impl<T: Payload> fmt::Debug for SharedSlots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSlots")
            .field("slots", &self.slots())
            .finish_non_exhaustive()
    }
}

// SAFETY: all access goes through copies that allow concurrent access, or through `slot`, whose
// users answer for it; `T` is `Send + Sync`; the memory is kept mapped.
unsafe impl<T: Payload> Send for SharedSlots<T> {}
// SAFETY: as above.
unsafe impl<T: Payload> Sync for SharedSlots<T> {}
