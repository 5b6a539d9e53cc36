//! The queue of many senders and receivers.

use super::common::{MINE, Message, check_clean, check_whole, door, message, segment};
use super::peer::Peer;
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::{Segment, Wait};
use ipc_queue::mpmc::{PopError, PushError, Queue, Receiver, Sender};
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
struct OnQueue {
    act: Act,
    scene: Scene,
}

pub fn all() -> Vec<Box<dyn Runnable>> {
    use Act::*;
    let mut all: Vec<Box<dyn Runnable>> = Vec::new();
    for act in [
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
    ] {
        all.extend(SCENES.map(|scene| Box::new(OnQueue { act, scene }) as Box<dyn Runnable>));
    }
    // Coming and going is the same everywhere, but for senders of a closed queue.
    for act in [ComeToSend, GoFromSending, ComeToReceive, GoFromReceiving] {
        all.extend([1, 5].map(|at| {
            Box::new(OnQueue {
                act,
                scene: SCENES[at],
            }) as Box<dyn Runnable>
        }));
    }
    all
}

/// Those who survive.
struct Others {
    segment: Segment,
    queue: Queue<Message>,
    tx: Sender<Message>,
    rx: Receiver<Message>,
    slow: Option<Peer>,
    /// The number of the next message they push.
    next: u64,
    /// What they got, and whether somebody had it before.
    got: Vec<(u64, bool)>,
    ended: bool,
    closed: bool,
    room: usize,
}

struct Victim {
    queue: Queue<Message>,
    tx: Option<Sender<Message>>,
    rx: Option<Receiver<Message>>,
}

impl Others {
    fn push(&mut self) -> bool {
        match self.tx.try_push(message(self.next)) {
            Ok(()) => self.next += 1,
            Err(PushError::Full) => return false,
            Err(PushError::Closed) if self.closed => return false,
            Err(error) => panic!("{error}"),
        }
        true
    }

