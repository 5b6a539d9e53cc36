//! Which of a producer's messages comes next, and which have been sent.

use super::envelope::Stamp;
use super::ledger::Ledger;

pub(super) struct Sequence {
    ledger: Ledger,
    producer: usize,
    /// The number of the next message.
    next: u64,
    /// How many have been sent, by this process and those it replaces.
    sent: u64,
}

impl Sequence {
    pub(super) fn new(ledger: Ledger, producer: usize) -> Self {
        Self {
            next: 0,
            sent: ledger.sent(producer),
            ledger,
            producer,
        }
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whether a killed predecessor has sent the next message.
    #[inline]
    pub(super) fn is_sent(&self) -> bool {
        self.next < self.sent
    }

    /// What the next message says of itself.
    #[inline]
    pub(super) fn stamp(&self) -> Stamp {
        Stamp {
            producer: self.producer as u64,
            sequence: self.next,
        }
    }

    /// A message has been sent.
    #[inline]
    pub(super) fn count_sent(&mut self) {
        self.sent += 1;
        self.ledger.set_sent(self.producer, self.sent);
    }

    /// The next message has been sent, now or before.
    #[inline]
    pub(super) fn advance(&mut self) {
        self.next += 1;
    }

    /// Goes on behind all that was sent, and returns what comes next.
    pub(super) fn skip_sent(&mut self) -> u64 {
        self.next = self.next.max(self.sent);
        self.next
    }
}
