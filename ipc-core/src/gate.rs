//! Coming, going and removal do not cross: a newcomer must not end up attached to a file whose
//! name was removed while it came.
//!
//! Who attaches holds a read lock on one byte of the file, who removes the name a write lock, for
//! the duration. Both are kernel locks on descriptions of their own, gone with the process.

use crate::attachment::Attachment;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::liveness::{self, GATE_BYTE, Identity};
use crate::{header, participant};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long somebody at the gate is waited for. It is held for microseconds; longer means that its
/// holder is stopped.
const PATIENCE: Duration = Duration::from_secs(1);

/// A held gate; opened again by dropping it.
pub(crate) struct Gate {
    _description: File,
}

/// What the gate is wanted for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Attach,
    Remove,
}

impl Gate {
    /// Waits up to a second. [`Error::Busy`] if somebody stopped there.
    pub(crate) fn hold(file: &File, place: &str, purpose: Purpose) -> Result<Self> {
        let failed = |source| Error::os(place, "reopening", source);
        let description = liveness::reopen(file, None, true).map_err(failed)?;
        let kind = match purpose {
            Purpose::Attach => libc::F_RDLCK,
            Purpose::Remove => libc::F_WRLCK,
        };
        let deadline = Deadline::after(PATIENCE);
        loop {
            match liveness::try_lock_byte(&description, kind, GATE_BYTE) {
                Ok(()) => {
                    return Ok(Self {
                        _description: description,
                    });
                }
                Err(nix::Error::EAGAIN | nix::Error::EACCES) if deadline.has_passed() => {
                    return Err(Error::Busy {
                        place: place.to_owned(),
                    });
                }
                // A poll: the kernel has no form of this lock that waits with a time-out.
                Err(nix::Error::EAGAIN | nix::Error::EACCES) => {
                    std::thread::sleep(Duration::from_micros(200));
                }
                Err(error) => return Err(failed(error.into())),
            }
        }
    }
}

/// Whether the name still leads to this file.
pub(crate) fn leads_to(path: &Path, identity: Identity) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| {
        use std::os::unix::fs::MetadataExt;
        liveness::identity_of(found.dev(), found.ino()) == identity
    })
}

/// Removes the name, if it still leads to this file. The caller holds the gate for removal.
pub(crate) fn unlink(path: &Path, identity: Identity) -> io::Result<()> {
    if leads_to(path, identity) {
        std::fs::remove_file(path)
    } else {
        Ok(())
    }
}

/// Leaves the segment in order, and removes its name if that was asked of the last one.
pub(crate) fn leave(attachment: &Attachment) {
    participant::leave(attachment);
    if attachment.header().flags & header::FLAG_UNLINK_LAST == 0 {
        return;
    }
    let Some(path) = attachment.path() else {
        return;
    };
    // Everybody leaves first and looks then, so the last one to look finds nobody. An error means
    // that somebody is just coming (and will be the last), or that the file is gone.
    let _ = attachment.with_judge(|asking| {
        let file = File::from(
            asking
                .try_clone_to_owned()
                .map_err(|source| Error::os(attachment.place(), "duplicating", source))?,
        );
        let _gate = Gate::hold(&file, attachment.place(), Purpose::Remove)?;
        if participant::anybody_alive(attachment, asking)? {
            return Ok(());
        }
        let identity = liveness::identity(&file)
            .map_err(|source| Error::os(attachment.place(), "examining", source))?;
        unlink(path, identity).map_err(|source| Error::os(attachment.place(), "removing", source))
    });
}
