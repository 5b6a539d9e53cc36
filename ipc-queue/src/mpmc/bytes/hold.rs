//! Messages without guards, for those who hold several at once; and a look at those in the queue.

use super::block::Tenancy;
use super::guard::WriteGrant;
use super::queue::Queue;
use super::receiver::Receiver;
use super::sender::Sender;
use super::store::Extent;

use crate::mpmc::pop::Taken;
use crate::mpmc::{PopError, PushError, peek};
use ipc_core::{Deadline, Result};
use std::time::Duration;

/// A message that a receiver holds, until it [finishes](Receiver::finish_held) it or
/// [gives it back](Receiver::give_back_held).
#[derive(Debug)]
#[must_use]
pub struct Held {
    taken: Taken,
    /// None if what describes it is damaged.
    extent: Option<Extent>,
}

impl Held {
    /// As [`ReadGuard::redeliveries`](super::ReadGuard::redeliveries).
    pub(crate) fn redeliveries(&self) -> u32 {
        self.taken.redeliveries()
    }
}

impl Receiver {
    /// As [`take`](Self::take), but without a guard. Whatever is held when the receiver is dropped
    /// is given back.
    pub(crate) fn hold(&mut self) -> std::result::Result<Option<Held>, PopError> {
        if !self.slots.attachment.is_private() {
            return Err(PopError::NotPrivate);
        }
        let taken = self.slots.hold()?;
        Ok(taken.map(|taken| self.held(taken)))
    }

    /// As [`hold`](Self::hold), after one that succeeded, if a message is just there.
    pub(crate) fn hold_next(&mut self) -> Option<Held> {
        let taken = self.slots.hold_next()?;
        Some(self.held(taken))
    }

    fn held(&self, taken: Taken) -> Held {
        let tenancy = Tenancy::new(taken.index, taken.lap());
        Held {
            extent: self.store.locate(taken.index, tenancy).ok(),
            taken,
        }
    }

    /// The bytes of a message that this receiver holds. None if what describes them is damaged.
    #[inline]
    pub(crate) fn bytes_of<'m>(&'m self, held: &'m Held) -> Option<&'m [u8]> {
        let extent = held.extent.as_ref()?;
        // SAFETY: the range is in the mapping (`SharedBytes::range`); it is a slot's or a block's,
        // which belongs to this receiver as long as it is held: who finishes it or gives it back
        // gives `held` away, which is borrowed. Nobody writes to it.
        Some(unsafe { self.store.bytes(extent).as_ref() })
    }

    /// Frees the slot and the block of a message that has been read.
    pub(crate) fn finish_held(&mut self, held: Held) {
        self.slots.finish_and(held.taken, || {
            if let Some(extent) = &held.extent {
                self.store.release(extent);
            }
        });
    }

    /// Gives a message back unfinished.
    pub(crate) fn give_back_held(&mut self, held: Held) {
        self.slots.give_back(held.taken);
    }
}

