//! Segments that nobody will ever remove: their users died.

use crate::backing::TEMPORARY_PREFIX;
use crate::error::{Error, Result};
use crate::gate::{self, Gate, Purpose};
use crate::place::SHM_DIR;
use crate::survey::{State, state_of_file};
use crate::{liveness, open};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file that only dead processes used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Leftover {
    /// Where it is.
    pub path: PathBuf,
    /// The label given at creation.
    pub label: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// The process that created it. For people.
    pub creator_pid: u32,
    /// When it was created, by the creator's clock.
    pub created: SystemTime,
}

/// Lists the segments in `/dev/shm` whose users have all died, at least one of them without
/// leaving. Segments that are in use, that everybody left in order, that cannot be read or that
/// are not ours are not listed.
///
/// # Errors
/// If `/dev/shm` cannot be read.
pub fn leftovers() -> Result<Vec<Leftover>> {
    leftovers_in(SHM_DIR)
}

/// The same for another directory, where segments were created by path.
///
/// # Errors
/// If the directory cannot be read.
pub fn leftovers_in(directory: impl AsRef<Path>) -> Result<Vec<Leftover>> {
    let directory = directory.as_ref();
    let failed = |source| Error::os(&directory.display().to_string(), "listing", source);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let Some((_, leftover)) = examine(&path) {
            found.push(leftover);
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Removes the [`leftovers`], each only if it is still surely dead at that moment. Returns what
/// was removed.
///
/// # Errors
/// If `/dev/shm` cannot be read. A leftover that cannot be removed (another user's) is skipped.
pub fn clean() -> Result<Vec<Leftover>> {
    clean_in(SHM_DIR)
}

/// The same for another directory.
///
/// # Errors
/// If the directory cannot be read. A leftover that cannot be removed is skipped.
pub fn clean_in(directory: impl AsRef<Path>) -> Result<Vec<Leftover>> {
    let mut found = leftovers_in(directory)?;
    found.retain(|leftover| remove(&leftover.path).is_some());
    Ok(found)
}

/// The file and its description, if it is surely dead.
fn examine(path: &Path) -> Option<(File, Leftover)> {
    let place = path.display().to_string();
    let file = open::open_regular(path, &place).ok()?;
    let header = open::read_header(&file, &place).ok()?;
    let state = state_of_file(&file, &place).ok()?;
    // A creation under a temporary name is attached to from its first moment on, so whoever finds
    // one that nobody uses finds one that was interrupted.
    let interrupted = path.file_name().is_some_and(|name| {
        name.as_encoded_bytes()
            .starts_with(TEMPORARY_PREFIX.as_bytes())
    });
    let is_dead = state == State::Dead || (interrupted && state == State::Idle);
    let leftover = Leftover {
        path: path.to_owned(),
        label: header.label(),
        bytes: header.total,
        creator_pid: header.creator_pid,
        created: UNIX_EPOCH + Duration::from_secs(header.created_unix_seconds),
    };
    is_dead.then_some((file, leftover))
}

fn remove(path: &Path) -> Option<()> {
    let place = path.display().to_string();
    let (file, _) = examine(path)?;
    let _gate = Gate::hold(&file, &place, Purpose::Remove).ok()?;
    // Somebody may have attached before we had the gate.
    (state_of_file(&file, &place).ok()? == State::Dead).then_some(())?;
    let identity = liveness::identity(&file).ok()?;
    gate::unlink(path, identity).ok()
}
