//! Where a segment lives: a name, a path, or a descriptor.

use crate::backing::TEMPORARY_PREFIX;
use crate::error::{Error, Result};
use std::ffi::OsStr;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The directory of named segments.
pub(crate) const SHM_DIR: &str = "/dev/shm";
/// The longest name, in bytes. Shorter than any file system's limit, so that a name which works on
/// one works on all.
const LONGEST_NAME: usize = 200;

/// Where a new segment is made.
///
/// A string is a name under `/dev/shm`, a path is a file anywhere, and a memfd has no name at all:
/// it is handed on by descriptor and vanishes with its last user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/dev/shm/<name>`: 1 to 200 bytes without `/` and NUL, not starting with a dot.
    Name(String),
    /// A file at this path. Its directory must exist.
    Path(PathBuf),
    /// An unnamed, sealed memory file. The label (up to 63 bytes are kept) shows in
    /// `/proc/<pid>/maps`.
    Memfd(String),
}

impl Place {
    /// An unnamed, sealed memory file; see [`Place::Memfd`].
    pub fn memfd(label: impl Into<String>) -> Self {
        Self::Memfd(label.into())
    }

    /// The path of the file, checked; `None` for a memfd.
    pub(crate) fn path(&self) -> Result<Option<PathBuf>> {
        match self {
            Place::Name(name) => shm_path(name).map(Some),
            Place::Path(path) => file_path(path).map(Some),
            Place::Memfd(_) => Ok(None),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Name(name) => write!(f, "\"{}\"", name.escape_debug()),
            Place::Path(path) => write!(f, "\"{}\"", path.display()),
            Place::Memfd(label) => write!(f, "memfd \"{}\"", label.escape_debug()),
        }
    }
}

impl From<&str> for Place {
    fn from(name: &str) -> Self {
        Place::Name(name.to_owned())
    }
}

impl From<String> for Place {
    fn from(name: String) -> Self {
        Place::Name(name)
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Place::Path(path.to_owned())
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Place::Path(path)
    }
}

impl From<&PathBuf> for Place {
    fn from(path: &PathBuf) -> Self {
        Place::Path(path.clone())
    }
}

/// Where an existing segment is found: by name, by path, or through a descriptor that somebody
/// handed over.
#[derive(Debug)]
pub enum Address {
    /// A name or a path.
    Place(Place),
    /// A descriptor, inherited or received over a Unix socket.
    Descriptor(OwnedFd),
}

impl<P: Into<Place>> From<P> for Address {
    fn from(place: P) -> Self {
        Address::Place(place.into())
    }
}

impl From<OwnedFd> for Address {
    fn from(descriptor: OwnedFd) -> Self {
        Address::Descriptor(descriptor)
    }
}

fn invalid(name: &str, reason: &'static str) -> Error {
    Error::InvalidName {
        name: name.to_owned(),
        reason,
    }
}

fn shm_path(name: &str) -> Result<PathBuf> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST_NAME {
        "it is longer than 200 bytes"
    } else if name.contains('/') {
        "it contains a '/'; use a Path for a file elsewhere"
    } else if name.contains('\0') {
        "it contains a NUL"
    } else if name.starts_with('.') {
        "it starts with a '.'"
    } else {
        return Ok(Path::new(SHM_DIR).join(name));
    };
    Err(invalid(name, reason))
}

fn file_path(path: &Path) -> Result<PathBuf> {
    let shown = path.to_string_lossy();
    let name = path.file_name().unwrap_or(OsStr::new(""));
    if name.is_empty() {
        return Err(invalid(&shown, "the path does not end in a file name"));
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(invalid(&shown, "it contains a NUL"));
    }
    if name.len() > LONGEST_NAME {
        return Err(invalid(&shown, "its last part is longer than 200 bytes"));
    }
    if !path
        .as_os_str()
        .as_encoded_bytes()
        .ends_with(name.as_encoded_bytes())
    {
        return Err(invalid(
            &shown,
            "the path ends in a '/' or '.' after the file name",
        ));
    }
    if name
        .as_encoded_bytes()
        .starts_with(TEMPORARY_PREFIX.as_bytes())
    {
        return Err(invalid(
            &shown,
            "names like this one are for creations under way",
        ));
    }
    // Absolute, because the segment may be unlinked after the user changed the directory.
    std::path::absolute(path).map_err(|source| Error::Os {
        place: shown.into_owned(),
        action: "making the path absolute",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_the_directory_or_hide_are_refused() {
        for name in ["", "a/b", "..", ".", ".hidden", "a\0b", &"x".repeat(201)] {
            let error = Place::from(name).path().unwrap_err();
            assert!(
                matches!(error, Error::InvalidName { .. }),
                "{name:?}: {error}"
            );
        }
        for name in ["a", "with space", "ünïcode", &"x".repeat(200)] {
            assert!(Place::from(name).path().is_ok(), "{name:?}");
        }
    }

    #[test]
    fn a_path_needs_a_file_name() {
        for path in ["/", "/tmp/..", "", "/tmp/a/", "/tmp/a/.", "/tmp/.ipc-new-1"] {
            assert!(Place::from(Path::new(path)).path().is_err(), "{path:?}");
        }
    }
}
