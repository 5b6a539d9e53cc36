//! Objects of a segment: what a crate brings to add a kind of its own, and what it gets.

use crate::attachment::Attachment;
use crate::bytes::SharedBytes;
use crate::cells::{SharedArray, SharedCells, SharedWords};
use crate::error::{Error, Result};
use crate::owner::OwnerId;
use crate::payload::Payload;
use crate::segment::Segment;
use crate::shared::{SharedLayout, SharedRef, SharedSlots};
use crate::sweep::Departed;
use std::fmt;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A kind of object: its name and what is done when somebody who used one has died.
///
/// A `static` of this type is registered with the process by the first
/// [`Segment::create_object`] or [`Segment::open_object`] that names it.
#[derive(Debug)]
pub struct Kind {
    /// What the kind is called in listings and errors, with the version of its layout if it ever
    /// changes. At most 23 bytes are kept.
    pub name: &'static str,
    /// Gives back what a dead participant held in this object.
    ///
    /// Called for every object of the kind in the segment, by any number of processes at once for
    /// the same dead, and again if a sweeper died: it must be idempotent, take from words only
    /// what names the dead (by compare-and-swap), and wait for nobody.
    pub sweep: fn(&Object, &Departed<'_>) -> Result<()>,
}

const MOST_KINDS: usize = 64;
static KINDS: [AtomicPtr<Kind>; MOST_KINDS] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; MOST_KINDS];

impl Kind {
    /// Makes the kind known to the sweeps of this process.
    ///
    /// # Panics
    /// If a program has more than 64 kinds.
    pub fn register(&'static self) {
        let this = std::ptr::from_ref(self).cast_mut();
        for slot in &KINDS {
            // Release and Acquire: the kind is a static, initialised before the program began; the
            // orderings are for form.
            match slot.compare_exchange(
                std::ptr::null_mut(),
                this,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return,
                Err(present) if present == this => return,
                Err(_) => {}
            }
        }
        panic!("a program can have {MOST_KINDS} kinds of objects at most");
    }

    /// The registered kind of this name.
    pub(crate) fn find(name: &str) -> Option<&'static Kind> {
        KINDS
            .iter()
            .map(|slot| slot.load(Ordering::Acquire))
            .take_while(|kind| !kind.is_null())
            // SAFETY: only `register` stores here, and only `&'static Kind`.
            .map(|kind| unsafe { &*kind })
            .find(|kind| kind.name == name)
    }
}

/// Registers a [`Kind`] when the program starts, so that a segment which is full of dead users of
/// such objects can be opened before the first object is.
///
/// ```
/// use ipc_core::Kind;
///
/// static KIND: Kind = Kind { name: "my kind", sweep: |_, _| Ok(()) };
/// ipc_core::register_at_start!(KIND);
/// ```
#[macro_export]
macro_rules! register_at_start {
    ($kind:path) => {
        const _: () = {
            extern "C" fn register() {
                $kind.register();
            }
            #[used]
            #[unsafe(link_section = ".init_array")]
            static AT_START: extern "C" fn() = register;
        };
    };
}

/// What the elements of an object are: compared when the object is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeTag {
    /// The type's own name without its path (two programs see different paths), or a tag of the
    /// user's. At most 63 bytes are kept.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its alignment in bytes.
    pub align: u64,
}

impl TypeTag {
    /// The tag of a type, by its name.
    pub fn of<T>() -> Self {
        Self::named::<T>(&without_paths(std::any::type_name::<T>()))
    }

    /// The tag of a type under a name of the user's choice, for types that are called differently
    /// in different programs.
    pub fn named<T>(name: &str) -> Self {
        Self {
            name: crate::text::decode(&crate::text::encode::<64>(name)),
            size: size_of::<T>() as u64,
            align: align_of::<T>() as u64,
        }
    }
}

impl fmt::Display for TypeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, size, align } = self;
        write!(f, "{name} ({size} bytes, aligned to {align})")
    }
}

