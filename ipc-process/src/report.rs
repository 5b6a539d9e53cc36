//! What a worker leaves for its parent: one memory file with a header, the
//! result and a message.
//!
//! The header is written last, by one write within one page, which the kernel
//! does not break off for a signal. Before the bytes it speaks of change, it is
//! set to speak of none. So a worker killed at any moment leaves a header that
//! is true.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::sys::memfd::{MFdFlags, memfd_create};

/// Size of the header: version and progress (u32), lengths of the result and of
/// the message (u64). Both processes run on the same machine: native endian.
const HEADER: u64 = 24;
const VERSION: u32 = 1;

/// How far the worker has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Progress {
    Started = 1,
    Succeeded = 2,
    Failed = 3,
    Panicked = 4,
    Refused = 5,
}

/// What the parent finds.
pub(crate) struct Record {
    pub(crate) progress: Progress,
    pub(crate) result: Vec<u8>,
    pub(crate) message: String,
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Report {
    file: File,
    result_len: u64,
}

pub(crate) fn create() -> io::Result<File> {
    Ok(memfd_create(c"ipc-process-report", MFdFlags::MFD_CLOEXEC)?.into())
}

impl Report {
    pub(crate) fn start(file: File) -> io::Result<Self> {
        let report = Self {
            file,
            result_len: 0,
        };
        report.write_header(Progress::Started, 0)?;
        Ok(report)
    }

    pub(crate) fn set_result(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.result_len = 0;
        self.write_header(Progress::Started, 0)?;
        self.file.set_len(HEADER + bytes.len() as u64)?;
        self.file.write_all_at(bytes, HEADER)?;
        self.result_len = bytes.len() as u64;
        self.write_header(Progress::Started, 0)
    }

    pub(crate) fn finish(&self, progress: Progress, message: &str) -> io::Result<()> {
        self.file
            .write_all_at(message.as_bytes(), HEADER + self.result_len)?;
        self.write_header(progress, message.len() as u64)
    }

    fn write_header(&self, progress: Progress, message_len: u64) -> io::Result<()> {
        let mut header = [0; HEADER as usize];
        header[0..4].copy_from_slice(&VERSION.to_ne_bytes());
        header[4..8].copy_from_slice(&(progress as u32).to_ne_bytes());
        header[8..16].copy_from_slice(&self.result_len.to_ne_bytes());
        header[16..24].copy_from_slice(&message_len.to_ne_bytes());
        self.file.write_all_at(&header, 0)
    }
}

/// Reads what the worker left; `None` if it never started its role.
pub(crate) fn read(file: &File) -> io::Result<Option<Record>> {
    let size = file.metadata()?.len();
    if size == 0 {
        return Ok(None);
    }
    let mut header = [0; HEADER as usize];
    file.read_exact_at(&mut header, 0)?;
    let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().expect("4 bytes"));
    let long = |at: usize| u64::from_ne_bytes(header[at..at + 8].try_into().expect("8 bytes"));

    if word(0) != VERSION {
        return Err(invalid(format!(
            "report of version {}, this program reads {VERSION}",
            word(0)
        )));
    }
    let progress = match word(4) {
        1 => Progress::Started,
        2 => Progress::Succeeded,
        3 => Progress::Failed,
        4 => Progress::Panicked,
        5 => Progress::Refused,
        other => return Err(invalid(format!("unknown progress {other} in the report"))),
    };
    let (result_len, message_len) = (long(8), long(16));
    // Checked against the file before anything is allocated.
    let end = HEADER
        .checked_add(result_len)
        .and_then(|end| end.checked_add(message_len));
    if end.is_none_or(|end| end > size) {
        return Err(invalid(format!(
            "report of {size} bytes claims {result_len} + {message_len}"
        )));
    }

    let mut result = vec![0; result_len as usize];
    file.read_exact_at(&mut result, HEADER)?;
    let mut message = vec![0; message_len as usize];
    file.read_exact_at(&mut message, HEADER + result_len)?;
    Ok(Some(Record {
        progress,
        result,
        message: String::from_utf8_lossy(&message).into_owned(),
    }))
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(version: u32, progress: u32, result_len: u64, message_len: u64) -> File {
        let file = create().unwrap();
        let mut bytes = Vec::new();
        bytes.extend(version.to_ne_bytes());
        bytes.extend(progress.to_ne_bytes());
        bytes.extend(result_len.to_ne_bytes());
        bytes.extend(message_len.to_ne_bytes());
        bytes.extend(b"abc");
        file.write_all_at(&bytes, 0).unwrap();
        file
    }

    #[test]
    fn an_untouched_file_is_a_worker_that_never_started() {
        assert!(read(&create().unwrap()).unwrap().is_none());
    }

    #[test]
    fn result_and_message_come_back() {
        let file = create().unwrap();
        let mut report = Report::start(file.try_clone().unwrap()).unwrap();
        report.set_result(b"a longer result").unwrap();
        report.set_result(b"short").unwrap();
        report.finish(Progress::Failed, "no luck").unwrap();
        let record = read(&file).unwrap().unwrap();
        assert_eq!(record.progress, Progress::Failed);
        assert_eq!(record.result, b"short");
        assert_eq!(record.message, "no luck");
    }

    #[test]
    fn a_header_that_does_not_fit_the_file_is_refused() {
        assert_eq!(read(&raw(1, 2, 2, 1)).unwrap().unwrap().result, b"ab");
        for (version, progress, result_len, message_len) in [
            (2, 2, 2, 1),
            (1, 9, 2, 1),
            (1, 2, 4, 0),
            (1, 2, 0, 4),
            (1, 2, u64::MAX, 1),
            (1, 2, 1, u64::MAX),
        ] {
            let file = raw(version, progress, result_len, message_len);
            let error = read(&file).err().expect("must be refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        let truncated = create().unwrap();
        truncated.set_len(HEADER - 1).unwrap();
        assert!(read(&truncated).is_err());
    }
}
