//! Producers and consumers killed at random moments, hundreds of them, with a ledger of every
//! message.
//!
//! Message `n` says `n`, so the ledger shows what was lost, doubled or torn.

mod common;

use common::from_env;
use common::kills::{self, LAST, Ledger, Stage, say_ready, wait_of};
use ipc_core::{Place, Segment};
use ipc_process::{WorkResult, Worker, run_if_worker, test_name};
use ipc_queue::spsc::{PopError, PushError, Ring};
use std::time::Duration;

/// Larger than what is copied word by word, so that a message cut in two would show.
#[derive(Clone, Copy, PartialEq, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Message([u64; 11]);

impl Message {
    fn number(n: u64) -> Self {
        Self(std::array::from_fn(|at| n.wrapping_mul(2 * at as u64 + 1)))
    }

    /// Its number, if it is whole.
    fn read(self) -> u64 {
        assert_eq!(self, Self::number(self.0[0]), "a torn message");
        self.0[0]
    }
}

/// How the consumers take messages.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Pop, then report: at most the one popped last is lost with a consumer.
    PopFirst,
    /// Peek, report, release: nothing is lost, and at most the last is reported twice.
    ReportFirst,
    /// As the first, many at a time.
    Slices,
}

const MODES: [Mode; 3] = [Mode::PopFirst, Mode::ReportFirst, Mode::Slices];
const MOST: usize = 16;

fn produce(worker: &mut Worker) -> WorkResult {
    let (mode, last) = kills::params(worker);
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let ring = Ring::<Message>::open_in(&segment, "data")?;
    let mut tx = ring.producer()?;
    tx.set_wait(wait_of(std::process::id()));
    // A message's number is its place in the stream: what is committed is known from the ring.
    let mut next = ring.pushed()?;
    let end = next + LAST;
    say_ready(worker)?;
    while !last || next < end {
        let pushed = match MODES[mode] {
            Mode::PopFirst => tx.push(Message::number(next)).map(|()| 1),
            Mode::ReportFirst => tx.reserve().map(|mut slot| {
                *slot = Message::number(next);
                slot.commit();
                1
            }),
            Mode::Slices => {
                let many: [Message; MOST] =
                    std::array::from_fn(|at| Message::number(next + at as u64));
                tx.push_slice_timeout(&many, Duration::MAX)
            }
        };
        match pushed {
            Ok(count) => next += count as u64,
            Err(PushError::ConsumerDied) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(tx.close()?)
}

fn consume(worker: &mut Worker) -> WorkResult {
    let (mode, _) = kills::params(worker);
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let mut rx = Ring::<Message>::open_in(&segment, "data")?.consumer()?;
    let mut tx = Ring::<u64>::open_in(&segment, "ledger")?.producer()?;
    rx.set_wait(wait_of(std::process::id()));
    say_ready(worker)?;
    let mut many = [Message::number(0); MOST];
    loop {
        let taken = match MODES[mode] {
            Mode::PopFirst => rx.pop().map(|it| it.map(|it| tx.push(it.read()))),
            Mode::ReportFirst => rx.peek().map(|it| {
                it.map(|message| {
                    let reported = tx.push(message.read());
                    message.release();
                    reported
                })
            }),
            Mode::Slices => rx.pop_slice(&mut many).map(|count| {
                count.map(|count| {
                    let numbers: Vec<u64> = many[..count].iter().map(|it| it.read()).collect();
                    tx.push_slice(&numbers)
                })
            }),
        };
        match taken {
            Ok(Some(reported)) => reported?,
            Ok(None) => break,
            Err(PopError::ProducerDied) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(tx.close()?)
}

fn become_worker() {
    run_if_worker("kills", &[("produce", &produce), ("consume", &consume)]);
}

fn run(test: &str, mode: Mode, capacity: usize, kills: u64, seed: u64) -> Ledger {
    let size = Ring::<Message>::size_for(capacity).unwrap() + Ring::<u64>::size_for(64).unwrap();
    let segment = Segment::create(Place::memfd("kills"), size).unwrap();
    let data = Ring::<Message>::create_in(&segment, "data", capacity).unwrap();
    let book = Ring::<u64>::create_in(&segment, "ledger", 64).unwrap();
    let stage = Stage {
        segment: &segment,
        scope: "kills",
        test,
        mode: MODES.iter().position(|&it| it == mode).unwrap(),
        most_held: u64::from(mode == Mode::ReportFirst),
    };
    let (ledger, at_work) = stage.run(&book, || data.pushed().unwrap(), kills, seed);
    let pushed = data.pushed().unwrap();
    assert_eq!(data.popped().unwrap(), pushed, "all was taken");
    ledger.check(pushed, at_work, kills);
    ledger
}

#[test]
fn a_popped_message_is_all_that_a_killed_consumer_can_take_along() {
    become_worker();
    let kills = from_env("IPC_QUEUE_KILLS", 200);
    for (capacity, seed) in [(1, 1), (100, 2)] {
        let ledger = run(test_name!(), Mode::PopFirst, capacity, kills, seed);
        assert_eq!(ledger.repeated, 0);
        // One for each consumer that was killed, and no producer's death cost any.
        assert!(ledger.missing <= kills / 2, "{ledger:?}");
    }
}

#[test]
fn nothing_is_lost_by_who_reports_before_it_releases() {
    become_worker();
    let kills = from_env("IPC_QUEUE_KILLS", 200);
    for (capacity, seed) in [(1, 3), (100, 4)] {
        let ledger = run(test_name!(), Mode::ReportFirst, capacity, kills, seed);
        assert_eq!(ledger.missing, 0, "{ledger:?}");
        assert!(ledger.repeated <= kills / 2, "{ledger:?}");
    }
}

#[test]
fn slices_are_lost_whole_at_most() {
    become_worker();
    let kills = from_env("IPC_QUEUE_KILLS", 200);
    let ledger = run(test_name!(), Mode::Slices, 100, kills, 5);
    assert_eq!(ledger.repeated, 0, "{ledger:?}");
    assert!(ledger.gaps <= kills / 2, "{ledger:?}");
    assert!(ledger.missing <= kills / 2 * MOST as u64, "{ledger:?}");
}
