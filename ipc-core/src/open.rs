//! Opening a segment: nothing in it is believed before it was checked against the real file.

use crate::attachment::{Attachment, Opened};
use crate::error::{Error, Result};
use crate::gate::{self, Gate, Purpose};
use crate::header::Header;
use crate::liveness;
use crate::place::{Address, Place};
use crate::segment::Segment;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::stat::{FileStat, Mode, SFlag};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How a segment is opened, where the defaults do not do.
///
/// ```no_run
/// use ipc_core::Segment;
/// let shared = Segment::options().allow_other_owner(true).open("prices")?;
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SegmentOptions {
    allow_other_owner: bool,
}

impl SegmentOptions {
    /// Accepts a segment that belongs to another user. That user can write anything into it at any
    /// time; the in-place forms of the rings are refused on it. Default: `false`.
    pub fn allow_other_owner(mut self, allow: bool) -> Self {
        self.allow_other_owner = allow;
        self
    }

    /// Opens a segment by name, path or descriptor and attaches to it.
    ///
    /// # Errors
    /// See [`Segment::open`].
    pub fn open(&self, address: impl Into<Address>) -> Result<Segment> {
        match address.into() {
            Address::Place(place) => self.open_place(&place),
            Address::Descriptor(descriptor) => self.open_descriptor(descriptor),
        }
    }

    fn open_place(&self, place: &Place) -> Result<Segment> {
        let shown = place.to_string();
        let Some(path) = place.path()? else {
            return Err(Error::InvalidName {
                name: shown,
                reason: "a memfd has no name to be opened by; hand over its descriptor",
            });
        };
        loop {
            let file = open_regular(&path, &shown)?;
            let gate = Gate::hold(&file, Some(&path), &shown, Purpose::Attach)?;
            let identity = liveness::identity(&file)
                .map_err(|source| Error::os(&shown, "examining", source))?;
            // Removed, and perhaps made anew, between our opening and our entering the gate.
            if !gate::leads_to(&path, identity) {
                continue;
            }
            let opened = self.check(file, shown, Some(path))?;
            let attachment = Attachment::new(opened)?;
            drop(gate);
            return Ok(Segment::from_attachment(&attachment));
        }
    }

    fn open_descriptor(&self, descriptor: OwnedFd) -> Result<Segment> {
        let shown = format!("descriptor {}", descriptor.as_raw_fd());
        let failed = |source: nix::Error| Error::os(&shown, "examining", source.into());
        // An inherited descriptor is open across exec; further programs need not have it.
        fcntl(
            &descriptor,
            FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
        )
        .map_err(failed)?;
        let stat = nix::sys::stat::fstat(&descriptor).map_err(failed)?;
        refuse_irregular(&stat, &shown)?;
        let flags = fcntl(&descriptor, FcntlArg::F_GETFL).map_err(failed)?;
        if flags & libc::O_ACCMODE != libc::O_RDWR {
            return Err(Error::Permission {
                place: shown,
                action: "writing to",
                source: io::Error::from_raw_os_error(libc::EACCES),
            });
        }
        let file = File::from(descriptor);
        if is_memfd(&file, &stat) {
            check_seals(&file, &shown)?;
            let opened = self.check(file, shown, None)?;
            return Ok(Segment::from_attachment(&Attachment::new(opened)?));
        }
        // A named file: its name must not be removed while we come, and if we are the last to
        // leave, it may be for us to remove.
        let gate = Gate::hold(&file, None, &shown, Purpose::Attach)?;
        let path = name_of(&file);
        let opened = self.check(file, shown, path)?;
        let attachment = Attachment::new(opened)?;
        drop(gate);
        Ok(Segment::from_attachment(&attachment))
    }

