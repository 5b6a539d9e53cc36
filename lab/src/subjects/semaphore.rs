//! The semaphore whose permits are owned.

use super::common::{Bystanders, MOMENT, SOON, check_clean, door, enter, segment_with_bystanders};
use super::pair;
use super::peer::Peer;
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::{Segment, Wait};
use ipc_sync::{AcquireError, Semaphore};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// What the victim does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Acquires one and gives it back.
    One,
    TryOne,
    Two,
    Add,
    Reduce,
    Open,
    Drop,
}

/// Which permits are free when the victim comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    Free,
    /// The last one: a stopped one has the others.
    LastOne,
    /// None: a stopped one has all.
    None,
    /// None: a dead one has all.
    Dead,
}

const PERMITS: u32 = 3;

struct OnSemaphore {
    act: Act,
    scene: Scene,
}

pub fn all() -> Vec<Box<dyn Runnable>> {
    use Act::*;
    let pairs = [
        (One, Scene::Free),
        (TryOne, Scene::Free),
        (Two, Scene::Free),
        (Add, Scene::Free),
        (Reduce, Scene::Free),
        (Open, Scene::Free),
        (Drop, Scene::Free),
        (One, Scene::LastOne),
        (Two, Scene::LastOne),
        (One, Scene::None),
        (One, Scene::Dead),
        (Two, Scene::Dead),
    ];
    let mut all: Vec<Box<dyn Runnable>> = Vec::new();
    for (act, scene) in pairs {
        all.push(Box::new(OnSemaphore { act, scene }));
    }
    all.extend(pair::all_of(|| OnSemaphore {
        act: TryOne,
        scene: Scene::LastOne,
    }));
    all
}

struct Others {
    segment: Segment,
    semaphore: Semaphore,
    holder: Option<Peer>,
    bystanders: Bystanders,
}

struct Victim {
    segment: Segment,
    semaphore: Option<Semaphore>,
}

fn open(segment: &Segment) -> Semaphore {
    let mut semaphore = Semaphore::open_in(segment, "semaphore").expect("a semaphore");
    semaphore.set_wait(Wait::Park);
    semaphore
}

impl OnSemaphore {
    /// How many the holder has.
    fn held(&self) -> u32 {
        match self.scene {
            Scene::Free => 0,
            Scene::LastOne => PERMITS - 1,
            Scene::None | Scene::Dead => PERMITS,
        }
    }

    /// How many the victim holds at most.
    fn wanted(&self) -> u32 {
        match self.act {
            Act::One | Act::TryOne | Act::Reduce => 1,
            Act::Two => 2,
            _ => 0,
        }
    }
}

impl Subject for OnSemaphore {
    type Others = Others;
    type Victim = Victim;

    fn name(&self) -> String {
        format!("semaphore: {:?}, {:?}", self.act, self.scene)
    }

    fn scene(&self) -> (Others, OwnedFd) {
        let size = Semaphore::size_for(PERMITS, super::common::HANDLES);
        let (segment, bystanders) = segment_with_bystanders(size);
        let semaphore = Semaphore::create_in(&segment, "semaphore", PERMITS).expect("room");
        let way_in = door(&segment);
        let holder = (self.held() > 0).then(|| {
            Peer::start(|stand_still| {
                let semaphore = open(&enter(way_in));
                let _permits = semaphore.acquire_many(self.held()).expect("they are free");
                stand_still();
            })
        });
        let holder = holder.filter(|_| self.scene != Scene::Dead);
        let door = door(&segment);
        (
            Others {
                segment,
                semaphore,
                holder,
                bystanders,
            },
            door,
        )
    }

    fn enter(&self, door: OwnedFd) -> Victim {
        let segment = enter(door);
        let semaphore = (self.act != Act::Open).then(|| open(&segment));
        Victim { segment, semaphore }
    }

    /// Whether it was done.
    fn operate(&self, victim: &mut Victim) -> Said {
        let Some(semaphore) = &victim.semaphore else {
            victim.semaphore = Some(open(&victim.segment));
            return [1, 0, 0, 0];
        };
        let waits = self.wanted() > PERMITS - self.held() && self.scene != Scene::Dead;
        let patience = if waits { MOMENT } else { SOON };
        let acquired = match self.act {
            Act::TryOne => semaphore.try_acquire(),
            Act::Add => {
                semaphore.add_permits(1).expect("not too many");
                return [1, 0, 0, 0];
            }
            Act::Reduce => {
                semaphore.reduce_permits(1).expect("not too few");
                return [1, 0, 0, 0];
            }
            Act::Drop => {
                victim.semaphore = None;
                return [1, 0, 0, 0];
            }
            _ => semaphore.acquire_many_timeout(self.wanted(), patience),
        };
        match acquired {
            Ok(permits) => {
                drop(permits);
                [1, 0, 0, 0]
            }
            Err(AcquireError::NoPermits | AcquireError::TimedOut) => [0; 4],
            Err(error) => panic!("{error}"),
        }
    }

    fn go_on(&self, others: &mut Others, case: &mut Case) {
        others.bystanders.use_all();
        let semaphore = &others.semaphore;
        let free = PERMITS - self.held();
        if self.scene != Scene::Dead {
            // Those that nobody can have are there.
            if let Some(rest) = free.checked_sub(self.wanted()).filter(|&it| it > 0) {
                drop(
                    semaphore
                        .try_acquire_many(rest)
                        .expect("nobody else has them"),
                );
            }
            let patience = Duration::from_millis(u64::from(case.turn(4) == 0));
            match semaphore.acquire_many_timeout(PERMITS, patience) {
                Ok(_) => assert_eq!(self.held(), 0, "another has some"),
                Err(AcquireError::TimedOut) => {}
                // One fewer is all there are.
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
            semaphore,
            holder,
            mut bystanders,
        } = others;
        drop(holder);
        segment.recover().expect("recovery");
        let permits = semaphore.permits().expect("a sound segment");
        assert_eq!(
            semaphore.available().expect("a sound segment"),
            permits,
            "some are not back"
        );
        let all = semaphore.try_acquire_many(permits).expect("all are free");
        assert!(
            matches!(semaphore.try_acquire(), Err(AcquireError::NoPermits)),
            "one too many"
        );
        drop(all);
        assert_eq!(semaphore.available().expect("a sound segment"), permits);
        bystanders.use_all();
        drop((semaphore, bystanders));
        check_clean(&segment);
        let changed = match self.act {
            Act::Add => permits == PERMITS + 1,
            Act::Reduce => permits == PERMITS - 1,
            _ => false,
        };
        assert!(changed || permits == PERMITS, "{permits} permits");
        let resizes = matches!(self.act, Act::Add | Act::Reduce);
        assert!(
            said.is_none() || !resizes || changed,
            "it has changed their number"
        );
        if changed {
            Outcome::new(1, "done")
        } else {
            Outcome::new(0, if resizes { "not done" } else { "all are back" })
        }
    }
}
