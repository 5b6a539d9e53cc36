//! The protocol's orderings under loom, with interleavings and weak memory:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p ipc-queue --release --lib loom
//! ```
//!
//! loom knows no membarrier: both sides of the asymmetric barrier are full fences here, as they are
//! in a segment with [`Fences::Symmetric`](ipc_core::Fences). The payloads are loom's checked cells,
//! so a slot that two may use at a time is a failure by itself.

use super::end::{self, End};
use super::memory::{Cursors, Memory};
use super::pop::Head;
use super::push::{Claim, Committed, Refusal, Tail};
use super::word::{self, Geometry, OwnerBits};
use ipc_core::atomic::{AtomicU64, Ordering, fence};
use ipc_core::{Deadline, Fences, Wait};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::io;

pub(super) struct Checked {
    geometry: Geometry,
    cursors: Cursors,
    claims: Vec<AtomicU64>,
    words: Vec<AtomicU64>,
    payloads: Vec<UnsafeCell<u64>>,
}

// SAFETY: the cells are what loom is to check.
unsafe impl Sync for Checked {}
// SAFETY: as above.
unsafe impl Send for Checked {}

impl Checked {
    /// Starts in the last lap before the laps' field goes round.
    pub(super) fn new(slots: u64) -> Arc<Self> {
        let geometry = Geometry::new(slots);
        let first = geometry.lap_plus(0, -1);
        let start = geometry.position(first, 0);
        let cursors = Cursors::default();
        cursors.tail.0.store(start, Ordering::Relaxed);
        cursors.head.0.store(start << 24, Ordering::Relaxed);
        let many = |word| (0..slots).map(|_| AtomicU64::new(word)).collect();
        Arc::new(Self {
            cursors,
            claims: many(word::free(geometry.lap_plus(first, -1))),
            words: many(word::free(first)),
            payloads: (0..slots).map(|_| UnsafeCell::new(0)).collect(),
            geometry,
        })
    }
}

impl Memory for Checked {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    fn claim(&self, index: usize) -> &AtomicU64 {
        &self.claims[index]
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.words[index]
    }

    fn light(&self) {
        fence(Ordering::SeqCst);
    }

    fn heavy(&self) -> io::Result<()> {
        fence(Ordering::SeqCst);
        Ok(())
    }
}

pub(super) struct Sender {
    pub(super) memory: Arc<Checked>,
    pub(super) tail: Tail,
}

impl Sender {
    pub(super) fn new(memory: &Arc<Checked>, place: usize) -> Self {
        Self {
            tail: Tail::join(&**memory, OwnerBits::new(place, 1)),
            memory: memory.clone(),
        }
    }

    fn try_push(&mut self, message: u64) -> Result<Committed, Refusal> {
        let memory = &*self.memory;
        let claim = self.tail.claim(memory)?;
        Ok(self.commit(claim, message))
    }

    fn commit(&mut self, claim: Claim, message: u64) -> Committed {
        let memory = &*self.memory;
        // SAFETY: the claim is ours; loom checks it.
        memory.payloads[claim.index].with_mut(|it| unsafe { *it = message });
        let committed = self.tail.commit(memory, claim);
        memory.cursors.messages.ring(Fences::Symmetric);
        committed
    }

