//! What a file is, seen from outside: without attaching, and without changing anything.

use crate::error::{Error, Result};
use crate::{liveness, open, participant};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The state of a segment as an outsider sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Somebody who lives is attached.
    Used,
    /// Nobody is attached, and everybody left in order: kept on purpose.
    Idle,
    /// Somebody died without leaving, and nobody who lives is attached.
    Dead,
}

/// The state of an open segment file. The caller is not attached to it.
pub(crate) fn state_of_file(file: &File, place: &str) -> Result<State> {
    let header = open::read_header(file, place)?;
    let layout = header.layout();
    let mut table = vec![0; header.participants as usize * 64];
    file.read_exact_at(&mut table, layout.participants)
        .map_err(|source| Error::os(place, "reading", source))?;
    let words = table
        .chunks_exact(64)
        .map(|entry| bytemuck::pod_read_unaligned::<u64>(&entry[..8]));
    // A damaged table tells nothing about who is dead.
    if words.clone().any(participant::is_impossible) {
        return Err(Error::Corrupted {
            place: place.to_owned(),
            what: "a participant's state is none that exists",
        });
    }
    let found = participant::survey(words, |ticket| liveness::is_alive(file, ticket))
        .map_err(|source| Error::os(place, "asking for the locks of", source))?;
    Ok(if found.alive > 0 {
        State::Used
    } else if found.dead > 0 {
        State::Dead
    } else {
        State::Idle
    })
}
