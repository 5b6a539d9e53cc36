//! The first bytes of a segment: what never changes, and where everything else lies.
//!
//! | offset | what | written |
//! |---|---|---|
//! | 0 | [`Header`], 256 bytes with a checksum over all of them | once, before the segment has a name |
//! | 256 | [`Vitals`]: counters of tickets, entries, handles; the directory's two words | by everybody |
//! | 512 | participant table, 64 bytes an entry | see [`crate::participant`] |
//! | ... | handle table, 8 bytes an entry | see [`crate::owner`] |
//! | ... | directory, 256 bytes an entry | see [`crate::directory`] |
//! | ... | the objects, each at a multiple of 128 bytes | by the objects' own code |
//!
//! The offsets follow from the four sizes (participants, handles, objects, heap), so opening
//! recomputes them and compares.

use crate::error::{Error, Result};
use crate::fence::Fences;
use bytemuck::{Pod, Zeroable};
use std::sync::atomic::AtomicU64;

pub(crate) const MAGIC: [u8; 8] = *b"\x7fIPCseg\n";
pub(crate) const VERSION: u32 = 1;
/// Every object starts at a multiple of this: two cache lines, because processors fetch lines in
/// pairs.
pub(crate) const GRAIN: u64 = 128;
const PAGE: u64 = 4096;
const VITALS_AT: u64 = size_of::<Header>() as u64;
const PARTICIPANTS_AT: u64 = 512;

pub(crate) const FLAG_ASYMMETRIC: u32 = 1;
pub(crate) const FLAG_UNLINK_LAST: u32 = 2;
const KNOWN_FLAGS: u32 = FLAG_ASYMMETRIC | FLAG_UNLINK_LAST;

/// The limits of the builder, and of what `open` believes.
pub(crate) const MOST_PARTICIPANTS: u32 = 4096;
pub(crate) const MOST_HANDLES: u32 = 65_535;
pub(crate) const MOST_OBJECTS: u32 = 4096;
pub(crate) const MOST_HEAP: u64 = 1 << 46;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Header {
    pub magic: [u8; 8],
    /// Pointer width in bytes, then 1 for little endian or 2 for big endian. Bytes, so that they
    /// can be read before the byte order is known.
    pub architecture: [u8; 4],
    pub version: u32,
    pub total: u64,
    pub heap: u64,
    pub uuid: [u8; 16],
    pub participants: u32,
    pub handles: u32,
    pub objects: u32,
    pub flags: u32,
    pub creator_pid: u32,
    pub reserved: u32,
    pub created_unix_seconds: u64,
    pub label: [u8; 64],
    pub unused: [u64; 13],
    pub checksum: u64,
}

const _: () = assert!(size_of::<Header>() == 256);
const _: () = assert!(VITALS_AT + size_of::<Vitals>() as u64 <= PARTICIPANTS_AT);

/// The words of the segment that everybody changes. Zero at first.
#[repr(C)]
pub(crate) struct Vitals {
    /// The last ticket handed out.
    pub ticket: AtomicU64,
    /// Where the next search for a free participant entry starts: free entries are reused in turn.
    pub next_entry: AtomicU64,
    /// The same for handles.
    pub next_handle: AtomicU64,
    /// Completed sweeps of dead participants.
    pub sweeps: AtomicU64,
    /// See [`crate::directory`].
    pub alloc: AtomicU64,
    /// See [`crate::directory`].
    pub commit: AtomicU64,
}

/// Where the parts lie, in bytes from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub vitals: u64,
    pub participants: u64,
    pub handles: u64,
    pub directory: u64,
    pub heap: u64,
    pub total: u64,
}

