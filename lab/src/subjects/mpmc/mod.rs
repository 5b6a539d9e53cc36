//! The queues of many senders and receivers.

mod bytes;
mod two;
mod typed;

use super::common::{MINE, check_clean, door, enter};
use super::peer::Peer;
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::{Result, Segment};
use ipc_queue::mpmc::{OpenError, PopError, PushError};
use std::marker::PhantomData;
use std::os::fd::OwnedFd;

/// A message that was taken: its number, and whether somebody had it before.
type Got = (u64, bool);

/// A kind of queue, of messages that are known by their numbers. Whatever is popped is checked to
/// be whole.
trait Kind: 'static {
    const CALLED: &'static str;
    /// Whether it has operations on several messages.
    const SLICES: bool;
    type Queue;
    type Tx;
    type Rx;
    /// A segment with a queue for this many messages.
    fn create(capacity: usize) -> (Segment, Self::Queue);
    fn open(segment: &Segment) -> Self::Queue;
    fn sender(queue: &Self::Queue) -> std::result::Result<Self::Tx, OpenError>;
    fn receiver(queue: &Self::Queue) -> std::result::Result<Self::Rx, OpenError>;
    fn close(queue: &Self::Queue) -> Result<bool>;
    fn is_closed(queue: &Self::Queue) -> Result<bool>;
    /// Nothing is in it, and nobody has anything of it.
    fn check_empty(queue: &Self::Queue);
    fn try_push(tx: &mut Self::Tx, number: u64) -> std::result::Result<(), PushError>;
    /// Sleeps at once.
    fn push_or_wait(tx: &mut Self::Tx, number: u64) -> std::result::Result<(), PushError>;
    /// This one and the next.
    fn try_push_two(tx: &mut Self::Tx, number: u64) -> std::result::Result<usize, PushError>;
    /// Reserves, writes, does that, and commits, if at all.
    fn try_reserve(
        tx: &mut Self::Tx,
        number: u64,
        commits: bool,
        meanwhile: &dyn Fn(),
    ) -> std::result::Result<(), PushError>;
    fn try_pop(rx: &mut Self::Rx) -> std::result::Result<Option<u64>, PopError>;
    /// Sleeps at once.
    fn pop_or_wait(rx: &mut Self::Rx) -> std::result::Result<Option<u64>, PopError>;
    /// How many, and their numbers.
    fn try_pop_two(rx: &mut Self::Rx) -> std::result::Result<Option<(usize, [u64; 2])>, PopError>;
    /// Takes, does that, and gives back, or not.
    fn try_take(
        rx: &mut Self::Rx,
        gives_back: bool,
        meanwhile: &dyn Fn(),
    ) -> std::result::Result<Option<Got>, PopError>;
    /// Two at once, as far as there are.
    fn try_take_two(
        rx: &mut Self::Rx,
        gives_back: bool,
    ) -> std::result::Result<Option<(usize, [Got; 2])>, PopError>;
}

/// What the victim does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Push,
    PushOrWait,
    PushSlice,
    Commit,
    GiveUp,
    Pop,
    PopOrWait,
    PopSlice,
    Take,
    GiveBack,
    TakeSlice,
    GiveSliceBack,
    Close,
    ComeToSend,
    GoFromSending,
    ComeToReceive,
    GoFromReceiving,
}

const SLICE: usize = 2;

impl Act {
    fn pushes(self) -> usize {
        match self {
            Act::PushSlice => SLICE,
            Act::Push | Act::PushOrWait | Act::Commit => 1,
            _ => 0,
        }
    }

    /// How many messages it takes at most.
    fn takes(self) -> usize {
        match self {
            Act::Pop | Act::PopOrWait | Act::Take | Act::GiveBack => 1,
            Act::PopSlice | Act::TakeSlice | Act::GiveSliceBack => SLICE,
            _ => 0,
        }
    }

    /// How many slots are missing at most while it stands still.
    fn holds(self) -> usize {
        use Act::*;
        match self {
            TakeSlice | GiveSliceBack => SLICE,
            Close | ComeToSend | GoFromSending | ComeToReceive | GoFromReceiving => 0,
            _ => 1,
        }
    }

    fn sends(self) -> bool {
        use Act::*;
        matches!(
            self,
            Push | PushOrWait | PushSlice | Commit | GiveUp | ComeToSend | GoFromSending
        )
    }
}

/// The messages of slow ones are numbered from here.
const SLOW: u64 = 500;

/// Who is slow, from before the victim begins until the books are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slow {
    Nobody,
    /// Has claimed a slot, and nobody has come by yet.
    Writer,
    /// Has claimed a slot that the others have passed.
    Passed,
    Reader,
}

#[derive(Clone, Copy, Debug)]
struct Scene {
    called: &'static str,
    capacity: usize,
    /// Messages that came and went before.
    gone: u64,
    /// Messages that are there.
    here: u64,
    slow: Slow,
    closed: bool,
}

