//! Who is killed or stopped: what it does, and what it says of it.

use crate::common::line::Line;
use ipc_queue::mpmc::{PushError, Queue};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use test_kit::forked::Forked;
use test_kit::stepper::{NEVER, run_to, steps_to_try};

/// A number, and what shows that it is whole.
pub type Message = [u64; 2];

pub fn message(number: u64) -> Message {
    [number, !number]
}

/// The victim's messages are numbered from here.
pub const MINE: u64 = 1000;

/// What the victim does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Push,
    PushSlice,
    Commit,
    GiveUp,
    Pop,
    PopSlice,
    Take,
    GiveBack,
    TakeSlice,
    GiveSliceBack,
    Close,
    Recover,
    /// Comes and goes, as a sender and as a receiver.
    Visit,
}

impl Act {
    pub fn is_push(self) -> bool {
        use Act::*;
        matches!(self, Push | PushSlice | Commit | GiveUp)
    }

    /// How many messages it takes at most.
    pub fn takes(self) -> usize {
        use Act::*;
        match self {
            Pop | Take | GiveBack => 1,
            PopSlice | TakeSlice | GiveSliceBack => SLICE,
            _ => 0,
        }
    }

    /// How many slots are missing at most while it is stopped.
    pub fn holds(self) -> usize {
        match self {
            Act::TakeSlice | Act::GiveSliceBack => SLICE,
            Act::Close | Act::Recover | Act::Visit => 0,
            _ => 1,
        }
    }
}

pub const SLICE: usize = 2;

/// What the victim says at its end.
pub const PUSHED: u64 = 1;
pub const REFUSED: u64 = 2;
pub const POPPED: u64 = 3;
pub const TRY: u64 = 4;
pub const DONE: u64 = 5;

fn act(act: Act, queue: &Queue<Message>, at: u64, signal: Signal, line: &Line) {
    let stepped = |work: &mut dyn FnMut()| run_to("memfd:test", at, signal, work);
    let mut said = Vec::new();
    let mut got = |message: &Message, redelivered: bool| {
        assert_eq!(*message, self::message(message[0]), "torn");
        said.push([POPPED | u64::from(redelivered) << 32, message[0]]);
    };
    let pushed = |result: Result<usize, PushError>| match result {
        Ok(count) => [PUSHED, count as u64],
        Err(PushError::Full | PushError::Closed) => [REFUSED, 0],
        Err(error) => panic!("{error}"),
    };
    if act.is_push() {
        let Ok(mut tx) = queue.sender() else {
            return line.say([REFUSED, 0]);
        };
        stepped(&mut || {
            let result = match act {
                Act::Push => tx.try_push(message(MINE)).map(|()| 1),
                Act::PushSlice => tx.try_push_slice(&[message(MINE), message(MINE + 1)]),
                _ => tx.try_reserve().and_then(|mut slot| {
                    *slot = message(MINE);
                    if act == Act::Commit {
                        slot.commit().map(|()| 1)
                    } else {
                        drop(slot);
                        Ok(0)
                    }
                }),
            };
            said.push(pushed(result));
        });
    } else if act.takes() > 0 {
        let mut rx = queue.receiver().unwrap();
        stepped(&mut || match act {
            Act::Pop => {
                if let Ok(Some(it)) = rx.try_pop() {
                    got(&it, false);
                }
            }
            Act::PopSlice => {
                let mut all = [[0; 2]; SLICE];
                if let Ok(Some(count)) = rx.try_pop_slice(&mut all) {
                    all[..count].iter().for_each(|it| got(it, false));
                }
            }
            Act::Take | Act::GiveBack => {
                if let Ok(Some(it)) = rx.try_take() {
                    if act == Act::GiveBack {
                        it.release_back();
                    } else {
                        got(&it, it.is_redelivered());
                    }
                }
            }
            _ => {
                if let Ok(Some(all)) = rx.try_take_slice(SLICE) {
                    if act == Act::GiveSliceBack {
                        all.release_back();
                    } else {
                        all.iter().for_each(|it| got(&it, it.is_redelivered()));
                    }
                }
            }
        });
    } else {
        stepped(&mut || match act {
            Act::Close => drop(queue.close().unwrap()),
            Act::Recover => drop(queue.segment().recover().unwrap()),
            _ => drop((queue.sender(), queue.receiver().unwrap())),
        });
    }
    for words in said {
        line.say(words);
    }
    if at == NEVER {
        steps_to_try()
            .into_iter()
            .for_each(|it| line.say([TRY, it]));
    }
    line.say([DONE, 0]);
}

/// A victim that has begun.
pub struct Victim {
    line: Line,
    child: Forked,
}

impl Victim {
    pub fn start(queue: &Queue<Message>, what: Act, at: u64, signal: Signal) -> Self {
        let (line, theirs) = Line::pair();
        let segment = queue.segment().descriptor().unwrap();
        let child = Forked::run(|| {
            act(what, &Queue::open(segment).unwrap(), at, signal, &theirs);
            0
        });
        Self { line, child }
    }

    /// Waits until it stands still: whether it goes on when it is told to.
    pub fn is_stopped(&self) -> bool {
        let id = Id::Pid(self.child.pid());
        // Its end is for `join` to see.
        let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        matches!(waitid(id, flags).unwrap(), WaitStatus::Stopped(..))
    }

    /// Lets it go on, and returns what it says until it ends: nothing if it was killed.
    pub fn hear_out(self) -> Vec<[u64; 2]> {
        // Of one that is dead or not stopped this is nothing.
        let _ = kill(self.child.pid(), Signal::SIGCONT);
        let said = std::iter::from_fn(|| self.line.hear()).collect();
        let end = self.child.join();
        assert!(matches!(end, Ok(0) | Err(Signal::SIGKILL)), "{end:?}");
        said
    }
}
