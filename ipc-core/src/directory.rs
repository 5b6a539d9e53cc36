//! The directory of named objects, without a lock: whoever is killed or stopped while creating an
//! object holds up nobody.
//!
//! | entry's state | meaning | who leaves it, and how |
//! |---|---|---|
//! | `FREE` | no object; may keep room (`offset`, `space`) from an abandoned creation | a creator, by CAS to `CLAIMED(ticket)` |
//! | `CLAIMED(t)` | being filled in by participant `t`; nobody else reads it | anybody, to `READY`, once the commit word names it; `t` itself or the sweep of `t` to `FREE`, if it does not |
//! | `READY` | an object, for ever | nobody |
//!
//! Two words of the segment make the steps that concern several entries:
//!
//! * `alloc` = end of the used heap (in grains) and the entry that the last piece went to. Taking
//!   a piece and saying for whom is one CAS; writing the offset into the entry is then everybody's
//!   duty before the next CAS, so a creator that dies in between leaks nothing.
//! * `commit` = a version and the entry committed last. A creator looks for its name among the
//!   `READY` entries and then moves the version by CAS: of two creators of one name, one fails.
//!   Turning the entry `READY` is everybody's duty before the next commit or look-up.

use crate::attachment::Attachment;
use crate::error::{Error, Result};
use crate::header::GRAIN;
use crate::object::{ObjectInfo, ObjectSpec, TypeTag};
use crate::shared::SharedLayout;
use crate::text;
use std::sync::atomic::{AtomicU64, Ordering};

const FREE: u64 = 0;
const CLAIMED: u64 = 1;
const READY: u64 = 2;
const STATE_BITS: u32 = 2;

/// The longest name of an object, in bytes.
const LONGEST_NAME: usize = 63;

#[repr(C)]
struct Entry {
    state: AtomicU64,
    /// Where its room begins; zero while it has none.
    offset: AtomicU64,
    /// How much room it has, in bytes, a multiple of the grain.
    space: AtomicU64,
    len: AtomicU64,
    element_size: AtomicU64,
    element_align: AtomicU64,
    config: [AtomicU64; 4],
    kind: [AtomicU64; 3],
    name: [AtomicU64; 8],
    element: [AtomicU64; 8],
    /// Of all the above but the state.
    checksum: AtomicU64,
    reserved: [AtomicU64; 2],
}

const _: () = assert!(size_of::<Entry>() == 256);
/// Words of an entry under the checksum: those after the state and before the checksum.
const SUMMED: std::ops::Range<usize> = 1..29;

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Entry {}

/// The `alloc` and `commit` words: 48 bits of value above an entry's index plus one (zero: none).
#[derive(Clone, Copy)]
struct Tagged {
    value: u64,
    entry: Option<u32>,
}

impl Tagged {
    fn from_word(word: u64) -> Self {
        Self {
            value: word >> 16,
            entry: ((word & 0xFFFF) as u32).checked_sub(1),
        }
    }

    fn word(value: u64, entry: u32) -> u64 {
        value << 16 | u64::from(entry + 1)
    }
}

/// What a claimed entry's memory held before.
#[derive(Clone, Copy)]
enum Room {
    /// Nothing: it is zero as the segment was created.
    Fresh,
    /// Whatever an abandoned creation left.
    Used,
}

/// The directory as one attachment sees it.
pub(crate) struct Directory<'a> {
    attachment: &'a Attachment,
}

impl<'a> Directory<'a> {
    pub(crate) fn of(attachment: &'a Attachment) -> Self {
        Self { attachment }
    }

