//! The consuming side of a ring, whatever its records are: the role, and waiting for records.

use super::cursor::{Contradiction, Cursors, Head};
use super::error::{OpenError, PopError};
use super::role::Role;
use super::words::Words;
use super::writer::contradiction;
use ipc_core::{Attachment, Deadline, Fences, Object, Owner, SLICE, SharedRef, Wait};
use std::sync::Arc;

/// Every so many refusals in a row, a polling consumer looks whether the producer still lives.
const REFUSALS_PER_LOOK: u32 = 64;

/// The holder of a ring's consuming role. Dropping it leaves the role.
#[derive(Debug)]
pub(super) struct Reader {
    pub words: SharedRef<Words>,
    pub head: Head,
    pub capacity: u64,
    pub attachment: Arc<Attachment>,
    fences: Fences,
    pub wait: Wait,
    refusals: u32,
    owner: Owner,
    pub object: Object,
}

/// What a look at a ring found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Messages,
    Ended,
}

/// Why there is nothing to take, if there is nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Emptiness {
    Not,
    Ended,
    /// Reported by this; not a second time.
    ProducerDied,
    ForNow,
}

/// Judges a ring that was found empty.
pub(super) fn judge(
    head: &mut Head,
    cursors: &Cursors,
    capacity: u64,
    producer: &Role,
) -> Result<Emptiness, Contradiction> {
    let ended = Head::has_ended(cursors);
    let death = producer.unreported_death();
    // The last messages may have come just before the end, or the death.
    if head.refresh(cursors, capacity)? > 0 {
        return Ok(Emptiness::Not);
    }
    if ended {
        return Ok(Emptiness::Ended);
    }
    Ok(death.map_or(Emptiness::ForNow, |death| {
        producer.report(death);
        Emptiness::ProducerDied
    }))
}

impl Reader {
    /// Of the ring whose words begin there in the object.
    pub fn new(object: &Object, at: u64, capacity: u64) -> Result<Self, OpenError> {
        let words = object.structure::<Words>(at)?;
        let owner = object.segment().owner()?;
        words.consumer.claim(&owner, object, "consumer")?;
        let head = Head::resume(&words.cursors, capacity)
            .inspect_err(|_| words.consumer.release(owner.id()))
            .map_err(|Contradiction| contradiction(object))?;
        let attachment = object.segment().attachment().clone();
        Ok(Self {
            words,
            head,
            capacity,
            fences: attachment.fences(),
            attachment,
            wait: Wait::default(),
            refusals: 0,
            owner,
            object: object.clone(),
        })
    }

    /// Whether this process may pop now. Looks at the producer's cursor only if nothing is known
    /// to be there, and without a call: in a stream there mostly is something then.
    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        self.attachment.is_mine()
            && (self.head.known_messages() > 0
                || matches!(
                    self.head.refresh(&self.words.cursors, self.capacity),
                    Ok(1..)
                ))
    }

    /// Messages, the end, or why there is neither. Waits for nobody.
    #[inline(always)]
    pub fn find_messages(&mut self) -> Result<Verdict, PopError> {
        if self.is_ready() {
            Ok(Verdict::Messages)
        } else {
            self.look_closely(PopError::Empty)
        }
    }

    /// Messages or the end, awaited until then.
    #[inline(always)]
    pub fn await_messages(&mut self, deadline: Deadline) -> Result<Verdict, PopError> {
        if self.is_ready() {
            Ok(Verdict::Messages)
        } else {
            self.wait_for_messages(deadline)
        }
    }

    /// Looks at the producer's cursor; says why if there is nothing, or else `otherwise`.
    #[inline(never)]
    fn look_closely(&mut self, otherwise: PopError) -> Result<Verdict, PopError> {
        self.attachment.check_fork()?;
        if self.look()? > 0 {
            self.refusals = 0;
            return Ok(Verdict::Messages);
        }
        self.refusals += 1;
        if self.refusals >= REFUSALS_PER_LOOK {
            self.refusals = 0;
            self.object.segment().recover_if_due(SLICE)?;
        }
        self.judge_empty(otherwise)
    }

    /// The ring was found empty. Why?
    fn judge_empty(&mut self, otherwise: PopError) -> Result<Verdict, PopError> {
        let words = &*self.words;
        match judge(
            &mut self.head,
            &words.cursors,
            self.capacity,
            &words.producer,
        ) {
            Ok(Emptiness::Not) => Ok(Verdict::Messages),
            Ok(Emptiness::Ended) => Ok(Verdict::Ended),
            Ok(Emptiness::ProducerDied) => Err(PopError::ProducerDied),
            Ok(Emptiness::ForNow) => Err(otherwise),
            Err(Contradiction) => Err(contradiction(&self.object).into()),
        }
    }

    /// What waits now.
    #[inline]
    pub fn look(&mut self) -> Result<u64, PopError> {
        self.head
            .refresh(&self.words.cursors, self.capacity)
            .map_err(|Contradiction| contradiction(&self.object).into())
    }

    /// As much as is taken now.
    pub fn used(&mut self) -> Result<u64, PopError> {
        self.attachment.check_fork()?;
        self.look()
    }

    #[cold]
    #[inline(never)]
    fn wait_for_messages(&mut self, deadline: Deadline) -> Result<Verdict, PopError> {
        if deadline == Deadline::PAST {
            return self.look_closely(PopError::TimedOut);
        }
        self.attachment.check_fork()?;
        let (words, head, capacity) = (&*self.words, &mut self.head, self.capacity);
        let segment = self.object.segment();
        let ready = || {
            let nothing = head.refresh(&words.cursors, capacity) == Ok(0)
                && !Head::has_ended(&words.cursors)
                && words.producer.unreported_death().is_none();
            (!nothing).then_some(())
        };
        let found = words
            .messages
            .wait(self.wait, self.fences, deadline, ready, || {
                segment.recover_if_due(SLICE / 2).map(drop)
            })?;
        if found.is_none() {
            // The time may have been too short for a slice: who only ever waits a little learns of
            // a death all the same.
            segment.recover_if_due(SLICE)?;
        }
        self.judge_empty(PopError::TimedOut)
    }

    /// Gives the next `count` back and wakes the producer if it sleeps.
    #[inline(always)]
    pub fn give_back(&mut self, count: u64) {
        // Read before the store, after which the compiler would read them again.
        let (words, fences) = (&*self.words, self.fences);
        self.head.advance(&words.cursors, count);
        words.room.ring(fences);
    }

    /// Has the producer look again if it sleeps.
    pub fn wake_writer(&self) {
        if self.attachment.is_mine() {
            self.words.room.ring(self.fences);
        }
    }

    pub fn check_private(&self) -> Result<(), PopError> {
        if self.attachment.is_private() {
            Ok(())
        } else {
            Err(PopError::NotPrivate)
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.attachment.is_mine() {
            self.words.consumer.release(self.owner.id());
        }
    }
}
