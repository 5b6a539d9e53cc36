//! Whether a participant lives: a lock on one byte of the file that the kernel takes away when the
//! process ends, however it ends, and at no other time.
//!
//! Each participant has a *ticket*, a number used once, and holds an open-file-description lock on
//! the byte of that number, far beyond the end of the file. The lock belongs to a file description
//! of its own which only a memory mapping keeps open: no descriptor that somebody could close, and
//! none that a forked child would inherit. `exec` and death drop the mapping and with it the lock.

use crate::fork::{NoFork, ParentOnly};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

/// Tickets are below this, so that every byte offset fits the kernel's signed 64 bits.
pub(crate) const TICKET_LIMIT: u64 = 1 << 61;
const FIRST_BYTE: u64 = 1 << 62;
/// The byte that [`crate::gate`] locks.
pub(crate) const GATE_BYTE: u64 = FIRST_BYTE - 1;

fn byte_lock(kind: libc::c_int, byte: u64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte as libc::off_t,
        l_len: 1,
        l_pid: 0,
    }
}

/// Locks one byte through this description without waiting. `Err` with `EAGAIN` if another
/// description has it.
pub(crate) fn try_lock_byte(file: impl AsFd, kind: libc::c_int, byte: u64) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&byte_lock(kind, byte))).map(drop)
}

/// Whether a *different* description of the same file holds the byte of `ticket`.
pub(crate) fn is_alive(asking: impl AsFd, ticket: u64) -> io::Result<bool> {
    let mut lock = byte_lock(libc::F_WRLCK, FIRST_BYTE + ticket);
    fcntl(asking, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

/// A second, independent description of the same file: through `/proc`, or else by its path.
pub(crate) fn reopen(file: &File, path: Option<&Path>, writable: bool) -> io::Result<File> {
    let by_descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    let open = |path: &Path, follow: OFlag| {
        let access = if writable {
            OFlag::O_RDWR
        } else {
            OFlag::O_RDONLY
        };
        nix::fcntl::open(
            path,
            access | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | follow,
            nix::sys::stat::Mode::empty(),
        )
        .map(File::from)
    };
    let again = match (open(by_descriptor.as_ref(), OFlag::empty()), path) {
        (Ok(again), _) => again,
        (Err(_), Some(path)) => open(path, OFlag::O_NOFOLLOW)?,
        // Not "there is no such segment", which is what the bare number would be taken for.
        (Err(nix::Error::ENOENT), None) => {
            return Err(io::Error::other(
                "/proc does not show this process (not mounted, or that of another pid namespace)",
            ));
        }
        (Err(error), None) => return Err(error.into()),
    };
    if identity(&again)? != identity(file)? {
        return Err(io::Error::other("the name leads to another file now"));
    }
    Ok(again)
}

/// Device and inode: what makes two descriptors the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

pub(crate) fn identity_of(device: u64, inode: u64) -> Identity {
    Identity { device, inode }
}

pub(crate) fn identity(file: impl AsFd) -> io::Result<Identity> {
    let stat = nix::sys::stat::fstat(file)?;
    Ok(Identity {
        device: stat.st_dev,
        inode: stat.st_ino,
    })
}

/// The proof that the holder of a ticket lives. Dropped with the process, not with any descriptor.
#[derive(Debug)]
pub(crate) struct LifeLock {
    ticket: u64,
    _pin: Pin,
}

/// What keeps the lock's file description open.
#[derive(Debug)]
enum Pin {
    /// A page of the file, mapped and excluded from forks. Nothing reads it.
    Mapping { _page: memmap2::MmapRaw },
    /// On file systems where a mapping does not hold the description (overlayfs): the descriptor
    /// itself, which a forked child closes. Code that closes all descriptors ends this life.
    Descriptor { _description: ParentOnly },
}

impl LifeLock {
    /// Takes the byte of `ticket`. `asking` is the participant's own descriptor of the file.
    pub(crate) fn take(asking: &File, path: Option<&Path>, ticket: u64) -> io::Result<Self> {
        // A child forked between the opening and the end of this function would keep the
        // description, and with it the lock, beyond the death of this process.
        let mut no_fork = NoFork::begin()?;
        let lock = |second: &File| {
            try_lock_byte(second, libc::F_WRLCK, FIRST_BYTE + ticket).map_err(io::Error::from)
        };

        let second = reopen(asking, path, true)?;
        let page = memmap2::MmapOptions::new()
            .len(1)
            .map_raw_read_only(&second)?;
        page.advise(memmap2::Advice::DontFork)?;
        lock(&second)?;
        drop(second);
        if is_alive(asking, ticket)? {
            let pin = Pin::Mapping { _page: page };
            return Ok(Self { ticket, _pin: pin });
        }

        drop(page);
        let second = reopen(asking, path, true)?;
        lock(&second)?;
        let _description = ParentOnly::new(&mut no_fork, second.into())?;
        let pin = Pin::Descriptor { _description };
        Ok(Self { ticket, _pin: pin })
    }

    pub(crate) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// In a forked child: forgets the lock without touching the parent's (the mapping is not here,
    /// and the descriptor was closed by the fork handler).
    pub(crate) fn abandon(self) {
        std::mem::forget(self);
    }
}