    fn entry(&self, index: u32) -> &'a Entry {
        debug_assert!(index < self.count());
        self.attachment
            .fixed(self.attachment.layout().directory + u64::from(index) * 256)
    }

    fn count(&self) -> u32 {
        self.attachment.header().objects
    }

    fn checked(&self, index: Option<u32>) -> Result<Option<u32>> {
        match index {
            Some(index) if index >= self.count() => Err(self
                .attachment
                .corrupted("the directory names an entry beyond its end")),
            index => Ok(index),
        }
    }

    /// Writes the offset of the piece taken last into its entry, if that is not done yet.
    /// Returns the word seen.
    fn finish_alloc(&self) -> Result<u64> {
        // Acquire: pairs with the CAS in `allocate`, so that the entry's `space` is visible.
        let seen = self.attachment.vitals().alloc.load(Ordering::Acquire);
        let Tagged { value, entry } = Tagged::from_word(seen);
        if let Some(index) = self.checked(entry)? {
            let entry = self.entry(index);
            // An entry named here has its space fixed for ever.
            let space = entry.space.load(Ordering::Relaxed);
            let end = value.saturating_mul(GRAIN);
            let offset = end
                .checked_sub(space)
                .and_then(|start| start.checked_add(self.attachment.layout().heap))
                .ok_or_else(|| {
                    self.attachment
                        .corrupted("an object is larger than the heap")
                })?;
            // Zero to the offset, once, whoever comes first.
            let _ = entry
                .offset
                .compare_exchange(0, offset, Ordering::AcqRel, Ordering::Acquire);
        }
        Ok(seen)
    }

    /// Turns the entry committed last `READY`, if that is not done yet. Returns the word seen.
    fn finish_commit(&self) -> Result<u64> {
        // Acquire: pairs with the CAS in `create`, so that the entry's contents are visible.
        let seen = self.attachment.vitals().commit.load(Ordering::Acquire);
        if let Some(index) = self.checked(Tagged::from_word(seen).entry)? {
            let state = &self.entry(index).state;
            let claimed = state.load(Ordering::Relaxed);
            if claimed & ((1 << STATE_BITS) - 1) == CLAIMED {
                // Release: pairs with the Acquire of look-ups; passes on what we acquired above.
                let _ = state.compare_exchange(claimed, READY, Ordering::AcqRel, Ordering::Relaxed);
            }
        }
        Ok(seen)
    }

    /// All objects, in the order of their entries.
    pub(crate) fn list(&self) -> Result<Vec<ObjectInfo>> {
        self.finish_commit()?;
        (0..self.count())
            .filter_map(|index| self.read(index).transpose())
            .collect()
    }

    pub(crate) fn find(&self, name: &str) -> Result<Option<ObjectInfo>> {
        self.finish_commit()?;
        for index in 0..self.count() {
            if self.entry(index).state.load(Ordering::Acquire) == READY
                && text_of(&self.entry(index).name) == name
            {
                return self.read(index);
            }
        }
        Ok(None)
    }

    /// One entry's object, checked; `None` if it has none.
    fn read(&self, index: u32) -> Result<Option<ObjectInfo>> {
        let entry = self.entry(index);
        // Acquire: pairs with the Release in `finish_commit`.
        let state = entry.state.load(Ordering::Acquire);
        if state & ((1 << STATE_BITS) - 1) == 3 {
            return Err(self
                .attachment
                .corrupted("an object's state is none that exists"));
        }
        if state != READY {
            return Ok(None);
        }
        let words = words_of(entry);
        if sum(&words) != entry.checksum.load(Ordering::Relaxed) {
            return Err(self
                .attachment
                .corrupted("an object's description has a wrong checksum"));
        }
        let text =
            |range: std::ops::Range<usize>| text::decode(bytemuck::cast_slice(&words[range]));
        let info = ObjectInfo {
            offset: words[1],
            len: words[3],
            element: TypeTag {
                size: words[4],
                align: words[5],
                name: text(21..29),
            },
            config: [words[6], words[7], words[8], words[9]],
            kind: text(10..13),
            name: text(13..21),
        };
        self.check_bounds(&info)?;
        Ok(Some(info))
    }

    /// Creates an object: `init` is run on its zeroed memory before anybody can find it.
    pub(crate) fn create(
        &self,
        name: &str,
        spec: &ObjectSpec,
        init: impl FnOnce(ObjectInfo) -> Result<()>,
    ) -> Result<ObjectInfo> {
        check_name(name)?;
        if spec.len == 0 || spec.len > self.attachment.header().heap {
            return Err(self.full(name, spec.len));
        }
        self.refuse_existing(name)?;
        let (index, room) = self.claim(name, spec.len.next_multiple_of(GRAIN))?;
        let made = self
            .fill(index, name, spec, room)
            .and_then(|info| init(info.clone()).map(|()| info))
            .and_then(|info| self.commit(index, name).map(|()| info));
        if made.is_err() {
            self.unclaim(index);
        }
        made
    }

    fn refuse_existing(&self, name: &str) -> Result<()> {
        match self.find(name)? {
            None => Ok(()),
            Some(_) => Err(Error::ObjectExists {
                place: self.attachment.place().to_owned(),
                object: name.to_owned(),
            }),
        }
    }

    fn claimed_by_me(&self) -> u64 {
        self.attachment.ticket() << STATE_BITS | CLAIMED
    }

    /// Claims an entry and sees to it that it has room.
    fn claim(&self, name: &str, space: u64) -> Result<(u32, Room)> {
        // First the room that abandoned creations left.
        for with_room in [true, false] {
            for index in 0..self.count() {
                let entry = self.entry(index);
                let has_room = entry.offset.load(Ordering::Acquire) != 0;
                if has_room != with_room
                    || (has_room && entry.space.load(Ordering::Relaxed) < space)
                    || entry
                        .state
                        // Acquire: pairs with the Release in `unclaim` and `sweep`.
                        .compare_exchange(
                            FREE,
                            self.claimed_by_me(),
                            Ordering::AcqRel,
                            Ordering::Relaxed,
                        )
                        .is_err()
                {
                    continue;
                }
                // It is ours now; it may have got room between the look and the claim.
                if entry.offset.load(Ordering::Acquire) != 0 {
                    if entry.space.load(Ordering::Relaxed) >= space {
                        return Ok((index, Room::Used));
                    }
                    self.unclaim(index);
                } else {
                    let allocated = self.allocate(index, name, space);
                    if allocated.is_err() {
                        self.unclaim(index);
                    }
                    return allocated.map(|()| (index, Room::Fresh));
                }
            }
        }
        Err(Error::ObjectsFull {
            place: self.attachment.place().to_owned(),
            limit: self.count(),
        })
    }

    fn allocate(&self, index: u32, name: &str, space: u64) -> Result<()> {
        self.entry(index).space.store(space, Ordering::Relaxed);
        let heap = self.attachment.header().heap;
        loop {
            let seen = self.finish_alloc()?;
            let used = Tagged::from_word(seen).value;
            let end = used.saturating_mul(GRAIN).saturating_add(space);
            if end > heap {
                return Err(self.full(name, space));
            }
            let next = Tagged::word(end / GRAIN, index);
            // Release: the entry's space is visible to whoever sees the word.
            if self
                .attachment
                .vitals()
                .alloc
                .compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return self.finish_alloc().map(drop);
            }
        }
    }

    fn full(&self, name: &str, asked: u64) -> Error {
        let used = Tagged::from_word(self.attachment.vitals().alloc.load(Ordering::Relaxed)).value;
        let heap = self.attachment.header().heap;
        Error::SegmentFull {
            place: self.attachment.place().to_owned(),
            object: name.to_owned(),
            asked,
            free: heap.saturating_sub(used.saturating_mul(GRAIN)),
        }
    }

    /// Describes the object in its claimed entry and clears its memory.
    fn fill(&self, index: u32, name: &str, spec: &ObjectSpec, room: Room) -> Result<ObjectInfo> {
        let entry = self.entry(index);
        let offset = entry.offset.load(Ordering::Acquire);
        let info = ObjectInfo {
            name: name.to_owned(),
            kind: text::decode(&text::encode::<24>(spec.kind.name)),
            element: spec.element.clone(),
            config: spec.config,
            offset,
            len: spec.len,
        };
        entry.len.store(spec.len, Ordering::Relaxed);
        entry
            .element_size
            .store(spec.element.size, Ordering::Relaxed);
        entry
            .element_align
            .store(spec.element.align, Ordering::Relaxed);
        store_all(&entry.config, &spec.config);
        store_all(&entry.kind, &words(text::encode::<24>(spec.kind.name)));
        store_all(&entry.name, &words(text::encode::<64>(name)));
        store_all(
            &entry.element,
            &words(text::encode::<64>(&spec.element.name)),
        );
        entry
            .checksum
            .store(sum(&words_of(entry)), Ordering::Relaxed);

        self.check_bounds(&info)?;
        if let Room::Used = room {
            self.clear(&info)?;
        }
        Ok(info)
    }

    fn check_bounds(&self, info: &ObjectInfo) -> Result<()> {
        let layout = self.attachment.layout();
        let end = info.offset.checked_add(info.len);
        if info.offset < layout.heap || end.is_none_or(|end| end > layout.total) {
            return Err(self.attachment.corrupted("an object lies outside"));
        }
        Ok(())
    }

    /// Zeroes memory that an abandoned creation may have written to. (A segment's memory is zero
    /// at first.)
    fn clear(&self, info: &ObjectInfo) -> Result<()> {
        for offset in (info.offset..info.offset + info.len).step_by(8) {
            let at = self
                .attachment
                .pointer(offset, 8, 8)
                .ok_or_else(|| self.attachment.corrupted("an object lies outside"))?;
            // SAFETY: in bounds of the mapping and aligned; all access to it is atomic.
            unsafe { at.cast::<AtomicU64>().as_ref() }.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    fn commit(&self, index: u32, name: &str) -> Result<()> {
        loop {
            let seen = self.finish_commit()?;
            self.refuse_existing(name)?;
            let next = Tagged::word(Tagged::from_word(seen).value + 1, index);
            // Release: the entry and the object's memory are visible to whoever sees the word.
            // A failure means that another object came in since the name was looked for.
            if self
                .attachment
                .vitals()
                .commit
                .compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return self.finish_commit().map(drop);
            }
        }
    }

    fn unclaim(&self, index: u32) {
        // Release: pairs with the Acquire in `claim`.
        let _ = self.entry(index).state.compare_exchange(
            self.claimed_by_me(),
            FREE,
            Ordering::Release,
            Ordering::Relaxed,
        );
    }

    /// Gives back the entries that a dead participant claimed and did not commit.
    pub(crate) fn sweep(&self, ticket: u64) -> Result<()> {
        // What the dead committed last is committed. Anything older was finished before.
        self.finish_alloc()?;
        self.finish_commit()?;
        for index in 0..self.count() {
            let _ = self.entry(index).state.compare_exchange(
                ticket << STATE_BITS | CLAIMED,
                FREE,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
        }
        Ok(())
    }

    /// The names, for an error message.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self
            .list()
            .unwrap_or_default()
            .into_iter()
            .map(|info| info.name)
            .collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    }
}

