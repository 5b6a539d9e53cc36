//! A process's handle of an object that is a lock with a value: under which name it takes it, and
//! what is done about others that are gone.

use super::steps::{Condition, Leave, Lock, Refusal};
use super::thread;
use super::word::{Holder, OwnerBits};
use crate::park::Kernel;
use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{
    Attachment, Deadline, Departed, Error, Kind, Object, ObjectSpec, Owner, Payload, Result, SLICE,
    Segment, SharedCells, SharedWords, TypeTag, Wait,
};
use std::sync::Arc;

/// Gives up the lock of an object in place of a dead holder.
pub(crate) fn sweep(object: &Object, departed: &Departed<'_>) -> Result<()> {
    let is_gone = |owner| {
        let mut ids = departed.owners().iter().copied().map(OwnerBits::new);
        // In this order: the word was read while the id was still the dead's.
        ids.any(|id| id == owner) && departed.is_current()
    };
    let turn = object.words(object.info().config[0], 8, 1)?;
    lock(object.words(0, 8, 1)?.at(0), turn.at(0)).take_from(is_gone);
    Ok(())
}

fn lock<'a>(word: &'a AtomicU64, turn: &'a AtomicU64) -> Lock<'a, Kernel> {
    Lock {
        word,
        turn,
        park: &Kernel,
    }
}

/// What a handle shares with its clones.
///
/// One owner id for all their threads: the id is what says which process holds the lock, and so
/// whether it lives; which of its threads it is stands beside it in the word.
#[derive(Debug)]
struct Shared<T: Payload> {
    /// The lock's word and the value: on one line, if it has the room.
    cells: SharedCells<T>,
    turn: SharedWords,
    object: Object,
    owner: Owner,
}

impl<T: Payload> Drop for Shared<T> {
    fn drop(&mut self) {
        // A forgotten guard holds the lock under a name that is about to be given back.
        if self.object.segment().attachment().is_mine() {
            let mine = OwnerBits::new(self.owner.id());
            self.lock().take_from(|owner| owner == mine);
        }
    }
}

impl<T: Payload> Shared<T> {
    #[inline(always)]
    fn lock(&self) -> Lock<'_, Kernel> {
        lock(self.cells.word(0), self.turn.at(0))
    }
}

/// The handle.
#[derive(Clone, Debug)]
pub(crate) struct Handle<T: Payload> {
    shared: Arc<Shared<T>>,
    attachment: Arc<Attachment>,
    bits: OwnerBits,
    /// The number by which this process is known among the participants.
    ticket: u64,
    pub wait: Wait,
}

impl<T: Payload> Handle<T> {
    const TURN_AT: usize = {
        assert!(align_of::<T>() <= 128, "a value's alignment is 128 at most");
        SharedCells::<T>::STRIDE.next_multiple_of(8)
    };

    /// Bytes that the object takes.
    pub(crate) const SIZE: usize = (Self::TURN_AT + 8).next_multiple_of(128);

    pub(crate) fn create(
        segment: &Segment,
        name: &str,
        kind: &'static Kind,
        value: &T,
    ) -> Result<Self> {
        let spec = ObjectSpec {
            kind,
            element: TypeTag::of::<T>(),
            // For the sweep, which knows no `T`.
            config: [Self::TURN_AT as u64, 0, 0, 0],
            len: Self::SIZE as u64,
        };
        Self::new(segment.create_object(name, &spec, |object| {
            object.cells(0, 1)?.write(0, value);
            Ok(())
        })?)
    }

    pub(crate) fn open(segment: &Segment, name: &str, kind: &'static Kind) -> Result<Self> {
        Self::new(segment.open_object(name, kind, &TypeTag::of::<T>())?)
    }

    fn new(object: Object) -> Result<Self> {
        let (owner, bits) = take_owner(&object)?;
        let ipc_core::Holder::Process(myself) = object.segment().holder(owner.id())? else {
            return Err(object.corrupted("an owner id just taken is nobody's"));
        };
        Ok(Self {
            attachment: object.segment().attachment().clone(),
            shared: Arc::new(Shared {
                cells: object.cells(0, 1)?,
                turn: object.words(Self::TURN_AT as u64, 8, 1)?,
                object,
                owner,
            }),
            bits,
            ticket: myself.ticket,
            wait: Wait::default(),
        })
    }

