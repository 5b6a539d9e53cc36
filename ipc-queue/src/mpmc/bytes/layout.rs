//! Which blocks a queue has, and where messages lie.
//!
//! Behind the slots of the queue, from a multiple of 128 on:
//!
//! | part | length |
//! |---|---|
//! | [`PoolHead`] | 1152 bytes |
//! | block words | 64 bytes a block, together a multiple of 128 |
//! | blocks, the smallest first | their sizes, multiples of 128 |
//!
//! A slot is 128 bytes: its word, the message's [header](super::header), and [`INLINE`] bytes.

use super::block::{Blocks, MOST_SLOTS};
use super::header;
use crate::mpmc::layout::Shape;
use ipc_core::atomic::AtomicU64;
use ipc_core::{Error, Object, Result, SharedArray, SharedLayout, SharedRef};
use std::ops::Range;
use std::sync::atomic::AtomicU64 as PlainU64;
use std::sync::atomic::Ordering::Relaxed;

/// The longest message, in bytes, that lies in its slot.
pub const INLINE: usize = 112;

/// What a slot has behind its word.
pub(super) type Cell = [u64; 15];
/// From a slot's beginning to a message in it.
pub(super) const INLINE_AT: usize = 16;
const HEADER_AT: u64 = 8;

const MOST_CLASSES: usize = 8;
const MOST_BLOCKS: u64 = header::MOST_BLOCKS;
/// Sizes of blocks are multiples of this: two cache lines, which processors fetch together.
const GRAIN: u64 = 128;

/// What lies at the beginning of the pool. All but the hints never changes.
#[repr(C)]
#[derive(Default)]
pub(super) struct PoolHead {
    pub longest: HeadLine,
    pub classes: [ClassLine; MOST_CLASSES],
}

#[repr(C, align(128))]
#[derive(Default)]
pub(super) struct HeadLine {
    bytes: PlainU64,
    classes: PlainU64,
}

#[repr(C, align(128))]
#[derive(Default)]
pub(super) struct ClassLine {
    size: PlainU64,
    blocks: PlainU64,
    /// A hint: the block that was freed last, most likely still in somebody's cache.
    pub freed: PlainU64,
}

const _: () = assert!(size_of::<PoolHead>() == 1152);

// SAFETY: `repr(C)`, atomics and structures of atomics only.
unsafe impl SharedLayout for PoolHead {}

/// In a cache line of its own: while a receiver frees a block, a sender takes the next one. (Measured one
/// way between two processes, 64 KiB that nobody touches: 16.7 and 21 million a second.)
#[repr(C, align(64))]
pub(super) struct BlockWord(AtomicU64);

const WORD: u64 = 64;
#[cfg(not(loom))]
const _: () = assert!(size_of::<BlockWord>() as u64 == WORD);

// SAFETY: `repr(C)`, an atomic. Under loom nothing is mapped.
unsafe impl SharedLayout for BlockWord {}

impl Blocks for SharedArray<BlockWord> {
    #[inline(always)]
    fn block(&self, number: usize) -> &AtomicU64 {
        &self.at(number).0
    }
}

/// Blocks of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Class {
    /// Bytes of each.
    pub size: usize,
    /// Their numbers.
    pub blocks: Range<usize>,
    /// Where the first lies, from the first slot.
    at: usize,
}

impl Class {
    /// Where a block of the class lies, from the first slot.
    #[inline(always)]
    pub(super) fn at(&self, block: usize) -> usize {
        self.at + (block - self.blocks.start) * self.size
    }
}

/// A queue's blocks: what its pool's layout follows from.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    longest: u64,
    /// Size and number, the smallest first.
    classes: Vec<(u64, u64)>,
}

fn out_of_range(what: &'static str, asked: u64, least: u64, most: u64) -> Error {
    Error::OutOfRange {
        what,
        asked: asked.into(),
        least: least.into(),
        most: most.into(),
    }
}

