//! The producing side of a ring, whatever its records are: the role, the room, and waiting for it.

use super::cursor::{Contradiction, Head, Tail};
use super::error::{OpenError, PushError};
use super::words::Words;
use ipc_core::{Attachment, Deadline, Error, Fences, Object, Owner, SLICE, SharedRef, Wait};
use std::sync::Arc;

/// Every so many refusals in a row, a polling producer looks whether the consumer still lives.
const REFUSALS_PER_LOOK: u32 = 64;

/// The holder of a ring's producing role. Dropping it leaves the role.
///
/// Room is counted as the cursors count: in slots, or in units of bytes.
#[derive(Debug)]
pub(super) struct Writer {
    pub words: SharedRef<Words>,
    pub tail: Tail,
    pub capacity: u64,
    pub attachment: Arc<Attachment>,
    fences: Fences,
    pub wait: Wait,
    /// The ring in the other direction, if there is one: when that has ended, nobody will ever make
    /// room here, and a wait for it ends as if the time were up.
    pub opposite: Option<SharedRef<Words>>,
    refusals: u32,
    owner: Owner,
    pub object: Object,
}

impl Writer {
    /// Of the ring whose words begin there in the object.
    pub fn new(object: &Object, at: u64, capacity: u64) -> Result<Self, OpenError> {
        let words = object.structure::<Words>(at)?;
        let owner = object.segment().owner()?;
        words.producer.claim(&owner, object, "producer")?;
        let resumed = if Head::has_ended(&words.cursors) {
            Err(OpenError::Ended {
                ring: object.to_string(),
            })
        } else {
            Tail::resume(&words.cursors, capacity)
                .map_err(|Contradiction| contradiction(object).into())
        };
        let tail = resumed.inspect_err(|_| words.producer.release(owner.id()))?;
        let attachment = object.segment().attachment().clone();
        Ok(Self {
            words,
            tail,
            capacity,
            fences: attachment.fences(),
            attachment,
            wait: Wait::default(),
            opposite: None,
            refusals: 0,
            owner,
            object: object.clone(),
        })
    }

    /// Whether this process may push now what takes this much room. Looks at the consumer's cursor
    /// only if not enough room is known of, and without a call: in a stream there mostly is some
    /// then.
    #[inline(always)]
    pub fn is_ready(&mut self, need: u64) -> bool {
        self.attachment.is_mine()
            && (self.tail.known_room(self.capacity) >= need
                || matches!(
                    self.tail.refresh(&self.words.cursors, self.capacity),
                    Ok(room) if room >= need
                ))
    }

    /// Room for so much, or why there is none. Waits for nobody.
    #[inline(always)]
    pub fn find_room(&mut self, need: u64) -> Result<(), PushError> {
        if self.is_ready(need) {
            Ok(())
        } else {
            self.look_closely(need, PushError::Full)
        }
    }

    /// Room for so much, awaited until then.
    #[inline(always)]
    pub fn await_room(&mut self, need: u64, deadline: Deadline) -> Result<(), PushError> {
        if self.is_ready(need) {
            Ok(())
        } else {
            self.wait_for_room(need, deadline)
        }
    }

    /// Looks at the consumer's cursor; says why if there is not enough room, or else `otherwise`.
    #[inline(never)]
    fn look_closely(&mut self, need: u64, otherwise: PushError) -> Result<(), PushError> {
        self.attachment.check_fork()?;
        if self.look()? >= need {
            self.refusals = 0;
            return Ok(());
        }
        self.refusals += 1;
        if self.refusals >= REFUSALS_PER_LOOK {
            self.refusals = 0;
            self.object.segment().recover_if_due(SLICE)?;
        }
        self.judge_full(need, otherwise)
    }

    /// The room there is now.
    #[inline]
    pub fn look(&mut self) -> Result<u64, PushError> {
        self.tail
            .refresh(&self.words.cursors, self.capacity)
            .map_err(|Contradiction| contradiction(&self.object).into())
    }

    /// As much as is taken now.
    pub fn used(&mut self) -> Result<u64, PushError> {
        self.attachment.check_fork()?;
        self.look().map(|room| self.capacity - room)
    }

    /// The ring was found full. Why?
    fn judge_full(&mut self, need: u64, otherwise: PushError) -> Result<(), PushError> {
        // Before the look: a successor that comes, makes room and dies after it is reported when
        // the ring is full again.
        let death = self.words.consumer.unreported_death();
        if self.look()? >= need {
            return Ok(());
        }
        let Some(death) = death else {
            return Err(otherwise);
        };
        self.words.consumer.report(death);
        Err(PushError::ConsumerDied)
    }

    #[cold]
    #[inline(never)]
    fn wait_for_room(&mut self, need: u64, deadline: Deadline) -> Result<(), PushError> {
        if deadline == Deadline::PAST {
            return self.look_closely(need, PushError::TimedOut);
        }
        self.attachment.check_fork()?;
        let (words, tail, capacity) = (&*self.words, &mut self.tail, self.capacity);
        let segment = self.object.segment();
        let opposite = self.opposite.as_deref();
        let ready = || {
            let nothing = matches!(tail.refresh(&words.cursors, capacity), Ok(room) if room < need)
                && words.consumer.unreported_death().is_none()
                && !opposite.is_some_and(|it| Head::has_ended(&it.cursors));
            (!nothing).then_some(())
        };
        let found = words
            .room
            .wait(self.wait, self.fences, deadline, ready, || {
                segment.recover_if_due(SLICE / 2).map(drop)
            })?;
        if found.is_none() {
            // The time may have been too short for a slice: who only ever waits a little learns of
            // a death all the same.
            segment.recover_if_due(SLICE)?;
        }
        self.judge_full(need, PushError::TimedOut)
    }

    /// Makes what fills the next `count` visible and wakes the consumer if it sleeps.
    #[inline(always)]
    pub fn publish(&mut self, count: u64) {
        // Read before the store, after which the compiler would read them again.
        let (words, fences) = (&*self.words, self.fences);
        self.tail.advance(&words.cursors, count);
        words.messages.ring(fences);
    }

    /// Ends the stream.
    pub fn close(&self) -> Result<(), PushError> {
        self.attachment.check_fork()?;
        self.tail.close(&self.words.cursors);
        self.words.messages.ring(self.fences);
        Ok(())
    }

    pub fn check_private(&self) -> Result<(), PushError> {
        if self.attachment.is_private() {
            Ok(())
        } else {
            Err(PushError::NotPrivate)
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.attachment.is_mine() {
            self.words.producer.release(self.owner.id());
        }
    }
}

#[cold]
pub(super) fn contradiction(object: &Object) -> Error {
    object.corrupted("its cursors contradict each other")
}
