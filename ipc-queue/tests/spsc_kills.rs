//! Producers and consumers killed at random moments, hundreds of them, with a ledger of every
//! message.
//!
//! Messages go through one ring from the workers that are killed to others that are killed, and
//! those report each through a second ring to the test, which is never killed. Message `n` says
//! `n`, so the ledger shows what was lost, doubled or torn.

mod common;

use common::{Random, from_env};
use ipc_core::{Place, Segment, Wait};
use ipc_process::{Process, WorkResult, Worker, run_if_worker, test_name};
use ipc_queue::spsc::{PopError, PushError, Ring};
use std::io::{PipeReader, PipeWriter, Read, Write};
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
/// What the last producer pushes before it ends the stream.
const LAST: u64 = 2_000;

fn wait_of(pid: u32) -> Wait {
    [Wait::Park, Wait::Adaptive][pid as usize % 2]
}

fn say_ready(worker: &mut Worker) -> WorkResult {
    Ok(PipeWriter::from(worker.take_fd("ready")?).write_all(b"!")?)
}

fn produce(worker: &mut Worker) -> WorkResult {
    let [mode, last] = bytemuck::pod_read_unaligned::<[u64; 2]>(worker.params());
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let ring = Ring::<Message>::open_in(&segment, "data")?;
    let mut tx = ring.producer()?;
    tx.set_wait(wait_of(std::process::id()));
    // A message's number is its place in the stream: what is committed is known from the ring.
    let mut next = ring.pushed()?;
    let end = next + LAST;
    say_ready(worker)?;
    while last == 0 || next < end {
        let pushed = match MODES[mode as usize] {
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
    let [mode, _] = bytemuck::pod_read_unaligned::<[u64; 2]>(worker.params());
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let mut rx = Ring::<Message>::open_in(&segment, "data")?.consumer()?;
    let mut tx = Ring::<u64>::open_in(&segment, "ledger")?.producer()?;
    rx.set_wait(wait_of(std::process::id()));
    say_ready(worker)?;
    let mut many = [Message::number(0); MOST];
    loop {
        let taken = match MODES[mode as usize] {
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

struct Stage<'a> {
    segment: &'a Segment,
    test: &'a str,
    mode: u64,
}

impl Stage<'_> {
    /// Starts a worker, and hands back the pipe through which it says that it has its role.
    fn start(&self, role: &str, last: bool) -> (Process, PipeReader) {
        let (ready, theirs) = std::io::pipe().unwrap();
        let worker = Process::builder("kills", role)
            .under_test(self.test)
            .params(bytemuck::bytes_of(&[self.mode, u64::from(last)]))
            .fd("segment", self.segment.descriptor().unwrap())
            .fd("ready", theirs)
            .spawn()
            .unwrap();
        (worker, ready)
    }

    fn kill(&self, (mut worker, _): (Process, PipeReader)) {
        assert!(worker.is_alive(), "{}", worker.join().unwrap());
        worker.kill().unwrap();
        worker.join().unwrap();
    }
}

/// What the ledger says.
#[derive(Debug, Default)]
struct Ledger {
    received: u64,
    /// Places at which numbers are missing, and how many are in all.
    gaps: u64,
    missing: u64,
    repeated: u64,
    deaths: u64,
    end: u64,
}

fn keep_ledger(ring: &Ring<u64>) -> Ledger {
    let mut rx = ring.consumer().unwrap();
    let mut ledger = Ledger::default();
    loop {
        let number = match rx.pop_timeout(common::PATIENCE) {
            Ok(Some(number)) => number,
            Ok(None) => return ledger,
            Err(PopError::ProducerDied) => {
                ledger.deaths += 1;
                continue;
            }
            Err(error) => panic!("{error}; {ledger:?}"),
        };
        ledger.received += 1;
        if number + 1 == ledger.end {
            ledger.repeated += 1;
            continue;
        }
        assert!(number >= ledger.end, "out of order: {number}; {ledger:?}");
        ledger.gaps += u64::from(number > ledger.end);
        ledger.missing += number - ledger.end;
        ledger.end = number + 1;
    }
}

fn run(test: &str, mode: Mode, capacity: usize, kills: u64, seed: u64) -> Ledger {
    let size = Ring::<Message>::size_for(capacity).unwrap() + Ring::<u64>::size_for(64).unwrap();
    let segment = Segment::create(Place::memfd("kills"), size).unwrap();
    let data = Ring::<Message>::create_in(&segment, "data", capacity).unwrap();
    let book = Ring::<u64>::create_in(&segment, "ledger", 64).unwrap();
    let stage = Stage {
        segment: &segment,
        test,
        mode: MODES.iter().position(|&it| it == mode).unwrap() as u64,
    };
    let mut random = Random::new(seed);
    let (ledger, at_work) = std::thread::scope(|scope| {
        let ledger = scope.spawn(|| keep_ledger(&book));
        let mut producer = stage.start("produce", false);
        let mut consumer = stage.start("consume", false);
        let (mut pushed, mut at_work) = (0, 0);
        for kill in 0..kills {
            let victim = match kill % 2 {
                0 => &mut producer,
                _ => &mut consumer,
            };
            // Mostly at work, now and then while it still comes.
            if random.below(8) != 0 {
                assert_eq!(victim.1.read(&mut [0]).unwrap(), 1, "it has its role");
                if kill % 2 == 0 {
                    // However busy the machine is, something goes through between the kills.
                    common::until("a message", || data.pushed().unwrap() > pushed);
                    at_work += 1;
                }
            }
            // The moment is what is random; nothing is waited for.
            std::thread::sleep(Duration::from_micros(random.below(1500)));
            if kill % 2 == 0 {
                stage.kill(producer);
                pushed = data.pushed().unwrap();
                producer = stage.start("produce", false);
            } else {
                stage.kill(consumer);
                consumer = stage.start("consume", false);
            }
        }
        stage.kill(producer);
        let (mut producer, _ready) = stage.start("produce", true);
        producer.join().unwrap().into_result().unwrap();
        consumer.0.join().unwrap().into_result().unwrap();
        (ledger.join().unwrap(), at_work)
    });
    let pushed = data.pushed().unwrap();
    assert_eq!(data.popped().unwrap(), pushed, "all was taken");
    // The last ones were taken by a consumer that was not killed.
    assert_eq!(ledger.end, pushed, "{ledger:?}");
    let counted = ledger.received + ledger.missing - ledger.repeated;
    assert_eq!(counted, pushed, "{ledger:?}");
    assert!(pushed >= LAST + at_work, "{ledger:?}");
    // Every death of a ledger's producer that was told is one that was.
    assert!(ledger.deaths <= kills, "{ledger:?}");
    eprintln!("{kills} kills, {pushed} messages, {ledger:?}");
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
