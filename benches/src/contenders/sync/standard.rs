//! The standard library's locks, which threads of one process share.

use std::hint::black_box;
use std::sync::{Arc, Mutex, RwLock};

use crate::failure::Failure;
use crate::lock::{Count, Lock, Pass};

/// `std::sync::Mutex`.
pub(crate) struct StdMutex(Arc<Mutex<u64>>);

impl Lock for StdMutex {
    type Handle = Arc<Mutex<u64>>;

    fn how() -> String {
        "std::sync::Mutex<u64>: lock, drop the guard".into()
    }

    fn create() -> Result<Self, Failure> {
        Ok(Self(Arc::default()))
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        Ok(Arc::clone(&self.0))
    }
}

impl Pass for Arc<Mutex<u64>> {
    #[inline(always)]
    fn pass(&mut self) -> Result<(), Failure> {
        let number = self.lock().map_err(|_| poisoned())?;
        black_box(&*number);
        Ok(())
    }
}

impl Count for Arc<Mutex<u64>> {
    #[inline(always)]
    fn add_one(&mut self) -> Result<(), Failure> {
        *self.lock().map_err(|_| poisoned())? += 1;
        Ok(())
    }

    fn count(&mut self) -> Result<u64, Failure> {
        Ok(*self.lock().map_err(|_| poisoned())?)
    }
}

/// `std::sync::RwLock`.
pub(crate) struct StdRwLock<const WRITES: bool>(Arc<RwLock<u64>>);

/// A handle of it.
pub(crate) struct StdRwHandle<const WRITES: bool>(Arc<RwLock<u64>>);

impl<const WRITES: bool> Lock for StdRwLock<WRITES>
where
    StdRwHandle<WRITES>: Pass,
{
    type Handle = StdRwHandle<WRITES>;

    fn how() -> String {
        let call = if WRITES { "write" } else { "read" };
        format!("std::sync::RwLock<u64>: {call}, drop the guard")
    }

    fn create() -> Result<Self, Failure> {
        Ok(Self(Arc::default()))
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        Ok(StdRwHandle(Arc::clone(&self.0)))
    }
}

impl Pass for StdRwHandle<false> {
    #[inline(always)]
    fn pass(&mut self) -> Result<(), Failure> {
        let number = self.0.read().map_err(|_| poisoned())?;
        black_box(&*number);
        Ok(())
    }
}

impl Pass for StdRwHandle<true> {
    #[inline(always)]
    fn pass(&mut self) -> Result<(), Failure> {
        let number = self.0.write().map_err(|_| poisoned())?;
        black_box(&*number);
        Ok(())
    }
}

#[cold]
fn poisoned() -> Failure {
    Failure::contender("lock")("poisoned")
}
