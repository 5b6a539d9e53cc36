//! The C library's own objects between processes: a robust mutex, and a semaphore.

use std::io;
use std::sync::Arc;

use crate::failure::Failure;
use crate::lock::{Count, Lock, Pass};
use crate::room::Room;
use crate::shared::Shared;

/// A `pthread_mutex_t` that is process-shared and robust, and a number behind it.
pub(crate) struct RobustMutex(Arc<Shared<Room>>);

/// How a lock was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// As usual.
    Sound,
    /// Its owner had died; it has been made consistent.
    OwnerDied,
}

fn check(code: libc::c_int, action: &'static str) -> Result<(), Failure> {
    match code {
        0 => Ok(()),
        code => Err(failed(code, action)),
    }
}

// Apart from the calls that are measured, as everywhere among the contenders.
#[cold]
fn failed(code: libc::c_int, action: &'static str) -> Failure {
    Failure::system(action)(io::Error::from_raw_os_error(code))
}

impl RobustMutex {
    #[inline(always)]
    fn mutex(&self) -> *mut libc::pthread_mutex_t {
        self.0.at(0, size_of::<libc::pthread_mutex_t>()).cast()
    }

    #[inline(always)]
    fn number(&self) -> *mut u64 {
        let behind = size_of::<libc::pthread_mutex_t>().next_multiple_of(8);
        self.0.at(behind, 8).cast()
    }

    #[inline(always)]
    pub(crate) fn lock(&self) -> Result<Found, Failure> {
        // SAFETY: `create` has made a mutex at this address, in a map that `self` keeps.
        match unsafe { libc::pthread_mutex_lock(self.mutex()) } {
            0 => Ok(Found::Sound),
            libc::EOWNERDEAD => {
                // SAFETY: as above; the calling thread holds it now.
                let code = unsafe { libc::pthread_mutex_consistent(self.mutex()) };
                check(code, "make the mutex consistent").map(|()| Found::OwnerDied)
            }
            code => Err(failed(code, "lock the mutex")),
        }
    }

    #[inline(always)]
    pub(crate) fn unlock(&self) -> Result<(), Failure> {
        // SAFETY: as in `lock`.
        check(
            unsafe { libc::pthread_mutex_unlock(self.mutex()) },
            "unlock the mutex",
        )
    }
}

impl Lock for RobustMutex {
    type Handle = Self;

    fn how() -> String {
        "pthread_mutex_t, PTHREAD_PROCESS_SHARED and PTHREAD_MUTEX_ROBUST: lock, unlock".into()
    }

    fn create() -> Result<Self, Failure> {
        let mutex = Self(Arc::new(Shared::new()?));
        let mut attributes = std::mem::MaybeUninit::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the attributes are initialised before they are used, and destroyed once; the
        // mutex's memory is ours alone, zeroed, large enough (`Room::at`) and aligned.
        unsafe {
            check(
                libc::pthread_mutexattr_init(attributes),
                "make mutex attributes",
            )?;
            let shared =
                libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED);
            let robust = libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST);
            let made = libc::pthread_mutex_init(mutex.mutex(), attributes);
            libc::pthread_mutexattr_destroy(attributes);
            check(shared, "ask for a process-shared mutex")?;
            check(robust, "ask for a robust mutex")?;
            check(made, "make a mutex")?;
        }
        Ok(mutex)
    }

    fn handle(&self) -> Result<Self, Failure> {
        Ok(Self(Arc::clone(&self.0)))
    }
}

impl Pass for RobustMutex {
    #[inline(always)]
    fn pass(&mut self) -> Result<(), Failure> {
        self.lock()?;
        self.unlock()
    }
}

impl Count for RobustMutex {
    #[inline(always)]
    fn add_one(&mut self) -> Result<(), Failure> {
        self.lock()?;
        // SAFETY: the number lies in the map, aligned, and belongs to whoever holds the mutex.
        unsafe { *self.number() += 1 };
        self.unlock()
    }

    fn count(&mut self) -> Result<u64, Failure> {
        self.lock()?;
        // SAFETY: as in `add_one`.
        let number = unsafe { *self.number() };
        self.unlock()?;
        Ok(number)
    }
}

/// A process-shared `sem_t` with the value 1.
pub(crate) struct PosixSemaphore(Arc<Shared<Room>>);

impl PosixSemaphore {
    #[inline(always)]
    fn semaphore(&self) -> *mut libc::sem_t {
        self.0.at(0, size_of::<libc::sem_t>()).cast()
    }

    #[inline(always)]
    pub(crate) fn wait(&self) -> Result<(), Failure> {
        // SAFETY: `create` has made a semaphore at this address, in a map that `self` keeps.
        while unsafe { libc::sem_wait(self.semaphore()) } != 0 {
            interrupted_or_failed("wait for the semaphore")?;
        }
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn post(&self) -> Result<(), Failure> {
        // SAFETY: as in `wait`.
        if unsafe { libc::sem_post(self.semaphore()) } != 0 {
            interrupted_or_failed("post the semaphore")?;
        }
        Ok(())
    }
}

#[cold]
fn interrupted_or_failed(action: &'static str) -> Result<(), Failure> {
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted {
        return Ok(());
    }
    Err(Failure::system(action)(error))
}

impl Lock for PosixSemaphore {
    type Handle = Self;

    fn how() -> String {
        "sem_t, process-shared, with the value 1: sem_wait, sem_post".into()
    }

    fn create() -> Result<Self, Failure> {
        let semaphore = Self(Arc::new(Shared::new()?));
        // SAFETY: the memory is ours alone, zeroed, large enough (`Room::at`) and aligned.
        if unsafe { libc::sem_init(semaphore.semaphore(), 1, 1) } != 0 {
            let error = io::Error::last_os_error();
            return Err(Failure::system("make a semaphore")(error));
        }
        Ok(semaphore)
    }

    fn handle(&self) -> Result<Self, Failure> {
        Ok(Self(Arc::clone(&self.0)))
    }
}

impl Pass for PosixSemaphore {
    #[inline(always)]
    fn pass(&mut self) -> Result<(), Failure> {
        self.wait()?;
        self.post()
    }
}