/// `a::b::Pair<c::D, [e::F; 2]>` becomes `Pair<D, [F; 2]>`.
fn without_paths(name: &str) -> String {
    let mut short = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let word = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
            .unwrap_or(rest.len());
        if word == 0 {
            short.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let path = &rest[..word];
            short.push_str(path.rsplit("::").next().unwrap_or(path));
            rest = &rest[word..];
        }
    }
    short
}

/// What an object is to be, or is expected to be.
#[derive(Clone, Debug)]
pub struct ObjectSpec {
    /// Its kind.
    pub kind: &'static Kind,
    /// The type of its elements.
    pub element: TypeTag,
    /// Whatever the kind needs to know to find its way in the object: capacity, flags.
    pub config: [u64; 4],
    /// Its length in bytes, from 1.
    pub len: u64,
}

/// One line of a segment's listing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// Its name.
    pub name: String,
    /// The name of its kind.
    pub kind: String,
    /// The type of its elements.
    pub element: TypeTag,
    /// The kind's own configuration.
    pub config: [u64; 4],
    /// Where it begins, in bytes from the start of the segment.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// An object's memory, for the code of its kind.
///
/// All access is checked against the object's bounds once, when a reference is made.
#[derive(Clone, Debug)]
pub struct Object {
    segment: Segment,
    info: ObjectInfo,
}

impl Object {
    pub(crate) fn new(segment: Segment, info: ObjectInfo) -> Self {
        Self { segment, info }
    }

    /// The segment it lives in.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Name, kind, type and configuration.
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// The structure at an offset within the object.
    ///
    /// # Errors
    /// [`Error::Corrupted`] if it does not lie within the object or is misaligned.
    pub fn structure<T: SharedLayout>(&self, offset: u64) -> Result<SharedRef<T>> {
        let at = self.pointer(offset, size_of::<T>() as u64, align_of::<T>())?;
        // SAFETY: `pointer` checked bounds and alignment.
        Ok(unsafe { SharedRef::new(at.cast(), self.attachment().clone()) })
    }

    /// The payload slots at an offset within the object: `slots` of them, a power of two.
    ///
    /// # Errors
    /// [`Error::Corrupted`] if they do not lie within the object, do not begin at a multiple of 128,
    /// or are not a power of two.
    pub fn slots<T: Payload>(&self, offset: u64, slots: u64) -> Result<SharedSlots<T>> {
        let count = usize::try_from(slots).ok().filter(|n| n.is_power_of_two());
        let bytes = count.and_then(SharedSlots::<T>::bytes);
        let (Some(count), Some(bytes)) = (count, bytes) else {
            return Err(self.corrupted("its number of slots is impossible"));
        };
        const {
            assert!(
                align_of::<T>() <= 128,
                "a message's alignment is 128 at most"
            )
        };
        let at = self.pointer(offset, bytes as u64, 128)?;
        // SAFETY: `pointer` checked that the whole range lies within the object and begins at a
        // multiple of 128; `count` is a power of two.
        Ok(unsafe { SharedSlots::new(at, count, self.attachment().clone()) })
    }

    /// The array of `len` structures at an offset within the object, at least one.
    ///
    /// # Errors
    /// [`Error::Corrupted`] if it does not lie within the object, is misaligned, or is empty.
    pub fn array<T: SharedLayout>(&self, offset: u64, len: usize) -> Result<SharedArray<T>> {
        let bytes = len
            .checked_mul(size_of::<T>())
            .filter(|_| len > 0)
            .ok_or_else(|| self.corrupted("the length of an array in it is impossible"))?;
        let at = self.pointer(offset, bytes as u64, align_of::<T>())?;
        // SAFETY: `pointer` checked that the whole range lies within the object and is aligned.
        Ok(unsafe { SharedArray::new(at.cast(), len, self.attachment().clone()) })
    }

