//! A participant killed, or stopped for a while, at every instruction of every operation: the
//! others go on with at most its slots missing; nothing is lost, doubled or torn; all room comes
//! back.
//!
//! Of all cases the normal run takes one of [`stride`]; `MPMC_STRIDE=1` takes them all.

#![cfg(target_arch = "x86_64")]

mod common;
mod mpmc_common;
#[path = "mpmc_every_instant/victim.rs"]
mod victim;

use common::line::Line;
use ipc_queue::mpmc::{PopError, PushError, Queue, Receiver, Sender};
use mpmc_common::{Random, from_env, unnamed};
use nix::sys::signal::Signal;
use test_kit::forked::Forked;
use test_kit::stepper::NEVER;
use victim::*;

fn stride() -> u64 {
    from_env("MPMC_STRIDE", 8)
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
    Sender,
    Reader,
    /// Both; and they are dead.
    Dead,
}

/// How the queue stands.
#[derive(Clone, Copy, Debug)]
struct Scene {
    capacity: usize,
    /// Messages that came and went before.
    gone: u64,
    /// Messages that are there.
    here: u64,
    slow: Slow,
    closed: bool,
}

const PLAIN: Scene = Scene {
    capacity: 2,
    gone: 0,
    here: 0,
    slow: Slow::Nobody,
    closed: false,
};

/// What the others do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    PushOne,
    PopOne,
    Laps,
    /// Who was slow comes to an end.
    Finish,
    Recover,
    CloseAndDrain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Killed,
    Stopped,
}

/// The others, and their books.
struct Others {
    queue: Queue<Message>,
    tx: Sender<Message>,
    rx: Receiver<Message>,
    next: u64,
    /// What they got, and whether somebody had it before.
    got: Vec<(u64, bool)>,
    ended: bool,
    closed: bool,
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
                assert_eq!(*it, message(it[0]), "torn");
                assert!(!self.ended, "{it:?} after the end");
                self.got.push((it[0], it.is_redelivered()));
                true
            }
            Ok(None) => {
                assert!(self.closed);
                self.ended = true;
                false
            }
            Err(PopError::Empty | PopError::ProducersDied) => {
                assert!(!self.ended);
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Takes what there is. Twice, for a death is told once, before the end.
    fn drain(&mut self) {
        while self.pop() || self.pop() {}
    }

    /// How much fits in.
    fn room(&mut self) -> usize {
        self.drain();
        let mut count = 0;
        while self.push() {
            count += 1;
        }
        let before = self.got.len();
        self.drain();
        assert!(self.got.len() >= before + count, "not all are back");
        count
    }

    fn close(&mut self) {
        self.closed = true;
        self.queue.close().unwrap();
        self.drain();
    }
}

/// What one case showed: how many of its messages the victim's death has taken with it, and how
/// many of those it pushed are there.
#[derive(Debug)]
struct Outcome {
    taken: usize,
    pushed: usize,
    /// The steps worth a try, if none was chosen.
    steps: Vec<u64>,
}

