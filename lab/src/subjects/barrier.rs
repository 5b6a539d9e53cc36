//! The barrier of two parties, of whom one sleeps there.

use super::common::{Bystanders, MOMENT, SOON, check_clean, door, enter, segment_with_bystanders};
use super::peer::Peer;
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::{Segment, Wait};
use ipc_sync::{Barrier, BarrierError, Party};
use std::os::fd::OwnedFd;

/// What the victim does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Join,
    Leave,
    /// Waits until the time is up.
    ArriveAlone,
    /// The other one sleeps there.
    ArriveLast,
}

struct OnBarrier(Act);

pub fn all() -> Vec<Box<dyn Runnable>> {
    [Act::Join, Act::Leave, Act::ArriveAlone, Act::ArriveLast]
        .map(|act| Box::new(OnBarrier(act)) as Box<dyn Runnable>)
        .into()
}

struct Others {
    segment: Segment,
    barrier: Barrier,
    sleeper: Option<Peer>,
    bystanders: Bystanders,
}

struct Victim {
    barrier: Barrier,
    party: Option<Party>,
}

fn open(segment: &Segment) -> Barrier {
    let mut barrier = Barrier::open_in(segment, "barrier").expect("a barrier");
    barrier.set_wait(Wait::Park);
    barrier
}

/// One who joins and waits there. It ends with 0 if it passed, and 1 if the barrier was broken.
fn sleeper(segment: &Segment) -> Peer {
    let way_in = door(segment);
    let peer = Peer::start(|stand_still| {
        let mut party = open(&enter(way_in)).join().expect("a place");
        stand_still();
        match party.wait_timeout(2 * SOON) {
            Ok(_) => {}
            // SAFETY: ends the process without running anything of the parent's.
            Err(BarrierError::Broken { .. }) => unsafe { libc::_exit(1) },
            Err(error) => panic!("{error}"),
        }
    });
    peer.let_go();
    peer.until_it_sleeps();
    peer
}

impl Subject for OnBarrier {
    type Others = Others;
    type Victim = Victim;

    fn name(&self) -> String {
        format!("barrier: {:?}", self.0)
    }

    fn scene(&self) -> (Others, OwnedFd) {
        let (segment, bystanders) = segment_with_bystanders(Barrier::size_for(2));
        let barrier = Barrier::create_in(&segment, "barrier", 2).expect("room");
        let sleeper = (self.0 == Act::ArriveLast).then(|| sleeper(&segment));
        let door = door(&segment);
        (
            Others {
                segment,
                barrier,
                sleeper,
                bystanders,
            },
            door,
        )
    }

    fn enter(&self, door: OwnedFd) -> Victim {
        let barrier = open(&enter(door));
        let party = (self.0 != Act::Join).then(|| barrier.join().expect("a place"));
        Victim { barrier, party }
    }

    fn operate(&self, victim: &mut Victim) -> Said {
        match (self.0, &mut victim.party) {
            (Act::ArriveAlone, Some(party)) => match party.wait_timeout(MOMENT) {
                Err(BarrierError::TimedOut) => {}
                other => panic!("nobody else comes: {other:?}"),
            },
            (Act::ArriveLast, Some(party)) => {
                party.wait_timeout(SOON).expect("the other one is there");
            }
            (Act::Leave, party) => *party = None,
            (_, party) => *party = Some(victim.barrier.join().expect("a place")),
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
            barrier,
            sleeper: other,
            mut bystanders,
        } = others;
        segment.recover().expect("recovery");
        let passed = other.map(|it| {
            assert!(it.has_ended_within(SOON), "it waits for a dead one");
            it.end() == 0
        });
        let is_broken = barrier.is_broken().expect("a sound segment");
        assert!(said.is_none() || !is_broken, "nobody has died");
        assert!(said.is_none() || passed != Some(false), "both were there");
        barrier.reset().expect("a sound segment");
        // It works as before.
        let another = sleeper(&segment);
        let mut party = barrier.join().expect("a place");
        party.wait_timeout(SOON).expect("the other one is there");
        assert_eq!(another.end(), 0, "the other one passes too");
        drop(party);
        bystanders.use_all();
        drop((barrier, bystanders));
        check_clean(&segment);
        match passed {
            Some(true) => Outcome::new(1, "the other one passed"),
            Some(false) => Outcome::new(0, "the other one was told"),
            None if is_broken => Outcome::new(0, "broken, reset"),
            None => Outcome::new(0, "as before"),
        }
    }
}