    /// The `cells` payload slots with words at an offset within the object, at least one.
    ///
    /// # Errors
    /// [`Error::Corrupted`] if they do not lie within the object, are misaligned, or are none.
    pub fn cells<T: Payload>(&self, offset: u64, cells: usize) -> Result<SharedCells<T>> {
        let bytes = SharedCells::<T>::bytes(cells)
            .filter(|_| cells > 0)
            .ok_or_else(|| self.corrupted("its number of slots is impossible"))?;
        let at = self.pointer(offset, bytes as u64, 128)?;
        // SAFETY: `pointer` checked that the whole range lies within the object and is aligned.
        Ok(unsafe { SharedCells::new(at, cells, self.attachment().clone()) })
    }

    /// The first words of `len` slots that lie `stride` bytes apart, at least one.
    ///
    /// # Errors
    /// [`Error::Corrupted`] if they do not lie within the object, are misaligned, or are none.
    pub fn words(&self, offset: u64, stride: u64, len: usize) -> Result<SharedWords> {
        let stride = usize::try_from(stride)
            .ok()
            .filter(|stride| *stride > 0 && stride.is_multiple_of(8));
        let (Some(stride), true) = (stride, len > 0) else {
            return Err(self.corrupted("the distance or number of its slots is impossible"));
        };
        let bytes = len
            .checked_mul(stride)
            .ok_or_else(|| self.corrupted("its number of slots is impossible"))?;
        let at = self.pointer(offset, bytes as u64, 8)?;
        // SAFETY: `pointer` checked that the whole range lies within the object and is aligned.
        Ok(unsafe { SharedWords::new(at, stride, len, self.attachment().clone()) })
    }

    /// The `len` bytes at an offset within the object, at least eight.
    ///
    /// # Errors
    /// [`Error::Corrupted`] if they do not lie within the object, do not begin at a multiple of 128,
    /// or are fewer.
    pub fn bytes(&self, offset: u64, len: u64) -> Result<SharedBytes> {
        let bytes = usize::try_from(len)
            .ok()
            .filter(|len| *len >= 8)
            .ok_or_else(|| self.corrupted("the length of its bytes is impossible"))?;
        let at = self.pointer(offset, len, 128)?;
        // SAFETY: `pointer` checked that the whole range lies within the object and begins at a
        // multiple of 128; it has eight bytes at least.
        Ok(unsafe { SharedBytes::new(at, bytes, self.attachment().clone()) })
    }

    fn pointer(&self, offset: u64, len: u64, align: usize) -> Result<std::ptr::NonNull<u8>> {
        self.attachment().check_fork()?;
        let within = offset
            .checked_add(len)
            .is_some_and(|end| end <= self.info.len);
        within
            .then(|| {
                self.attachment()
                    .pointer(self.info.offset.checked_add(offset)?, len, align)
            })
            .flatten()
            .ok_or_else(|| self.corrupted("a part of it lies outside"))
    }

    fn attachment(&self) -> &std::sync::Arc<Attachment> {
        self.segment.attachment()
    }

    /// The error for contents that the protocol cannot have written, naming this object.
    #[cold]
    pub fn corrupted(&self, what: &'static str) -> Error {
        Error::Corrupted {
            place: self.to_string(),
            what,
        }
    }

    /// Whether the holder of an id has died. Sweeps it if so.
    ///
    /// # Errors
    /// As [`Segment::recover`].
    pub fn recover_if_dead(&self, id: OwnerId) -> Result<bool> {
        let dead = self.segment.holder(id)?.is_dead();
        if dead {
            self.segment.recover()?;
        }
        Ok(dead)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.info.name, self.segment.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_named_without_its_path() {
        assert_eq!(without_paths("u64"), "u64");
        assert_eq!(without_paths("my_app::jobs::Job"), "Job");
        assert_eq!(
            without_paths("a::Pair<b::c::D, [e::F; 2], (g::H, &'static i::J)>"),
            "Pair<D, [F; 2], (H, &'static J)>"
        );
        assert_eq!(
            TypeTag::of::<Option<std::time::Duration>>().name,
            "Option<Duration>"
        );
    }
}
