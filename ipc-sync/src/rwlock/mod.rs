//! A value that many may read or one may write. The state machine is in [`word`].

mod error;
mod guard;
#[cfg(all(test, loom))]
mod loom_tests;
mod shared;
mod word;

pub use error::{RwLockError, WriteLockError};
pub use guard::{RwLockReadGuard, RwLockRepairGuard, RwLockWriteGuard};

use crate::waiting::Waiting;
use ipc_core::{
    Attachment, Bell, Deadline, Object, ObjectSpec, Owner, Payload, Result, Segment, SharedRef,
    SharedSlots, TypeTag, Wait,
};
use shared::{KIND, Row, Shared, Words, rows_of, value_at};
use std::sync::Arc;
use std::time::Duration;
use word::{Condition, Refusal};

/// A value in shared memory that many can read at a time, or one can write.
///
/// ```
/// use ipc_core::{Place, Segment};
/// use ipc_sync::RwLock;
///
/// let segment = Segment::builder(Place::memfd("prices")).handles(64).size(8192).create()?;
/// let prices = RwLock::create_in(&segment, "prices", [10u32, 20, 30])?;
/// {
///     let (one, other) = (prices.read()?, prices.read()?);
///     assert_eq!(one[0] + other[1], 30);
/// }
/// match prices.write() {
///     Ok(mut prices) => prices[2] = 35,
///     Err(error) => eprintln!("{error}"),
/// }
/// assert_eq!(prices.get()?, [10, 20, 35]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A reader that is killed is counted no longer, and a writer that is killed is replaced, within two
/// slices of 10 ms while somebody waits; the next writer after one that was killed while it could
/// change the value is told so, and repairs it ([`WriteLockError::OwnerDied`]). A stopped process keeps
/// what it has; time-outs work.
///
/// A writer that waits keeps new readers out, so writers are not starved by readers. Writers go
/// before readers, in no order among themselves: many writers may keep readers waiting. A thread that
/// waits to write while it reads, or the other way round, waits for itself, and only a time-out ends
/// that.
///
/// Cloning is cheap; clones and threads can share a handle or open their own. Reading
/// is a step on a line of the handle's own; a writer looks at the lines of all handles that may have
/// been opened, up to as many as the segment can have
/// ([`SegmentBuilder::handles`](ipc_core::SegmentBuilder::handles)).
#[derive(Debug)]
pub struct RwLock<T: Payload> {
    handle: Arc<Handle<T>>,
    wait: Wait,
}

impl<T: Payload> Clone for RwLock<T> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            wait: self.wait,
        }
    }
}

/// One opening of a lock.
struct Handle<T: Payload> {
    shared: Shared,
    /// Its own.
    row: SharedRef<Row>,
    slots: SharedSlots<T>,
    attachment: Arc<Attachment>,
    object: Object,
    owner: Owner,
}

impl<T: Payload> std::fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("object", &self.object)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl<T: Payload> Handle<T> {
    fn name(&self) -> String {
        self.object.to_string()
    }

    /// Counts a reader if nobody else is in, or about to be: what happens mostly, so kept apart from
    /// all that can happen. Whoever is refused looks again, and rings then.
    #[inline(always)]
    fn read_at_once(&self) -> bool {
        self.attachment.is_mine() && word::try_read(&self.shared, &self.row.0).is_ok()
    }

    /// Claims if nobody else has, and the value is sound.
    #[inline(always)]
    fn claim_at_once(&self) -> bool {
        self.attachment.is_mine()
            && word::claim(&self.shared, self.owner.id(), Condition::Sound).is_ok()
    }

    #[inline(always)]
    fn end_read(&self) {
        // A forked child holds nothing; nor does it below.
        if self.attachment.is_mine() {
            word::end_read(&self.row.0);
            self.shared.words.drained.ring(self.attachment.fences());
        }
    }

    #[inline(always)]
    fn begin_write(&self, found: Condition) {
        word::begin_write(&self.shared, self.owner.id(), found);
    }

    #[inline(always)]
    fn end_write(&self, condition: Condition) {
        if self.attachment.is_mine() {
            word::end_write(&self.shared, condition);
            self.shared.ring(&self.attachment);
        }
    }

