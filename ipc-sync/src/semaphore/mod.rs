//! Permits that belong to whoever acquired them. The state machine is in [`word`], who holds what
//! in [`seats`].

mod error;
#[cfg(all(test, loom))]
mod loom_tests;
mod permits;
mod seats;
mod thread_number;
mod word;

pub use error::AcquireError;
pub use permits::Permits;

use crate::waiting::Waiting;
use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{
    Attachment, Bell, Deadline, Departed, Error, Kind, Object, ObjectSpec, Owner, Segment,
    SharedArray, SharedLayout, SharedRef, TypeTag, Wait,
};
use permits::Grant;
use seats::{Seats, is_of, leave};
use std::sync::Arc;
use std::time::Duration;
use word::{
    Corrupted, Done, MOST_PERMITS, MOST_SEATS, Memory, Operation, Seat, State, Total, give_back,
    look, operate, take_one_again, total,
};

#[repr(C, align(128))]
struct Words {
    state: AtomicU64,
    /// On the line that whoever releases has just written.
    bell: Bell,
    reserved: [AtomicU64; 6],
    /// See [`word`].
    total: AtomicU64,
}

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Words {}
// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Seat {}

static KIND: Kind = Kind {
    name: "semaphore",
    sweep,
};
ipc_core::register_at_start!(KIND);

struct Shared {
    words: SharedRef<Words>,
    seats: SharedArray<Seat>,
}

impl Shared {
    fn of(object: &Object) -> ipc_core::Result<Self> {
        let seats = usize::try_from(object.info().config[1])
            .ok()
            .filter(|seats| (1..=MOST_SEATS).contains(seats))
            .ok_or_else(|| object.corrupted("its number of holders is impossible"))?;
        Ok(Self {
            words: object.structure(0)?,
            seats: object.array(size_of::<Words>() as u64, seats)?,
        })
    }

    /// Gives back what is held at the seats of `id`, and frees them.
    fn vacate(&self, object: &Object, id: ipc_core::OwnerId) -> ipc_core::Result<()> {
        let mut given = 0;
        for (index, seat) in self.seats.iter().enumerate() {
            if is_of(seat, id) {
                given += give_back(self, index, || is_of(seat, id))
                    .map_err(|Corrupted(what)| object.corrupted(what))?;
                leave(seat, id);
            }
        }
        if given > 0 {
            self.ring(object);
        }
        Ok(())
    }

    #[inline]
    fn ring(&self, object: &Object) {
        self.words.bell.ring(object.segment().attachment().fences());
    }
}

impl Memory for Shared {
    #[inline(always)]
    fn state(&self) -> &AtomicU64 {
        &self.words.state
    }

    fn total(&self) -> &AtomicU64 {
        &self.words.total
    }

    #[inline(always)]
    fn seat(&self, index: usize) -> Option<&Seat> {
        (index < self.seats.len()).then(|| self.seats.at(index))
    }
}

fn sweep(object: &Object, departed: &Departed<'_>) -> ipc_core::Result<()> {
    let shared = Shared::of(object)?;
    for &id in departed.owners() {
        shared.vacate(object, id)?;
    }
    // It may have died between giving back and its wake.
    shared.ring(object);
    Ok(())
}

/// A number of permits, which belong to whoever acquired them.
///
/// ```
/// use ipc_core::{Place, Segment};
/// use ipc_sync::Semaphore;
///
/// let segment = Segment::create(Place::memfd("downloads"), Semaphore::size_for(4, 1024))?;
/// let slots = Semaphore::create_in(&segment, "slots", 4)?;
///
/// // Here, or in any other process that has opened it:
/// let one = slots.acquire()?;
/// let two_more = slots.acquire_many(2)?;
/// assert_eq!(slots.available()?, 1);
/// drop((one, two_more));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A process that is killed while it holds permits gives back exactly those, once; whoever waits
/// has them within two slices of 10 ms. One that is stopped keeps what it holds, and keeps nobody
/// from acquiring the rest: all operations are lock-free. Several permits are acquired all at once
/// or not at all, so nobody ever holds a part of what it waits for. Permits go to whoever asks
/// first when they are free; nobody stands in line, so a large request may wait for as long as
/// small ones keep the permits busy.
///
/// Cloning is cheap; clones and threads can share a handle or open their own.
#[derive(Clone, Debug)]
pub struct Semaphore {
    handle: Arc<Handle>,
    wait: Wait,
}

/// One opening of a semaphore.
struct Handle {
    attachment: Arc<Attachment>,
    shared: Shared,
    seats: Seats,
    object: Object,
    owner: Owner,
}

impl Handle {
    /// Permits have become free.
    #[inline(always)]
    fn ring(&self) {
        self.shared.words.bell.ring(self.attachment.fences());
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("object", &self.object)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.attachment.is_mine() {
            // What forgotten guards hold. An error (damaged memory) can be told to nobody here.
            let _ = self.shared.vacate(&self.object, self.owner.id());
        }
    }
}

fn seats_for(permits: u32, handles: u32) -> usize {
    let wanted = permits as usize + handles as usize;
    wanted.clamp(1, MOST_SEATS)
}

