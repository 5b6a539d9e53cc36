//! Where the parts of a segment with one object lie, in words: so that damage can be aimed.

use ipc_core::{ObjectInfo, Segment};
use std::ops::Range;

/// Of a header, as ARCHITECTURE.md has it.
const HEADER: usize = 256 / 8;
/// The header's last word: the checksum of those before.
pub(crate) const CHECKSUM: usize = HEADER - 1;
const VITALS: Range<usize> = 256 / 8..304 / 8;
const PARTICIPANTS: usize = 512 / 8;
const LINE: usize = 128 / 8;
const PARTICIPANT: usize = 64 / 8;
const ENTRY: usize = 256 / 8;

/// How many participants, handles and objects the segments of the campaigns have.
pub(crate) const PARTICIPANT_LIMIT: u32 = 8;
pub(crate) const HANDLE_LIMIT: u32 = 48;
pub(crate) const OBJECT_LIMIT: u32 = 6;

/// The parts of a segment, in words.
#[derive(Clone, Debug)]
pub struct Anatomy {
    /// Sizes, identity, checksum.
    pub header: Range<usize>,
    /// Counters of the segment.
    pub vitals: Range<usize>,
    /// The participant table.
    pub participants: Range<usize>,
    /// The handle table.
    pub handles: Range<usize>,
    /// The directory.
    pub directory: Range<usize>,
    /// The object.
    pub object: Range<usize>,
    /// Those words of the object that its users change, or that are not 0.
    pub alive: Vec<usize>,
    /// What was never given to any object.
    pub unused: Range<usize>,
    /// Everything.
    pub whole: Range<usize>,
}

impl Anatomy {
    /// Of a segment whose object has this name, and of which these are snapshots.
    ///
    /// # Errors
    /// Those of [`Segment::objects`].
    pub fn of(segment: &Segment, name: &str, snapshots: &[Vec<u64>]) -> ipc_core::Result<Self> {
        let participants =
            PARTICIPANTS..PARTICIPANTS + segment.participant_limit() as usize * PARTICIPANT;
        let handles = participants.end..participants.end + segment.handle_limit() as usize;
        let entries = handles.end.next_multiple_of(LINE);
        let directory = entries..entries + OBJECT_LIMIT as usize * ENTRY;
        let words =
            |it: &ObjectInfo| it.offset as usize / 8..(it.offset + it.len).div_ceil(8) as usize;
        let objects = segment.objects()?;
        let used = objects.iter().map(|it| words(it).end).max();
        let object = objects
            .iter()
            .find(|it| it.name == name)
            .map(words)
            .unwrap_or(directory.end..directory.end);
        let directory_end = directory.end;
        let alive = object
            .clone()
            .filter(|&at| snapshots.iter().any(|it| it[at] != 0))
            .collect();
        Ok(Self {
            header: 0..HEADER,
            vitals: VITALS,
            participants,
            handles,
            directory,
            object,
            alive,
            unused: used.unwrap_or(directory_end)..segment.len() as usize / 8,
            whole: 0..segment.len() as usize / 8,
        })
    }

    /// What a word belongs to.
    pub fn part(&self, at: usize) -> &'static str {
        let parts = [
            ("header", &self.header),
            ("vitals", &self.vitals),
            ("participants", &self.participants),
            ("handles", &self.handles),
            ("directory", &self.directory),
            ("object", &self.object),
        ];
        let found = parts.iter().find(|(_, words)| words.contains(&at));
        found.map_or("elsewhere", |(part, _)| part)
    }
}
