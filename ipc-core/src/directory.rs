//! The directory of named objects, without a lock: whoever is killed while creating an object holds
//! up nobody, and whoever is stopped only those who create the same one, for a second.
//!
//! | entry's state | meaning | who leaves it, and how |
//! |---|---|---|
//! | `FREE` | no object; may keep room (`offset`, `space`) from an abandoned creation | a creator, by CAS to `CLAIMED(ticket)` |
//! | `CLAIMED(t)` | being filled in by participant `t`; nobody else reads it, but for its name as a hint (see [`crate::claim`]) | anybody, to `READY`, once the commit word names it; `t` itself or the sweep of `t` to `FREE`, if it does not |
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
use crate::claim::{Claim, Room};
use crate::error::{Error, Result};
use crate::header::GRAIN;
use crate::object::{ObjectInfo, ObjectSpec, TypeTag};
use crate::shared::SharedLayout;
use crate::text;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const FREE: u64 = 0;
pub(crate) const CLAIMED: u64 = 1;
const READY: u64 = 2;
pub(crate) const STATE_BITS: u32 = 2;
pub(crate) const STATE_MASK: u64 = (1 << STATE_BITS) - 1;

/// The longest name of an object, and of its elements' type, in bytes.
const LONGEST_NAME: usize = 63;
/// The longest name of a kind, in bytes.
const LONGEST_KIND: usize = 23;

#[repr(C)]
pub(crate) struct Entry {
    pub(crate) state: AtomicU64,
    /// Where its room begins; zero while it has none.
    pub(crate) offset: AtomicU64,
    /// How much room it has, in bytes, a multiple of the grain.
    pub(crate) space: AtomicU64,
    len: AtomicU64,
    element_size: AtomicU64,
    element_align: AtomicU64,
    config: [AtomicU64; 4],
    kind: [AtomicU64; 3],
    pub(crate) name: [AtomicU64; 8],
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
pub(crate) struct Tagged {
    pub(crate) value: u64,
    entry: Option<u32>,
}

impl Tagged {
    pub(crate) fn from_word(word: u64) -> Self {
        Self {
            value: word >> 16,
            entry: ((word & 0xFFFF) as u32).checked_sub(1),
        }
    }

    pub(crate) fn word(value: u64, entry: u32) -> u64 {
        value << 16 | u64::from(entry + 1)
    }
}

/// The directory as one attachment sees it.
pub(crate) struct Directory<'a> {
    pub(crate) attachment: &'a Arc<Attachment>,
}

impl<'a> Directory<'a> {
    pub(crate) fn of(attachment: &'a Arc<Attachment>) -> Self {
        Self { attachment }
    }

    pub(crate) fn entry(&self, index: u32) -> &'a Entry {
        debug_assert!(index < self.count());
        self.attachment
            .fixed(self.attachment.layout().directory + u64::from(index) * 256)
    }

    pub(crate) fn count(&self) -> u32 {
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
    pub(crate) fn finish_alloc(&self) -> Result<u64> {
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
            if claimed & STATE_MASK == CLAIMED {
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
        if state & STATE_MASK == 3 {
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
        check_spec(spec)?;
        if spec.len > self.attachment.header().heap {
            return Err(self.full(name, spec.len));
        }
        let claim = self.claim_patiently(name, spec.len.next_multiple_of(GRAIN))?;
        let info = self.fill(&claim, name, spec)?;
        if crate::planted!(CommittedBeforeContents) {
            self.commit(claim.index, name)?;
            init(info.clone())?;
            return Ok(info);
        }
        init(info.clone())?;
        self.attachment.check_fork()?;
        self.commit(claim.index, name)?;
        Ok(info)
    }

    pub(crate) fn refuse_existing(&self, name: &str) -> Result<()> {
        match self.find(name)? {
            None => Ok(()),
            Some(_) => Err(Error::ObjectExists {
                place: self.attachment.place().to_owned(),
                object: name.to_owned(),
            }),
        }
    }

    /// Describes the object in its claimed entry and clears its memory.
    fn fill(&self, claim: &Claim<'_>, name: &str, spec: &ObjectSpec) -> Result<ObjectInfo> {
        let entry = self.entry(claim.index);
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
        store_all(
            &entry.element,
            &words(text::encode::<64>(&spec.element.name)),
        );
        entry
            .checksum
            .store(sum(&words_of(entry)), Ordering::Relaxed);

        self.check_bounds(&info)?;
        if let Room::Used = claim.room {
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

/// What would come back from the directory differently, so that the object could never be opened
/// or swept.
fn check_spec(spec: &ObjectSpec) -> Result<()> {
    let invalid = |name: &str, reason| {
        Err(Error::InvalidName {
            name: name.to_owned(),
            reason,
        })
    };
    let (kind, element) = (spec.kind.name, spec.element.name.as_str());
    if kind.len() > LONGEST_KIND || kind.contains('\0') {
        return invalid(kind, "a kind's name has at most 23 bytes and no NUL");
    }
    if element.len() > LONGEST_NAME || element.contains('\0') {
        return invalid(element, "a type's name has at most 63 bytes and no NUL");
    }
    if spec.len == 0 {
        return Err(Error::OutOfRange {
            what: "an object's length",
            asked: 0,
            least: 1,
            most: u128::from(crate::header::MOST_HEAP),
        });
    }
    Ok(())
}

/// Bytes as words: `N` is `BYTES / 8`.
pub(crate) fn words<const BYTES: usize, const N: usize>(bytes: [u8; BYTES]) -> [u64; N] {
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

pub(crate) fn text_of(words: &[AtomicU64]) -> String {
    let copy: Vec<u64> = words.iter().map(|w| w.load(Ordering::Relaxed)).collect();
    text::decode(bytemuck::cast_slice(&copy))
}

pub(crate) fn store_all<const N: usize>(to: &[AtomicU64; N], from: &[u64; N]) {
    for (to, from) in to.iter().zip(from) {
        to.store(*from, Ordering::Relaxed);
    }
}
