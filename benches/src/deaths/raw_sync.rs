//! The primitives of the crate raw_sync.

use raw_sync::Timeout;
use raw_sync::events::EventState;
use raw_sync::locks::LockGuard;

use super::Moment;
use super::subject::{First, Subject, Who, until_killed};
use crate::contenders::sync::raw_sync::{
    Locking, RawEvent as Event, RawEventHandle, RawHandle, RawLock, Reading, Writing, failed,
};
use crate::failure::Failure;
use crate::lock::Lock;

fn locked<U>(handle: &RawHandle<U>) -> Result<LockGuard<'_>, Failure> {
    handle.lock.lock().map_err(failed("lock"))
}

/// `raw_sync::locks::Mutex`.
pub(super) struct RawMutex(RawLock<Locking>);

impl Subject for RawMutex {
    type Handle = RawHandle<Locking>;
    const HOW: &'static str = "lock; drop the guard";

    fn create(_: Moment) -> Result<Self, Failure> {
        RawLock::create().map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        self.0.handle()
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

/// `raw_sync::locks::RwLock`, whose victim does `U`.
pub(super) struct RawRwLock<U>(RawLock<U>);

fn read<U>(handle: &RawHandle<U>) -> Result<impl Sized, Failure> {
    handle.lock.rlock().map_err(failed("read"))
}

impl Subject for RawRwLock<Reading> {
    type Handle = RawHandle<Reading>;
    const HOW: &'static str = "a reader is killed; the others write";

    fn create(_: Moment) -> Result<Self, Failure> {
        RawLock::create().map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        self.0.handle()
    }

    fn have(
        lock: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let _guard = locked(lock)?;
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
            Who::Other(_) => locked(lock).map(drop),
        }
    }
}

impl Subject for RawRwLock<Writing> {
    type Handle = RawHandle<Writing>;
    const HOW: &'static str = "a writer is killed; one writes, and one reads after that";

    fn create(_: Moment) -> Result<Self, Failure> {
        RawLock::create().map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        self.0.handle()
    }

    fn have(
        lock: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let _guard = locked(lock)?;
        meanwhile()
    }

    fn go_on(lock: &Self::Handle, who: Who) -> Result<(), Failure> {
        match who {
            Who::Victim | Who::Other(0) => locked(lock).map(drop),
            Who::Other(_) => read(lock).map(drop),
        }
    }
}

/// `raw_sync::events::Event`, with automatic reset.
pub(super) struct RawEvent(Event);

fn set(event: &RawEventHandle, state: EventState) -> Result<(), Failure> {
    event.event.set(state).map_err(failed("set the event"))
}

impl Subject for RawEvent {
    type Handle = RawEventHandle;
    const HOW: &'static str = "automatic reset: each that passes sets it for the next; having it is resetting it without end";
    const FIRST: First = First::Others;

    fn create(_: Moment) -> Result<Self, Failure> {
        Event::create().map(Self)
    }

    fn handle(&self) -> Result<Self::Handle, Failure> {
        self.0.handle()
    }

    fn have(
        event: &Self::Handle,
        meanwhile: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        meanwhile()?;
        set(event, EventState::Signaled)
    }

    fn have_until_killed(
        event: &Self::Handle,
        say: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        say()?;
        loop {
            set(event, EventState::Clear)?;
        }
    }

    fn go_on(event: &Self::Handle, _: Who) -> Result<(), Failure> {
        let waited = event.event.wait(Timeout::Infinite);
        waited.map_err(failed("wait"))?;
        set(event, EventState::Signaled)
    }

    fn after_death(event: &Self::Handle) -> Result<(), Failure> {
        set(event, EventState::Signaled)
    }
}
