//! A value in anonymous memory that a forked child shares with its parent.

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::failure::Failure;

/// Values that two processes may use at the same time through one shared map.
///
/// # Safety
/// The value and everything reachable from it lies in the value itself (no pointers), and it is
/// changed through atomics only.
pub unsafe trait ForkShared: Default + Sync {}

/// A `T` in an anonymous shared map: inherited by forked children, gone with the last process.
pub struct Shared<T: ForkShared> {
    value: NonNull<T>,
}

// SAFETY: a Shared gives out `&T` only, and `T: Sync` (by ForkShared) allows that from any thread.
unsafe impl<T: ForkShared> Send for Shared<T> {}
// SAFETY: as for Send.
unsafe impl<T: ForkShared> Sync for Shared<T> {}

impl<T: ForkShared> Shared<T> {
    /// Maps memory for a `T`, present at once so that no page fault is measured later, and puts
    /// the default value there.
    ///
    /// # Errors
    /// [`Failure::System`] if the system gives no memory.
    pub fn new() -> Result<Self, Failure> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0) };
        // SAFETY: an anonymous map at an address of the kernel's choice touches no other memory.
        let address = unsafe {
            mmap_anonymous(
                None,
                Self::length(),
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE,
            )
        }
        .map_err(Failure::errno("map shared memory"))?;
        let value = address.cast::<T>();
        // SAFETY: the map is fresh, writable, ours alone until the next fork, as long as T and
        // aligned to a page, which the assertion above compares with T's alignment.
        unsafe { value.write(T::default()) };
        Ok(Self { value })
    }

    fn length() -> NonZeroUsize {
        NonZeroUsize::new(size_of::<T>()).expect("the size was checked when the map was made")
    }
}

impl<T: ForkShared> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the map holds an initialised T from `new` to `drop`, and ForkShared says that
        // other processes change it through atomics only.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ForkShared> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the map was made with this address and length in `new` and is unmapped once, and
        // every reference into it borrowed from self.
        let _ = unsafe { munmap(self.value.cast(), Self::length().get()) };
    }
}

/// Bytes in an anonymous shared map: inherited by forked children, gone with the last process. Who may
/// use which when is a matter of those who share them.
pub struct Area {
    begin: NonNull<u8>,
    length: NonZeroUsize,
}

// SAFETY: an Area gives out an address; what is done with it is unsafe and others' affair.
unsafe impl Send for Area {}
// SAFETY: as for Send.
unsafe impl Sync for Area {}

impl Area {
    /// Maps at least one byte, zeroed and present at once.
    ///
    /// # Errors
    /// [`Failure::System`] if the system gives no memory.
    pub fn new(length: usize) -> Result<Self, Failure> {
        let length = NonZeroUsize::new(length).unwrap_or(NonZeroUsize::MIN);
        // SAFETY: as in `Shared::new`.
        let address = unsafe {
            mmap_anonymous(
                None,
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE,
            )
        }
        .map_err(Failure::errno("map shared memory"))?;
        let begin = address.cast();
        Ok(Self { begin, length })
    }

    /// The `length` bytes at an offset, valid for reads and writes as long as the area lives.
    ///
    /// # Panics
    /// If they are not all within the area.
    #[inline(always)]
    pub fn at(&self, offset: usize, length: usize) -> *mut u8 {
        assert!(offset + length <= self.length.get(), "beyond the area");
        // SAFETY: within the map, as just checked.
        unsafe { self.begin.add(offset).as_ptr() }
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: the map was made with this address and length in `new` and is unmapped once.
        let _ = unsafe { munmap(self.begin.cast(), self.length.get()) };
    }
}