fn check_permits(asked: u128) -> ipc_core::Result<()> {
    if asked <= u128::from(MOST_PERMITS) {
        return Ok(());
    }
    Err(Error::OutOfRange {
        what: "the number of permits",
        asked,
        least: 0,
        most: MOST_PERMITS.into(),
    })
}

impl Semaphore {
    /// Creates a semaphore with so many permits, 0 to 65,535, all free.
    ///
    /// It tells as many holders apart as it has permits and its segment has handles together, up to
    /// 1024: guards, and threads that have held permits before.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for too many permits; see [`Segment::create_object`].
    pub fn create_in(segment: &Segment, name: &str, permits: u32) -> ipc_core::Result<Self> {
        check_permits(permits.into())?;
        let spec = ObjectSpec {
            kind: &KIND,
            element: TypeTag::of::<()>(),
            config: [
                permits.into(),
                seats_for(permits, segment.handle_limit()) as u64,
                0,
                0,
            ],
            len: Self::size_for(permits, segment.handle_limit()) as u64,
        };
        Self::new(segment.create_object(name, &spec, |object| {
            let shared = Shared::of(object)?;
            let state = State::initial(permits);
            // Relaxed: nobody finds the object before its creation is published.
            shared.words.state.store(state.to_word(), Ordering::Relaxed);
            let total = Total::initial(permits);
            shared.words.total.store(total.to_word(), Ordering::Relaxed);
            Ok(())
        })?)
    }

    /// Opens a semaphore of a segment.
    ///
    /// # Errors
    /// See [`Segment::open_object`]; [`Error::HandlesFull`].
    pub fn open_in(segment: &Segment, name: &str) -> ipc_core::Result<Self> {
        Self::new(segment.open_object(name, &KIND, &TypeTag::of::<()>())?)
    }

    /// Bytes that a semaphore for so many permits takes of a segment with this many handles (1024
    /// if nothing else was asked for).
    pub fn size_for(permits: u32, handles: u32) -> usize {
        size_of::<Words>() + seats_for(permits, handles) * size_of::<Seat>()
    }

    fn new(object: Object) -> ipc_core::Result<Self> {
        let shared = Shared::of(&object)?;
        let owner = object.segment().owner()?;
        let start = owner.id().to_word().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
        let handle = Handle {
            attachment: object.segment().attachment().clone(),
            seats: Seats::new(start as usize),
            shared,
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

    /// Permits that are free at this moment.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn available(&self) -> ipc_core::Result<u32> {
        self.check_fork()?;
        let free = look(&self.handle.shared).free();
        Ok(u32::try_from(free).unwrap_or(0))
    }

    /// How many permits there are, free and held. Others may change that at the same time.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::Corrupted`].
    pub fn permits(&self) -> ipc_core::Result<u32> {
        self.check_fork()?;
        total(&self.handle.shared).map_err(|Corrupted(what)| self.handle.object.corrupted(what))
    }

    /// Waits until a permit is free and takes it.
    ///
    /// # Errors
    /// [`AcquireError::Crowded`]; [`AcquireError::Segment`].
    #[inline]
    pub fn acquire(&self) -> Result<Permits<'_>, AcquireError> {
        self.acquire_many(1)
    }