    fn explain(&self, refusal: Refusal) -> RwLockError {
        let lock = self.name();
        match refusal {
            Refusal::Held => RwLockError::Held,
            Refusal::TooMany => RwLockError::Crowded { lock },
            Refusal::Unsound(Condition::Died) => RwLockError::OwnerDied { lock },
            Refusal::Unsound(Condition::Panicked) => RwLockError::Panicked { lock },
            Refusal::Unsound(_) => RwLockError::Unrecoverable { lock },
        }
    }
}

impl<T: Payload> Drop for Handle<T> {
    fn drop(&mut self) {
        if self.attachment.is_mine() {
            // What forgotten guards hold.
            word::sweep(&self.shared, self.owner.id());
            self.shared.ring(&self.attachment);
        }
    }
}

impl<T: Payload> RwLock<T> {
    /// Creates a lock in a segment.
    ///
    /// # Errors
    /// See [`Segment::create_object`]; [`Error::HandlesFull`](ipc_core::Error::HandlesFull).
    pub fn create_in(segment: &Segment, name: &str, value: T) -> Result<Self> {
        let rows = segment.handle_limit();
        let spec = ObjectSpec {
            kind: &KIND,
            element: TypeTag::of::<T>(),
            config: [rows.into(), 0, 0, 0],
            len: Self::size_for(rows) as u64,
        };
        Self::new(segment.create_object(name, &spec, |object| {
            slots(object)?.write(0, &value);
            Ok(())
        })?)
    }

    /// Opens a lock of a segment.
    ///
    /// # Errors
    /// See [`Segment::open_object`]; [`Error::HandlesFull`](ipc_core::Error::HandlesFull).
    pub fn open_in(segment: &Segment, name: &str) -> Result<Self> {
        Self::new(segment.open_object(name, &KIND, &TypeTag::of::<T>())?)
    }

    /// Bytes that a lock takes of a segment with this many handles (1024 if nothing else was asked
    /// for).
    pub fn size_for(handles: u32) -> usize {
        let bytes = SharedSlots::<T>::bytes(1).unwrap_or(usize::MAX);
        value_at(handles as usize).saturating_add(bytes).max(1)
    }

    fn new(object: Object) -> Result<Self> {
        let owner = object.segment().owner()?;
        let shared = Shared::of(&object)?;
        if !word::join(&shared, owner.id()) {
            return Err(object.corrupted("it has fewer rows than handles"));
        }
        let row_at = size_of::<Words>() + word::row_index(owner.id()) * size_of::<Row>();
        let handle = Handle {
            shared,
            row: object.structure(row_at as u64)?,
            slots: slots(&object)?,
            attachment: object.segment().attachment().clone(),
            object,
            owner,
        };
        Ok(Self {
            handle: Arc::new(handle),
            wait: Wait::default(),
        })
    }