    fn pop(&mut self) -> bool {
        match self.rx.try_take() {
            Ok(Some(it)) => {
                check_whole(*it);
                assert!(!self.ended, "{it:?} after the end");
                self.got.push((it[0], it.is_redelivered()));
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
fn slow(segment: &Segment, slow: Slow) -> Option<Peer> {
    let door = door(segment);
    let open = |door| {
        Queue::<Message>::open_in(&Segment::open(door).expect("a segment"), "queue")
            .expect("a queue")
    };
    match slow {
        Slow::Nobody => None,
        Slow::Writer | Slow::Passed => Some(Peer::start(|stand_still| {
            let mut tx = open(door).sender().expect("a sender");
            let mut slot = tx.try_reserve().expect("room");
            *slot = message(SLOW);
            stand_still();
            // In a closed queue it is too late.
            let _ = slot.commit();
        })),
        Slow::Reader => Some(Peer::start(|stand_still| {
            let mut rx = open(door).receiver().expect("a receiver");
            let held = rx.try_take().expect("a message");
            stand_still();
            drop(held);
        })),
    }
}

impl Subject for OnQueue {
    type Others = Others;
    type Victim = Victim;

    fn name(&self) -> String {
        format!("mpmc: {:?}, {}", self.act, self.scene.called)
    }

    fn scene(&self) -> (Others, OwnedFd) {
        let Scene {
            capacity,
            gone,
            here,
            closed,
            ..
        } = self.scene;
        let handles = super::common::HANDLES;
        let segment = segment(Queue::<Message>::size_for(capacity, handles).expect("a size"));
        let queue = Queue::create_in(&segment, "queue", capacity).expect("a queue");
        let mut others = Others {
            tx: queue.sender().expect("a sender"),
            rx: queue.receiver().expect("a receiver"),
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
        others.slow = slow(&others.segment, self.scene.slow);
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

    fn enter(&self, door: OwnedFd) -> Victim {
        let segment = Segment::open(door).expect("a segment");
        let queue = Queue::open_in(&segment, "queue").expect("a queue");
        let comes = matches!(self.act, Act::ComeToSend | Act::ComeToReceive | Act::Close);
        let mut tx = (self.act.sends() && !comes).then(|| queue.sender().expect("a sender"));
        let mut rx = (!self.act.sends() && !comes).then(|| queue.receiver().expect("a receiver"));
        if self.scene.closed {
            queue.close().expect("a sound segment");
        }
        tx.iter_mut().for_each(|it| it.set_wait(Wait::Park));
        rx.iter_mut().for_each(|it| it.set_wait(Wait::Park));
        Victim { queue, tx, rx }
    }

    /// How many were pushed, or popped; how many of those popped had been held before; and their
    /// numbers.
    fn operate(&self, victim: &mut Victim) -> Said {
        const MOMENT: Duration = Duration::from_micros(1);
        let pushed = |result: Result<usize, PushError>| match result {
            Ok(count) => [count as u64, 0, 0, 0],
            Err(PushError::Full | PushError::TimedOut | PushError::Closed) => [0; 4],
            Err(error) => panic!("{error}"),
        };
        let mut popped: Said = [0; 4];
        let mut got = |it: Message, again: bool| {
            check_whole(it);
            popped[2 + popped[0] as usize] = it[0];
            popped[0] += 1;
            popped[1] += u64::from(again);
        };
        if let Some(tx) = &mut victim.tx {
            return match self.act {
                Act::Push => pushed(tx.try_push(message(MINE)).map(|()| 1)),
                Act::PushOrWait => pushed(tx.push_timeout(message(MINE), MOMENT).map(|()| 1)),
                Act::PushSlice => pushed(tx.try_push_slice(&[message(MINE), message(MINE + 1)])),
                Act::Commit => pushed(tx.try_reserve().and_then(|mut slot| {
                    *slot = message(MINE);
                    slot.commit().map(|()| 1)
                })),
                Act::GiveUp => pushed(tx.try_reserve().map(|mut slot| {
                    *slot = message(MINE);
                    0
                })),
                _ => {
                    victim.tx = None;
                    [0; 4]
                }
            };
        }
        if let Some(rx) = &mut victim.rx {
            match self.act {
                Act::Pop => {
                    if let Ok(Some(it)) = rx.try_pop() {
                        got(it, false);
                    }
                }
                Act::PopOrWait => {
                    if let Ok(Some(it)) = rx.pop_timeout(MOMENT) {
                        got(it, false);
                    }
                }
                Act::PopSlice => {
                    let mut all = [[0; 2]; SLICE];
                    if let Ok(Some(count)) = rx.try_pop_slice(&mut all) {
                        all[..count].iter().for_each(|&it| got(it, false));
                    }
                }
                Act::Take | Act::GiveBack => {
                    if let Ok(Some(it)) = rx.try_take() {
                        if self.act == Act::GiveBack {
                            it.release_back();
                        } else {
                            got(*it, it.is_redelivered());
                        }
                    }
                }
                Act::TakeSlice | Act::GiveSliceBack => {
                    if let Ok(Some(all)) = rx.try_take_slice(SLICE) {
                        if self.act == Act::GiveSliceBack {
                            all.release_back();
                        } else {
                            all.iter().for_each(|it| got(*it, it.is_redelivered()));
                        }
                    }
                }
                _ => victim.rx = None,
            }
            return popped;
        }
        match self.act {
            Act::Close => drop(victim.queue.close().expect("a sound segment")),
            Act::ComeToReceive => victim.rx = Some(victim.queue.receiver().expect("a place")),
            // Not if it is closed.
            _ => victim.tx = victim.queue.sender().ok(),
        }
        [0; 4]
    }

    fn go_on(&self, others: &mut Others, case: &mut Case) {
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

    fn settle(&self, mut others: Others, said: Option<Said>, case: &Case) -> Outcome {
        others.segment.recover().expect("recovery");
        if let Some(slow) = others.slow.take() {
            slow.go_on();
        }
        let closed = others.queue.is_closed().expect("a sound segment");
        others.drain();
        if closed {
            others.drain();
            assert!(others.ended, "the end does not come");
        } else {
            for _ in 0..2 {
                assert_eq!(others.fill(), self.scene.capacity, "some room is missing");
            }
        }
        let mut fresh = others.queue.receiver().expect("a place");
        assert!(
            matches!(fresh.try_pop(), Ok(None) | Err(PopError::Empty)),
            "something is left"
        );
        assert_eq!(others.queue.len().expect("a sound segment"), 0);
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
