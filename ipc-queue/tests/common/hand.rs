//! A worker that does with a ring of `u64` what the test tells it, step by step.

use super::line::Line;
use super::raw::{self, Raw};
use ipc_core::Wait;
use ipc_process::{Process, WorkResult, Worker};
use ipc_queue::spsc::{Consumer, OpenError, PopError, Producer, PushError, Ring};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// What a hand does.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    BeProducer,
    BeConsumer,
    DropProducer,
    DropConsumer,
    SetWait(Wait),
    TryPush(u64),
    Push(u64),
    /// The message, and milliseconds.
    PushTimeout(u32, u32),
    /// Writes it into the next slot and does not commit it.
    ReserveOnly(u64),
    TryPop,
    Pop,
    PopTimeout(u64),
    /// Looks at the next message and leaves it.
    PeekOnly,
    /// Polls with `try_pop` until something else than "empty" comes of it.
    PollPop,
    /// Polls with a pop of this time-out in milliseconds until something else comes of it.
    PollPopTimeout(u64),
    PollPush(u64),
    Close,
    /// Publishes a message (or room, or the end) and dies before it wakes anybody.
    PublishAndDie(u64),
    MakeRoomAndDie,
    EndAndDie,
    /// Leaves the process in order without dropping anything.
    Exit,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Message(u64),
    End,
    EmptyOrFull,
    TimedOut,
    PeerDied,
    /// The role is taken, by the process of this id.
    Taken(u32),
    StreamEnded,
    Error,
}

impl Order {
    fn words(self) -> [u64; 2] {
        match self {
            Order::BeProducer => [0, 0],
            Order::BeConsumer => [1, 0],
            Order::DropProducer => [2, 0],
            Order::DropConsumer => [3, 0],
            Order::SetWait(Wait::Busy) => [4, 0],
            Order::SetWait(Wait::Park) => [4, 1],
            Order::SetWait(_) => [4, 2],
            Order::TryPush(value) => [5, value],
            Order::Push(value) => [6, value],
            Order::PushTimeout(value, millis) => [7, u64::from(value) << 32 | u64::from(millis)],
            Order::ReserveOnly(value) => [8, value],
            Order::TryPop => [9, 0],
            Order::Pop => [10, 0],
            Order::PopTimeout(millis) => [11, millis],
            Order::PeekOnly => [12, 0],
            Order::PollPop => [13, 0],
            Order::PollPopTimeout(millis) => [14, millis],
            Order::PollPush(value) => [15, value],
            Order::Close => [16, 0],
            Order::PublishAndDie(value) => [17, value],
            Order::MakeRoomAndDie => [18, 0],
            Order::EndAndDie => [19, 0],
            Order::Exit => [20, 0],
        }
    }
}

impl Answer {
    fn words(self) -> [u64; 2] {
        match self {
            Answer::Done => [0, 0],
            Answer::Message(value) => [1, value],
            Answer::End => [2, 0],
            Answer::EmptyOrFull => [3, 0],
            Answer::TimedOut => [4, 0],
            Answer::PeerDied => [5, 0],
            Answer::Taken(pid) => [6, u64::from(pid)],
            Answer::StreamEnded => [7, 0],
            Answer::Error => [8, 0],
        }
    }

    fn from_words([kind, value]: [u64; 2]) -> Self {
        match kind {
            0 => Answer::Done,
            1 => Answer::Message(value),
            2 => Answer::End,
            3 => Answer::EmptyOrFull,
            4 => Answer::TimedOut,
            5 => Answer::PeerDied,
            6 => Answer::Taken(value as u32),
            7 => Answer::StreamEnded,
            _ => Answer::Error,
        }
    }
}

impl<T> From<Result<T, OpenError>> for Answer {
    fn from(result: Result<T, OpenError>) -> Self {
        match result {
            Ok(_) => Answer::Done,
            Err(OpenError::RoleTaken { pid, .. }) => Answer::Taken(pid),
            Err(OpenError::Ended { .. }) => Answer::StreamEnded,
            Err(_) => Answer::Error,
        }
    }
}

impl From<Result<(), PushError>> for Answer {
    fn from(result: Result<(), PushError>) -> Self {
        match result {
            Ok(()) => Answer::Done,
            Err(PushError::Full) => Answer::EmptyOrFull,
            Err(PushError::TimedOut) => Answer::TimedOut,
            Err(PushError::ConsumerDied) => Answer::PeerDied,
            Err(_) => Answer::Error,
        }
    }
}

impl From<Result<Option<u64>, PopError>> for Answer {
    fn from(result: Result<Option<u64>, PopError>) -> Self {
        match result {
            Ok(Some(value)) => Answer::Message(value),
            Ok(None) => Answer::End,
            Err(PopError::Empty) => Answer::EmptyOrFull,
            Err(PopError::TimedOut) => Answer::TimedOut,
            Err(PopError::ProducerDied) => Answer::PeerDied,
            Err(_) => Answer::Error,
        }
    }
}

/// A hand as the test sees it. Killed and reaped on drop.
pub struct Hand {
    line: Line,
    pub process: Process,
}

