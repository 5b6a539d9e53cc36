//! Segments that nobody will ever remove: their users died.

use crate::backing::TEMPORARY_PREFIX;
use crate::error::{Error, Result};
use crate::gate::{self, Gate, Purpose};
use crate::header::{FLAG_UNLINK_LAST, Header};
use crate::place::SHM_DIR;
use crate::survey::{State, state_of_file};
use crate::{liveness, open};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file that only dead processes used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Leftover {
    /// Where it is.
    pub path: PathBuf,
    /// The label given at creation. Empty for a creation that was interrupted early.
    pub label: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// The process that created it. For people. Zero for a creation that was interrupted early.
    pub creator_pid: u32,
    /// When it was created, by the creator's clock.
    pub created: SystemTime,
}

/// Lists what nobody in `/dev/shm` will ever remove: segments whose users have all died, at least
/// one of them without leaving; segments whose last participant was killed while it removed them
/// (see [`unlink_when_last_leaves`](crate::SegmentBuilder::unlink_when_last_leaves)); and creations
/// that were interrupted (only on file systems that cannot make unnamed files).
///
/// Segments that are in use, that everybody left in order, that cannot be opened or that belong to
/// another user are not listed.
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
    let found = file.metadata().ok()?;
    if found.uid() != nix::unistd::geteuid().as_raw() {
        return None;
    }
    let header = open::read_header(&file, &place).ok();
    let is_dead = match &header {
        _ if is_temporary(path) => gate::is_free(&file),
        Some(header) => is_dead(&file, header, &place),
        None => false,
    };
    let leftover = Leftover {
        path: path.to_owned(),
        label: header.map_or_else(String::new, |header| header.label()),
        bytes: found.len(),
        creator_pid: header.map_or(0, |header| header.creator_pid),
        created: header.map_or(found.modified().unwrap_or(UNIX_EPOCH), |header| {
            UNIX_EPOCH + Duration::from_secs(header.created_unix_seconds)
        }),
    };
    is_dead.then_some((file, leftover))
}

/// The creator of a temporary name stays at its gate until the name is gone.
fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| {
        name.as_encoded_bytes()
            .starts_with(TEMPORARY_PREFIX.as_bytes())
    })
}

fn is_dead(file: &File, header: &Header, place: &str) -> bool {
    match state_of_file(file, place) {
        Ok(State::Dead) => true,
        // The last one has left and did not live to remove the name.
        Ok(State::Idle) => header.flags & FLAG_UNLINK_LAST != 0,
        Ok(State::Used) | Err(_) => false,
    }
}

fn remove(path: &Path) -> Option<()> {
    let place = path.display().to_string();
    let (file, _) = examine(path)?;
    let _gate = Gate::hold(&file, Some(path), &place, Purpose::Remove).ok()?;
    // Somebody may have attached before we had the gate. (A temporary name is dead as soon as the
    // gate is ours, even if the file has got its name too and is in use.)
    if !is_temporary(path) {
        let header = open::read_header(&file, &place).ok()?;
        is_dead(&file, &header, &place).then_some(())?;
    }
    let identity = liveness::identity(&file).ok()?;
    gate::unlink(path, identity).ok()
}