impl Sender {
    /// As [`reserve`](Self::reserve), but looks every `look` whether to go on waiting.
    ///
    /// # Errors
    /// [`PushError::TimedOut`] if not; otherwise as [`reserve`](Self::reserve).
    pub(crate) fn reserve_while(
        &mut self,
        len: usize,
        look: Duration,
        go_on: impl Fn() -> bool,
    ) -> std::result::Result<WriteGrant<'_>, PushError> {
        if !self.slots.attachment.is_private() {
            return Err(PushError::NotPrivate);
        }
        loop {
            match self.grant(len, Deadline::after(look), || PushError::TimedOut) {
                Ok(granted) => return Ok(WriteGrant::new(self, granted)),
                Err(PushError::TimedOut) if go_on() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Queue {
    /// Whether one of the messages that are there begins with bytes that satisfy this. Those are
    /// all as in [`mpmc::Queue::any`](crate::mpmc::Queue::any).
    pub(crate) fn any_begins<const N: usize>(
        &self,
        mut wanted: impl FnMut(&[u8; N]) -> bool,
    ) -> Result<bool> {
        let slots = self.slots();
        let memory = slots.shape().untyped(slots.object())?;
        let store = self.store()?;
        Ok(peek::any(&memory, |index, lap| {
            store
                .locate(index, Tenancy::new(index, lap))
                .ok()
                .and_then(|extent| store.start(&extent))
                .is_some_and(|start| wanted(&start))
        }))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use ipc_core::{Place, Segment};

    fn queue() -> Queue {
        Queue::create(Place::memfd("held"), 4, 500).unwrap()
    }

    #[test]
    fn what_is_held_stays_until_it_is_settled() {
        let queue = queue();
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        for byte in 1..=4 {
            tx.push(&[byte; 200]).unwrap();
        }
        let first = rx.hold().unwrap().unwrap();
        let second = rx.hold_next().unwrap();
        let third = rx.hold_next().unwrap();
        let fourth = rx.hold_next().unwrap();
        assert!(rx.hold_next().is_none());
        assert!(matches!(tx.try_push(b""), Err(PushError::Full)));
        for (held, byte) in [(&third, 3), (&first, 1), (&fourth, 4), (&second, 2)] {
            assert_eq!(rx.bytes_of(held), Some(&[byte; 200][..]));
            assert_eq!(held.redeliveries(), 0);
        }
        rx.give_back_held(first);
        let again = rx.hold().unwrap().unwrap();
        assert_eq!(rx.bytes_of(&again), Some(&[1; 200][..]));
        assert_eq!(again.redeliveries(), 1);
        rx.finish_held(second);
        tx.try_push(b"").unwrap();
        // The dropped receiver gives back what it holds.
        drop(rx);
        let mut rx = queue.receiver().unwrap();
        let mut lens = Vec::new();
        for _ in 0..4 {
            let held = rx.hold().unwrap().unwrap();
            lens.push(rx.bytes_of(&held).unwrap().len());
            rx.finish_held(held);
        }
        lens.sort();
        assert_eq!(lens, [0, 200, 200, 200]);
        assert!(rx.hold_next().is_none());
        let survey = queue.survey().unwrap();
        assert!(
            survey
                .classes
                .iter()
                .all(|class| class.free == class.blocks)
        );
    }

    #[test]
    fn one_whose_description_is_damaged_has_no_bytes() {
        let queue = queue();
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        tx.push(&[1; 200]).unwrap();
        tx.push(&[2; 200]).unwrap();
        let first = rx.hold().unwrap().unwrap();
        // The next slot says that its message lies where this one does.
        let elsewhere = first.extent.unwrap();
        tx.store.describe(first.taken.index + 1, &elsewhere, 200);
        assert!(!queue.any_begins(|start| *start == [2]).unwrap());
        let second = rx.hold_next().unwrap();
        assert_eq!(rx.bytes_of(&second), None);
        rx.finish_held(second);
        assert_eq!(rx.bytes_of(&first), Some(&[1; 200][..]));
        rx.finish_held(first);
        assert!(queue.is_empty().unwrap());
    }

    #[test]
    fn a_look_finds_what_waits_and_what_is_held_and_nothing_else() {
        let queue = queue();
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        for message in [&b"finished"[..], b"held", &[b'l'; 300], b""] {
            tx.push(message).unwrap();
        }
        let finished = rx.hold().unwrap().unwrap();
        rx.finish_held(finished);
        let _held = rx.hold().unwrap();
        let finds = |start: &[u8; 2]| queue.any_begins(|it| it == start).unwrap();
        assert!(finds(b"he") && finds(b"ll"));
        assert!(!finds(b"fi") && !finds(b"\0\0"));
        assert!(queue.any_begins::<0>(|_| true).unwrap());
        assert!(!queue.any_begins::<301>(|_| true).unwrap());
    }

    #[test]
    fn who_waits_for_room_is_asked_whether_to_go_on() {
        let queue = queue();
        let mut tx = queue.sender().unwrap();
        for _ in 0..4 {
            tx.push(b"full").unwrap();
        }
        let asked = std::cell::Cell::new(0);
        let go_on = || {
            asked.set(asked.get() + 1);
            asked.get() < 3
        };
        let look = Duration::from_millis(1);
        let refused = tx.reserve_while(5, look, go_on).unwrap_err();
        assert!(matches!(refused, PushError::TimedOut), "{refused}");
        assert_eq!(asked.get(), 3);
        let refused = tx.reserve_while(501, look, || true).unwrap_err();
        assert!(matches!(refused, PushError::TooLong { .. }), "{refused}");
    }

    #[test]
    fn where_others_can_write_nothing_is_held_or_reserved() {
        let place = Place::memfd("held, for all");
        let (_, queue) = Segment::builder(place)
            .mode(0o620)
            .create_with(|segment| Queue::create_in(segment, "queue", 4, 100))
            .unwrap();
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        tx.push(b"there").unwrap();
        assert!(matches!(rx.hold(), Err(PopError::NotPrivate)));
        let reserved = tx.reserve_while(5, Duration::ZERO, || false);
        assert!(matches!(reserved, Err(PushError::NotPrivate)));
        assert_eq!(queue.len().unwrap(), 1);
    }
}
