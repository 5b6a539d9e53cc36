//! One state of the modelled world: the shared words, every process with its store buffer, and the
//! ledger that only the checks look at.

use crate::over::Question;
use std::hash::{Hash, Hasher};

/// The most the arrays hold; a model uses what its shape says.
pub const SLOTS: usize = 4;
/// Six that take part, two that the checks add.
pub const PROCESSES: usize = 8;
/// Messages of one producer, over all its incarnations.
pub const PER_PRODUCER: u8 = 8;
/// No message is in the slot yet.
pub const NOTHING: u8 = u8::MAX;
/// Nobody, where a word names an owner.
pub const NOBODY: u8 = 0;
/// A `seen` that equals no `late`; nor does it any count of what was settled.
pub const FORGOTTEN: u8 = u8::MAX;

/// The claim word of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Claim {
    pub lap: u8,
    /// Truncated as far as it goes: a newcomer has the very id of the dead whose place it takes.
    pub owner: u8,
    pub passed: bool,
    pub void: bool,
    pub revoked: bool,
    pub rejected: bool,
}

impl Claim {
    pub const NONE: Self = Self {
        lap: 0,
        owner: NOBODY,
        passed: false,
        void: false,
        revoked: false,
        rejected: false,
    };
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum End {
    #[default]
    Open,
    /// Counts what was settled since.
    Closed(u8),
    Ended,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    #[default]
    Free,
    Full,
    Reading,
}

/// The word beside a slot's payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Word {
    pub lap: u8,
    pub kind: Kind,
    pub owner: u8,
    pub redelivered: u8,
}

impl Word {
    pub const NONE: Self = Self {
        lap: 0,
        kind: Kind::Free,
        owner: NOBODY,
        redelivered: 0,
    };

    pub fn free(lap: u8) -> Self {
        Self { lap, ..Self::NONE }
    }

    pub fn full(lap: u8) -> Self {
        Self {
            lap,
            kind: Kind::Full,
            ..Self::NONE
        }
    }

    pub fn is_free(self) -> bool {
        self.kind == Kind::Free
    }

    /// As its reader, or the reader's sweep, gives it back.
    pub fn given_back(self, counts: bool) -> Self {
        Self {
            kind: Kind::Full,
            owner: NOBODY,
            redelivered: if counts { self.redelivered + 1 } else { 1 },
            ..self
        }
    }

    pub fn is_full(self) -> bool {
        self.kind == Kind::Full
    }
}

/// A plain store on its way to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Store {
    Word { slot: u8, word: Word },
    Tail(u8),
    Head { position: u8, seen: u8 },
}

/// The stores of one processor that nobody else sees yet, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Buffer {
    stores: [Store; 4],
    len: u8,
}

impl Buffer {
    pub const EMPTY: Self = Self {
        stores: [Store::Tail(0); 4],
        len: 0,
    };

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn push(&mut self, store: Store) {
        self.stores[usize::from(self.len)] = store;
        self.len += 1;
    }

    pub fn pop(&mut self) -> Option<Store> {
        if self.len == 0 {
            return None;
        }
        let oldest = self.stores[0];
        self.len -= 1;
        self.stores.copy_within(1.., 0);
        // Equal contents, equal states.
        self.stores[usize::from(self.len)..].fill(Store::Tail(0));
        Some(oldest)
    }

    /// Calls `each` with what hints on their way say of `late`.
    pub fn each_seen(&mut self, each: impl Fn(&mut u8)) {
        for store in &mut self.stores[..usize::from(self.len)] {
            if let Store::Head { seen, .. } = store {
                each(seen);
            }
        }
    }

    pub fn newest_first(&self) -> impl Iterator<Item = Store> + '_ {
        self.stores[..usize::from(self.len)].iter().rev().copied()
    }
}

