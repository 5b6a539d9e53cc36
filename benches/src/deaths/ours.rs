//! Our own primitives.

use ipc_sync::{
    Barrier, BarrierError, Condvar, Event, LockError, Mutex, MutexGuard, Once, Reset, RwLock,
    RwLockWriteGuard, Semaphore, UpdateError, WriteLockError,
};

use super::Moment;
use super::subject::{First, Subject, Who, until_killed};
use crate::failure::Failure;
use crate::in_segment::{InSegment, NAME};

fn locked(mutex: &Mutex<u64>) -> Result<MutexGuard<'_, u64>, Failure> {
    sound(mutex.lock())
}

/// The guard, whatever the last holder left.
fn sound<'a>(
    locked: Result<MutexGuard<'a, u64>, LockError<'a, u64>>,
) -> Result<MutexGuard<'a, u64>, Failure> {
    match locked {
        Ok(guard) => Ok(guard),
        Err(LockError::OwnerDied(guard)) => Ok(guard.repaired()),
        Err(error) => Err(Failure::contender("lock")(UpdateError::from(error))),
    }
}

/// `ipc_sync::Mutex`.
pub(super) struct OursMutex(InSegment);

impl Subject for OursMutex {
    type Handle = Mutex<u64>;
    const HOW: &'static str = "lock, repaired if the owner died; drop the guard";

    fn create(_: Moment) -> Result<Self, Failure> {
        InSegment::with(|segment| Mutex::create_in(segment, NAME, 0u64)).map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        Mutex::open_in(&self.0.open()?, NAME).map_err(Failure::contender("open the mutex"))
    }

    fn have(
        mutex: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let _guard = locked(mutex)?;
        meanwhile()
    }

    fn go_on(mutex: &Self::Handle, _: Who) -> Result<(), Failure> {
        locked(mutex).map(drop)
    }
}

fn read(lock: &RwLock<u64>) -> Result<impl Sized, Failure> {
    lock.read().map_err(Failure::contender("read"))
}

fn write(lock: &RwLock<u64>) -> Result<RwLockWriteGuard<'_, u64>, Failure> {
    match lock.write() {
        Ok(guard) => Ok(guard),
        Err(WriteLockError::OwnerDied(guard)) => Ok(guard.repaired()),
        Err(error) => Err(Failure::contender("write")(error.to_string())),
    }
}

fn rwlock() -> Result<InSegment, Failure> {
    InSegment::with(|segment| RwLock::create_in(segment, NAME, 0u64))
}

fn open_rwlock(segment: &InSegment) -> Result<RwLock<u64>, Failure> {
    RwLock::open_in(&segment.open()?, NAME).map_err(Failure::contender("open the lock"))
}

/// `ipc_sync::RwLock`, of which a reader is killed.
pub(super) struct OursReader(InSegment);

impl Subject for OursReader {
    type Handle = RwLock<u64>;
    const HOW: &'static str = "a reader is killed; the others write";

    fn create(_: Moment) -> Result<Self, Failure> {
        rwlock().map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        open_rwlock(&self.0)
    }

    fn have(
        lock: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let _guard = write(lock)?;
        meanwhile()
    }

    fn have_until_killed(
        lock: &Self::Handle,
        say: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let _guard = read(lock)?;
        say()?;
        until_killed()
    }

    fn go_on(lock: &Self::Handle, who: Who) -> Result<(), Failure> {
        match who {
            Who::Victim => read(lock).map(drop),
            Who::Other(_) => write(lock).map(drop),
        }
    }
}

/// `ipc_sync::RwLock`, of which a writer is killed.
pub(super) struct OursWriter(InSegment);

impl Subject for OursWriter {
    type Handle = RwLock<u64>;
    const HOW: &'static str =
        "a writer is killed; one writes, repaired if a writer died, and one reads after that";

    fn create(_: Moment) -> Result<Self, Failure> {
        rwlock().map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        open_rwlock(&self.0)
    }

    fn have(
        lock: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let _guard = write(lock)?;
        meanwhile()
    }

    fn go_on(lock: &Self::Handle, who: Who) -> Result<(), Failure> {
        match who {
            Who::Victim | Who::Other(0) => write(lock).map(drop),
            // Before the writer has repaired the value, a reader is told so, and goes on too.
            Who::Other(_) => match lock.read() {
                Ok(_) | Err(ipc_sync::RwLockError::OwnerDied { .. }) => Ok(()),
                Err(error) => Err(Failure::contender("read")(error)),
            },
        }
    }
}

/// `ipc_sync::Semaphore` with one permit.
pub(super) struct OursSemaphore(InSegment);

impl Subject for OursSemaphore {
    type Handle = Semaphore;
    const HOW: &'static str = "one permit: acquire, drop the guard";

    fn create(_: Moment) -> Result<Self, Failure> {
        InSegment::with(|segment| Semaphore::create_in(segment, NAME, 1)).map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        Semaphore::open_in(&self.0.open()?, NAME).map_err(Failure::contender("open the semaphore"))
    }

    fn have(
        semaphore: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let _permit = semaphore.acquire().map_err(Failure::contender("acquire"))?;
        meanwhile()
    }

    fn go_on(semaphore: &Self::Handle, _: Who) -> Result<(), Failure> {
        let permit = semaphore.acquire();
        permit.map(drop).map_err(Failure::contender("acquire"))
    }
}

