//! The crate raw_sync: locks and events in raw memory, which are the C library's.

use std::marker::PhantomData;
use std::sync::Arc;

use raw_sync::events::{Event, EventImpl, EventInit};
use raw_sync::locks::{LockImpl, LockInit, Mutex, RwLock};

use crate::failure::Failure;
use crate::lock::{Count, Lock, Pass};
use crate::room::Room;
use crate::shared::Shared;

/// Its errors, which cannot be sent to other threads, as ours.
#[cold]
pub(crate) fn failed(action: &'static str) -> impl FnOnce(Box<dyn std::error::Error>) -> Failure {
    move |error| Failure::contender(action)(error.to_string())
}

/// What can be done with one of its locks.
pub(crate) trait Use {
    /// The lock.
    type Lock: LockInit;
    /// In words.
    const HOW: &'static str;

    /// Takes it and gives it back.
    fn pass(lock: &dyn LockImpl) -> Result<(), Failure>;
}

/// Its mutex.
pub(crate) enum Locking {}
/// Its lock for readers and writers, for a reader.
pub(crate) enum Reading {}
/// The same, for a writer.
pub(crate) enum Writing {}

impl Use for Locking {
    type Lock = Mutex;
    const HOW: &'static str = "raw_sync::locks::Mutex: lock, drop the guard";

    #[inline(always)]
    fn pass(lock: &dyn LockImpl) -> Result<(), Failure> {
        drop(lock.lock().map_err(failed("lock"))?);
        Ok(())
    }
}

impl Use for Reading {
    type Lock = RwLock;
    const HOW: &'static str = "raw_sync::locks::RwLock: rlock, drop the guard";

    #[inline(always)]
    fn pass(lock: &dyn LockImpl) -> Result<(), Failure> {
        drop(lock.rlock().map_err(failed("read"))?);
        Ok(())
    }
}

impl Use for Writing {
    type Lock = RwLock;
    const HOW: &'static str = "raw_sync::locks::RwLock: lock, drop the guard";

    #[inline(always)]
    fn pass(lock: &dyn LockImpl) -> Result<(), Failure> {
        drop(lock.lock().map_err(failed("write"))?);
        Ok(())
    }
}

/// One of its locks, and a number behind it.
pub(crate) struct RawLock<U> {
    room: Arc<Shared<Room>>,
    usage: PhantomData<U>,
}

/// A handle of it.
pub(crate) struct RawHandle<U> {
    pub(crate) lock: Box<dyn LockImpl>,
    /// Keeps the memory that the lock is in.
    _room: Arc<Shared<Room>>,
    usage: PhantomData<U>,
}

impl<U: Use> RawLock<U> {
    /// Where the lock is, and where the number.
    fn places(&self) -> (*mut u8, *mut u8) {
        let memory = self.room.at(0, 1);
        let behind = U::Lock::size_of(Some(memory)).next_multiple_of(8);
        (self.room.at(0, behind), self.room.at(behind, 8))
    }
}

impl<U: Use> Lock for RawLock<U> {
    type Handle = RawHandle<U>;

    fn how() -> String {
        U::HOW.into()
    }

    fn create() -> Result<Self, Failure> {
        let lock = Self {
            room: Arc::new(Shared::new()?),
            usage: PhantomData,
        };
        let (memory, number) = lock.places();
        // SAFETY: as much memory as it asked for, ours alone and aligned; it stays where it is for
        // as long as there are handles.
        unsafe { U::Lock::new(memory, number) }.map_err(failed("make a lock"))?;
        Ok(lock)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        let (memory, number) = self.places();
        // SAFETY: `create` has made a lock there, and the handle keeps the memory.
        let (lock, _) =
            unsafe { U::Lock::from_existing(memory, number) }.map_err(failed("open a lock"))?;
        Ok(RawHandle {
            lock,
            _room: Arc::clone(&self.room),
            usage: PhantomData,
        })
    }
}

impl<U: Use> Pass for RawHandle<U> {
    #[inline(always)]
    fn pass(&mut self) -> Result<(), Failure> {
        U::pass(&*self.lock)
    }
}

impl Count for RawHandle<Locking> {
    #[inline(always)]
    fn add_one(&mut self) -> Result<(), Failure> {
        let number = self.lock.lock().map_err(failed("lock"))?;
        // SAFETY: the guard gives the address of the number, which belongs to whoever holds it.
        unsafe { *number.cast::<u64>() += 1 };
        Ok(())
    }

    fn count(&mut self) -> Result<u64, Failure> {
        let number = self.lock.lock().map_err(failed("lock"))?;
        // SAFETY: as in `add_one`.
        Ok(unsafe { *number.cast::<u64>() })
    }
}

/// Its event, with automatic reset.
pub(crate) struct RawEvent(Arc<Shared<Room>>);

/// A handle of it.
pub(crate) struct RawEventHandle {
    pub(crate) event: Box<dyn EventImpl>,
    /// Keeps the memory that the event is in.
    _room: Arc<Shared<Room>>,
}

impl RawEvent {
    fn memory(room: &Room) -> *mut u8 {
        let needed = Event::size_of(Some(room.at(0, 1)));
        room.at(0, needed)
    }

    pub(crate) fn create() -> Result<Self, Failure> {
        let room = Arc::new(Shared::<Room>::new()?);
        // SAFETY: as for `RawLock`.
        unsafe { Event::new(Self::memory(&room), true) }.map_err(failed("make an event"))?;
        Ok(Self(room))
    }

    pub(crate) fn handle(&self) -> Result<RawEventHandle, Failure> {
        // SAFETY: `create` has made an event there, and the handle keeps the memory.
        let (event, _) = unsafe { Event::from_existing(Self::memory(&self.0)) }
            .map_err(failed("open an event"))?;
        Ok(RawEventHandle {
            event,
            _room: Arc::clone(&self.0),
        })
    }
}
