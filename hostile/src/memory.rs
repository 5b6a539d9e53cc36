//! A segment's memory behind the back of its handles.

use ipc_core::Segment;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A mapping of a segment's file that belongs to nobody's attachment.
///
/// All accesses are of whole words and atomic, so that they may race with those of the toolkit.
#[derive(Debug)]
pub struct Memory {
    map: memmap2::MmapRaw,
    words: usize,
}

impl Memory {
    /// Maps a segment's file.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub fn map(file: &OwnedFd) -> io::Result<Self> {
        let map = memmap2::MmapOptions::new().map_raw(file)?;
        let words = map.len() / 8;
        Ok(Self { map, words })
    }

    /// That of a segment.
    ///
    /// # Errors
    /// Those of [`Segment::descriptor`] and of mmap(2).
    pub fn of(segment: &Segment) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self::map(&segment.descriptor()?)?)
    }

    /// The word itself, for more than a load or a store.
    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.words);
        // SAFETY: in bounds as just checked, aligned because a mapping begins with a page, and
        // mapped for as long as `self` lives. An atomic may be changed by others.
        unsafe { &*self.map.as_mut_ptr().cast::<AtomicU64>().add(index) }
    }

    /// How many words there are.
    pub fn words(&self) -> usize {
        self.words
    }

    /// The word of this index.
    pub fn get(&self, index: usize) -> u64 {
        self.word(index).load(Relaxed)
    }

    /// Writes a word.
    pub fn set(&self, index: usize, value: u64) {
        self.word(index).store(value, Relaxed);
    }

    /// All words.
    pub fn snapshot(&self) -> Vec<u64> {
        (0..self.words).map(|index| self.get(index)).collect()
    }

    /// Writes all words.
    pub fn restore(&self, snapshot: &[u64]) {
        for (index, &word) in snapshot.iter().enumerate() {
            self.set(index, word);
        }
    }
}