    fn check(&self, file: File, place: String, path: Option<PathBuf>) -> Result<Opened> {
        let stat = nix::sys::stat::fstat(&file)
            .map_err(|source| Error::os(&place, "examining", source.into()))?;
        refuse_irregular(&stat, &place)?;
        let ours = nix::unistd::geteuid().as_raw();
        if stat.st_uid != ours && !self.allow_other_owner {
            return Err(Error::ForeignOwner {
                place,
                owner: stat.st_uid,
                ours,
            });
        }
        let header = read_header(&file, &place)?;
        let open_to_others = Mode::S_IWGRP.bits() | Mode::S_IWOTH.bits();
        Ok(Opened {
            private: stat.st_uid == ours && stat.st_mode & open_to_others == 0,
            file,
            header,
            place,
            path,
            temporary: None,
        })
    }
}

/// Reads and checks the header through the file, before anything is mapped.
pub(crate) fn read_header(file: &File, place: &str) -> Result<Header> {
    let mut bytes = [0; size_of::<Header>()];
    let failed = |source| Error::os(place, "reading", source);
    let mut got = 0;
    while got < bytes.len() {
        match file
            .read_at(&mut bytes[got..], got as u64)
            .map_err(failed)?
        {
            0 => break,
            more => got += more,
        }
    }
    let size = file.metadata().map_err(failed)?.len();
    Header::check(&bytes[..got], size, place)
}

/// Opens a path if, and only if, it is a regular file: no link is followed, no device touched and
/// no FIFO waited for.
pub(crate) fn open_regular(path: &Path, place: &str) -> Result<File> {
    let failed = |source: nix::Error| Error::os(place, "opening", source.into());
    refuse_irregular(&nix::sys::stat::lstat(path).map_err(failed)?, place)?;
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match nix::fcntl::open(path, flags, Mode::empty()) {
        // Replaced by a link since the look.
        Err(nix::Error::ELOOP) => {
            return Err(Error::NotRegular {
                place: place.to_owned(),
                found: "a symbolic link",
            });
        }
        opened => opened.map_err(failed)?,
    };
    refuse_irregular(&nix::sys::stat::fstat(&file).map_err(failed)?, place)?;
    Ok(file.into())
}

fn refuse_irregular(stat: &FileStat, place: &str) -> Result<()> {
    let found = match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => return Ok(()),
        SFlag::S_IFDIR => "a directory",
        SFlag::S_IFLNK => "a symbolic link",
        SFlag::S_IFIFO => "a FIFO",
        SFlag::S_IFSOCK => "a socket",
        _ => "a device",
    };
    Err(Error::NotRegular {
        place: place.to_owned(),
        found,
    })
}

/// Whether a descriptor leads to a memory file. The others have, or had, a name.
fn is_memfd(file: &File, stat: &FileStat) -> bool {
    stat.st_nlink == 0
        && link_of(file)
            .is_none_or(|link| link.as_os_str().as_encoded_bytes().starts_with(b"/memfd:"))
}

/// The name that a descriptor was opened by, if it still leads to the file.
fn name_of(file: &File) -> Option<PathBuf> {
    let link = link_of(file)?;
    let identity = liveness::identity(file).ok()?;
    gate::leads_to(&link, identity).then_some(link)
}

fn link_of(file: &File) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

fn check_seals(file: &File, place: &str) -> Result<()> {
    let seals = fcntl(file, FcntlArg::F_GET_SEALS)
        .map(SealFlag::from_bits_retain)
        .unwrap_or(SealFlag::empty());
    let future_write = SealFlag::from_bits_retain(libc::F_SEAL_FUTURE_WRITE);
    let why = if !seals.contains(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW) {
        "its size is not sealed, so somebody could truncate it under our feet"
    } else if !seals.contains(SealFlag::F_SEAL_SEAL) {
        "it is open to further seals"
    } else if seals.intersects(SealFlag::F_SEAL_WRITE | future_write) {
        "it is sealed against writing"
    } else {
        return Ok(());
    };
    Err(Error::WrongSeals {
        place: place.to_owned(),
        why,
    })
}
