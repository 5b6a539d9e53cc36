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
