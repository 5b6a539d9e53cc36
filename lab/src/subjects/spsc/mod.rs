//! The rings of one producer and one consumer.

mod bytes;
mod typed;

use super::common::{MINE, check_clean, door, enter};
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::Segment;
use ipc_queue::spsc::{OpenError, PopError, PushError};
use std::marker::PhantomData;
use std::os::fd::OwnedFd;

/// A kind of ring, of messages that are known by their numbers. Whatever is popped is checked to
/// be whole.
trait Line: 'static {
    const CALLED: &'static str;
    type Ring;
    type Tx;
    type Rx;
    /// A segment with a ring for this many messages.
    fn create(capacity: usize) -> (Segment, Self::Ring);
    fn open(segment: &Segment) -> Self::Ring;
    fn producer(ring: &Self::Ring) -> Result<Self::Tx, OpenError>;
    fn consumer(ring: &Self::Ring) -> Result<Self::Rx, OpenError>;
    fn try_push(tx: &mut Self::Tx, number: u64) -> Result<(), PushError>;
    /// Sleeps at once.
    fn push_or_wait(tx: &mut Self::Tx, number: u64) -> Result<(), PushError>;
    /// This one and the next.
    fn try_push_two(tx: &mut Self::Tx, number: u64) -> Result<usize, PushError>;
    fn try_reserve(tx: &mut Self::Tx, number: u64, commits: bool) -> Result<(), PushError>;
    fn close(tx: Self::Tx) -> Result<(), PushError>;
    fn try_pop(rx: &mut Self::Rx) -> Result<Option<u64>, PopError>;
    /// Sleeps at once.
    fn pop_or_wait(rx: &mut Self::Rx) -> Result<Option<u64>, PopError>;
    /// How many, and the first.
    fn try_pop_two(rx: &mut Self::Rx) -> Result<Option<(usize, u64)>, PopError>;
    fn try_take(rx: &mut Self::Rx, releases: bool) -> Result<Option<u64>, PopError>;
}

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

const SCENES: [Scene; 5] = [
    Scene {
        called: "new",
        capacity: 4,
        gone: 0,
        here: 0,
    },
    Scene {
        called: "pushing across the seam",
        capacity: 4,
        gone: 4,
        here: 2,
    },
    Scene {
        called: "popping across the seam",
        capacity: 4,
        gone: 6,
        here: 3,
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
struct OnRing<L> {
    act: Act,
    scene: Scene,
    line: PhantomData<L>,
}

pub fn all() -> Vec<Box<dyn Runnable>> {
    let mut all = all_of::<typed::Typed>();
    all.extend(all_of::<bytes::Bytes>());
    all
}

fn all_of<L: Line>() -> Vec<Box<dyn Runnable>> {
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
            let other = if act.produces() { "popping" } else { "pushing" };
            // Coming and going is the same everywhere.
            let is_of_use = match act.count() {
                0 => scene.called == SCENES[2].called,
                _ => !scene.called.starts_with(other),
            };
            if is_of_use {
                all.push(Box::new(OnRing::<L> {
                    act,
                    scene,
                    line: PhantomData,
                }));
            }
        }
    }
    all
}

/// Those who survive.
struct Others<L: Line> {
    segment: Segment,
    ring: L::Ring,
    capacity: usize,
    tx: Option<L::Tx>,
    rx: Option<L::Rx>,
    /// The number of the next message they push.
    next: u64,
    got: Vec<u64>,
    ended: bool,
    deaths: [u32; 2],
}

/// The victim.
struct Victim<L: Line> {
    ring: L::Ring,
    tx: Option<L::Tx>,
    rx: Option<L::Rx>,
}