/// `ipc_sync::Event`, with automatic reset.
pub(super) struct OursEvent(InSegment);

impl Subject for OursEvent {
    type Handle = Event;
    const HOW: &'static str = "automatic reset: each that passes sets it for the next; having it is resetting it without end";
    const FIRST: First = First::Others;

    fn create(_: Moment) -> Result<Self, Failure> {
        InSegment::with(|segment| Event::create_in(segment, NAME, Reset::Auto)).map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        Event::open_in(&self.0.open()?, NAME).map_err(Failure::contender("open the event"))
    }

    fn have(
        event: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        meanwhile()?;
        event.set().map_err(Failure::contender("set the event"))
    }

    fn have_until_killed(
        event: &Self::Handle,
        say: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        say()?;
        loop {
            event
                .reset()
                .map_err(Failure::contender("reset the event"))?;
        }
    }

    fn go_on(event: &Self::Handle, _: Who) -> Result<(), Failure> {
        event.wait().map_err(Failure::contender("wait"))?;
        event.set().map_err(Failure::contender("set the event"))
    }

    fn after_death(event: &Self::Handle) -> Result<(), Failure> {
        event.set().map_err(Failure::contender("set the event"))
    }
}

/// `ipc_sync::Condvar` with a mutex.
pub(super) struct OursCondvar(InSegment);

/// The flag that is waited for, and the condvar.
pub(super) struct Flag {
    is_up: Mutex<u64>,
    changed: Condvar,
}

const CHANGED: &str = "changed";

impl Subject for OursCondvar {
    type Handle = Flag;
    const HOW: &'static str = "one notification at a time; having it is having changed the value, the mutex locked, nobody notified";
    const FIRST: First = First::Others;

    fn create(_: Moment) -> Result<Self, Failure> {
        let made = InSegment::with(|segment| {
            Condvar::create_in(segment, CHANGED)?;
            Mutex::create_in(segment, NAME, 0u64)
        });
        made.map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        let segment = self.0.open()?;
        Ok(Flag {
            is_up: Mutex::open_in(&segment, NAME).map_err(Failure::contender("open the mutex"))?,
            changed: Condvar::open_in(&segment, CHANGED)
                .map_err(Failure::contender("open the condvar"))?,
        })
    }

    fn have(
        flag: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        meanwhile()?;
        *locked(&flag.is_up)? = 1;
        flag.notify()
    }

    fn have_until_killed(
        flag: &Self::Handle,
        say: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut is_up = locked(&flag.is_up)?;
        *is_up = 1;
        say()?;
        until_killed()
    }

    fn go_on(flag: &Self::Handle, _: Who) -> Result<(), Failure> {
        let mut is_up = locked(&flag.is_up)?;
        while *is_up == 0 {
            is_up = sound(flag.changed.wait(is_up))?;
        }
        drop(is_up);
        flag.notify()
    }
}

impl Flag {
    fn notify(&self) -> Result<(), Failure> {
        let notified = self.changed.notify_one();
        notified.map_err(Failure::contender("notify"))
    }
}

/// `ipc_sync::Barrier`.
pub(super) struct OursBarrier(InSegment);

impl Subject for OursBarrier {
    type Handle = Barrier;
    const HOW: &'static str = "join and wait; a party that died breaks it, which the others are told; having it is not having arrived";

    fn create(moment: Moment) -> Result<Self, Failure> {
        let parties = match moment {
            Moment::Holding => 3,
            // The holder, too.
            Moment::Waiting | Moment::BeingWoken => 4,
        };
        InSegment::with(|segment| Barrier::create_in(segment, NAME, parties)).map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        Barrier::open_in(&self.0.open()?, NAME).map_err(Failure::contender("open the barrier"))
    }

    fn have(
        barrier: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut party = barrier.join().map_err(Failure::contender("join"))?;
        meanwhile()?;
        told(party.wait().map(drop))
    }

    fn go_on(barrier: &Self::Handle, _: Who) -> Result<(), Failure> {
        let mut party = barrier.join().map_err(Failure::contender("join"))?;
        told(party.wait().map(drop))
    }
}

/// Who is told that the barrier is broken goes on.
fn told(waited: Result<(), BarrierError>) -> Result<(), Failure> {
    match waited {
        Ok(()) | Err(BarrierError::Broken { .. }) => Ok(()),
        Err(error) => Err(Failure::contender("wait")(error)),
    }
}

/// `ipc_sync::Once`.
pub(super) struct OursOnce(InSegment);

impl Subject for OursOnce {
    type Handle = Once;
    const HOW: &'static str = "call_once; having it is being at it";

    fn create(_: Moment) -> Result<Self, Failure> {
        InSegment::with(|segment| Once::create_in(segment, NAME)).map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        Once::open_in(&self.0.open()?, NAME).map_err(Failure::contender("open the once"))
    }

    fn have(
        once: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut done = Ok(());
        once.call_once(|| done = meanwhile())
            .map_err(Failure::contender("call once"))?;
        done
    }

    fn go_on(once: &Self::Handle, _: Who) -> Result<(), Failure> {
        once.call_once(|| ())
            .map_err(Failure::contender("call once"))
    }
}
