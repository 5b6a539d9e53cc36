//! The two cursors of a ring: the whole of its protocol.
//!
//! | word | meaning | written by |
//! |---|---|---|
//! | `tail` | messages pushed since the beginning | the producer, after the message is in its slot |
//! | `head` | messages popped since the beginning | the consumer, after it has copied the message |
//! | `closed` | 1 if nothing will follow | the producer, after its last `tail` |
//!
//! Message number `n` lies in slot `n` modulo the number of slots. Always
//! `head <= tail <= head + capacity`, and neither goes back; anything else is corruption. Counters of
//! 64 bits do not wrap: at 10^9 messages a second they last for 584 years.
//!
//! In a ring of bytes the cursors count units of bytes instead of messages ([`super::bytes`]).

use ipc_core::atomic::{AtomicU64, Ordering};

/// A word alone on its cache lines: two, because processors fetch them in pairs.
#[repr(C, align(128))]
#[derive(Default)]
pub(crate) struct Line<T>(pub T);

/// The words both sides use.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Cursors {
    pub tail: Line<AtomicU64>,
    pub head: Line<AtomicU64>,
    pub closed: Line<AtomicU64>,
}

/// The cursors contradict each other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Contradiction;

/// The producer's private view.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The next position to write.
    pub next: u64,
    /// The consumer's cursor as last seen.
    seen_head: u64,
}

impl Tail {
    /// Goes on where the last producer stopped.
    pub(crate) fn resume(cursors: &Cursors, capacity: u64) -> Result<Self, Contradiction> {
        // Relaxed: taking the role has ordered us after everybody who had it (`Role::try_claim`).
        let next = cursors.tail.0.load(Ordering::Relaxed);
        let mut tail = Self {
            next,
            // As if the ring were full: nothing is known of the head.
            seen_head: next.wrapping_sub(capacity),
        };
        tail.refresh(cursors, capacity).map(|_| tail)
    }

    /// Free slots, as far as is known without looking.
    #[inline(always)]
    pub(crate) fn known_room(&self, capacity: u64) -> u64 {
        // Wrapping: damaged cursors may lie on both sides of zero. `refresh` saw to it that the
        // distance is at most the capacity.
        capacity - self.next.wrapping_sub(self.seen_head)
    }

    /// Free slots.
    #[inline]
    pub(crate) fn refresh(
        &mut self,
        cursors: &Cursors,
        capacity: u64,
    ) -> Result<u64, Contradiction> {
        // Acquire: pairs with the Release in `Head::advance`: the consumer has finished reading
        // the slots that we are going to overwrite.
        let head = cursors.head.0.load(Ordering::Acquire);
        // Neither beyond our cursor nor back: what is known to be free stays so.
        if self.next.wrapping_sub(head) > self.next.wrapping_sub(self.seen_head) {
            return Err(Contradiction);
        }
        self.seen_head = head;
        Ok(self.known_room(capacity))
    }

    /// Publishes the next `count` messages, which are in their slots.
    #[inline(always)]
    pub(crate) fn advance(&mut self, cursors: &Cursors, count: u64) {
        self.next = self.next.wrapping_add(count);
        // Release: pairs with the Acquire in `Head::refresh`: the messages are seen with it.
        cursors.tail.0.store(self.next, Ordering::Release);
    }

    /// Ends the stream behind the last message.
    pub(crate) fn close(&self, cursors: &Cursors) {
        // Release: pairs with the Acquire in `Head::has_ended`: the last `tail` is seen with it.
        cursors.closed.0.store(1, Ordering::Release);
    }
}

/// The consumer's private view.
#[derive(Debug)]
pub(crate) struct Head {
    /// The next position to read.
    pub next: u64,
    /// The producer's cursor as last seen.
    seen_tail: u64,
}

impl Head {
    /// Goes on where the last consumer stopped.
    pub(crate) fn resume(cursors: &Cursors, capacity: u64) -> Result<Self, Contradiction> {
        // Relaxed: as in `Tail::resume`.
        let next = cursors.head.0.load(Ordering::Relaxed);
        let mut head = Self {
            next,
            seen_tail: next,
        };
        head.refresh(cursors, capacity).map(|_| head)
    }

    /// Waiting messages, as far as is known without looking.
    #[inline(always)]
    pub(crate) fn known_messages(&self) -> u64 {
        // Wrapping: as in `Tail::known_room`.
        self.seen_tail.wrapping_sub(self.next)
    }

    /// Waiting messages.
    #[inline]
    pub(crate) fn refresh(
        &mut self,
        cursors: &Cursors,
        capacity: u64,
    ) -> Result<u64, Contradiction> {
        // Acquire: pairs with the Release in `Tail::advance`.
        let tail = cursors.tail.0.load(Ordering::Acquire);
        // Neither further than the ring is long nor back: what is known to be there stays so.
        let messages = tail.wrapping_sub(self.next);
        if messages > capacity || messages < self.known_messages() {
            return Err(Contradiction);
        }
        self.seen_tail = tail;
        Ok(self.known_messages())
    }

    /// Gives back the slots of the next `count` messages, which have been copied.
    #[inline(always)]
    pub(crate) fn advance(&mut self, cursors: &Cursors, count: u64) {
        self.next = self.next.wrapping_add(count);
        // Release: pairs with the Acquire in `Tail::refresh`: our reads are over.
        cursors.head.0.store(self.next, Ordering::Release);
    }

    /// Whether the producer has ended the stream. Messages may still wait: refresh after this.
    pub(crate) fn has_ended(cursors: &Cursors) -> bool {
        // Acquire: pairs with the Release in `Tail::close`.
        cursors.closed.0.load(Ordering::Acquire) != 0
    }
}