const NEW: Scene = Scene {
    called: "new",
    capacity: 2,
    gone: 0,
    here: 0,
    slow: Slow::Nobody,
    closed: false,
};

const SCENES: [Scene; 8] = [
    NEW,
    Scene {
        called: "wrapping round",
        capacity: 3,
        gone: 5,
        here: 1,
        ..NEW
    },
    Scene {
        called: "full",
        gone: 3,
        here: 2,
        ..NEW
    },
    Scene {
        called: "of one",
        capacity: 1,
        gone: 3,
        here: 1,
        ..NEW
    },
    Scene {
        called: "slot held",
        capacity: 3,
        gone: 2,
        here: 1,
        slow: Slow::Writer,
        ..NEW
    },
    Scene {
        called: "slot passed",
        capacity: 3,
        gone: 4,
        here: 1,
        slow: Slow::Passed,
        ..NEW
    },
    Scene {
        called: "message held",
        capacity: 3,
        gone: 2,
        here: 2,
        slow: Slow::Reader,
        ..NEW
    },
    Scene {
        called: "closed",
        capacity: 3,
        gone: 1,
        here: 2,
        closed: true,
        ..NEW
    },
];

/// One operation in one scene.
struct OnQueue<K> {
    act: Act,
    scene: Scene,
    kind: PhantomData<K>,
}

pub fn all() -> Vec<Box<dyn Runnable>> {
    let mut all = all_of::<typed::Typed>();
    all.extend(all_of::<bytes::Bytes>());
    all.extend(two::all::<typed::Typed>());
    all
}

fn all_of<K: Kind>() -> Vec<Box<dyn Runnable>> {
    use Act::*;
    let mut all: Vec<Box<dyn Runnable>> = Vec::new();
    let mut add = |act, scene| {
        all.push(Box::new(OnQueue::<K> {
            act,
            scene,
            kind: PhantomData,
        }))
    };
    for act in [
        Push, PushOrWait, Commit, GiveUp, Pop, PopOrWait, Take, GiveBack, Close,
    ] {
        SCENES.iter().for_each(|&scene| add(act, scene));
    }
    for act in [PushSlice, PopSlice, TakeSlice, GiveSliceBack] {
        SCENES
            .iter()
            .filter(|_| K::SLICES)
            .for_each(|&scene| add(act, scene));
    }
    // Coming and going is the same everywhere.
    for act in [ComeToSend, GoFromSending, ComeToReceive, GoFromReceiving] {
        [1, 5].iter().for_each(|&at: &usize| add(act, SCENES[at]));
    }
    all
}

/// Those who survive.
struct Others<K: Kind> {
    segment: Segment,
    queue: K::Queue,
    tx: K::Tx,
    rx: K::Rx,
    slow: Option<Peer>,
    /// The number of the next message they push.
    next: u64,
    /// What they got, and whether somebody had it before.
    got: Vec<(u64, bool)>,
    ended: bool,
    closed: bool,
    room: usize,
}

struct Victim<K: Kind> {
    queue: K::Queue,
    tx: Option<K::Tx>,
    rx: Option<K::Rx>,
}

impl<K: Kind> Others<K> {
    fn push(&mut self) -> bool {
        match K::try_push(&mut self.tx, self.next) {
            Ok(()) => self.next += 1,
            Err(PushError::Full) => return false,
            Err(PushError::Closed) if self.closed => return false,
            Err(error) => panic!("{error}"),
        }
        true
    }