impl Hand {
    /// Starts one. The test begins with `run_if_worker(scope, &[("hand", &hand::role)])`.
    pub fn start(scope: &str, test: &str, ring: &Ring<u64>) -> Self {
        let (line, theirs) = Line::pair();
        let process = Process::builder(scope, "hand")
            .under_test(test)
            .fd("ring", ring.segment().descriptor().unwrap())
            .fd("line", OwnedFd::from(theirs))
            .spawn()
            .unwrap();
        Self { line, process }
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Gives an order whose answer is asked for later.
    pub fn begin(&self, order: Order) {
        self.line.say(order.words());
    }

    #[track_caller]
    pub fn answer(&self) -> Answer {
        let words = self.line.hear().expect("the hand lives");
        Answer::from_words(words)
    }

    #[track_caller]
    pub fn ask(&self, order: Order) -> Answer {
        self.begin(order);
        self.answer()
    }

    /// Gives an order that must succeed without a value.
    #[track_caller]
    pub fn must(&self, order: Order) {
        assert_eq!(self.ask(order), Answer::Done, "{order:?}");
    }

    /// Kills it and waits until the kernel has taken away everything it had.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        let exit = self.process.join().unwrap();
        // Else it had ended by itself.
        assert_eq!(
            exit.status,
            ipc_process::ExitStatusKind::Signal(9),
            "{exit}"
        );
    }

    /// Waits for its end, which the last order brings about.
    pub fn join(mut self) {
        self.process
            .join_timeout(super::PATIENCE)
            .unwrap()
            .expect("it ends");
    }
}

/// The worker's side.
pub fn role(worker: &mut Worker) -> WorkResult {
    let line = Line::over(worker.take_fd("line")?);
    let ring = Ring::<u64>::open(worker.take_fd("ring")?)?;
    let mut state = State {
        raw: Raw::of(&ring),
        ring,
        tx: None,
        rx: None,
        wait: Wait::default(),
    };
    while let Some(words) = line.obey() {
        line.say(state.obey(words).words());
    }
    Ok(())
}

struct State {
    raw: Raw,
    ring: Ring<u64>,
    tx: Option<Producer<u64>>,
    rx: Option<Consumer<u64>>,
    wait: Wait,
}

impl State {
    fn obey(&mut self, [order, value]: [u64; 2]) -> Answer {
        match order {
            0 => {
                let made = self.ring.producer().map(|mut tx| {
                    tx.set_wait(self.wait);
                    self.tx = Some(tx);
                });
                return made.into();
            }
            1 => {
                let made = self.ring.consumer().map(|mut rx| {
                    rx.set_wait(self.wait);
                    self.rx = Some(rx);
                });
                return made.into();
            }
            2 => drop(self.tx.take().unwrap()),
            3 => drop(self.rx.take().unwrap()),
            4 => self.wait = [Wait::Busy, Wait::Park, Wait::Adaptive][value as usize],
            5 => return self.tx().try_push(value).into(),
            6 => return self.tx().push(value).into(),
            7 => {
                let timeout = Duration::from_millis(value & 0xFFFF_FFFF);
                return self.tx().push_timeout(value >> 32, timeout).into();
            }
            8 => {
                let mut slot = self.tx().try_reserve().unwrap();
                *slot = value;
            }
            9 => return self.rx().try_pop().into(),
            10 => return self.rx().pop().into(),
            11 => return self.rx().pop_timeout(Duration::from_millis(value)).into(),
            12 => return self.rx().peek().map(|slot| slot.map(|it| *it)).into(),
            13 => loop {
                match self.rx().try_pop() {
                    Err(PopError::Empty) => std::hint::spin_loop(),
                    other => return other.into(),
                }
            },
            14 => loop {
                match self.rx().pop_timeout(Duration::from_millis(value)) {
                    Err(PopError::TimedOut) => {}
                    other => return other.into(),
                }
            },
            15 => loop {
                match self.tx().try_push(value) {
                    Err(PushError::Full) => std::hint::spin_loop(),
                    other => return other.into(),
                }
            },
            16 => return self.tx.take().unwrap().close().into(),
            17 => {
                let tail = self.raw.get(raw::TAIL);
                let slot = tail % self.ring.capacity().next_power_of_two() as u64;
                self.raw.set(raw::SLOTS + slot * 8, value);
                self.raw.set(raw::TAIL, tail + 1);
                die();
            }
            18 => {
                let head = self.raw.get(raw::HEAD);
                self.raw.set(raw::HEAD, head + 1);
                die();
            }
            19 => {
                self.raw.set(raw::CLOSED, 1);
                die();
            }
            20 => std::process::exit(0),
            other => panic!("no such order: {other}"),
        }
        Answer::Done
    }

    fn tx(&mut self) -> &mut Producer<u64> {
        self.tx.as_mut().expect("it is the producer")
    }

    fn rx(&mut self) -> &mut Consumer<u64> {
        self.rx.as_mut().expect("it is the consumer")
    }
}

fn die() -> ! {
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).unwrap();
    unreachable!("it is dead");
}