    fn push(&mut self, message: u64) {
        loop {
            match self.try_push(message) {
                Ok(committed) => return assert_eq!(committed, Committed::Yes),
                Err(Refusal::Full) => thread::yield_now(),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

pub(super) struct Receiver {
    pub(super) memory: Arc<Checked>,
    pub(super) head: Head,
}

impl Receiver {
    pub(super) fn new(memory: &Arc<Checked>, place: usize) -> Self {
        Self {
            head: Head::join(&**memory, OwnerBits::new(place, 1)),
            memory: memory.clone(),
        }
    }

    fn try_pop(&mut self) -> Option<u64> {
        let memory = &*self.memory;
        let taken = self.head.take(memory).unwrap()?;
        // An access that loom counts, so that the next is later than the fence before it.
        memory.cursors.tail.0.load(Ordering::Relaxed);
        // SAFETY: the message is ours; loom checks it.
        let message = memory.payloads[taken.index].with(|it| unsafe { *it });
        self.head.finish(memory, taken);
        self.head.publish(memory);
        memory.cursors.room.ring(Fences::Symmetric);
        Some(message)
    }

    fn pop(&mut self) -> u64 {
        loop {
            if let Some(message) = self.try_pop() {
                return message;
            }
            thread::yield_now();
        }
    }

    /// `None` at the end.
    fn pop_to_the_end(&mut self) -> Option<u64> {
        loop {
            if let Some(message) = self.try_pop() {
                return Some(message);
            }
            match end::judge(&*self.memory).unwrap() {
                End::Ended => return None,
                End::Messages => self.head.forget(),
                End::Open | End::NotYet => thread::yield_now(),
            }
        }
    }
}

#[test]
fn two_senders_and_one_receiver() {
    loom::model(|| {
        let memory = Checked::new(2);
        let mut rx = Receiver::new(&memory, 0);
        let senders = [1, 2].map(|message| {
            let mut tx = Sender::new(&memory, message as usize);
            thread::spawn(move || tx.push(message))
        });
        let mut got = [rx.pop(), rx.pop()];
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
        assert_eq!(rx.try_pop(), None);
        let [first, second] = senders;
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn one_sender_and_two_receivers() {
    loom::model(|| {
        let memory = Checked::new(2);
        let mut tx = Sender::new(&memory, 0);
        let other = Receiver::new(&memory, 0);
        let mut rx = Receiver::new(&memory, 1);
        let receiver = thread::spawn(move || {
            let mut rx = other;
            rx.pop()
        });
        tx.push(1);
        tx.push(2);
        let mut got = [rx.pop(), receiver.join().unwrap()];
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn one_slot_goes_round_and_messages_keep_their_order() {
    loom::model(|| {
        let memory = Checked::new(1);
        let mut tx = Sender::new(&memory, 0);
        let mut rx = Receiver::new(&memory, 0);
        let sender = thread::spawn(move || {
            tx.push(1);
            tx.push(2);
            tx.push(3);
        });
        assert_eq!([rx.pop(), rx.pop(), rx.pop()], [1, 2, 3]);
        sender.join().unwrap();
    });
}

/// Whatever is passed while it is being written is got later, and before what its sender pushed
/// after it.
#[test]
fn a_sender_that_is_passed_keeps_its_order() {
    loom::model(|| {
        let memory = Checked::new(4);
        let mut tx = Sender::new(&memory, 0);
        let mut other = Sender::new(&memory, 1);
        let mut rx = Receiver::new(&memory, 0);
        let sender = thread::spawn(move || {
            tx.push(1);
            tx.push(2);
        });
        other.push(10);
        let got = [rx.pop(), rx.pop(), rx.pop()];
        let first = got.iter().position(|&it| it == 1).unwrap();
        let second = got.iter().position(|&it| it == 2).unwrap();
        assert!(first < second, "{got:?}");
        sender.join().unwrap();
    });
}

#[test]
fn a_push_against_close_is_received_or_refused() {
    loom::model(|| {
        let memory = Checked::new(2);
        let mut tx = Sender::new(&memory, 0);
        let mut rx = Receiver::new(&memory, 0);
        let sender = thread::spawn(move || match tx.try_push(7) {
            Ok(Committed::Yes) => true,
            Ok(Committed::TooLate) | Err(Refusal::Closed) => false,
            Err(other) => panic!("{other:?}"),
        });
        let at_close = memory.clone();
        let closer = thread::spawn(move || assert!(end::close(&*at_close)));
        let got = rx.pop_to_the_end();
        let pushed = sender.join().unwrap();
        closer.join().unwrap();
        assert_eq!(got, pushed.then_some(7));
        // Once all was got, the end is for ever.
        assert_eq!(rx.pop_to_the_end(), None);
    });
}

/// Nobody gets a message after somebody was told the end.
#[test]
fn a_push_against_close_and_two_receivers() {
    loom::model(|| {
        let memory = Checked::new(1);
        let mut tx = Sender::new(&memory, 0);
        let mut rx = Receiver::new(&memory, 0);
        let mut other = Receiver::new(&memory, 1);
        // It has got as far as its claim when the stream is closed.
        let claim = tx.tail.claim(&*memory).unwrap();
        assert!(end::close(&*memory));
        let sender = thread::spawn(move || tx.commit(claim, 7) == Committed::Yes);
        let ended = Arc::new(AtomicU64::new(0));
        let told = ended.clone();
        let receiver = thread::spawn(move || {
            let had_ended = told.load(Ordering::SeqCst) != 0;
            let got = other.try_pop();
            assert!(got.is_none() || !had_ended);
            got
        });
        let got = rx.pop_to_the_end();
        ended.store(1, Ordering::SeqCst);
        let others = receiver.join().unwrap();
        let pushed = sender.join().unwrap();
        assert_eq!(got.or(others), pushed.then_some(7));
        assert_eq!(rx.pop_to_the_end(), None);
    });
}

/// A message that was received is not taken for one that was rejected, when a later one in the same
/// slot is rejected while its sender asks.
#[test]
fn a_later_laps_rejection_is_not_ours() {
    loom::model(|| {
        let memory = Checked::new(1);
        let mut tx = Sender::new(&memory, 0);
        let mut late = Sender::new(&memory, 1);
        let mut rx = Receiver::new(&memory, 0);
        let lap = memory
            .geometry
            .lap(memory.cursors.tail.0.load(Ordering::Relaxed));
        tx.push(1);
        assert_eq!(rx.try_pop(), Some(1));
        let claim = late.tail.claim(&*memory).unwrap();
        assert!(end::close(&*memory));
        assert_eq!(end::judge(&*memory).unwrap(), End::Ended);
        let (index, full) = (claim.index, word::full(memory.geometry.lap_plus(lap, 1)));
        let others = memory.clone();
        let receiver = thread::spawn(move || {
            // P6, after which this sender is stopped.
            others.word(index).store(full, Ordering::Release);
            assert_eq!(rx.try_pop(), None, "after the end");
        });
        // The first sender was slow, and begins to ask only now.
        assert!(end::concede(&*memory, index, lap), "it was received");
        receiver.join().unwrap();
    });
}

#[test]
fn no_wake_is_lost() {
    loom::model(|| {
        let memory = Checked::new(2);
        let mut tx = Sender::new(&memory, 0);
        let mut rx = Receiver::new(&memory, 0);
        let sender = thread::spawn(move || tx.push(5));
        let held = memory.clone();
        let waited = held.cursors.messages.wait(
            Wait::Park,
            Fences::Symmetric,
            Deadline::NEVER,
            || rx.try_pop(),
            || Ok::<(), ()>(()),
        );
        assert_eq!(waited, Ok(Some(5)));
        sender.join().unwrap();
    });
}
