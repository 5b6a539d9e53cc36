//! What can go wrong with segments, participants and objects.

use crate::object::TypeTag;
use std::io;

/// The result of a call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a segment, a participant or an object could not be made, found or used.
///
/// Each message names the object and says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A segment's or object's name that cannot be used.
    #[error("the name {name:?} cannot be used: {reason}")]
    InvalidName {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A size, count or capacity outside its range.
    #[error("{what} of {asked} is outside the range {least} to {most}")]
    OutOfRange {
        /// Which quantity.
        what: &'static str,
        /// What was asked for.
        asked: u128,
        /// The smallest value allowed.
        least: u128,
        /// The largest value allowed.
        most: u128,
    },
    /// Permission bits that a segment cannot have.
    #[error(
        "a segment cannot have the mode {mode:#o}: its owner must be able to read and write it \
         (0o600), others may be too (0o060, 0o006), and other bits have no use"
    )]
    InvalidMode {
        /// The mode as given.
        mode: u32,
    },
    /// There is no such segment.
    #[error("there is no segment {place}; create it first, or use open_or_create")]
    NotFound {
        /// Its name or path.
        place: String,
    },
    /// A segment (or another file) of this name exists.
    #[error("{place} exists already; open it, use open_or_create, or choose another name")]
    Exists {
        /// Its name or path.
        place: String,
    },
    /// A segment of this name exists, and everybody who used it has died.
    #[error(
        "the segment {place} exists already and all its participants have died; \
         open it to go on with its contents (Segment::open takes over what the dead held), \
         or discard it and start afresh with SegmentBuilder::replace_dead"
    )]
    ExistsDead {
        /// Its name or path.
        place: String,
    },
    /// Somebody else is just creating or removing the segment, and did not finish in time.
    #[error(
        "the segment {place} is being removed by another process which does not go on \
         (stopped?); continue or kill it and try again"
    )]
    Busy {
        /// Its name or path.
        place: String,
    },
    /// The name leads to something that is not a regular file.
    #[error("{place} is {found}, not a segment; choose another name")]
    NotRegular {
        /// Its name or path.
        place: String,
        /// What it is.
        found: &'static str,
    },
    /// The file is no segment of this toolkit.
    #[error("{place} is not a segment of this toolkit: {why}")]
    NotASegment {
        /// Its name or path.
        place: String,
        /// What gave it away.
        why: &'static str,
    },
    /// The file is shorter or longer than its header says.
    #[error(
        "the segment {place} is {actual} bytes long where its header says {expected}: it was \
         truncated or extended by somebody; remove it"
    )]
    WrongLength {
        /// Its name or path.
        place: String,
        /// What the header says, in bytes.
        expected: u64,
        /// What the file has, in bytes.
        actual: u64,
    },
    /// The segment was made by another version of this toolkit.
    #[error(
        "the segment {place} has layout version {found}, this program knows version {known}; \
         build both programs with the same version of the toolkit"
    )]
    WrongVersion {
        /// Its name or path.
        place: String,
        /// The segment's version.
        found: u32,
        /// This library's version.
        known: u32,
    },
    /// The segment was made by a program of another word size or byte order.
    #[error("the segment {place} was made on a {found} machine, this program is {ours}")]
    WrongArchitecture {
        /// Its name or path.
        place: String,
        /// The segment's architecture.
        found: String,
        /// This program's architecture.
        ours: String,
    },
    /// Contents that the protocol cannot have written: memory was damaged by a broken or hostile
    /// peer.
    #[error("{place} is corrupted: {what}; do not use it any longer, unlink it and create it anew")]
    Corrupted {
        /// The segment or object.
        place: String,
        /// What was found.
        what: &'static str,
    },
    /// The segment belongs to another user.
    #[error(
        "the segment {place} belongs to user {owner}, this process runs as user {ours}; if that \
         user is trusted, open it with SegmentOptions::allow_other_owner"
    )]
    ForeignOwner {
        /// Its name or path.
        place: String,
        /// The owner's user id.
        owner: u32,
        /// Our effective user id.
        ours: u32,
    },
    /// The system refused access.
    #[error(
        "permission denied while {action} {place}; check the mode and owner of the file and its directory"
    )]
    Permission {
        /// Its name or path.
        place: String,
        /// What was attempted.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// There is not enough room for the segment. Nothing was left behind.
    #[error(
        "no space for {bytes} bytes of {place}: make the segment smaller, or the file system \
         larger (a container's /dev/shm is often 64 MiB: --shm-size)"
    )]
    NoSpace {
        /// Its name or path.
        place: String,
        /// The size asked for.
        bytes: u64,
    },
    /// The process may not make files this large.
    #[error(
        "{place} would have {bytes} bytes, and this process may make files of {limit} bytes at most (ulimit -f)"
    )]
    FileSizeLimit {
        /// Its name or path.
        place: String,
        /// The size asked for.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A memfd without the seals that keep it from shrinking, or with one that keeps it from being
    /// mapped.
    #[error("the descriptor {place} is not sealed as a segment must be: {why}")]
    WrongSeals {
        /// The descriptor.
        place: String,
        /// Which seal is missing or too many.
        why: &'static str,
    },
    /// Every place for a participant is taken.
    #[error(
        "the segment {place} has room for {limit} participants and all are attached ({dead} of \
         them dead and waiting for a program that knows their objects); detach some, or create \
         it with more (SegmentBuilder::participants)"
    )]
    ParticipantsFull {
        /// Its name or path.
        place: String,
        /// How many there is room for.
        limit: u32,
        /// How many of them are dead.
        dead: u32,
    },
    /// Every handle of the segment is in use.
    #[error(
        "the segment {place} has room for {limit} handles and all are in use; drop some, or \
         create it with more (SegmentBuilder::handles)"
    )]
    HandlesFull {
        /// Its name or path.
        place: String,
        /// How many there is room for.
        limit: u32,
    },
    /// The directory has no free entry.
    #[error(
        "the segment {place} has room for {limit} objects and all are taken; create it with more (SegmentBuilder::objects)"
    )]
    ObjectsFull {
        /// The segment.
        place: String,
        /// How many there is room for.
        limit: u32,
    },
    /// The segment is too small for another object.
    #[error(
        "the object {object:?} needs {asked} bytes, and {place} has {free} left; create it larger (SegmentBuilder::size)"
    )]
    SegmentFull {
        /// The segment.
        place: String,
        /// The object's name.
        object: String,
        /// Bytes needed.
        asked: u64,
        /// Bytes left.
        free: u64,
    },
    /// An object of this name exists in the segment.
    #[error(
        "the segment {place} has an object {object:?} already; open it, or choose another name"
    )]
    ObjectExists {
        /// The segment.
        place: String,
        /// The object's name.
        object: String,
    },
    /// No object of this name exists in the segment.
    #[error("the segment {place} has no object {object:?} (it has: {present}); create it first")]
    ObjectNotFound {
        /// The segment.
        place: String,
        /// The object's name.
        object: String,
        /// The names that it has.
        present: String,
    },
    /// The object is of another kind.
    #[error(
        "the object {object:?} of {place} is a {found}, not a {expected}; open it as what it is"
    )]
    WrongKind {
        /// The segment.
        place: String,
        /// The object's name.
        object: String,
        /// The kind in the segment.
        found: String,
        /// The kind asked for.
        expected: String,
    },
    /// The object holds elements of another type.
    #[error(
        "the object {object:?} of {place} holds {found}, not {expected}; use the same type in both programs"
    )]
    WrongType {
        /// The segment.
        place: String,
        /// The object's name.
        object: String,
        /// The type in the segment.
        found: Box<TypeTag>,
        /// The type asked for.
        expected: Box<TypeTag>,
    },
    /// A handle was used in a forked child of the process that made it.
    #[error(
        "{place} was opened before a fork and this is the child: open it again here (a forked \
         child is a participant of its own)"
    )]
    Forked {
        /// The segment or object.
        place: String,
    },
    /// Somebody in this process closed the segment's descriptor, and it could not be opened again.
    /// Until it is, nobody's death can be seen here; nobody is judged.
    #[error(
        "the descriptor of {place} was closed or replaced by other code of this process \
         (closefrom?), and it cannot be opened again: {source}; detach and open the segment anew"
    )]
    DescriptorLost {
        /// The segment.
        place: String,
        /// Why it could not be opened again.
        source: io::Error,
    },
    /// The lock that proves this process's life is gone: the others take it for dead.
    #[error(
        "the lock that shows that this process lives is gone from {place}; detach and open the segment anew"
    )]
    LifeLockLost {
        /// The segment.
        place: String,
    },
    /// The segment relies on `membarrier`, which this process may not use.
    #[error(
        "the segment {place} was created to rely on membarrier(2), which this process may not use ({source}); allow it in the sandbox (seccomp)"
    )]
    NoMembarrier {
        /// The segment.
        place: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Any other refusal of the operating system.
    #[error("{action} {place} failed: {source}")]
    Os {
        /// The segment, object or file.
        place: String,
        /// What was attempted.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// Sorts an answer of the operating system into the errors with advice of their own.
    pub(crate) fn os(place: &str, action: &'static str, source: io::Error) -> Self {
        let place = place.to_owned();
        match source.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => Error::Permission {
                place,
                action,
                source,
            },
            Some(libc::ENOENT) => Error::NotFound { place },
            Some(libc::EEXIST) => Error::Exists { place },
            _ => Error::Os {
                place,
                action,
                source,
            },
        }
    }
}