    pub(crate) fn object(&self) -> &Object {
        &self.shared.object
    }

    /// The value, and no check of who may use it.
    #[inline(always)]
    pub(crate) fn cells(&self) -> &SharedCells<T> {
        &self.shared.cells
    }

    /// Whether this is the process that the handle belongs to, and not a forked child.
    #[inline(always)]
    pub(crate) fn is_mine(&self) -> bool {
        self.attachment.is_mine()
    }

    #[inline(always)]
    pub(crate) fn check_fork(&self) -> Result<()> {
        self.attachment.check_fork()
    }

    #[inline(always)]
    pub(crate) fn lock(&self) -> Lock<'_, Kernel> {
        self.shared.lock()
    }

    /// Takes the lock if it is free, sound, and nobody waits: what happens mostly, so kept apart
    /// from all that can happen.
    #[inline(always)]
    pub(crate) fn take_at_once(&self) -> Option<Holder> {
        if !self.is_mine() {
            return None;
        }
        let me = self.bits.holder(thread::number());
        self.lock().take_at_once(me).then_some(me)
    }

    /// Takes the lock, waiting for it if it must.
    pub(crate) fn take(&self, deadline: Deadline) -> Result<Result<(Holder, Condition), Refusal>> {
        self.attachment.check_fork()?;
        let me = self.bits.holder(thread::number());
        let slice = || self.look_after_others(me);
        match self.lock().take(me, self.wait, deadline, slice) {
            Ok(taken) => Ok(taken.map(|condition| (me, condition))),
            Err(Interrupt::Refused(refusal)) => Ok(Err(refusal)),
            Err(Interrupt::Error(error)) => Err(error),
        }
    }

    /// What a waiter does in each slice.
    fn look_after_others(&self, me: Holder) -> Result<(), Interrupt> {
        let segment = self.shared.object.segment();
        segment.recover_if_due(SLICE / 2)?;
        // Acquire: the owner's entry is looked at after this.
        let seen = self.lock().word.load(Ordering::Acquire);
        let Some(id) = OwnerBits::in_word(seen).id() else {
            return Ok(());
        };
        // Also refuses an id that cannot exist.
        let holder = segment.holder(id)?;
        // A thread of this process with this thread's number is this thread, under the name of
        // another handle.
        if let ipc_core::Holder::Process(who) = holder
            && who.ticket == self.ticket
            && me.has_thread_of(seen)
        {
            return Err(Interrupt::Refused(Refusal::Relocked));
        }
        Ok(())
    }

    /// Gives the lock up. Does nothing in a forked child, which does not hold it.
    #[inline(always)]
    pub(crate) fn give_up(&self, me: Holder) {
        if self.is_mine() {
            self.lock().give_up(me);
        }
    }

    /// As [`give_up`](Self::give_up), with what is to be said of the value.
    #[cold]
    pub(crate) fn give_up_as(&self, me: Holder, leave: Leave) {
        if self.is_mine() {
            self.lock().give_up_as(me, leave);
        }
    }
}

/// Takes an id that can be told from nobody in words too.
fn take_owner(object: &Object) -> Result<(Owner, OwnerBits)> {
    let mut unusable = Vec::new();
    loop {
        let owner = object.segment().owner()?;
        let bits = OwnerBits::new(owner.id());
        if bits.is_nobody() {
            // One id of 16 million. Kept until there is another, or it would come again.
            unusable.push(owner);
        } else {
            return Ok((owner, bits));
        }
    }
}

/// A held lock, to be given up in the condition that it has by then.
#[derive(Debug)]
pub(crate) struct Held<'a, T: Payload> {
    pub handle: &'a Handle<T>,
    pub me: Holder,
    pub leave: Leave,
}

impl<T: Payload> Drop for Held<'_, T> {
    fn drop(&mut self) {
        self.handle.give_up_as(self.me, self.leave);
    }
}

/// What ends a wait before its time.
enum Interrupt {
    Refused(Refusal),
    Error(Error),
}

impl From<Error> for Interrupt {
    fn from(error: Error) -> Self {
        Interrupt::Error(error)
    }
}