    /// Takes a permit if one is free; never blocks.
    ///
    /// # Errors
    /// [`AcquireError::NoPermits`]; those of [`acquire`](Self::acquire).
    #[inline]
    pub fn try_acquire(&self) -> Result<Permits<'_>, AcquireError> {
        self.try_acquire_many(1)
    }

    /// As [`acquire`](Self::acquire), for at most this long. Zero looks once; [`Duration::MAX`] is
    /// for ever.
    ///
    /// # Errors
    /// [`AcquireError::TimedOut`]; those of [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permits<'_>, AcquireError> {
        self.acquire_many_timeout(1, timeout)
    }

    /// Waits until so many permits are free and takes them all at once. For more permits than there
    /// are it waits until somebody adds some.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_many(&self, permits: u32) -> Result<Permits<'_>, AcquireError> {
        self.acquire_until(permits, || Deadline::NEVER)
    }

    /// Takes so many permits if they are free, else none; never blocks.
    ///
    /// # Errors
    /// [`AcquireError::NoPermits`]; those of [`acquire`](Self::acquire).
    #[inline]
    pub fn try_acquire_many(&self, permits: u32) -> Result<Permits<'_>, AcquireError> {
        self.acquire_until(permits, || Deadline::PAST)
            .map_err(|error| match error {
                AcquireError::TimedOut => AcquireError::NoPermits,
                other => other,
            })
    }

    /// As [`acquire_many`](Self::acquire_many), for at most this long. Zero looks once;
    /// [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`AcquireError::TimedOut`]; those of [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_many_timeout(
        &self,
        permits: u32,
        timeout: Duration,
    ) -> Result<Permits<'_>, AcquireError> {
        self.acquire_until(permits, || Deadline::after(timeout))
    }

    /// Adds permits. They are free at once.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if there would be more than 65,535; [`AcquireError::Crowded`].
    pub fn add_permits(&self, more: u32) -> Result<(), AcquireError> {
        self.resize(more.into())?;
        self.handle.ring();
        Ok(())
    }

    /// Takes permits away for good. Never blocks: if not as many are free, the next ones to come
    /// back are gone.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if there are not as many; [`AcquireError::Crowded`].
    pub fn reduce_permits(&self, fewer: u32) -> Result<(), AcquireError> {
        self.resize(-i64::from(fewer))
    }

    fn resize(&self, by: i64) -> Result<(), AcquireError> {
        self.check_fork()?;
        let seat = self.seat()?;
        let resized = self.resize_at(seat, by);
        self.handle.seats.put(State::unknown(seat));
        resized
    }

    fn resize_at(&self, seat: usize, by: i64) -> Result<(), AcquireError> {
        let resized = operate(&self.handle.shared, seat, Operation::Change(by));
        match resized.map_err(|corrupted| self.corrupted(corrupted))? {
            Done::Yes(_) => Ok(()),
            Done::Refused => Err(self.out_of_range(by)?.into()),
        }
    }

    /// Why the number of permits cannot be changed by so many.
    #[cold]
    fn out_of_range(&self, by: i64) -> ipc_core::Result<Error> {
        let permits = self.permits()?;
        Ok(Error::OutOfRange {
            what: match by {
                ..0 => "the number of permits to take away",
                0.. => "the number of permits to add",
            },
            asked: by.unsigned_abs().into(),
            least: 0,
            most: match by {
                ..0 => permits.into(),
                0.. => MOST_PERMITS.saturating_sub(permits).into(),
            },
        })
    }

    #[inline(always)]
    fn acquire_until(
        &self,
        permits: u32,
        deadline: impl Fn() -> Deadline,
    ) -> Result<Permits<'_>, AcquireError> {
        let grant = match self.take_again(permits) {
            Some(grant) => grant,
            // Boxed: so the result fits into registers.
            None => self.wait(permits, deadline()).map_err(|error| *error)?,
        };
        Ok(Permits {
            handle: &self.handle,
            grant,
        })
    }

    /// Takes one permit if nobody used the semaphore since this thread did.
    #[inline(always)]
    fn take_again(&self, permits: u32) -> Option<Grant> {
        let handle = &*self.handle;
        if permits != 1 || !handle.attachment.is_mine() {
            return None;
        }
        let last = handle.seats.take_spare()?;
        let taken = take_one_again(&handle.shared, last);
        if taken.is_none() {
            // Not `last`: what did not work once, never will.
            handle.seats.put(State::unknown(last.seat()));
        }
        taken.map(Grant::one)
    }

    /// Takes permits if they are free.
    fn take(&self, permits: u32) -> Option<Result<Grant, AcquireError>> {
        let handle = &*self.handle;
        if permits == 0 {
            return Some(Ok(Grant::NOTHING));
        }
        if look(&handle.shared).free() < i64::from(permits) {
            return None;
        }
        let seat = match self.seat() {
            Ok(seat) => seat,
            Err(error) => return Some(Err(error)),
        };
        let done = operate(&handle.shared, seat, Operation::Take(permits));
        if let Ok(Done::Yes(taken)) = done {
            return Some(Ok(Grant::new(taken, permits)));
        }
        handle.seats.put(State::unknown(seat));
        match done {
            Ok(_) => None,
            Err(corrupted) => Some(Err(self.corrupted(corrupted))),
        }
    }

    #[cold]
    fn wait(&self, permits: u32, deadline: Deadline) -> Result<Grant, Box<AcquireError>> {
        let waited = self
            .check_fork()
            .map_err(AcquireError::from)
            .and_then(|()| {
                Waiting {
                    bell: &self.handle.shared.words.bell,
                    object: &self.handle.object,
                    policy: self.wait,
                    deadline,
                }
                .run(|| self.take(permits))
            });
        waited
            .and_then(|grant| grant.ok_or(AcquireError::TimedOut))
            .map_err(Box::new)
    }

    fn seat(&self) -> Result<usize, AcquireError> {
        let Handle {
            seats,
            shared,
            owner,
            ..
        } = &*self.handle;
        match seats.take(&shared.seats, owner.id()) {
            Some(seat) => Ok(seat),
            None => self.seat_of_the_dead(),
        }
    }

    #[cold]
    fn seat_of_the_dead(&self) -> Result<usize, AcquireError> {
        let handle = &*self.handle;
        handle.object.segment().recover()?;
        let seat = handle.seats.take(&handle.shared.seats, handle.owner.id());
        seat.ok_or_else(|| AcquireError::Crowded {
            semaphore: handle.object.to_string(),
            limit: handle.shared.seats.len(),
        })
    }

    #[cold]
    fn corrupted(&self, Corrupted(what): Corrupted) -> AcquireError {
        self.handle.object.corrupted(what).into()
    }

    fn check_fork(&self) -> ipc_core::Result<()> {
        self.handle.attachment.check_fork()
    }
}
