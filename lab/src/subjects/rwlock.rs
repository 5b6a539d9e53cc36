//! The lock for many readers or one writer.

use super::common::{Bystanders, MOMENT, SOON, check_clean, door, enter, segment_with_bystanders};
use super::pair;
use super::peer::Peer;
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::{Segment, Wait};
use ipc_sync::{RwLock, RwLockError, WriteLockError};
use std::os::fd::OwnedFd;
use std::time::Duration;

type Pair = [u64; 2];

/// What the victim does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Read,
    Get,
    Write,
    TryWrite,
    Update,
    Open,
    Drop,
}

/// Who is there when the victim comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    Free,
    /// Somebody reads, and stands still.
    Read,
    /// Somebody writes, and stands still.
    Written,
    /// Somebody died who has changed one half.
    WriterDied,
}

struct OnLock {
    act: Act,
    scene: Scene,
}

pub fn all() -> Vec<Box<dyn Runnable>> {
    use Act::*;
    let pairs = [
        (Read, Scene::Free),
        (Get, Scene::Free),
        (Write, Scene::Free),
        (TryWrite, Scene::Free),
        (Update, Scene::Free),
        (Open, Scene::Free),
        (Drop, Scene::Free),
        (Read, Scene::Read),
        (Write, Scene::Read),
        (Read, Scene::Written),
        (Write, Scene::Written),
        (Write, Scene::WriterDied),
    ];
    let mut all: Vec<Box<dyn Runnable>> = Vec::new();
    for (act, scene) in pairs {
        all.push(Box::new(OnLock { act, scene }));
    }
    all.extend(pair::all_of(|| OnLock {
        act: TryWrite,
        scene: Scene::Free,
    }));
    all
}

struct Others {
    segment: Segment,
    lock: RwLock<Pair>,
    holder: Option<Peer>,
    bystanders: Bystanders,
}

struct Victim {
    segment: Segment,
    lock: Option<RwLock<Pair>>,
}

fn change(pair: &mut Pair) {
    pair[0] = 1;
    std::hint::black_box(&mut *pair);
    pair[1] = 1;
}

fn open(segment: &Segment) -> RwLock<Pair> {
    let mut lock = RwLock::open_in(segment, "lock").expect("a lock");
    lock.set_wait(Wait::Park);
    lock
}

impl Subject for OnLock {
    type Others = Others;
    type Victim = Victim;

    fn name(&self) -> String {
        format!("rwlock: {:?}, {:?}", self.act, self.scene)
    }

    fn scene(&self) -> (Others, OwnedFd) {
        let size = RwLock::<Pair>::size_for(super::common::HANDLES);
        let (segment, bystanders) = segment_with_bystanders(size);
        let lock = RwLock::create_in(&segment, "lock", [0, 0]).expect("room");
        let way_in = door(&segment);
        let holder = (self.scene != Scene::Free).then(|| {
            Peer::start(|stand_still| {
                let lock = open(&enter(way_in));
                if self.scene == Scene::Read {
                    let _guard = lock.read().expect("free");
                    stand_still();
                } else {
                    let mut guard = lock.write().expect("free");
                    if self.scene == Scene::WriterDied {
                        guard[0] = 1;
                    }
                    stand_still();
                }
            })
        });
        let holder = holder.filter(|_| self.scene != Scene::WriterDied);
        let door = door(&segment);
        (
            Others {
                segment,
                lock,
                holder,
                bystanders,
            },
            door,
        )
    }

    fn enter(&self, door: OwnedFd) -> Victim {
        let segment = enter(door);
        let lock = (self.act != Act::Open).then(|| open(&segment));
        Victim { segment, lock }
    }

    /// Whether the victim changed the value; whether it read, and what.
    fn operate(&self, victim: &mut Victim) -> Said {
        let Some(lock) = &victim.lock else {
            victim.lock = Some(open(&victim.segment));
            return [0; 4];
        };
        let is_waiting = matches!(self.scene, Scene::Read | Scene::Written);
        let patience = if is_waiting { MOMENT } else { SOON };
        let written = match self.act {
            Act::Read => {
                return match lock.read_timeout(patience) {
                    Ok(pair) => [0, 1, pair[0], pair[1]],
                    Err(RwLockError::TimedOut) => [0; 4],
                    Err(error) => panic!("{error}"),
                };
            }
            Act::Get => {
                let pair = lock.get().expect("it is sound");
                return [0, 1, pair[0], pair[1]];
            }
            Act::Write => lock.write_timeout(patience),
            Act::TryWrite => lock.try_write(),
            Act::Update => {
                return match lock.update(change) {
                    Ok(()) => [1, 0, 0, 0],
                    Err(error) => panic!("{error}"),
                };
            }
            _ => {
                victim.lock = None;
                return [0; 4];
            }
        };
        match written {
            Ok(mut guard) => {
                change(&mut guard);
                [1, 0, 0, 0]
            }
            Err(WriteLockError::OwnerDied(mut guard)) => {
                change(&mut guard);
                drop(guard.repaired());
                [1, 0, 0, 0]
            }
            Err(WriteLockError::Refused(RwLockError::TimedOut | RwLockError::Held)) => [0; 4],
            Err(error) => panic!("{error}"),
        }
    }

    fn go_on(&self, others: &mut Others, case: &mut Case) {
        others.bystanders.use_all();
        if !case.is_kill() && self.scene != Scene::WriterDied {
            let patience = Duration::from_millis(u64::from(case.turn(4) == 0));
            match others.lock.read_timeout(patience) {
                Ok(pair) => assert_eq!(pair[0], pair[1], "torn"),
                Err(RwLockError::TimedOut) => {}
                Err(error) => panic!("{error}"),
            }
            match others.lock.write_timeout(patience) {
                Ok(pair) => assert_eq!(pair[0], pair[1], "torn"),
                Err(WriteLockError::Refused(RwLockError::TimedOut)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        if let Some(holder) = others.holder.take() {
            holder.go_on();
        }
        case.went_on();
    }

    fn settle(&self, others: Others, said: Option<Said>, _: &Case) -> Outcome {
        let Others {
            segment,
            lock,
            holder,
            mut bystanders,
        } = others;
        drop(holder);
        let (found, died) = match lock.write_timeout(SOON) {
            Ok(pair) => (*pair, false),
            Err(WriteLockError::OwnerDied(pair)) => {
                let found = *pair;
                drop(pair.repaired());
                (found, true)
            }
            Err(error) => panic!("{error}"),
        };
        drop(lock.try_write().expect("nobody has it any more"));
        assert_eq!(*lock.try_read().expect("nobody has it any more"), found);
        bystanders.use_all();
        drop((lock, bystanders));
        check_clean(&segment);
        if let Some([changed, read, first, second]) = said {
            assert!(!died, "nobody has died");
            let expected = if changed == 1 { [1, 1] } else { [0, 0] };
            assert_eq!(found, expected, "what the victim said, and what there is");
            assert!(
                read == 0 || [first, second] == [0, 0],
                "it read {first}, {second}"
            );
        }
        match (found, died) {
            ([0, 0], false) => Outcome::new(0, "not done"),
            ([0, 0], true) if self.scene != Scene::WriterDied => Outcome::new(1, "writer died"),
            ([1, 0], true) => Outcome::new(2, "writer died, half changed"),
            ([1, 1], true) => Outcome::new(3, "writer died, changed"),
            ([1, 1], false) => Outcome::new(4, "done"),
            other => panic!("{other:?}"),
        }
    }
}