/// Where a process stands: the access that it makes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pc {
    #[default]
    Idle,

    JoinHead,
    JoinFirst,
    JoinMiddle,

    P1Hint,
    P2Claim,
    P3Word,
    P4Take,
    P5End,
    Write,
    P6Commit,
    P7Look,
    P9Claim,
    P10Withdraw,
    P16End,
    P17Settle,
    P18Word,
    P19Claim,
    P20Word,
    P11Late,
    P12Unname,
    P13Claim,
    P13GiveBack,
    P14Confirm,
    P14End,
    P15Claim,
    P15Word,
    V1Barrier,
    V2Word,
    V3Void,

    C1Hint,
    C2Word,
    C3Late,
    C3Claim,
    C3Previous,
    C4Take,
    A1End,
    A2Claim,
    A3Settle,
    A4Accept,
    A5Claim,
    A5Reject,
    A6Free,
    C5Claim,
    C5Word,
    C5Previous,
    C5Late,
    C6Mark,
    C6Barrier,
    C6Word,
    C8Hint,
    C9Scan,
    C9Take,
    Reading,
    C10Late,

    E1End,
    E2Claim,
    E2Word,
    E3Revoke,
    E4Barrier,
    E5Claim,
    E5Word,
    E6End,

    S1Claim,
    S1Named,
    S2Word,
    S3Claim,
    S4Word,
    S4Named,
    S5Word,
    S6Late,
    S7Bury,
    S7Leave,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Life {
    /// Nobody is at this place.
    #[default]
    Absent,
    Alive,
    /// Gone, and somebody has not finished its sweep.
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub life: Life,
    /// How many were at this place before: what a full ticket knows and a truncated one does not.
    pub generation: u8,
    pub pc: Pc,
    /// The handle's own position, and the value of `late` that it has dealt with.
    pub cursor: u8,
    pub seen: u8,
    /// Messages begun, also by those who were at this place before.
    pub sent: u8,
    /// Has been told that the stream has ended.
    pub is_done: bool,
    /// Not known to it: what was committed and not finished when it began to look and all senders
    /// had died and been swept.
    pub owed: u64,
    /// What a slice remembers of `late`, in a world where it looks only once.
    pub slice_late: Option<u8>,
    /// How many claims or messages it has and does not know of any more.
    pub forgot: u8,
    /// Of the operation under way.
    pub locals: Locals,
    pub buffer: Buffer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Locals {
    pub claim: Claim,
    pub word: Word,
    /// The position that the operation is about, once its cursor has gone on.
    pub position: u8,
    pub slot: u8,
    /// How far a look ahead, a scan back or a search has come.
    pub far: u8,
    pub late: u8,
    /// What a closed stream had settled when one looked.
    pub settled: u8,
    /// Not known to it: there was room at the tail.
    pub had_room: bool,
    /// A message was found at the cursor, and not behind it.
    pub is_next: bool,
    /// The oldest message a scan has met: its slot, and its word.
    pub found: Option<(u8, Word)>,
    /// The claim at the slot that a look ahead has come to.
    pub far_claim: Claim,
    /// A late message has been announced; or, in a pass over the slots, a claim was pending.
    pub flag: bool,
    /// The claim that is given up has held no message.
    pub voids: bool,
    /// Those whom a sweep is for: one bit for each, and four of whom it means at that place.
    pub dead: u8,
    pub dead_generations: u32,
}

impl Locals {
    pub const NONE: Self = Self {
        claim: Claim::NONE,
        word: Word::NONE,
        position: 0,
        slot: 0,
        far: 0,
        late: FORGOTTEN,
        settled: FORGOTTEN,
        had_room: false,
        is_next: false,
        found: None,
        far_claim: Claim::NONE,
        flag: false,
        voids: false,
        dead: 0,
        dead_generations: 0,
    };
}

impl Process {
    pub const ABSENT: Self = Self {
        life: Life::Absent,
        generation: 0,
        pc: Pc::Idle,
        cursor: 0,
        seen: FORGOTTEN,
        sent: 0,
        is_done: false,
        owed: 0,
        slice_late: None,
        forgot: 0,
        locals: Locals::NONE,
        buffer: Buffer::EMPTY,
    };

    pub fn is_sweeping(&self) -> bool {
        use Pc::*;
        matches!(
            self.pc,
            S1Claim
                | S1Named
                | S2Word
                | S3Claim
                | S4Word
                | S4Named
                | S5Word
                | S6Late
                | S7Bury
                | S7Leave
        )
    }

    /// Ends the operation under way.
    pub fn rest(&mut self) {
        self.pc = Pc::Idle;
        self.owed = 0;
        self.locals = Locals::NONE;
    }
}

/// Sets of messages. No process can see these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The commit has left its producer's hands.
    pub committed: u64,
    /// Its push has returned.
    pub returned: u64,
    /// A consumer held it and died or gave it back.
    pub held_before: u64,
    pub finished: u64,
    /// Somebody has got it, and may give it back.
    pub given: u64,
    /// For each consumer and producer, one more than the last message of the one that the other
    /// was given.
    pub last: [[u8; PROCESSES]; PROCESSES],
    pub kills: u8,
    pub newcomers: u8,
    pub released_back: u8,
    pub left: u8,
    pub forgotten: u8,
    /// Somebody has been told that the stream has ended.
    pub ended: bool,
}

impl Ledger {
    /// Of a world with so many processes.
    pub fn hash(&self, hasher: &mut impl Hasher, processes: usize) {
        let Self {
            committed,
            returned,
            held_before,
            finished,
            given,
            last,
            kills,
            newcomers,
            released_back,
            left,
            forgotten,
            ended,
        } = *self;
        (committed, returned, held_before, finished, given).hash(hasher);
        for each in &last[..processes] {
            hasher.write(&each[..processes]);
        }
        (kills, newcomers, released_back, left, forgotten, ended).hash(hasher);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub claims: [Claim; SLOTS],
    pub words: [Word; SLOTS],
    /// The message written into each slot.
    pub payloads: [u8; SLOTS],
    pub late: u8,
    pub end: End,
    pub tail: u8,
    pub head: u8,
    pub head_seen: u8,
    /// No process can see these two: of each slot, the last lap that a sender claimed; and who asks
    /// whether it is over.
    pub claimed: [u8; SLOTS],
    pub question: Question,
    pub processes: [Process; PROCESSES],
    pub ledger: Ledger,
}

/// The number of a message: which place it comes from, and its place in that order.
pub fn message(producer: usize, sequence: u8) -> u8 {
    producer as u8 * PER_PRODUCER + sequence
}

pub fn bit(message: u8) -> u64 {
    1 << message
}

pub fn producer_of(message: u8) -> usize {
    usize::from(message / PER_PRODUCER)
}

pub fn sequence_of(message: u8) -> u8 {
    message % PER_PRODUCER
}
