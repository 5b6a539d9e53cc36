//! Coming, going and removal do not cross: a newcomer must not end up attached to a file whose
//! name was removed while it came.
//!
//! Who attaches holds a read lock on one byte of the file, who removes the name a write lock, for
//! the duration. Both are kernel locks on descriptions of their own, gone with the process.

use crate::attachment::Attachment;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::fork::{NoFork, ParentOnly};
use crate::liveness::{self, GATE_BYTE, Identity};
use crate::{header, participant};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long somebody at the gate is waited for. It is held for microseconds; longer means that its
/// holder is stopped.
const PATIENCE: Duration = Duration::from_secs(1);

/// A held gate; opened again by dropping it, and by the end of the process: a child forked
/// meanwhile does not get the description.
pub(crate) struct Gate {
    _description: ParentOnly,
}

/// What the gate is wanted for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Attach,
    Remove,
}

impl Gate {
    /// Waits up to a second. [`Error::Busy`] if somebody stopped there. `path` is where to find the
    /// file if there is no `/proc`.
    pub(crate) fn hold(
        file: &File,
        path: Option<&Path>,
        place: &str,
        purpose: Purpose,
    ) -> Result<Self> {
        // Whatever is missing here, it is not the segment.
        let failed = |source| Error::Os {
            place: place.to_owned(),
            action: "reopening",
            source,
        };
        let mut no_fork = NoFork::begin().map_err(failed)?;
        let description = liveness::reopen(file, path, true)
            .and_then(|again| ParentOnly::new(&mut no_fork, again.into()))
            .map_err(failed)?;
        drop(no_fork);
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

/// Whether nobody is at the gate. Shuts it for an instant. Nothing else may hold it through `file`.
pub(crate) fn is_free(file: &File) -> bool {
    let free = liveness::try_lock_byte(file, libc::F_WRLCK, GATE_BYTE).is_ok();
    if free {
        let _ = liveness::try_lock_byte(file, libc::F_UNLCK, GATE_BYTE);
    }
    free
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
        let identity = liveness::identity(&file)
            .map_err(|source| Error::os(attachment.place(), "examining", source))?;
        if !leads_to(path, identity) {
            return Ok(());
        }
        let _gate = Gate::hold(&file, Some(path), attachment.place(), Purpose::Remove)?;
        if participant::anybody_alive(attachment, asking)? {
            return Ok(());
        }
        unlink(path, identity).map_err(|source| Error::os(attachment.place(), "removing", source))
    });
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn file() -> File {
        nix::sys::memfd::memfd_create("gate", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)
            .unwrap()
            .into()
    }

    #[test]
    fn many_attach_at_once_and_nobody_while_somebody_removes() {
        let file = file();
        let enter = |purpose| Gate::hold(&file, None, "gate", purpose);
        let first = enter(Purpose::Attach).unwrap();
        let second = enter(Purpose::Attach).unwrap();
        assert!(!is_free(&file));
        drop(first);
        assert!(matches!(enter(Purpose::Remove), Err(Error::Busy { .. })));
        drop(second);
        assert!(is_free(&file));
        let _remover = enter(Purpose::Remove).unwrap();
        assert!(matches!(enter(Purpose::Attach), Err(Error::Busy { .. })));
    }

    /// Forks a process that runs `body` and ends. It must only make system calls, unless this
    /// process has one thread.
    fn forked(body: impl FnOnce()) -> nix::unistd::Pid {
        // SAFETY: what the child may do is said above; it ends without unwinding into the test.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Parent { child } => child,
            nix::unistd::ForkResult::Child => {
                body();
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(0) }
            }
        }
    }

    #[test]
    fn a_child_forked_at_the_gate_does_not_keep_it_shut_when_its_parent_dies() {
        let file = file();
        let (hold, release) = std::io::pipe().unwrap();
        let (running, runs) = std::io::pipe().unwrap();
        let holder = forked(|| {
            let gate = Gate::hold(&file, None, "gate", Purpose::Remove);
            forked(|| {
                // SAFETY: the descriptor is this process's copy, which it does not use.
                unsafe { libc::close(release.as_raw_fd()) };
                let _ = nix::unistd::write(&runs, b"r");
                let _ = nix::unistd::read(&hold, &mut [0]);
            });
            let _ = nix::unistd::read(&running, &mut [0]);
            // Ends at the gate, as if killed.
            std::mem::forget(gate);
        });
        nix::sys::wait::waitpid(holder, None).unwrap();
        // The holder's child lives on: it waits for `release`.
        let free = is_free(&file);
        drop(release);
        assert!(free);
    }
}
