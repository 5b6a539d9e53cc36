//! An advisory lock (flock) on a whole file, released when dropped.

use std::{fs::File, io, path::Path};

use crate::{Error, Result};

/// A held lock. The kernel releases it too when the process dies.
pub(crate) struct FileLock<'a>(&'a File);

impl<'a> FileLock<'a> {
    /// Waits until no other open file description holds any lock on the file.
    pub(crate) fn exclusive(file: &'a File, path: &Path) -> Result<Self> {
        Self::acquire(file, path, File::lock)
    }

    /// Waits until no other open file description holds an exclusive lock on the file.
    pub(crate) fn shared(file: &'a File, path: &Path) -> Result<Self> {
        Self::acquire(file, path, File::lock_shared)
    }

    fn acquire(file: &'a File, path: &Path, lock: fn(&File) -> io::Result<()>) -> Result<Self> {
        loop {
            match lock(file) {
                Ok(()) => return Ok(Self(file)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::File {
                        operation: "lock",
                        path: path.into(),
                        source,
                    });
                }
            }
        }
    }
}

impl Drop for FileLock<'_> {
    fn drop(&mut self) {
        // Closing would not do: a process just forked elsewhere holds the same description until
        // its exec. Unlocking what is held does not fail.
        let _ = self.0.unlock();
    }
}
