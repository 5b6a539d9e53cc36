//! Our own locks, of a segment.

use std::hint::black_box;

use ipc_sync::{LockError, Mutex, RwLock, Semaphore, UpdateError};

use crate::failure::Failure;
use crate::in_segment::{InSegment, NAME};
use crate::lock::{Count, Lock, Pass};

/// `ipc_sync::Mutex`.
pub(crate) struct OursMutex(InSegment);

impl Lock for OursMutex {
    type Handle = Mutex<u64>;

    fn how() -> String {
        "ipc_sync::Mutex<u64>: lock, drop the guard".into()
    }

    fn create() -> Result<Self, Failure> {
        InSegment::with(|segment| Mutex::create_in(segment, NAME, 0u64)).map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        Mutex::open_in(&self.0.open()?, NAME).map_err(Failure::contender("open the mutex"))
    }
}

impl Pass for Mutex<u64> {
    #[inline(always)]
    fn pass(&mut self) -> Result<(), Failure> {
        let number = self.lock().map_err(not_locked)?;
        black_box(&*number);
        Ok(())
    }
}

impl Count for Mutex<u64> {
    #[inline(always)]
    fn add_one(&mut self) -> Result<(), Failure> {
        *self.lock().map_err(not_locked)? += 1;
        Ok(())
    }

    fn count(&mut self) -> Result<u64, Failure> {
        Ok(*self.lock().map_err(not_locked)?)
    }
}

// Apart from the calls above, which are inlined into the loops that are measured, where even an
// unused `Failure` would be dropped once for every pass.
#[cold]
fn not_locked(error: LockError<'_, u64>) -> Failure {
    Failure::contender("lock")(UpdateError::from(error))
}

/// `ipc_sync::Semaphore` with one permit.
pub(crate) struct OursSemaphore(InSegment);

impl Lock for OursSemaphore {
    type Handle = Semaphore;

    fn how() -> String {
        "ipc_sync::Semaphore of one permit: acquire, drop the guard".into()
    }

    fn create() -> Result<Self, Failure> {
        InSegment::with(|segment| Semaphore::create_in(segment, NAME, 1)).map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        Semaphore::open_in(&self.0.open()?, NAME).map_err(Failure::contender("open the semaphore"))
    }
}

impl Pass for Semaphore {
    #[inline(always)]
    fn pass(&mut self) -> Result<(), Failure> {
        drop(self.acquire().map_err(not_acquired)?);
        Ok(())
    }
}

#[cold]
fn not_acquired(error: ipc_sync::AcquireError) -> Failure {
    Failure::contender("acquire")(error)
}

/// `ipc_sync::RwLock`.
pub(crate) struct OursRwLock<const WRITES: bool>(InSegment);

/// A handle of it.
pub(crate) struct RwHandle<const WRITES: bool>(RwLock<u64>);

impl<const WRITES: bool> Lock for OursRwLock<WRITES>
where
    RwHandle<WRITES>: Pass,
{
    type Handle = RwHandle<WRITES>;

    fn how() -> String {
        let call = if WRITES { "write" } else { "read" };
        format!("ipc_sync::RwLock<u64>, 1024 handles possible: {call}, drop the guard")
    }

    fn create() -> Result<Self, Failure> {
        InSegment::with(|segment| RwLock::create_in(segment, NAME, 0u64)).map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        RwLock::open_in(&self.0.open()?, NAME)
            .map(RwHandle)
            .map_err(Failure::contender("open the lock"))
    }
}

impl Pass for RwHandle<false> {
    #[inline(always)]
    fn pass(&mut self) -> Result<(), Failure> {
        let number = self.0.read().map_err(not_read)?;
        black_box(&*number);
        Ok(())
    }
}

impl Pass for RwHandle<true> {
    #[inline(always)]
    fn pass(&mut self) -> Result<(), Failure> {
        let number = self.0.write().map_err(not_written)?;
        black_box(&*number);
        Ok(())
    }
}

#[cold]
fn not_read(error: ipc_sync::RwLockError) -> Failure {
    Failure::contender("read")(error)
}

#[cold]
fn not_written(error: ipc_sync::WriteLockError<'_, u64>) -> Failure {
    Failure::contender("write")(error.to_string())
}