impl<L: Line> Others<L> {
    fn push(&mut self) -> bool {
        let tx = self.tx.as_mut().expect("the role");
        for _ in 0..2 {
            match L::try_push(tx, self.next) {
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
            match L::try_pop(rx) {
                Ok(Some(it)) => {
                    self.got.push(it);
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
        let capacity = self.capacity;
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
            self.tx = Some(L::producer(&self.ring)?);
        }
        if self.rx.is_none() {
            self.rx = Some(L::consumer(&self.ring)?);
        }
        Ok(())
    }
}

impl<L: Line> Subject for OnRing<L> {
    type Others = Others<L>;
    type Victim = Victim<L>;

    fn name(&self) -> String {
        format!("{}: {:?}, {}", L::CALLED, self.act, self.scene.called)
    }

    fn scene(&self) -> (Others<L>, OwnedFd) {
        let Scene {
            capacity,
            gone,
            here,
            ..
        } = self.scene;
        let (segment, ring) = L::create(capacity);
        let tx = L::producer(&ring).expect("a role");
        let rx = L::consumer(&ring).expect("a role");
        let mut others = Others {
            segment,
            ring,
            capacity,
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

    fn enter(&self, door: OwnedFd) -> Victim<L> {
        let ring = L::open(&enter(door));
        let comes = matches!(self.act, Act::ComeToProduce | Act::ComeToConsume);
        let role = (!comes).then(|| self.act.produces());
        let tx = (role == Some(true)).then(|| L::producer(&ring).expect("the role"));
        let rx = (role == Some(false)).then(|| L::consumer(&ring).expect("the role"));
        Victim { ring, tx, rx }
    }

    /// How many were pushed, or popped; and the first of them.
    fn operate(&self, victim: &mut Victim<L>) -> Said {
        let pushed = |result: Result<usize, PushError>| match result {
            Ok(count) => [count as u64, MINE, 0, 0],
            Err(PushError::Full | PushError::TimedOut) => [0; 4],
            Err(error) => panic!("{error}"),
        };
        let popped = |result: Result<Option<(usize, u64)>, PopError>| match result {
            Ok(Some((count, first))) => [count as u64, first, 0, 0],
            Err(PopError::Empty | PopError::TimedOut) => [0; 4],
            Ok(None) => panic!("the stream has not ended"),
            Err(error) => panic!("{error}"),
        };
        if let Some(tx) = &mut victim.tx {
            return match self.act {
                Act::Push => pushed(L::try_push(tx, MINE).map(|()| 1)),
                Act::PushOrWait => pushed(L::push_or_wait(tx, MINE).map(|()| 1)),
                Act::PushSlice => pushed(L::try_push_two(tx, MINE)),
                Act::Commit => pushed(L::try_reserve(tx, MINE, true).map(|()| 1)),
                Act::GiveUp => pushed(L::try_reserve(tx, MINE, false).map(|()| 0)),
                Act::Close => {
                    let tx = victim.tx.take().expect("the role");
                    pushed(L::close(tx).map(|()| 0))
                }
                _ => {
                    victim.tx = None;
                    [0; 4]
                }
            };
        }
        if let Some(rx) = &mut victim.rx {
            let one = |it: Option<u64>| it.map(|it| (1, it));
            let none = |it: Option<u64>| it.map(|it| (0, it));
            return match self.act {
                Act::Pop => popped(L::try_pop(rx).map(one)),
                Act::PopOrWait => popped(L::pop_or_wait(rx).map(one)),
                Act::PopSlice => popped(L::try_pop_two(rx)),
                Act::Release => popped(L::try_take(rx, true).map(one)),
                Act::LeaveThere => popped(L::try_take(rx, false).map(none)),
                _ => {
                    victim.rx = None;
                    [0; 4]
                }
            };
        }
        match self.act {
            Act::ComeToProduce => victim.tx = L::producer(&victim.ring).ok(),
            _ => victim.rx = L::consumer(&victim.ring).ok(),
        }
        assert!(
            victim.tx.is_some() || victim.rx.is_some(),
            "the role is free"
        );
        [0; 4]
    }

    fn go_on(&self, others: &mut Others<L>, case: &mut Case) {
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

    fn settle(&self, mut others: Others<L>, said: Option<Said>, case: &Case) -> Outcome {
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