impl Plan {
    /// Blocks of the sizes and numbers asked for; if none were, of those that fit most uses.
    pub(super) fn new(capacity: usize, longest: usize, asked: &[(usize, usize)]) -> Result<Self> {
        let longest = longest as u64;
        if longest > header::LONGEST {
            return Err(out_of_range(
                "the longest message of a queue",
                longest,
                0,
                header::LONGEST,
            ));
        }
        if !(1..=MOST_SLOTS).contains(&(capacity as u64)) {
            let what = "the capacity of a queue of byte messages";
            return Err(out_of_range(what, capacity as u64, 1, MOST_SLOTS));
        }
        let mut classes: Vec<(u64, u64)> = if asked.is_empty() {
            usual(capacity as u64, longest)
        } else {
            let rounded = asked
                .iter()
                .map(|&(size, blocks)| ((size as u64).max(1), blocks as u64))
                .filter(|&(_, blocks)| blocks > 0);
            rounded
                .map(|(size, blocks)| {
                    (size.checked_next_multiple_of(GRAIN).unwrap_or(size), blocks)
                })
                .collect()
        };
        classes.sort_unstable();
        // One class for each size.
        classes.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            same
        });
        let largest = classes.last().map_or(INLINE as u64, |it| it.0);
        if largest < longest {
            let what = "the size of the largest block of a queue";
            return Err(out_of_range(what, largest, longest, u64::MAX));
        }
        let blocks = classes
            .iter()
            .fold(0u64, |sum, it| sum.saturating_add(it.1));
        if blocks > MOST_BLOCKS {
            let what = "the number of blocks of a queue";
            return Err(out_of_range(what, blocks, 0, MOST_BLOCKS));
        }
        if classes.len() > MOST_CLASSES {
            let what = "the number of sizes of blocks of a queue";
            return Err(out_of_range(
                what,
                classes.len() as u64,
                0,
                MOST_CLASSES as u64,
            ));
        }
        Ok(Self { longest, classes })
    }

    pub(super) fn longest(&self) -> usize {
        self.longest as usize
    }

    fn blocks(&self) -> u64 {
        self.classes.iter().map(|it| it.1).sum()
    }

    /// The shape of a queue with these blocks.
    pub(super) fn shape(&self, capacity: usize, handles: u32) -> Result<Shape> {
        let extra = self.bytes().filter(|&it| it <= isize::MAX as u64 / 2);
        let mut shape = Shape::of::<Cell>(capacity, handles)?;
        shape.extra = extra.ok_or_else(|| {
            let what = "the size of all blocks of a queue";
            out_of_range(what, u64::MAX, 0, isize::MAX as u64 / 2)
        })?;
        Ok(shape)
    }

    fn words_bytes(&self) -> u64 {
        (self.blocks() * WORD).next_multiple_of(GRAIN)
    }

    /// The length of the pool.
    fn bytes(&self) -> Option<u64> {
        let head = size_of::<PoolHead>() as u64 + self.words_bytes();
        self.classes.iter().try_fold(head, |sum, &(size, blocks)| {
            sum.checked_add(size.checked_mul(blocks)?)
        })
    }

    /// Writes it into a new queue's object.
    pub(super) fn store(&self, object: &Object) -> Result<()> {
        let head = head(&Shape::from_object(object)?, object)?;
        head.longest.bytes.store(self.longest, Relaxed);
        head.longest
            .classes
            .store(self.classes.len() as u64, Relaxed);
        for (line, &(size, blocks)) in head.classes.iter().zip(&self.classes) {
            line.size.store(size, Relaxed);
            line.blocks.store(blocks, Relaxed);
        }
        Ok(())
    }

    /// Reads that of an existing one, which it fits.
    pub(super) fn load(shape: &Shape, object: &Object) -> Result<Self> {
        let damaged = || object.corrupted("its blocks do not fit its size");
        let head = head(shape, object)?;
        let classes = head.longest.classes.load(Relaxed);
        if classes > MOST_CLASSES as u64 || shape.slots > MOST_SLOTS {
            return Err(damaged());
        }
        let lines = head.classes.iter().take(classes as usize);
        let plan = Self {
            longest: head.longest.bytes.load(Relaxed),
            classes: lines
                .map(|it| (it.size.load(Relaxed), it.blocks.load(Relaxed)))
                .collect(),
        };
        let mut last = 0;
        let mut blocks = 0u64;
        for &(size, of_this) in &plan.classes {
            blocks = blocks.saturating_add(of_this);
            if size <= last || !size.is_multiple_of(GRAIN) || of_this == 0 || blocks > MOST_BLOCKS {
                return Err(damaged());
            }
            last = size;
        }
        let fits = plan.longest <= last.max(INLINE as u64)
            && plan.longest <= header::LONGEST
            && plan.bytes() == Some(shape.extra);
        if fits { Ok(plan) } else { Err(damaged()) }
    }

    /// The parts of an object that was found to fit.
    pub(super) fn parts(&self, shape: &Shape, object: &Object) -> Result<Parts> {
        let pool_at = pool_at(shape, object)?;
        let words_at = pool_at + size_of::<PoolHead>() as u64;
        let blocks = self.blocks() as usize;
        let mut at = (words_at + self.words_bytes() - shape.slots_at()) as usize;
        let mut number = 0;
        let mut classes = Vec::with_capacity(self.classes.len());
        for &(size, blocks) in &self.classes {
            let (size, blocks) = (size as usize, blocks as usize);
            classes.push(Class {
                size,
                blocks: number..number + blocks,
                at,
            });
            number += blocks;
            at += size * blocks;
        }
        Ok(Parts {
            head: head(shape, object)?,
            words: match blocks {
                0 => None,
                _ => Some(object.array(words_at, blocks)?),
            },
            classes,
        })
    }
}

/// A few sizes, each four times the one before, and of each as much memory; but for the largest,
/// whose blocks are as few as can still be used by several at a time.
fn usual(capacity: u64, longest: u64) -> Vec<(u64, u64)> {
    const SMALLEST: u64 = 512;
    if longest <= INLINE as u64 {
        return Vec::new();
    }
    let mut classes = Vec::new();
    let mut size = SMALLEST;
    loop {
        let is_last = size >= longest || classes.len() + 1 == MOST_CLASSES;
        if is_last {
            size = longest.next_multiple_of(GRAIN);
        }
        let blocks = (capacity * SMALLEST / size).max(capacity.min(4));
        classes.push((size, blocks));
        if is_last {
            return classes;
        }
        size *= 4;
    }
}

fn pool_at(shape: &Shape, object: &Object) -> Result<u64> {
    shape
        .extra_at()
        .ok_or_else(|| object.corrupted("its blocks do not fit its size"))
}

fn head(shape: &Shape, object: &Object) -> Result<SharedRef<PoolHead>> {
    object.structure(pool_at(shape, object)?)
}

/// The pool in the mapping.
#[derive(Debug)]
pub(super) struct Parts {
    pub head: SharedRef<PoolHead>,
    /// `None` if there are no blocks.
    pub words: Option<SharedArray<BlockWord>>,
    pub classes: Vec<Class>,
}

/// Where the headers of messages begin.
pub(super) fn headers_at(shape: &Shape) -> u64 {
    shape.slots_at() + HEADER_AT
}