    fn pop(&mut self) -> bool {
        match K::try_take(&mut self.rx, false, &|| ()) {
            Ok(Some(it)) => {
                assert!(!self.ended, "{it:?} after the end");
                self.got.push(it);
                true
            }
            Ok(None) => {
                assert!(self.closed, "the end of a stream that nobody has closed");
                self.ended = true;
                false
            }
            Err(PopError::Empty | PopError::ProducersDied) => {
                assert!(!self.ended, "empty after the end");
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Takes what there is. Twice, for a death is told once, before the end.
    fn drain(&mut self) {
        let mut count = 0;
        while self.pop() || self.pop() {
            count += 1;
            assert!(count <= 2 * self.room, "more than fits in");
        }
    }

    /// How much fits in.
    fn fill(&mut self) -> usize {
        self.drain();
        let mut count = 0;
        while self.push() {
            count += 1;
            assert!(count <= self.room, "more than fits in");
        }
        let before = self.got.len();
        self.drain();
        assert!(self.got.len() >= before + count, "not all are back");
        count
    }
}

/// Somebody who has claimed a slot, or a message, and stands still.
fn slow<K: Kind>(segment: &Segment, slow: Slow) -> Option<Peer> {
    let door = door(segment);
    match slow {
        Slow::Nobody => None,
        Slow::Writer | Slow::Passed => Some(Peer::start(|stand_still| {
            let mut tx = K::sender(&K::open(&enter(door))).expect("a sender");
            match K::try_reserve(&mut tx, SLOW, true, stand_still) {
                // In a closed queue it is too late.
                Ok(()) | Err(PushError::Closed) => {}
                Err(error) => panic!("{error}"),
            }
        })),
        Slow::Reader => Some(Peer::start(|stand_still| {
            let mut rx = K::receiver(&K::open(&enter(door))).expect("a receiver");
            K::try_take(&mut rx, false, stand_still).expect("a message");
        })),
    }
}

impl<K: Kind> Subject for OnQueue<K> {
    type Others = Others<K>;
    type Victim = Victim<K>;

    fn name(&self) -> String {
        format!("{}: {:?}, {}", K::CALLED, self.act, self.scene.called)
    }

    fn scene(&self) -> (Others<K>, OwnedFd) {
        let Scene {
            capacity,
            gone,
            here,
            closed,
            ..
        } = self.scene;
        let (segment, queue) = K::create(capacity);
        let mut others = Others::<K> {
            tx: K::sender(&queue).expect("a sender"),
            rx: K::receiver(&queue).expect("a receiver"),
            segment,
            queue,
            slow: None,
            next: 0,
            got: Vec::new(),
            ended: false,
            closed: false,
            room: capacity,
        };
        for _ in 0..gone {
            assert!(others.push() && others.pop());
        }
        // The slow reader's message is the first of those that are here.
        let first = u64::from(self.scene.slow == Slow::Reader);
        for _ in 0..first {
            assert!(others.push());
        }
        others.slow = slow::<K>(&others.segment, self.scene.slow);
        if self.scene.slow == Slow::Passed {
            assert!(others.push() && others.pop());
        }
        for _ in first..here {
            assert!(others.push());
        }
        // By the victim, when it has come.
        others.closed = closed;
        let door = door(&others.segment);
        (others, door)
    }

    fn enter(&self, door: OwnedFd) -> Victim<K> {
        let queue = K::open(&enter(door));
        let comes = matches!(self.act, Act::ComeToSend | Act::ComeToReceive | Act::Close);
        let sends = (!comes).then(|| self.act.sends());
        let tx = (sends == Some(true)).then(|| K::sender(&queue).expect("a place"));
        let rx = (sends == Some(false)).then(|| K::receiver(&queue).expect("a place"));
        if self.scene.closed {
            K::close(&queue).expect("a sound segment");
        }
        Victim { queue, tx, rx }
    }

    /// How many were pushed, or popped; how many of those popped had been held before; and their
    /// numbers.
    fn operate(&self, victim: &mut Victim<K>) -> Said {
        if let Some(tx) = &mut victim.tx {
            let pushed = match self.act {
                Act::Push => K::try_push(tx, MINE).map(|()| 1),
                Act::PushOrWait => K::push_or_wait(tx, MINE).map(|()| 1),
                Act::PushSlice => K::try_push_two(tx, MINE),
                Act::Commit => K::try_reserve(tx, MINE, true, &|| ()).map(|()| 1),
                Act::GiveUp => K::try_reserve(tx, MINE, false, &|| ()).map(|()| 0),
                _ => {
                    victim.tx = None;
                    return [0; 4];
                }
            };
            return match pushed {
                Ok(count) => [count as u64, 0, 0, 0],
                Err(PushError::Full | PushError::TimedOut | PushError::Closed) => [0; 4],
                Err(error) => panic!("{error}"),
            };
        }
        if let Some(rx) = &mut victim.rx {
            let first = |it: u64| [1, 0, it, 0];
            let one = |it: Got| [1, u64::from(it.1), it.0, 0];
            let popped = match self.act {
                Act::Pop => K::try_pop(rx).map(|it| it.map(first)),
                Act::PopOrWait => K::pop_or_wait(rx).map(|it| it.map(first)),
                Act::PopSlice => K::try_pop_two(rx)
                    .map(|it| it.map(|(count, all)| [count as u64, 0, all[0], all[1]])),
                Act::Take => K::try_take(rx, false, &|| ()).map(|it| it.map(one)),
                Act::GiveBack => K::try_take(rx, true, &|| ()).map(|_| None),
                Act::GiveSliceBack => K::try_take_two(rx, true).map(|_| None),
                Act::TakeSlice => K::try_take_two(rx, false).map(|it| {
                    it.map(|(count, [a, b])| {
                        [count as u64, u64::from(a.1) + u64::from(b.1), a.0, b.0]
                    })
                }),
                _ => {
                    victim.rx = None;
                    return [0; 4];
                }
            };
            return match popped {
                Ok(said) => said.unwrap_or_default(),
                Err(PopError::Empty | PopError::TimedOut) => [0; 4],
                Err(error) => panic!("{error}"),
            };
        }
        match self.act {
            Act::Close => drop(K::close(&victim.queue).expect("a sound segment")),
            Act::ComeToReceive => victim.rx = Some(K::receiver(&victim.queue).expect("a place")),
            _ => victim.tx = Some(K::sender(&victim.queue).expect("a place")),
        }
        [0; 4]
    }

    fn go_on(&self, others: &mut Others<K>, case: &mut Case) {
        others.closed |= self.act == Act::Close;
        let slow = usize::from(self.scene.slow != Slow::Nobody);
        let missing = slow + self.act.holds();
        match case.turn(4) {
            0 => drop(others.push()),
            1 => drop(others.pop()),
            2 => drop(others.segment.recover().expect("recovery")),
            _ => others.drain(),
        }
        case.went_on();
        if others.closed {
            others.drain();
            return;
        }
        for _ in 0..3 {
            let room = others.fill();
            let least = self.scene.capacity.saturating_sub(missing);
            assert!(room >= least, "room for {room} of {}", self.scene.capacity);
        }
    }

    fn settle(&self, mut others: Others<K>, said: Option<Said>, case: &Case) -> Outcome {
        others.segment.recover().expect("recovery");
        if let Some(slow) = others.slow.take() {
            slow.go_on();
        }
        let closed = K::is_closed(&others.queue).expect("a sound segment");
        others.drain();
        if closed {
            others.drain();
            assert!(others.ended, "the end does not come");
        } else {
            for _ in 0..2 {
                assert_eq!(others.fill(), self.scene.capacity, "some room is missing");
            }
        }
        let mut fresh = K::receiver(&others.queue).expect("a place");
        let left = K::try_pop(&mut fresh);
        assert!(
            matches!(left, Ok(None) | Err(PopError::Empty)),
            "something is left: {left:?}"
        );
        K::check_empty(&others.queue);
        let Others {
            segment,
            queue,
            tx,
            rx,
            next,
            got,
            ..
        } = others;
        drop((queue, tx, rx, fresh));
        check_clean(&segment);

        let (theirs, said_again) = match said {
            Some([count, again, first, second]) if self.act.takes() > 0 => {
                (&[first, second][..count as usize], again as usize)
            }
            _ => (&[][..], 0),
        };
        let times = |number: u64| {
            let all = got.iter().map(|it| &it.0).chain(theirs);
            all.filter(|&&it| it == number).count()
        };
        let slow_has = |number| self.scene.slow == Slow::Reader && number == self.scene.gone;
        let mut taken = 0;
        for number in 0..next {
            match times(number) {
                0 if slow_has(number) => {}
                0 => taken += 1,
                1 => assert!(!slow_has(number), "{number} came although another held it"),
                more => panic!("{number} came {more} times"),
            }
        }
        let may_take = if case.is_kill() { self.act.takes() } else { 0 };
        assert!(taken <= may_take, "{taken} are lost");
        let slow_wrote = matches!(self.scene.slow, Slow::Writer | Slow::Passed);
        let slow_came = times(SLOW);
        assert!(
            slow_came <= usize::from(slow_wrote),
            "{SLOW} came {slow_came} times"
        );
        assert!(
            slow_came == usize::from(slow_wrote) || closed,
            "{SLOW} is lost"
        );
        let mine = [MINE, MINE + 1].map(times);
        assert!(mine[0] <= 1 && mine[1] <= mine[0], "{mine:?}");
        let pushed = mine[0] + mine[1];
        assert!(pushed <= self.act.pushes(), "{pushed} were pushed");
        if let Some([count, ..]) = said
            && self.act.takes() == 0
        {
            assert_eq!(
                pushed as u64, count,
                "what the victim said, and what there is"
            );
        }
        // In order, but for what comes again.
        let firsts = || got.iter().filter(|it| !it.1).map(|it| it.0);
        assert!(firsts().filter(|&it| it < SLOW).is_sorted(), "{got:?}");
        assert!(firsts().filter(|&it| it >= MINE).is_sorted(), "{got:?}");
        let again = got.iter().filter(|it| it.1).count() + said_again;
        assert!(again <= self.act.takes(), "{got:?}");
        match (self.act, pushed, taken) {
            (Act::Close, ..) if closed && !self.scene.closed => Outcome::new(1, "closed"),
            (_, 0, 0) if again > 0 => Outcome::new(0, "came again"),
            (_, 0, 0) => Outcome::new(0, "not done"),
            (_, 1, 0) => Outcome::new(1, "pushed"),
            (_, _, 0) => Outcome::new(2, "pushed two"),
            (_, _, 1) => Outcome::new(1, "taken"),
            _ => Outcome::new(2, "took two"),
        }
    }
}
