//! The account of a chaos run, in memory of its own that no kill can damage: what was begun, what
//! came of it, and who is to die.
//!
//! Whoever is about to do something says so first, and says afterwards what came of it. Between the
//! two it may be killed; then either is right.

use super::Violation;
use crate::memory::Memory;
use crate::subject::Failure;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

/// How many workers there are at a time.
pub(crate) const SEATS: usize = 4;
/// How many messages a lane carries in an epoch, at most.
const SEQUENCE: usize = 1 << 15;

/// Words that concern everybody.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Common {
    Epoch,
    /// Who is in the mutex, or in the lock as a writer.
    InMutex,
    Writing,
    /// The values that the once of this epoch has given.
    Cell,
    /// Pairs of what was begun and what was done.
    RingPushed,
    BytesPushed,
    ValuesPushed,
    Made,
    MadeDone,
    Taken,
    TakenDone,
    Posted,
    PostedDone,
    Waited,
    WaitedDone,
    CountedDown,
    CountedDownDone,
    Arrived,
    Led,
    Set,
    Passed,
    Updated,
    UpdatedDone,
    Added,
    AddedDone,
    Stored,
    StoredDone,
    /// The last messages that came through the channel, by direction.
    LastFirst,
    LastSecond,
    /// Who has the permits: so many words.
    Permits,
}

/// How many permits there are.
pub(crate) const PERMITS: usize = 3;
const COMMON: usize = Common::Permits as usize + PERMITS;

/// Words of a seat, and of whoever has it.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Own {
    /// Those up to this number are about to be killed, or are dead.
    Doomed,
    /// This number is asked to leave.
    Leave,
    /// How much has been done.
    Progress,
    /// Who reads what the lock protects.
    Reading,
    /// How often it has changed what the mutex protects.
    Locked,
}

const OWN: usize = Own::Locked as usize + 1;

/// A stream of numbered messages: each seat has one in each queue, and the channel has two.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lane {
    Queue(usize),
    Bytes(usize),
    Channel(usize),
}

const LANES: usize = 2 * SEATS + 2;
/// How much was done of each kind of job.
pub(crate) const KINDS: usize = 20;

const STARTED: u64 = 1;
const CONFIRMED: u64 = 2;
const REFUSED: u64 = 4;
const RECEIVED: u64 = 8;
const FINISHED: u64 = 16;

const OWN_AT: usize = COMMON;
const DONE_AT: usize = OWN_AT + SEATS * OWN;
const NEXT_AT: usize = DONE_AT + KINDS;
const STATES_AT: usize = NEXT_AT + LANES;
const WORDS: usize = STATES_AT + LANES * SEQUENCE;

#[derive(Debug)]
pub(crate) struct Ledger {
    file: OwnedFd,
    memory: Memory,
}

impl AsFd for Ledger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Ledger {
    pub(crate) fn new() -> Result<Self, Failure> {
        let file = memfd_create("account", MFdFlags::MFD_CLOEXEC)?;
        nix::unistd::ftruncate(&file, (WORDS * 8) as i64)?;
        Self::of(file)
    }

    pub(crate) fn of(file: OwnedFd) -> Result<Self, Failure> {
        let memory = Memory::map(&file)?;
        Ok(Self { file, memory })
    }

    pub(crate) fn common(&self, word: Common) -> &AtomicU64 {
        self.memory.word(word as usize)
    }

    pub(crate) fn get(&self, word: Common) -> u64 {
        self.common(word).load(SeqCst)
    }

    pub(crate) fn add(&self, word: Common, more: u64) {
        self.common(word).fetch_add(more, SeqCst);
    }

    pub(crate) fn permit(&self, permit: usize) -> &AtomicU64 {
        assert!(permit < PERMITS);
        self.memory.word(Common::Permits as usize + permit)
    }

    pub(crate) fn own(&self, seat: usize, word: Own) -> &AtomicU64 {
        assert!(seat < SEATS);
        self.memory.word(OWN_AT + seat * OWN + word as usize)
    }

    pub(crate) fn done(&self, kind: usize) -> &AtomicU64 {
        assert!(kind < KINDS);
        self.memory.word(DONE_AT + kind)
    }

    /// Whether this worker is dead or about to be.
    pub(crate) fn is_doomed(&self, who: Tag) -> bool {
        self.own(who.seat(), Own::Doomed).load(SeqCst) >= who.number()
    }

