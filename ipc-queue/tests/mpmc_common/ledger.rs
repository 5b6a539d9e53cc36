//! Books in shared memory that survive every kill: an intent is written before, and what was done
//! after. The parent reads them when all is over.
//!
//! A killed process leaves at most its own operation in doubt: the books say which one.

use super::message::Message;
use ipc_core::{Kind, ObjectSpec, Segment, SharedArray, TypeTag};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

static KIND: Kind = Kind {
    name: "test ledger",
    // Nobody holds anything in it.
    sweep: |_, _| Ok(()),
};

// Who joins a full segment sweeps its dead before it has opened the ledger.
ipc_core::register_at_start!(KIND);

const NAME: &str = "ledger";
const SEATS: usize = 64;

/// Words before those of the messages.
const PHASE: usize = 0;
const FAULTS: usize = 1;
const INTENT: usize = 8;
const DONE: usize = INTENT + SEATS;
const HELD: usize = DONE + SEATS;
const MESSAGES: usize = HELD + SEATS;

const STARTED: u64 = 1;
const FINISHED: u64 = 1 << 32;

/// What the workers are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Run = 0,
    /// Senders leave; receivers go on until there is nothing.
    Drain = 1,
}

/// What a receiver's seat was doing when it was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Nothing,
    /// It had this message and had not begun to finish it: somebody else must get it.
    Working(usize),
    /// It was about to finish it, or had just done so.
    Finishing(usize),
}

#[derive(Debug)]
pub struct Ledger {
    words: SharedArray<AtomicU64>,
    per_seat: usize,
}

impl Ledger {
    /// For this many messages from each of `seats` senders.
    pub fn create(segment: &Segment, seats: usize, per_seat: usize) -> Self {
        assert!(seats <= SEATS);
        let words = MESSAGES + seats * per_seat;
        let spec = ObjectSpec {
            kind: &KIND,
            element: TypeTag::of::<u64>(),
            config: [words as u64, per_seat as u64, 0, 0],
            len: words as u64 * 8,
        };
        segment.create_object(NAME, &spec, |_| Ok(())).unwrap();
        Self::open(segment)
    }

    pub fn bytes(seats: usize, per_seat: usize) -> usize {
        (MESSAGES + seats * per_seat) * 8 + 128
    }

    pub fn open(segment: &Segment) -> Self {
        let object = segment
            .open_object(NAME, &KIND, &TypeTag::of::<u64>())
            .unwrap();
        let [words, per_seat, ..] = object.info().config;
        Self {
            words: object.array(0, words as usize).unwrap(),
            per_seat: per_seat as usize,
        }
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        self.words.at(at)
    }

    fn index(&self, message: &Message) -> usize {
        message.seat as usize * self.per_seat + message.number as usize
    }

    pub fn phase(&self) -> Phase {
        match self.word(PHASE).load(SeqCst) {
            0 => Phase::Run,
            _ => Phase::Drain,
        }
    }

    pub fn set_phase(&self, phase: Phase) {
        self.word(PHASE).store(phase as u64, SeqCst);
    }

    pub fn fault(&self, what: &str) {
        eprintln!("fault: {what}");
        self.word(FAULTS).fetch_add(1, SeqCst);
    }

    pub fn faults(&self) -> u64 {
        self.word(FAULTS).load(SeqCst)
    }

    // Senders: the number of the next message is one more than the last intended.

    /// Numbers intended so far; those below have been tried.
    pub fn intended(&self, seat: u32) -> u64 {
        self.word(INTENT + seat as usize).load(SeqCst)
    }

    pub fn room_for_more(&self, seat: u32) -> bool {
        (self.intended(seat) as usize) < self.per_seat
    }

    pub fn intend(&self, seat: u32, number: u64) {
        self.word(INTENT + seat as usize).store(number + 1, SeqCst);
    }

    pub fn done(&self, seat: u32, number: u64) {
        self.word(DONE + seat as usize).store(number + 1, SeqCst);
    }

    /// The number in doubt after the seat's holder was killed.
    pub fn in_doubt(&self, seat: u32) -> Option<u64> {
        let intended = self.intended(seat);
        (intended != self.word(DONE + seat as usize).load(SeqCst)).then(|| intended - 1)
    }

    // Receivers.

    /// A receiver has got a message. How often it had been got before.
    pub fn got(&self, seat: usize, message: &Message) -> u64 {
        let index = self.index(message);
        self.word(HELD + seat).store(index as u64 * 2 + 2, SeqCst);
        self.word(MESSAGES + index).fetch_add(STARTED, SeqCst) & (FINISHED - 1)
    }

    /// It is about to finish it.
    pub fn finishing(&self, seat: usize) {
        self.word(HELD + seat).fetch_add(1, SeqCst);
    }

    pub fn finished(&self, seat: usize, message: &Message) {
        self.word(MESSAGES + self.index(message))
            .fetch_add(FINISHED, SeqCst);
        self.word(HELD + seat).store(0, SeqCst);
    }

    /// What the killed holder of a seat had, which is forgotten.
    pub fn take_held(&self, seat: usize) -> Held {
        match self.word(HELD + seat).swap(0, SeqCst) {
            0 => Held::Nothing,
            held if held % 2 == 0 => Held::Working(held as usize / 2 - 1),
            held => Held::Finishing(held as usize / 2 - 1),
        }
    }

    /// How often a message was got, and finished.
    pub fn counts(&self, index: usize) -> (u64, u64) {
        let word = self.word(MESSAGES + index).load(SeqCst);
        (word & (FINISHED - 1), word >> 32)
    }

    pub fn index_of(&self, seat: u32, number: u64) -> usize {
        seat as usize * self.per_seat + number as usize
    }
}
