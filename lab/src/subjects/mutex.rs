//! The mutex.

use super::common::{Bystanders, MOMENT, SOON, check_clean, door, enter, segment_with_bystanders};
use super::pair;
use super::peer::Peer;
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::{Segment, Wait};
use ipc_sync::{LockError, Mutex, MutexGuard, UpdateError};
use std::os::fd::OwnedFd;
use std::time::Duration;

type Pair = [u64; 2];

/// What the victim does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Locks, changes one half and the other, and unlocks.
    Lock,
    TryLock,
    /// Changes a copy.
    Update,
    Open,
    Drop,
}

/// Who has it when the victim comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    Free,
    /// Somebody who stands still.
    Held,
    /// Somebody who died, and has changed one half.
    OwnerDied,
}

struct OnMutex {
    act: Act,
    scene: Scene,
}

pub fn all() -> Vec<Box<dyn Runnable>> {
    let pairs = [
        (Act::Lock, Scene::Free),
        (Act::TryLock, Scene::Free),
        (Act::Update, Scene::Free),
        (Act::Open, Scene::Free),
        (Act::Drop, Scene::Free),
        (Act::Lock, Scene::Held),
        (Act::TryLock, Scene::Held),
        (Act::Lock, Scene::OwnerDied),
    ];
    let mut all: Vec<Box<dyn Runnable>> = Vec::new();
    for (act, scene) in pairs {
        all.push(Box::new(OnMutex { act, scene }));
    }
    all.extend(pair::all_of(|| OnMutex {
        act: Act::TryLock,
        scene: Scene::Free,
    }));
    all
}

struct Others {
    segment: Segment,
    mutex: Mutex<Pair>,
    holder: Option<Peer>,
    bystanders: Bystanders,
}

struct Victim {
    segment: Segment,
    mutex: Option<Mutex<Pair>>,
}

/// Changes one half, and the other; an optimiser cannot make one of the two.
fn change(pair: &mut Pair) {
    pair[0] = 1;
    std::hint::black_box(&mut *pair);
    pair[1] = 1;
}

/// The guard of one who may have to repair the value, and whether it had to.
fn taken<'a>(
    result: Result<MutexGuard<'a, Pair>, LockError<'a, Pair>>,
) -> Option<(MutexGuard<'a, Pair>, bool)> {
    match result {
        Ok(guard) => Some((guard, false)),
        Err(LockError::OwnerDied(guard)) => Some((guard.repaired(), true)),
        Err(LockError::Held | LockError::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}

impl Subject for OnMutex {
    type Others = Others;
    type Victim = Victim;

    fn name(&self) -> String {
        format!("mutex: {:?}, {:?}", self.act, self.scene)
    }

    fn scene(&self) -> (Others, OwnedFd) {
        let (segment, bystanders) = segment_with_bystanders(Mutex::<Pair>::SIZE);
        let mutex = Mutex::create_in(&segment, "mutex", [0, 0]).expect("room");
        let way_in = door(&segment);
        let holder = (self.scene != Scene::Free).then(|| {
            Peer::start(|stand_still| {
                let mutex = Mutex::<Pair>::open_in(&enter(way_in), "mutex").expect("a mutex");
                let mut guard = mutex.lock().expect("free");
                if self.scene == Scene::OwnerDied {
                    guard[0] = 1;
                }
                stand_still();
            })
        });
        let holder = holder.filter(|_| self.scene == Scene::Held);
        let door = door(&segment);
        (
            Others {
                segment,
                mutex,
                holder,
                bystanders,
            },
            door,
        )
    }

    fn enter(&self, door: OwnedFd) -> Victim {
        let segment = enter(door);
        let mutex = (self.act != Act::Open).then(|| {
            let mut mutex = Mutex::open_in(&segment, "mutex").expect("a mutex");
            mutex.set_wait(Wait::Park);
            mutex
        });
        Victim { segment, mutex }
    }

    /// Whether the victim changed the value.
    fn operate(&self, victim: &mut Victim) -> Said {
        let Some(mutex) = &victim.mutex else {
            victim.mutex = Some(Mutex::open_in(&victim.segment, "mutex").expect("a mutex"));
            return [0; 4];
        };
        let result = match self.act {
            Act::Lock if self.scene == Scene::Held => mutex.lock_timeout(MOMENT),
            Act::Lock => mutex.lock(),
            Act::TryLock => mutex.try_lock(),
            Act::Update => {
                let updated = mutex.update_timeout(SOON, change);
                return [u64::from(updated.is_ok()), 0, 0, 0];
            }
            _ => {
                victim.mutex = None;
                return [0; 4];
            }
        };
        // As in a program: repaired when it is.
        match result {
            Err(LockError::OwnerDied(mut guard)) => {
                change(&mut guard);
                drop(guard.repaired());
                [1, 0, 0, 0]
            }
            other => match taken(other) {
                Some((mut guard, _)) => {
                    change(&mut guard);
                    [1, 0, 0, 0]
                }
                None => [0; 4],
            },
        }
    }

    fn go_on(&self, others: &mut Others, case: &mut Case) {
        others.bystanders.use_all();
        if case.is_kill() {
            if self.scene != Scene::Held {
                return case.went_on();
            }
        } else if self.scene != Scene::OwnerDied {
            let result = if case.turn(4) == 0 {
                let result = others.mutex.lock_timeout(Duration::from_millis(1));
                assert!(
                    !matches!(result, Err(LockError::Held)),
                    "a time-out is told so"
                );
                result
            } else {
                others.mutex.try_lock()
            };
            assert!(taken(result).is_none_or(|it| !it.1), "nobody has died");
        }
        if let Some(holder) = others.holder.take() {
            holder.go_on();
            if case.is_kill() {
                let guard = taken(others.mutex.lock_timeout(SOON)).expect("it is free");
                assert!(!guard.1, "the dead did not have it");
            }
        }
        case.went_on();
    }

    fn settle(&self, others: Others, said: Option<Said>, case: &Case) -> Outcome {
        let Others {
            segment,
            mutex,
            holder,
            mut bystanders,
        } = others;
        drop(holder);
        let (found, died) = match mutex.lock_timeout(SOON) {
            Ok(pair) => (*pair, false),
            Err(LockError::OwnerDied(pair)) => {
                let found = *pair;
                drop(pair.repaired());
                (found, true)
            }
            Err(error) => panic!("{error}"),
        };
        drop(mutex.try_lock().expect("nobody has it any more"));
        match mutex.try_update(|pair| *pair) {
            Ok(pair) => assert_eq!(pair, found),
            Err(UpdateError::Held) => panic!("somebody has it still"),
            Err(error) => panic!("{error}"),
        }
        bystanders.use_all();
        drop((mutex, bystanders));
        check_clean(&segment);
        let began_dead = self.scene == Scene::OwnerDied;
        if let Some([changed, ..]) = said {
            assert!(
                !died || (began_dead && !case.is_kill() && changed == 0),
                "nobody has died"
            );
            let expected = if changed == 1 { [1, 1] } else { [0, 0] };
            assert_eq!(found, expected, "what the victim said, and what there is");
        }
        match (found, died) {
            ([0, 0], false) => Outcome::new(0, "not done"),
            ([0, 0], true) if !began_dead => Outcome::new(1, "owner died"),
            ([1, 0], true) => Outcome::new(2, "owner died, half changed"),
            ([1, 1], true) => Outcome::new(3, "owner died, changed"),
            ([1, 1], false) => Outcome::new(4, "done"),
            other => panic!("{other:?}"),
        }
    }
}