    fn next(&self, lane: Lane) -> &AtomicU64 {
        self.memory.word(NEXT_AT + lane.index())
    }

    fn state(&self, lane: Lane, sequence: u64) -> &AtomicU64 {
        self.memory
            .word(STATES_AT + lane.index() * SEQUENCE + sequence as usize)
    }

    /// The number of a message that is about to be sent; none if this epoch has had enough.
    pub(crate) fn begin(&self, lane: Lane) -> Option<u64> {
        let sequence = self.next(lane).load(SeqCst) + 1;
        if sequence as usize >= SEQUENCE {
            return None;
        }
        self.next(lane).store(sequence, SeqCst);
        self.state(lane, sequence).fetch_or(STARTED, SeqCst);
        Some(sequence)
    }

    pub(crate) fn confirm(&self, lane: Lane, sequence: u64) {
        self.state(lane, sequence).fetch_or(CONFIRMED, SeqCst);
    }

    pub(crate) fn refuse(&self, lane: Lane, sequence: u64) {
        self.state(lane, sequence).fetch_or(REFUSED, SeqCst);
    }

    /// A message is there, and held.
    pub(crate) fn arrive(
        &self,
        lane: Lane,
        sequence: u64,
        redelivered: bool,
    ) -> Result<(), Violation> {
        if sequence == 0 || sequence > self.next(lane).load(SeqCst) {
            return Err(Violation::new(format!(
                "{lane:?} {sequence} was never sent"
            )));
        }
        let before = self.state(lane, sequence).fetch_or(RECEIVED, SeqCst);
        let wrong = if before & FINISHED != 0 {
            "came again after it was finished"
        } else if before & RECEIVED != 0 && !redelivered {
            "came twice, and is not marked as redelivered"
        } else if before & REFUSED != 0 {
            "came although it was refused"
        } else {
            return Ok(());
        };
        Err(Violation::new(format!("{lane:?} {sequence} {wrong}")))
    }

    /// It has been given back.
    pub(crate) fn finish(&self, lane: Lane, sequence: u64) {
        self.state(lane, sequence).fetch_or(FINISHED, SeqCst);
    }

    /// Whether a message was certainly sent.
    pub(crate) fn is_confirmed(&self, lane: Lane, sequence: u64) -> bool {
        self.state(lane, sequence).load(SeqCst) & CONFIRMED != 0
    }

    pub(crate) fn is_finished(&self, lane: Lane, sequence: u64) -> bool {
        self.state(lane, sequence).load(SeqCst) & FINISHED != 0
    }

    /// With everything received: whether that was everything. Begins anew; says how much it was.
    pub(crate) fn settle(&self) -> Result<u64, Violation> {
        let mut sum = 0;
        for lane in Lane::all() {
            let last = self.next(lane).swap(0, SeqCst);
            for sequence in 1..=last {
                let state = self.state(lane, sequence).swap(0, SeqCst);
                let wrong = if state & (CONFIRMED | RECEIVED) == CONFIRMED {
                    "was lost"
                } else if state & (REFUSED | RECEIVED) == REFUSED | RECEIVED {
                    "came although it was refused"
                } else {
                    sum += u64::from(state & RECEIVED != 0);
                    continue;
                };
                return Err(Violation::new(format!("{lane:?} {sequence} {wrong}")));
            }
        }
        Ok(sum)
    }
}

impl Lane {
    fn all() -> impl Iterator<Item = Self> {
        (0..SEATS)
            .flat_map(|seat| [Self::Queue(seat), Self::Bytes(seat)])
            .chain([Self::Channel(0), Self::Channel(1)])
    }

    fn index(self) -> usize {
        let index = match self {
            Self::Queue(seat) => seat,
            Self::Bytes(seat) => SEATS + seat,
            Self::Channel(direction) => 2 * SEATS + direction,
        };
        assert!(index < LANES);
        index
    }
}

/// A worker: its seat, and how many have had it before. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u64);

impl Tag {
    pub(crate) fn new(seat: usize, number: u64) -> Self {
        Self(number << 8 | seat as u64)
    }

    pub(crate) fn from_word(word: u64) -> Option<Self> {
        (word != 0).then_some(Self(word))
    }

    pub(crate) fn to_word(self) -> u64 {
        self.0
    }

    pub(crate) fn seat(self) -> usize {
        (self.0 & 0xFF) as usize
    }

    pub(crate) fn number(self) -> u64 {
        self.0 >> 8
    }
}
