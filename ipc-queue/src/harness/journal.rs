//! The effects of a consumer, in memory that outlives it.
//!
//! A journal is a memory file with one writer, a consumer, and one reader, the parent. What is
//! behind the end that the [record](super::record) tells is not there for the reader.

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};

const HEADER: u64 = size_of::<u64>() as u64;

/// The writer's end.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
}

impl Journal {
    pub(super) fn new(file: OwnedFd) -> Self {
        Self { file: file.into() }
    }

    /// Writes an effect at the end of what is settled, and returns where it would then end.
    pub(super) fn append(&self, end: u64, effect: &[u8]) -> io::Result<u64> {
        let len = effect.len() as u64;
        self.file.write_all_at(&len.to_ne_bytes(), end)?;
        self.file.write_all_at(effect, end + HEADER)?;
        Ok(end + HEADER + len)
    }
}

/// The reader's end, which makes the file.
#[derive(Debug)]
pub(super) struct JournalReader {
    file: File,
    read: u64,
    effect: Vec<u8>,
}

impl JournalReader {
    pub(super) fn create() -> io::Result<Self> {
        let file = memfd_create(c"ipc-queue effects", MFdFlags::MFD_CLOEXEC)?;
        Ok(Self {
            file: file.into(),
            read: 0,
            effect: Vec::new(),
        })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Hands out the effects up to `end`, which is settled, and frees their memory.
    pub(super) fn read_to(&mut self, end: u64, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let from = self.read;
        // A worker that writes elsewhere than it should must not make us take all memory.
        if end.saturating_sub(from) > self.file.metadata()?.blocks().saturating_mul(512) {
            return Err(damaged());
        }
        while self.read < end {
            let mut len = [0; HEADER as usize];
            self.file.read_exact_at(&mut len, self.read)?;
            let len = u64::from_ne_bytes(len);
            let next = (self.read.checked_add(HEADER)).and_then(|it| it.checked_add(len));
            let next = next.filter(|&next| next <= end).ok_or_else(damaged)?;
            self.effect.resize(len as usize, 0);
            self.file
                .read_exact_at(&mut self.effect, self.read + HEADER)?;
            each(&self.effect);
            self.read = next;
        }
        if self.read > from {
            let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            // Without it the memory is freed at the end of the run.
            let _ = fallocate(&self.file, mode, from as i64, (self.read - from) as i64);
        }
        Ok(())
    }
}

fn damaged() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a consumer's journal is damaged: somebody else wrote to it",
    )
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_settled_is_read_once_and_its_memory_freed() {
        let mut reader = JournalReader::create().unwrap();
        let journal = Journal::new(reader.file().try_clone().unwrap().into());
        let big = vec![7; 1 << 20];
        let mut end = 0;
        let mut got: Vec<Vec<u8>> = Vec::new();
        for effect in [b"one".as_slice(), b"", &big] {
            end = journal.append(end, effect).unwrap();
        }
        // Written, and never settled.
        journal.append(end, b"lost").unwrap();
        reader
            .read_to(end, &mut |it| got.push(it.to_vec()))
            .unwrap();
        assert_eq!(got, [b"one".to_vec(), vec![], big]);
        let kept = reader.file().metadata().unwrap().blocks() * 512;
        assert!(kept <= 2 * 4096, "{kept} bytes are kept");
        // Another in its place.
        end = journal.append(end, b"two").unwrap();
        got.clear();
        reader
            .read_to(end, &mut |it| got.push(it.to_vec()))
            .unwrap();
        assert_eq!(got, [b"two"]);
    }

    #[test]
    fn a_damaged_one_is_an_error() {
        let mut reader = JournalReader::create().unwrap();
        let journal = Journal::new(reader.file().try_clone().unwrap().into());
        let end = journal.append(0, b"one").unwrap();
        for len in [4u64, u64::MAX - 4, u64::MAX] {
            reader.file().write_all_at(&len.to_ne_bytes(), 0).unwrap();
            assert!(reader.read_to(end, &mut |_| panic!("{len}")).is_err());
        }
        // An end that is none.
        reader.file().write_all_at(&3u64.to_ne_bytes(), 0).unwrap();
        let mut got = 0;
        assert!(reader.read_to(end + 100, &mut |_| got += 1).is_err());
        assert_eq!(got, 1);
        // An end and a length that agree, in a file that is as long and empty.
        let (len, end) = (1u64 << 50, (1 << 50) + HEADER);
        reader.file().write_all_at(&len.to_ne_bytes(), 0).unwrap();
        reader.file().set_len(end).unwrap();
        assert!(reader.read_to(end, &mut |_| panic!("{len}")).is_err());
    }
}
