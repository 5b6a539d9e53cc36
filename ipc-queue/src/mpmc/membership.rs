//! One handle's place among the senders or the receivers.

use super::error::OpenError;
use super::members::{self, Members};
use super::queue::Queue;
use super::word::OwnerBits;
use ipc_core::{Owner, Payload};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A place, for as long as its handle lives.
#[derive(Debug)]
pub(super) struct Membership {
    table: Members,
    place: usize,
    owner: Owner,
    /// How this handle stands in words.
    pub bits: OwnerBits,
    /// Guards that exist, or were forgotten.
    pub guards: u64,
}

impl Membership {
    /// Takes a place for a new handle; `turn` and `deaths` are the counters of its role.
    pub(super) fn take<T: Payload>(
        queue: &Queue<T>,
        role: &'static str,
        table: Members,
        turn: &AtomicU64,
        deaths: &AtomicU64,
    ) -> Result<Self, OpenError> {
        let owner = queue.segment().owner()?;
        let join = || table.join(turn, deaths, owner.id());
        let place = match join() {
            Some(place) => place,
            None => {
                queue.segment().recover()?;
                join().ok_or_else(|| OpenError::Crowded {
                    queue: queue.object().to_string(),
                    role,
                    limit: table.places.len(),
                })?
            }
        };
        Ok(Self {
            bits: members::bits(place, owner.id()),
            guards: 0,
            table,
            place,
            owner,
        })
    }

    /// Counts messages pushed or popped.
    #[inline(always)]
    pub(super) fn count(&self, messages: u64) {
        // Nobody else counts here.
        let counter = &self.table.places.at(self.place).messages;
        counter.store(counter.load(Relaxed).wrapping_add(messages), Relaxed);
    }

    /// Counts a sleep.
    pub(super) fn count_sleep(&self) {
        let sleeps = &self.table.places.at(self.place).sleeps;
        sleeps.store(sleeps.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// The handle goes, and holds nothing.
    pub(super) fn leave(&self) {
        self.table.leave(self.place, self.owner.id());
    }
}