impl Layout {
    /// The layout for these sizes. They are within the limits above, so nothing overflows.
    pub(crate) fn of(participants: u32, handles: u32, objects: u32, heap: u64) -> Self {
        let handles_at = PARTICIPANTS_AT + u64::from(participants) * 64;
        let directory = (handles_at + u64::from(handles) * 8).next_multiple_of(GRAIN);
        let heap_at = (directory + u64::from(objects) * 256).next_multiple_of(GRAIN);
        Self {
            vitals: VITALS_AT,
            participants: PARTICIPANTS_AT,
            handles: handles_at,
            directory,
            heap: heap_at,
            total: (heap_at + heap).next_multiple_of(PAGE),
        }
    }
}

impl Header {
    pub(crate) fn our_architecture() -> [u8; 4] {
        let order = if cfg!(target_endian = "little") { 1 } else { 2 };
        [size_of::<usize>() as u8, order, 0, 0]
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::of(self.participants, self.handles, self.objects, self.heap)
    }

    pub(crate) fn fences(&self) -> Fences {
        if self.flags & FLAG_ASYMMETRIC != 0 {
            Fences::Asymmetric
        } else {
            Fences::Symmetric
        }
    }

    pub(crate) fn label(&self) -> String {
        crate::text::decode(&self.label)
    }

    /// Fills in the checksum.
    pub(crate) fn sealed(mut self) -> Self {
        self.checksum = self.sum();
        self
    }

    fn sum(&self) -> u64 {
        let bytes = bytemuck::bytes_of(self);
        xxhash_rust::xxh3::xxh3_64(&bytes[..bytes.len() - size_of::<u64>()])
    }

    /// Checks every field against the library, the others, and the real size of the file.
    ///
    /// `bytes` is a private copy of the start of the file: what is checked is what is used.
    pub(crate) fn check(bytes: &[u8], file_size: u64, place: &str) -> Result<Self> {
        let foreign = |why| {
            Err(Error::NotASegment {
                place: place.to_owned(),
                why,
            })
        };
        if bytes.is_empty() {
            return foreign("it is empty");
        }
        let told = bytes.len().min(MAGIC.len());
        if bytes[..told] != MAGIC[..told] {
            return foreign("it does not begin as one");
        }
        let Some(bytes) = bytes.get(..size_of::<Header>()) else {
            return foreign("it is shorter than a header");
        };
        let header: Header = bytemuck::pod_read_unaligned(bytes);
        // Before the checksum: another version may keep it elsewhere.
        if header.architecture != Self::our_architecture() {
            return Err(Error::WrongArchitecture {
                place: place.to_owned(),
                found: describe(header.architecture),
                ours: describe(Self::our_architecture()),
            });
        }
        if header.version != VERSION {
            return Err(Error::WrongVersion {
                place: place.to_owned(),
                found: header.version,
                known: VERSION,
            });
        }
        if header.checksum != header.sum() {
            return Err(damaged(place, "the checksum of its header is wrong"));
        }
        let sizes_are_possible = (1..=MOST_PARTICIPANTS).contains(&header.participants)
            && (1..=MOST_HANDLES).contains(&header.handles)
            && (1..=MOST_OBJECTS).contains(&header.objects)
            && header.heap <= MOST_HEAP;
        if !sizes_are_possible || header.layout().total != header.total {
            return Err(damaged(place, "its sizes do not fit together"));
        }
        if isize::try_from(header.total).is_err() {
            return Err(damaged(
                place,
                "it is larger than this program's address space",
            ));
        }
        if header.flags & !KNOWN_FLAGS != 0 {
            return Err(damaged(place, "it has flags that nobody sets"));
        }
        if header.total != file_size {
            return Err(Error::WrongLength {
                place: place.to_owned(),
                expected: header.total,
                actual: file_size,
            });
        }
        Ok(header)
    }
}

fn damaged(place: &str, what: &'static str) -> Error {
    Error::Corrupted {
        place: place.to_owned(),
        what,
    }
}

fn describe(architecture: [u8; 4]) -> String {
    let order = match architecture[1] {
        1 => "little-endian",
        2 => "big-endian",
        _ => "unknown-endian",
    };
    format!("{}-bit {order}", u32::from(architecture[0]) * 8)
}