fn check_name(name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST_NAME {
        "it is longer than 63 bytes"
    } else if name.contains('\0') {
        "it contains a NUL"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName {
        name: name.to_owned(),
        reason,
    })
}

/// Bytes as words: `N` is `BYTES / 8`.
fn words<const BYTES: usize, const N: usize>(bytes: [u8; BYTES]) -> [u64; N] {
    const { assert!(BYTES == N * 8) };
    bytemuck::pod_read_unaligned(&bytes)
}

fn words_of(entry: &Entry) -> [u64; 32] {
    // SAFETY: an `Entry` is 32 consecutive atomic words.
    let words = unsafe { &*std::ptr::from_ref(entry).cast::<[AtomicU64; 32]>() };
    std::array::from_fn(|i| words[i].load(Ordering::Relaxed))
}

fn sum(words: &[u64; 32]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytemuck::cast_slice(&words[SUMMED]))
}

fn text_of(words: &[AtomicU64]) -> String {
    let copy: Vec<u64> = words.iter().map(|w| w.load(Ordering::Relaxed)).collect();
    text::decode(bytemuck::cast_slice(&copy))
}

fn store_all<const N: usize>(to: &[AtomicU64; N], from: &[u64; N]) {
    for (to, from) in to.iter().zip(from) {
        to.store(*from, Ordering::Relaxed);
    }
}
