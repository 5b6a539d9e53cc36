//! The C library's robust mutex and semaphore.

use super::Moment;
use super::subject::{Subject, Who};
use crate::contenders::sync::posix;
use crate::failure::Failure;
use crate::lock::Lock;

/// A robust, process-shared `pthread_mutex_t`.
pub(super) struct RobustMutex(posix::RobustMutex);

impl Subject for RobustMutex {
    type Handle = posix::RobustMutex;
    const HOW: &'static str = "lock, made consistent if the owner died; unlock";

    fn create(_: Moment) -> Result<Self, Failure> {
        posix::RobustMutex::create().map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        self.0.handle()
    }

    fn have(
        mutex: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        mutex.lock()?;
        meanwhile()?;
        mutex.unlock()
    }

    fn go_on(mutex: &Self::Handle, _: Who) -> Result<(), Failure> {
        mutex.lock()?;
        mutex.unlock()
    }
}

/// A process-shared `sem_t`.
pub(super) struct PosixSemaphore(posix::PosixSemaphore);

impl Subject for PosixSemaphore {
    type Handle = posix::PosixSemaphore;
    const HOW: &'static str = "sem_wait; sem_post";

    fn create(_: Moment) -> Result<Self, Failure> {
        posix::PosixSemaphore::create().map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        self.0.handle()
    }

    fn have(
        semaphore: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        semaphore.wait()?;
        meanwhile()?;
        semaphore.post()
    }

    fn go_on(semaphore: &Self::Handle, _: Who) -> Result<(), Failure> {
        semaphore.wait()?;
        semaphore.post()
    }
}
