//! How far a worker has come, in memory that it shares with who watches it.

use crate::memory::Memory;
use crate::subject::Failure;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Count {
    /// The number of the trial that is under way.
    Trial,
    /// Calls that have returned.
    Operations,
    /// Those of them that returned an error.
    Refused,
    /// Segments opened, or refused.
    Opens,
    /// Changes made to the memory.
    Mutations,
    /// Segments found mapped when somebody looked.
    Mapped,
    /// Those of them between guard pages.
    Caged,
    /// Trials whose damage was confined to the object, and what lies outside found as it was.
    Confined,
    /// What the worker is asked to do: 0 to go on.
    Stop,
}

const COUNTS: usize = Count::Stop as usize + 1;

/// The counters of one worker. One process writes a counter, others read it.
#[derive(Debug)]
pub struct Progress {
    file: OwnedFd,
    words: Memory,
}

impl Progress {
    /// All 0.
    ///
    /// # Errors
    /// Those of memfd_create(2), ftruncate(2) and mmap(2).
    pub fn new() -> Result<Self, Failure> {
        let file = memfd_create("progress", MFdFlags::MFD_CLOEXEC)?;
        nix::unistd::ftruncate(&file, (COUNTS * 8) as i64)?;
        Self::of(file)
    }

    /// Somebody else's.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub fn of(file: OwnedFd) -> Result<Self, Failure> {
        let words = Memory::map(&file)?;
        Ok(Self { file, words })
    }

    /// The count.
    pub fn get(&self, count: Count) -> u64 {
        self.words.get(count as usize)
    }

    /// Sets it.
    pub fn set(&self, count: Count, value: u64) {
        self.words.set(count as usize, value);
    }

    /// All calls that have returned.
    pub(crate) fn calls(&self) -> u64 {
        self.get(Count::Operations) + self.get(Count::Opens)
    }

    /// Counts one more, or several.
    pub fn add(&self, count: Count, more: u64) {
        self.set(count, self.get(count) + more);
    }
}

impl AsFd for Progress {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
