//! What one holds at a time, or many read.

use crate::random::Random;
use crate::subject::{Handles, OBJECT, Outcome, Subject, moment, policy, told};
use ipc_sync::{Condvar, LockError, Mutex, MutexGuard, Once, OnceCell, RwLock, WriteLockError};
use std::time::Duration;

type Payload = [u64; 5];

const VALUE: Payload = [1, 2, 3, 4, 5];

pub(crate) const MUTEX: Subject = Subject {
    name: "mutex",
    bytes: 2048,
    create: |segment| {
        Mutex::create_in(segment, OBJECT, VALUE)?;
        Ok(())
    },
    attach: |segment, random| {
        let mut mutex = Mutex::<Payload>::open_in(segment, OBJECT)?;
        mutex.set_wait(policy(random));
        Ok(Box::new(mutex))
    },
};

pub(crate) const RWLOCK: Subject = Subject {
    name: "rwlock",
    bytes: 8192,
    create: |segment| {
        RwLock::create_in(segment, OBJECT, VALUE)?;
        Ok(())
    },
    attach: |segment, random| {
        let mut lock = RwLock::<Payload>::open_in(segment, OBJECT)?;
        lock.set_wait(policy(random));
        Ok(Box::new(lock))
    },
};

pub(crate) const CONDVAR: Subject = Subject {
    name: "condvar",
    bytes: 4096,
    create: |segment| {
        Condvar::create_in(segment, OBJECT)?;
        Mutex::create_in(segment, LOCK, VALUE)?;
        Ok(())
    },
    attach: |segment, _| {
        Ok(Box::new(Conditional {
            condvar: Condvar::open_in(segment, OBJECT)?,
            mutex: Mutex::open_in(segment, LOCK)?,
        }))
    },
};

pub(crate) const ONCE: Subject = Subject {
    name: "once",
    bytes: 2048,
    create: |segment| {
        Once::create_in(segment, OBJECT)?;
        Ok(())
    },
    attach: |segment, random| {
        let mut once = Once::open_in(segment, OBJECT)?;
        once.set_wait(policy(random));
        Ok(Box::new(once))
    },
};

pub(crate) const ONCE_CELL: Subject = Subject {
    name: "once cell",
    bytes: 2048,
    create: |segment| {
        OnceCell::<Payload>::create_in(segment, OBJECT)?;
        Ok(())
    },
    attach: |segment, random| {
        let mut cell = OnceCell::<Payload>::open_in(segment, OBJECT)?;
        cell.set_wait(policy(random));
        Ok(Box::new(cell))
    },
};

/// The mutex of the condition variable.
const LOCK: &str = "lock";

/// Does something with a lock that was acquired, in whatever condition.
fn locked<'a>(
    lock: Result<MutexGuard<'a, Payload>, LockError<'a, Payload>>,
    random: &mut Random,
    meddle: &mut dyn FnMut(),
) -> Outcome {
    match lock {
        Ok(mut guard) => {
            meddle();
            guard[0] = guard[0].wrapping_add(guard[4]);
            if random.once_in(16) {
                std::mem::forget(guard);
            }
            Outcome::Worked
        }
        Err(LockError::OwnerDied(mut guard) | LockError::Panicked(mut guard)) => {
            meddle();
            *guard = VALUE;
            match random.below(16) {
                0 => drop(guard),
                1 => std::mem::forget(guard),
                2..=4 => guard.leave(),
                _ => drop(guard.repaired()),
            }
            Outcome::Worked
        }
        Err(error) => told::<(), _>(Err(error)),
    }
}

impl Handles for Mutex<Payload> {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        match random.below(16) {
            0..=5 => locked(self.try_lock(), random, meddle),
            6..=10 => locked(self.lock_timeout(moment(random)), random, meddle),
            11..=12 => told(self.try_update(|value| value[1] ^= 1)),
            13..=14 => told(self.update_timeout(moment(random), |value| value[2] ^= 1)),
            _ => {
                // A second handle of the same thread.
                *self = self.clone();
                Outcome::Worked
            }
        }
    }
}

impl Handles for RwLock<Payload> {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        match random.below(16) {
            read @ 0..=7 => {
                let guard = match read {
                    0..=4 => self.try_read(),
                    _ => self.read_timeout(moment(random)),
                };
                match guard {
                    Ok(guard) => {
                        meddle();
                        std::hint::black_box(*guard);
                        if random.once_in(16) {
                            std::mem::forget(guard);
                        }
                        Outcome::Worked
                    }
                    Err(error) => told::<(), _>(Err(error)),
                }
            }
            write @ 8..=14 => {
                let guard = match write {
                    8..=11 => self.try_write(),
                    _ => self.write_timeout(moment(random)),
                };
                match guard {
                    Ok(mut guard) => {
                        meddle();
                        guard[0] = guard[0].wrapping_add(guard[4]);
                        if random.once_in(16) {
                            std::mem::forget(guard);
                        }
                        Outcome::Worked
                    }
                    Err(
                        WriteLockError::OwnerDied(mut guard) | WriteLockError::Panicked(mut guard),
                    ) => {
                        meddle();
                        *guard = VALUE;
                        match random.below(16) {
                            0 => drop(guard),
                            1 => std::mem::forget(guard),
                            _ => drop(guard.repaired()),
                        }
                        Outcome::Worked
                    }
                    Err(error) => told::<(), _>(Err(error)),
                }
            }
            _ => {
                *self = self.clone();
                Outcome::Worked
            }
        }
    }
}

struct Conditional {
    condvar: Condvar,
    mutex: Mutex<Payload>,
}

impl Handles for Conditional {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        match random.below(8) {
            0..=1 => told(self.condvar.notify_one()),
            2 => told(self.condvar.notify_all()),
            3..=4 => locked(self.mutex.try_lock(), random, meddle),
            wait => {
                let timeout = moment(random);
                let guard = match self.mutex.try_lock() {
                    Ok(guard) => guard,
                    other => return locked(other, random, meddle),
                };
                meddle();
                let waited = match wait {
                    5..=6 => self.condvar.wait_timeout(guard, timeout),
                    _ => self
                        .condvar
                        .wait_timeout_while(guard, timeout, |it| it[0] & 1 == 0),
                };
                locked(waited.map(|(guard, _)| guard), random, meddle)
            }
        }
    }
}

impl Handles for Once {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        match random.below(4) {
            0 => told(self.is_completed()),
            _ => told(self.call_once_timeout(moment(random), meddle)),
        }
    }
}

impl Handles for OnceCell<Payload> {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        match random.below(4) {
            0 => told(self.get()),
            1 => told(self.get_or_init_timeout(Duration::ZERO, || VALUE)),
            _ => {
                let value = || {
                    meddle();
                    VALUE
                };
                told(self.get_or_init_timeout(moment(random), value))
            }
        }
    }
}