    /// How this handle waits. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// Waits until nobody writes or waits to write, and reads.
    ///
    /// # Errors
    /// [`RwLockError::OwnerDied`] or [`RwLockError::Panicked`] if a writer has to repair the value
    /// first; [`RwLockError::Unrecoverable`]; [`RwLockError::Crowded`]; [`RwLockError::NotPrivate`];
    /// [`RwLockError::Segment`].
    #[inline]
    pub fn read(&self) -> Result<RwLockReadGuard<'_, T>, RwLockError> {
        self.read_in_place(|| Deadline::NEVER)
    }

    /// Reads if nobody writes or waits to write; never blocks.
    ///
    /// # Errors
    /// [`RwLockError::Held`]; those of [`read`](Self::read).
    #[inline]
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, RwLockError> {
        self.read_in_place(|| Deadline::PAST).map_err(at_once)
    }

    /// As [`read`](Self::read), for at most this long. Zero looks once; [`Duration::MAX`] is for
    /// ever.
    ///
    /// # Errors
    /// [`RwLockError::TimedOut`]; those of [`read`](Self::read).
    #[inline]
    pub fn read_timeout(&self, timeout: Duration) -> Result<RwLockReadGuard<'_, T>, RwLockError> {
        self.read_in_place(|| Deadline::after(timeout))
    }

    /// Keeps new readers out, waits until nobody reads or writes, and writes.
    ///
    /// # Errors
    /// [`WriteLockError::OwnerDied`] and [`WriteLockError::Panicked`], which hold the lock;
    /// [`WriteLockError::Refused`] with what [`read`](Self::read) says.
    #[inline]
    pub fn write(&self) -> Result<RwLockWriteGuard<'_, T>, WriteLockError<'_, T>> {
        if self.handle.attachment.is_private() && self.handle.claim_at_once() {
            if word::first_reader(&self.handle.shared, 0).is_none() {
                return Ok(self.write_guard(Condition::Sound));
            }
            return self.write_after_readers();
        }
        self.write_in_place(Deadline::NEVER)
    }

    /// Writes if nobody reads or writes; never blocks.
    ///
    /// # Errors
    /// [`RwLockError::Held`] in [`WriteLockError::Refused`]; those of [`write`](Self::write).
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, WriteLockError<'_, T>> {
        self.write_in_place(Deadline::PAST)
            .map_err(|error| match error {
                WriteLockError::Refused(refused) => at_once(refused).into(),
                other => other,
            })
    }

    /// As [`write`](Self::write), for at most this long. Zero looks once; [`Duration::MAX`] is for
    /// ever.
    ///
    /// # Errors
    /// [`RwLockError::TimedOut`] in [`WriteLockError::Refused`]; those of [`write`](Self::write).
    pub fn write_timeout(
        &self,
        timeout: Duration,
    ) -> Result<RwLockWriteGuard<'_, T>, WriteLockError<'_, T>> {
        self.write_in_place(Deadline::after(timeout))
    }

    /// A copy of the value. Waits as [`read`](Self::read). Works in segments that other users can
    /// write to, as the other copying forms do.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn get(&self) -> Result<T, RwLockError> {
        self.start_reading(|| Deadline::NEVER)?;
        let reading = RwLockReadGuard::new(self);
        let value = self.handle.slots.read(0);
        drop(reading);
        Ok(value)
    }

    /// Changes the value. Waits as [`write`](Self::write).
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn set(&self, value: T) -> Result<(), RwLockError> {
        self.update(|it| *it = value)
    }

    /// Changes a copy of the value, which replaces the value afterwards. Waits as
    /// [`write`](Self::write). If `change` panics, the value remains as it was.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, RwLockError> {
        self.change_copy(Condition::Sound, change)
    }

    /// As [`update`](Self::update), for the value that a dead or panicked writer may have left half
    /// changed; it is sound afterwards. Also if it was before. If `repair` panics, it is as it was.
    ///
    /// # Errors
    /// [`RwLockError::Unrecoverable`]; [`RwLockError::Segment`].
    pub fn repair<R>(&self, repair: impl FnOnce(&mut T) -> R) -> Result<R, RwLockError> {
        self.change_copy(Condition::Died, repair)
    }

    /// Of a value in this condition at worst.
    fn change_copy<R>(
        &self,
        worst: Condition,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, RwLockError> {
        let handle = &*self.handle;
        let found = self.start_writing(Deadline::NEVER)?;
        let mut copying = Copying {
            handle,
            leave: found,
        };
        if worst == Condition::Sound && found != Condition::Sound {
            return Err(handle.explain(Refusal::Unsound(found)));
        }
        let mut value = handle.slots.read(0);
        let result = change(&mut value);
        handle.begin_write(found);
        handle.slots.write(0, &value);
        copying.leave = Condition::Sound;
        Ok(result)
    }

    fn check_private(&self) -> Result<(), RwLockError> {
        self.handle.attachment.check_fork()?;
        if self.handle.attachment.is_private() {
            Ok(())
        } else {
            Err(RwLockError::NotPrivate)
        }
    }

    #[inline(always)]
    fn read_in_place(
        &self,
        deadline: impl FnOnce() -> Deadline,
    ) -> Result<RwLockReadGuard<'_, T>, RwLockError> {
        if !self.handle.attachment.is_private() {
            self.check_private()?;
        }
        self.start_reading(deadline)?;
        Ok(RwLockReadGuard::new(self))
    }

    /// Of a claimant that has found the value in this condition, when there is no reader left.
    #[inline(always)]
    fn write_guard(&self, found: Condition) -> RwLockWriteGuard<'_, T> {
        self.handle.begin_write(found);
        RwLockWriteGuard::new(self)
    }

    #[cold]
    fn write_in_place(
        &self,
        deadline: Deadline,
    ) -> Result<RwLockWriteGuard<'_, T>, WriteLockError<'_, T>> {
        self.check_private()?;
        let found = self.start_writing(deadline)?;
        let guard = self.write_guard(found);
        Err(match found {
            Condition::Sound => return Ok(guard),
            Condition::Panicked => {
                WriteLockError::Panicked(RwLockRepairGuard::new(guard, Condition::Panicked))
            }
            _ => WriteLockError::OwnerDied(RwLockRepairGuard::new(guard, found)),
        })
    }

    /// The rest of [`write`](Self::write) if there are readers after its claim.
    #[cold]
    fn write_after_readers(&self) -> Result<RwLockWriteGuard<'_, T>, WriteLockError<'_, T>> {
        let found = self.wait_for_readers(Condition::Sound, Deadline::NEVER)?;
        Ok(self.write_guard(found))
    }

    fn waiting<'a>(&'a self, bell: &'a Bell, deadline: Deadline) -> Waiting<'a> {
        Waiting {
            bell,
            object: &self.handle.object,
            policy: self.wait,
            deadline,
        }
    }

    #[inline(always)]
    fn start_reading(&self, deadline: impl FnOnce() -> Deadline) -> Result<(), RwLockError> {
        if self.handle.read_at_once() {
            return Ok(());
        }
        // Boxed: so the result fits into registers.
        self.wait_to_read(deadline()).map_err(|error| *error)
    }

    #[cold]
    fn wait_to_read(&self, deadline: Deadline) -> Result<(), Box<RwLockError>> {
        let Handle {
            shared,
            row,
            attachment,
            ..
        } = &*self.handle;
        let attempt = || match word::try_read(shared, &row.0) {
            Ok(()) => Some(Ok(())),
            Err(refusal) => {
                // A writer may have seen this reader.
                shared.words.drained.ring(attachment.fences());
                (refusal != Refusal::Held).then(|| Err(self.handle.explain(refusal)))
            }
        };
        attachment
            .check_fork()
            .map_err(RwLockError::from)
            .and_then(|()| self.waiting(&shared.words.free, deadline).run(attempt))
            .and_then(|entered| entered.ok_or(RwLockError::TimedOut))
            .map_err(Box::new)
    }

    /// Claims, and waits until the readers have gone.
    fn start_writing(&self, deadline: Deadline) -> Result<Condition, RwLockError> {
        let Handle {
            shared,
            attachment,
            owner,
            ..
        } = &*self.handle;
        attachment.check_fork()?;
        let claim = || {
            // Who will not wait must not keep readers out.
            if deadline == Deadline::PAST && word::first_reader(shared, 0).is_some() {
                return None;
            }
            match word::try_claim(shared, owner.id()) {
                Ok(condition) => Some(Ok(condition)),
                Err(Refusal::Held) => None,
                Err(refusal) => Some(Err(self.handle.explain(refusal))),
            }
        };
        let condition = self
            .waiting(&shared.words.free, deadline)
            .run(claim)?
            .ok_or(RwLockError::TimedOut)?;
        self.wait_for_readers(condition, deadline)
    }

    /// Of a claimant that has found the value in this condition. Gives the claim up if it fails.
    fn wait_for_readers(
        &self,
        condition: Condition,
        deadline: Deadline,
    ) -> Result<Condition, RwLockError> {
        let shared = &self.handle.shared;
        let mut from = 0;
        let gone = || match word::first_reader(shared, from) {
            None => Some(Ok(())),
            Some(at) => {
                // Those before have gone for good.
                from = at;
                None
            }
        };
        let gone = self
            .waiting(&shared.words.drained, deadline)
            .run::<(), RwLockError>(gone);
        if let Ok(Some(())) = gone {
            return Ok(condition);
        }
        self.handle.end_write(condition);
        gone?;
        Err(RwLockError::TimedOut)
    }
}

/// The error of a form that never blocks.
fn at_once(error: RwLockError) -> RwLockError {
    match error {
        RwLockError::TimedOut => RwLockError::Held,
        other => other,
    }
}

fn slots<T: Payload>(object: &Object) -> Result<SharedSlots<T>> {
    object.slots(value_at(rows_of(object)?) as u64, 1)
}

/// A writer that works on a copy, for the time until it lets others in.
struct Copying<'a, T: Payload> {
    handle: &'a Handle<T>,
    leave: Condition,
}

impl<T: Payload> Drop for Copying<'_, T> {
    fn drop(&mut self) {
        self.handle.end_write(self.leave);
    }
}
