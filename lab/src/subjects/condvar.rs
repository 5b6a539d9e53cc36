//! The condition variable: one notifies, or waits, and another sleeps.

use super::common::{Bystanders, MOMENT, SOON, check_clean, door, enter, segment_with_bystanders};
use super::peer::Peer;
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::Segment;
use ipc_sync::{Condvar, LockError, Mutex, MutexGuard};
use std::os::fd::OwnedFd;

/// What the victim does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Sets the flag and notifies while it has the mutex.
    NotifyLocked,
    /// Sets the flag, unlocks, and notifies.
    NotifyAfter,
    NotifyAll,
    /// Waits until the time is up.
    Wait,
}

struct OnCondvar(Act);

pub fn all() -> Vec<Box<dyn Runnable>> {
    [
        Act::NotifyLocked,
        Act::NotifyAfter,
        Act::NotifyAll,
        Act::Wait,
    ]
    .map(|act| Box::new(OnCondvar(act)) as Box<dyn Runnable>)
    .into()
}

/// A flag, and its condition.
struct Flag {
    mutex: Mutex<u64>,
    condvar: Condvar,
}

type Locked<'a> = Result<MutexGuard<'a, u64>, LockError<'a, u64>>;

/// The guard of one who can take over from a dead one: there is nothing half done about a flag.
fn sound(locked: Locked<'_>) -> MutexGuard<'_, u64> {
    match locked {
        Ok(guard) => guard,
        Err(LockError::OwnerDied(guard)) => guard.repaired(),
        Err(error) => panic!("{error}"),
    }
}

impl Flag {
    fn open(segment: &Segment) -> Self {
        Self {
            mutex: Mutex::open_in(segment, "flag").expect("a mutex"),
            condvar: Condvar::open_in(segment, "condvar").expect("a condvar"),
        }
    }

    fn await_it(&self) {
        let mut flag = sound(self.mutex.lock());
        while *flag == 0 {
            flag = sound(self.condvar.wait(flag));
        }
    }
}

struct Others {
    segment: Segment,
    flag: Flag,
    sleeper: Peer,
    bystanders: Bystanders,
}

impl Subject for OnCondvar {
    type Others = Others;
    type Victim = Flag;

    fn name(&self) -> String {
        format!("condvar: {:?}", self.0)
    }

    fn scene(&self) -> (Others, OwnedFd) {
        let (segment, bystanders) = segment_with_bystanders(Mutex::<u64>::SIZE + 256);
        let flag = Flag {
            mutex: Mutex::create_in(&segment, "flag", 0).expect("room"),
            condvar: Condvar::create_in(&segment, "condvar").expect("room"),
        };
        let way_in = door(&segment);
        let sleeper = Peer::start(|stand_still| {
            let flag = Flag::open(&enter(way_in));
            stand_still();
            flag.await_it();
        });
        sleeper.let_go();
        sleeper.until_it_sleeps();
        let door = door(&segment);
        (
            Others {
                segment,
                flag,
                sleeper,
                bystanders,
            },
            door,
        )
    }

    fn enter(&self, door: OwnedFd) -> Flag {
        Flag::open(&enter(door))
    }

    fn operate(&self, flag: &mut Flag) -> Said {
        let mut guard = sound(flag.mutex.lock_timeout(SOON));
        match self.0 {
            Act::NotifyLocked => {
                *guard = 1;
                flag.condvar.notify_one().expect("a sound segment");
            }
            Act::NotifyAfter => {
                *guard = 1;
                drop(guard);
                flag.condvar.notify_one().expect("a sound segment");
            }
            Act::NotifyAll => {
                *guard = 1;
                drop(guard);
                flag.condvar.notify_all().expect("a sound segment");
            }
            Act::Wait => match flag.condvar.wait_timeout(guard, MOMENT) {
                Ok((guard, _)) => drop(guard),
                Err(error) => panic!("{error}"),
            },
        }
        [0; 4]
    }

    fn go_on(&self, others: &mut Others, case: &mut Case) {
        others.bystanders.use_all();
        case.went_on();
    }

    fn settle(&self, others: Others, said: Option<Said>, _: &Case) -> Outcome {
        let Others {
            segment,
            flag,
            sleeper,
            mut bystanders,
        } = others;
        let (found, died) = match flag.mutex.lock_timeout(SOON) {
            Ok(guard) => (*guard, false),
            Err(LockError::OwnerDied(guard)) => {
                let guard = guard.repaired();
                (*guard, true)
            }
            Err(error) => panic!("{error}"),
        };
        // The sleeper may have been told instead.
        if found == 0 {
            *sound(flag.mutex.lock_timeout(SOON)) = 1;
            flag.condvar.notify_all().expect("a sound segment");
        }
        // If the flag was set, the wake that the victim owed is made up for.
        assert!(sleeper.has_ended_within(SOON), "the sleeper sleeps on");
        sleeper.end();
        assert_eq!(*flag.mutex.try_lock().expect("nobody has it"), 1);
        bystanders.use_all();
        drop((flag, bystanders));
        check_clean(&segment);
        assert!(said.is_none() || !died, "nobody has died");
        assert!(
            said.is_none() || self.0 == Act::Wait || found == 1,
            "the flag is lost"
        );
        match found {
            0 => Outcome::new(0, "not done"),
            _ => Outcome::new(1, "set"),
        }
    }
}
