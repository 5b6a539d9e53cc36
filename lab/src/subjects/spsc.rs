//! The ring of one producer and one consumer.

use super::common::{MINE, Message, check_clean, check_whole, door, message, segment};
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::{Segment, Wait};
use ipc_queue::spsc::{Consumer, OpenError, PopError, Producer, PushError, Ring};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// What the victim does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Push,
    PushOrWait,
    PushSlice,
    Commit,
    GiveUp,
    Close,
    ComeToProduce,
    GoFromProducing,
    Pop,
    PopOrWait,
    PopSlice,
    Release,
    LeaveThere,
    ComeToConsume,
    GoFromConsuming,
}

impl Act {
    fn produces(self) -> bool {
        use Act::*;
        matches!(
            self,
            Push | PushOrWait
                | PushSlice
                | Commit
                | GiveUp
                | Close
                | ComeToProduce
                | GoFromProducing
        )
    }

    /// How many messages it pushes, or takes, if it can.
    fn count(self) -> usize {
        use Act::*;
        match self {
            PushSlice | PopSlice => 2,
            Push | PushOrWait | Commit | Pop | PopOrWait | Release => 1,
            _ => 0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Scene {
    called: &'static str,
    capacity: usize,
    /// Messages that came and went before.
    gone: u64,
    /// Messages that are there.
    here: u64,
}

const SCENES: [Scene; 4] = [
    Scene {
        called: "new",
        capacity: 4,
        gone: 0,
        here: 0,
    },
    Scene {
        called: "wrapping round",
        capacity: 4,
        gone: 3,
        here: 2,
    },
    Scene {
        called: "full",
        capacity: 2,
        gone: 1,
        here: 2,
    },
    Scene {
        called: "of one",
        capacity: 1,
        gone: 2,
        here: 1,
    },
];

/// One operation in one scene.
struct OnRing {
    act: Act,
    scene: Scene,
}

pub fn all() -> Vec<Box<dyn Runnable>> {
    use Act::*;
    let acts = [
        Push,
        PushOrWait,
        PushSlice,
        Commit,
        GiveUp,
        Close,
        ComeToProduce,
        GoFromProducing,
        Pop,
        PopOrWait,
        PopSlice,
        Release,
        LeaveThere,
        ComeToConsume,
        GoFromConsuming,
    ];
    let mut all: Vec<Box<dyn Runnable>> = Vec::new();
    for act in acts {
        for scene in SCENES {
            // Coming and going is the same everywhere.
            if act.count() > 0 || scene.called == "wrapping round" {
                all.push(Box::new(OnRing { act, scene }));
            }
        }
    }
    all
}

/// Those who survive.
struct Others {
    segment: Segment,
    ring: Ring<Message>,
    tx: Option<Producer<Message>>,
    rx: Option<Consumer<Message>>,
    /// The number of the next message they push.
    next: u64,
    got: Vec<u64>,
    ended: bool,
    deaths: [u32; 2],
}

/// The victim.
struct Victim {
    ring: Ring<Message>,
    tx: Option<Producer<Message>>,
    rx: Option<Consumer<Message>>,
}

impl Others {
    fn push(&mut self) -> bool {
        let tx = self.tx.as_mut().expect("the role");
        for _ in 0..2 {
            match tx.try_push(message(self.next)) {
                Ok(()) => {
                    self.next += 1;
                    return true;
                }
                Err(PushError::Full) => return false,
                Err(PushError::ConsumerDied) => self.deaths[1] += 1,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("a death is told twice");
    }

    fn pop(&mut self) -> bool {
        let rx = self.rx.as_mut().expect("the role");
        for _ in 0..2 {
            match rx.try_pop() {
                Ok(Some(it)) => {
                    check_whole(it);
                    self.got.push(it[0]);
                    return true;
                }
                Ok(None) => {
                    self.ended = true;
                    return false;
                }
                Err(PopError::Empty) => return false,
                Err(PopError::ProducerDied) => self.deaths[0] += 1,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("a death is told twice");
    }

    /// Takes what there is, and fills and empties the ring twice: all room is there.
    fn go_round(&mut self) {
        let capacity = self.ring.capacity();
        for lap in 0..3 {
            let mut popped = 0;
            while self.pop() {
                popped += 1;
                assert!(popped <= capacity, "more than fits in");
            }
            assert!(
                lap == 0 || popped == capacity,
                "{popped} of {capacity} messages"
            );
            let mut pushed = 0;
            while lap < 2 && self.push() {
                pushed += 1;
                assert!(pushed <= capacity, "more than fits in");
            }
            assert!(
                lap == 2 || pushed == capacity,
                "room for {pushed} of {capacity} messages"
            );
        }
    }

    /// Takes the victim's role.
    fn succeed(&mut self) -> Result<(), OpenError> {
        if self.tx.is_none() {
            self.tx = Some(self.ring.producer()?);
        }
        if self.rx.is_none() {
            self.rx = Some(self.ring.consumer()?);
        }
        Ok(())
    }
}

impl Subject for OnRing {
    type Others = Others;
    type Victim = Victim;

    fn name(&self) -> String {
        format!("spsc: {:?}, {}", self.act, self.scene.called)
    }

    fn scene(&self) -> (Others, OwnedFd) {
        let Scene {
            capacity,
            gone,
            here,
            ..
        } = self.scene;
        let segment = segment(Ring::<Message>::size_for(capacity).expect("a size"));
        let ring = Ring::create_in(&segment, "ring", capacity).expect("a ring");
        let (tx, rx) = (
            ring.producer().expect("a role"),
            ring.consumer().expect("a role"),
        );
        let mut others = Others {
            segment,
            ring,
            tx: Some(tx),
            rx: Some(rx),
            next: 0,
            got: Vec::new(),
            ended: false,
            deaths: [0; 2],
        };
        for _ in 0..gone {
            assert!(others.push() && others.pop());
        }
        for _ in 0..here {
            assert!(others.push());
        }
        if self.act.produces() {
            others.tx = None;
        } else {
            others.rx = None;
        }
        let door = door(&others.segment);
        (others, door)
    }

    fn enter(&self, door: OwnedFd) -> Victim {
        let ring = Ring::open_in(&Segment::open(door).expect("a segment"), "ring").expect("a ring");
        let has_role = !matches!(self.act, Act::ComeToProduce | Act::ComeToConsume);
        let mut tx = (has_role && self.act.produces()).then(|| ring.producer().expect("the role"));
        let mut rx = (has_role && !self.act.produces()).then(|| ring.consumer().expect("the role"));
        tx.iter_mut().for_each(|it| it.set_wait(Wait::Park));
        rx.iter_mut().for_each(|it| it.set_wait(Wait::Park));
        Victim { ring, tx, rx }
    }

    /// How many were pushed, or popped; and the first of them.
    fn operate(&self, victim: &mut Victim) -> Said {
        const MOMENT: Duration = Duration::from_micros(1);
        let said = |count: usize, first: u64| [count as u64, first, 0, 0];
        let pushed = |result: Result<usize, PushError>| match result {
            Ok(count) => said(count, MINE),
            Err(PushError::Full | PushError::TimedOut) => said(0, 0),
            Err(error) => panic!("{error}"),
        };
        let popped = |result: Result<Option<(usize, Message)>, PopError>| match result {
            Ok(Some((count, it))) => {
                check_whole(it);
                said(count, it[0])
            }
            Err(PopError::Empty | PopError::TimedOut) => said(0, 0),
            Ok(None) => panic!("the stream has not ended"),
            Err(error) => panic!("{error}"),
        };
        if let Some(tx) = &mut victim.tx {
            match self.act {
                Act::Push => pushed(tx.try_push(message(MINE)).map(|()| 1)),
                Act::PushOrWait => pushed(tx.push_timeout(message(MINE), MOMENT).map(|()| 1)),
                Act::PushSlice => pushed(tx.try_push_slice(&[message(MINE), message(MINE + 1)])),
                Act::Commit | Act::GiveUp => pushed(tx.try_reserve().map(|mut slot| {
                    *slot = message(MINE);
                    let commits = self.act == Act::Commit;
                    if commits {
                        slot.commit();
                    }
                    usize::from(commits)
                })),
                Act::Close => {
                    let tx = victim.tx.take().expect("the role");
                    tx.close().expect("the segment is sound");
                    said(0, 0)
                }
                _ => {
                    victim.tx = None;
                    said(0, 0)
                }
            }
        } else if let Some(rx) = &mut victim.rx {
            let one = |it: Option<Message>| it.map(|it| (1, it));
            match self.act {
                Act::Pop => popped(rx.try_pop().map(one)),
                Act::PopOrWait => popped(rx.pop_timeout(MOMENT).map(one)),
                Act::PopSlice => {
                    let mut all = [[0; 2]; 2];
                    let result = rx.try_pop_slice(&mut all);
                    popped(result.map(|it| it.map(|count| (count, all[0]))))
                }
                Act::Release | Act::LeaveThere => popped(rx.try_peek().map(|it| {
                    it.map(|guard| {
                        let it = *guard;
                        let releases = self.act == Act::Release;
                        if releases {
                            guard.release();
                        }
                        (usize::from(releases), it)
                    })
                })),
                _ => {
                    victim.rx = None;
                    said(0, 0)
                }
            }
        } else if self.act == Act::ComeToProduce {
            victim.tx = Some(victim.ring.producer().expect("the role"));
            said(0, 0)
        } else {
            victim.rx = Some(victim.ring.consumer().expect("the role"));
            said(0, 0)
        }
    }

    fn go_on(&self, others: &mut Others, case: &mut Case) {
        if case.is_kill() {
            match others.succeed() {
                Ok(()) => {
                    others.push();
                    case.went_on();
                    others.go_round();
                }
                // What is there can be taken all the same.
                Err(OpenError::Ended { .. }) if self.act == Act::Close => {
                    others.pop();
                    case.went_on();
                }
                Err(error) => panic!("{error}"),
            }
            return;
        }
        // The side that nobody stopped goes on as far as there are messages, or room.
        let mut count = 0;
        while if others.rx.is_some() {
            others.pop()
        } else {
            others.push()
        } {
            count += 1;
            assert!(count <= self.scene.capacity + 1, "more than fits in");
        }
        case.went_on();
        let Scene { capacity, here, .. } = self.scene;
        if others.rx.is_some() {
            assert!(count >= here as usize, "{count} of {here} messages");
        } else {
            assert!(
                count >= capacity - here as usize,
                "room for {count} messages"
            );
        }
        assert_eq!(others.deaths, [0, 0], "the stopped are not dead");
        match others.succeed() {
            // It has not come yet, or has gone already.
            Ok(()) if self.act.count() == 0 => {
                if self.act.produces() {
                    others.tx = None;
                } else {
                    others.rx = None;
                }
            }
            Ok(()) => panic!("the role of a stopped one is taken"),
            Err(OpenError::RoleTaken { .. }) => {}
            Err(OpenError::Ended { .. }) if self.act == Act::Close => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn settle(&self, mut others: Others, said: Option<Said>, case: &Case) -> Outcome {
        let closed = match others.succeed() {
            Ok(()) => {
                others.go_round();
                false
            }
            Err(OpenError::Ended { .. }) if self.act == Act::Close => {
                while others.pop() {}
                assert!(others.ended, "the end of the stream does not come");
                true
            }
            Err(error) => panic!("{error}"),
        };
        assert!(
            !others.ended || closed,
            "the stream ended, and nobody has closed it"
        );
        assert!(case.is_kill() || others.deaths == [0, 0], "nobody has died");
        let Others {
            segment,
            ring,
            tx,
            rx,
            next,
            got,
            ..
        } = others;
        drop((ring, tx, rx));
        check_clean(&segment);

        let (mine, theirs): (Vec<u64>, Vec<u64>) = got.iter().partition(|&&it| it >= MINE);
        assert!(got.iter().filter(|&&it| it < MINE).is_sorted(), "{got:?}");
        let pushed = mine.len();
        assert!(
            mine.iter()
                .enumerate()
                .all(|(at, &it)| it == MINE + at as u64),
            "{mine:?}"
        );
        // Those at the front of the ring, when the victim took them.
        let Scene {
            capacity,
            gone,
            here,
            ..
        } = self.scene;
        let missing: Vec<u64> = (0..next).filter(|it| !theirs.contains(it)).collect();
        let taken = missing.len();
        assert_eq!(theirs.len() + taken, next as usize, "doubled: {got:?}");
        assert!(
            missing
                .iter()
                .enumerate()
                .all(|(at, &it)| it == gone + at as u64),
            "{missing:?} are lost"
        );
        let (done, none) = if self.act.produces() {
            (pushed, taken)
        } else {
            (taken, pushed)
        };
        assert_eq!(none, 0, "{got:?}");
        // While it was stopped the others have made room, or put something in.
        let possible = match (case.is_kill(), self.act.produces()) {
            (true, true) => capacity - here as usize,
            (true, false) => here as usize,
            (false, _) => capacity,
        };
        let possible = possible.min(self.act.count());
        let all_or_none = done == 0 || done == possible;
        assert!(
            all_or_none || said.is_some(),
            "{done} of {possible} messages"
        );
        if let Some([count, first, ..]) = said {
            assert_eq!(
                done as u64, count,
                "what the victim said, and what there is"
            );
            assert!(
                count == 0 || self.act.produces() || missing[0] == first,
                "{missing:?}, {first}"
            );
            assert!(self.act != Act::Close || closed, "it has closed the stream");
        }
        match (self.act, done, closed) {
            (Act::Close, _, true) => Outcome::new(1, "closed"),
            (_, 0, _) => Outcome::new(0, "not done"),
            (act, ..) if act.produces() => Outcome::new(1, "pushed"),
            _ => Outcome::new(1, "taken"),
        }
    }
}