/// Plays one case and checks it.
fn play(scene: Scene, what: Act, at: u64, fate: Fate, meanwhile: Meanwhile) -> Outcome {
    let queue = unnamed::<Message>(scene.capacity);
    let (tx, rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let mut others = Others {
        queue: queue.clone(),
        tx,
        rx,
        next: 0,
        got: Vec::new(),
        ended: false,
        closed: false,
    };
    for _ in 0..scene.gone {
        assert!(others.push() && others.pop());
    }
    let (mut slow_tx, mut slow_rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let mut slow_slot = None;
    let mut slow_read = None;
    let mut slow_pushed = None;
    let mut missing = 0;
    match scene.slow {
        Slow::Nobody => {}
        Slow::Writer | Slow::Sender => {
            let mut slot = slow_tx.try_reserve().unwrap();
            *slot = message(SLOW);
            slow_slot = Some(slot);
            missing = 1;
            // Behind it there is one, so that it is passed.
            if scene.slow == Slow::Sender {
                assert!(others.push() && others.pop());
            }
        }
        Slow::Reader => {
            assert!(others.push());
            slow_read = slow_rx.try_take().unwrap();
            missing = 1;
        }
        Slow::Dead => {
            assert!(others.push());
            let (line, theirs) = Line::pair();
            let segment = queue.segment().descriptor().unwrap();
            let child = Forked::run(|| {
                let queue = Queue::<Message>::open(segment).unwrap();
                let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
                std::mem::forget(rx.try_take());
                std::mem::forget(tx.try_reserve());
                theirs.say([0, 0]);
                let _ = theirs.obey();
                0
            });
            line.hear();
            child.kill();
            missing = 2;
        }
    }
    for _ in 0..scene.here {
        others.push();
    }
    if scene.closed {
        others.closed = true;
        queue.close().unwrap();
    }

    let signal = match fate {
        Fate::Killed => Signal::SIGKILL,
        Fate::Stopped => Signal::SIGSTOP,
    };
    let victim = Victim::start(&queue, what, at, signal);
    let stands = at != NEVER && victim.is_stopped();
    // When it closes is for it to say.
    others.closed |= what == Act::Close;
    match meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::PushOne => drop(others.push()),
        Meanwhile::PopOne => drop(others.pop()),
        Meanwhile::Laps if !others.closed => {
            // Who has ended holds nothing.
            let held = if stands || fate == Fate::Killed {
                what.holds()
            } else {
                0
            };
            for _ in 0..3 {
                let room = others.room();
                let least = scene.capacity.saturating_sub(missing + held);
                assert!(room >= least, "{room} of {}", scene.capacity);
            }
        }
        Meanwhile::Laps => others.drain(),
        Meanwhile::Finish => {
            slow_pushed = slow_slot.take().map(|slot| slot.commit().is_ok());
            drop(slow_read.take());
        }
        Meanwhile::Recover => drop(queue.segment().recover().unwrap()),
        Meanwhile::CloseAndDrain => {
            others.close();
            let is_read = slow_read.is_some() || scene.slow == Slow::Dead || what.takes() > 0;
            assert!(others.ended || is_read, "nobody waits for a sender");
        }
    }
    let said = victim.hear_out();
    let lived = said.last() == Some(&[DONE, 0]);
    queue.segment().recover().unwrap();
    drop(slow_read);
    if let Some(slot) = slow_slot {
        slow_pushed = Some(slot.commit().is_ok());
    }
    if queue.is_closed().unwrap() {
        others.drain();
        others.drain();
        assert!(others.ended, "the end does not come");
    } else {
        others.drain();
        for _ in 0..2 {
            assert_eq!(others.room(), scene.capacity, "some room is missing");
        }
    }
    let mut fresh = queue.receiver().unwrap();
    assert!(matches!(fresh.try_pop(), Ok(None) | Err(PopError::Empty)));
    assert_eq!(queue.len().unwrap(), 0);

    // The books.
    let theirs: Vec<(u64, bool)> = said
        .iter()
        .filter(|it| it[0] as u32 as u64 == POPPED)
        .map(|it| (it[1], it[0] >> 32 != 0))
        .collect();
    let times = |number| {
        let all = others.got.iter().chain(&theirs);
        all.filter(|it| it.0 == number).count()
    };
    // The slow reader's is finished by itself.
    let by_slow = u64::from(scene.slow == Slow::Reader);
    let mut taken = 0;
    let mut read_by_slow = 0;
    for number in 0..others.next {
        match times(number) {
            0 if scene.slow == Slow::Reader && number == scene.gone => read_by_slow += 1,
            0 => taken += 1,
            1 => {}
            more => panic!("{number} came {more} times"),
        }
    }
    assert_eq!(read_by_slow, by_slow);
    let may_take = if lived { 0 } else { what.takes() };
    assert!(taken <= may_take, "{taken} are lost");
    assert_eq!(times(SLOW), usize::from(slow_pushed == Some(true)));
    let mine = [MINE, MINE + 1].map(times);
    assert!(mine[0] <= 1 && mine[1] <= mine[0], "{mine:?}");
    let pushed = mine[0] + mine[1];
    for words in &said {
        match *words {
            [PUSHED, count] => assert_eq!(pushed as u64, count),
            [REFUSED, _] => assert_eq!(pushed, 0),
            _ => {}
        }
    }
    // In order, but for what comes again.
    let firsts = || others.got.iter().filter(|it| !it.1).map(|it| it.0);
    assert!(
        firsts().filter(|&it| it < SLOW).is_sorted(),
        "{:?}",
        others.got
    );
    assert!(
        firsts().filter(|&it| it >= MINE).is_sorted(),
        "{:?}",
        others.got
    );
    let again = others.got.iter().filter(|it| it.1).count();
    if what == Act::GiveSliceBack && fate == Fate::Stopped && scene.slow == Slow::Nobody {
        let agains = others.got.iter().filter(|it| it.1).map(|it| it.0);
        assert!(agains.is_sorted(), "{:?}", others.got);
    }
    let may_come_again = what.takes() + usize::from(scene.slow == Slow::Dead);
    assert!(again <= may_come_again, "{:?}", others.got);
    let steps = said.iter().filter(|it| it[0] == TRY).map(|it| it[1]);
    Outcome {
        taken,
        pushed,
        steps: steps.collect(),
    }
}

fn check(acts: &[Act], scenes: &[Scene], stride: u64) {
    use Meanwhile::*;
    let mut random = Random::new(acts.len() as u64 + 77);
    let mut cases = 0;
    for &scene in scenes {
        for &what in acts {
            let never = play(scene, what, NEVER, Fate::Stopped, Nothing);
            for fate in [Fate::Killed, Fate::Stopped] {
                for meanwhile in [
                    Nothing,
                    PushOne,
                    PopOne,
                    Laps,
                    Finish,
                    Recover,
                    CloseAndDrain,
                ] {
                    let mut last = None::<Outcome>;
                    for &at in &never.steps {
                        if random.below(stride) != 0 {
                            continue;
                        }
                        cases += 1;
                        let case = format!("{scene:?} {what:?} at {at} {fate:?} {meanwhile:?}");
                        let outcome =
                            std::panic::catch_unwind(|| play(scene, what, at, fate, meanwhile));
                        let Ok(outcome) = outcome else {
                            panic!("{case}");
                        };
                        // Once done, it is done at every later step.
                        if let Some(last) = &last
                            && meanwhile == Nothing
                        {
                            assert!(
                                outcome.taken >= last.taken && outcome.pushed >= last.pushed,
                                "{case}: {outcome:?} after {last:?}"
                            );
                        }
                        last = Some(outcome);
                    }
                }
            }
        }
    }
    eprintln!("{cases} cases");
}

/// Fresh, gone round, full, with somebody slow at a slot, and with the dead.
const SCENES: [Scene; 11] = [
    PLAIN,
    Scene {
        capacity: 1,
        ..PLAIN
    },
    Scene {
        capacity: 1,
        gone: 3,
        here: 1,
        ..PLAIN
    },
    Scene {
        capacity: 3,
        gone: 5,
        here: 1,
        ..PLAIN
    },
    Scene {
        capacity: 2,
        gone: 3,
        here: 2,
        ..PLAIN
    },
    Scene {
        capacity: 3,
        gone: 4,
        here: 1,
        slow: Slow::Sender,
        ..PLAIN
    },
    Scene {
        capacity: 3,
        gone: 1,
        here: 3,
        slow: Slow::Sender,
        ..PLAIN
    },
    Scene {
        capacity: 3,
        gone: 2,
        here: 1,
        slow: Slow::Writer,
        ..PLAIN
    },
    Scene {
        capacity: 3,
        gone: 2,
        here: 1,
        slow: Slow::Reader,
        ..PLAIN
    },
    Scene {
        capacity: 4,
        gone: 3,
        here: 1,
        slow: Slow::Dead,
        ..PLAIN
    },
    Scene {
        capacity: 3,
        gone: 1,
        here: 2,
        closed: true,
        ..PLAIN
    },
];

#[test]
fn of_a_push() {
    check(&[Act::Push, Act::Commit, Act::GiveUp], &SCENES, stride());
}

#[test]
fn of_pushing_several() {
    check(&[Act::PushSlice], &SCENES, stride());
}

#[test]
fn of_a_pop() {
    check(&[Act::Pop, Act::Take, Act::GiveBack], &SCENES, stride());
}

#[test]
fn of_popping_several() {
    check(
        &[Act::PopSlice, Act::TakeSlice, Act::GiveSliceBack],
        &SCENES,
        stride(),
    );
}

#[test]
fn of_closing() {
    check(&[Act::Close], &SCENES, stride().div_ceil(4));
}

#[test]
fn of_coming_going_and_sweeping() {
    // Their steps are many: they look at all participants.
    let stride = if stride() == 1 { 1 } else { 8 * stride() };
    check(&[Act::Recover, Act::Visit], &SCENES, stride);
}
