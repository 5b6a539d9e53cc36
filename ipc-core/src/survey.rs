//! What a file is, seen from outside: without attaching, and without changing anything.

use crate::error::{Error, Result};
use crate::header::Header;
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
    loop {
        let words = read_words(file, &header, place)?;
        let found = participant::survey(words.iter().copied(), |ticket| {
            liveness::is_alive(file, ticket)
        })
        .map_err(|source| Error::os(place, "asking for the locks of", source))?;
        if found.alive > 0 {
            return Ok(State::Used);
        }
        if found.dead == 0 {
            return Ok(State::Idle);
        }
        // Who leaves in order takes back its word before its lock goes. So the lock of somebody
        // whose word still stands was lost by dying.
        if read_words(file, &header, place)? == words {
            return Ok(State::Dead);
        }
    }
}

/// The words of the participant table.
fn read_words(file: &File, header: &Header, place: &str) -> Result<Vec<u64>> {
    let mut table = vec![0; header.participants as usize * 64];
    file.read_exact_at(&mut table, header.layout().participants)
        .map_err(|source| Error::os(place, "reading", source))?;
    let words: Vec<u64> = table
        .chunks_exact(64)
        .map(|entry| bytemuck::pod_read_unaligned(&entry[..8]))
        .collect();
    // A damaged table tells nothing about who is dead.
    if words.iter().copied().any(participant::is_impossible) {
        return Err(Error::Corrupted {
            place: place.to_owned(),
            what: "a participant's state is none that exists",
        });
    }
    Ok(words)
}
