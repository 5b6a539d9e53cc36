//! Producers and consumers killed at random moments, with a ledger of every message.
//!
//! Messages go through one ring from the workers that are killed to others that are killed, and
//! those report the number of each through a second ring to the test, which is never killed.

use super::{PATIENCE, Random, until};
use ipc_core::{Segment, Wait};
use ipc_process::{Process, WorkResult, Worker};
use ipc_queue::spsc::{PopError, Ring};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::time::Duration;

/// What the last producer pushes before it ends the stream.
pub const LAST: u64 = 2_000;

pub fn wait_of(pid: u32) -> Wait {
    [Wait::Park, Wait::Adaptive][pid as usize % 2]
}

/// A worker's parameters: how it works, and whether it is the last producer.
pub fn params(worker: &Worker) -> (usize, bool) {
    let [mode, last] = bytemuck::pod_read_unaligned::<[u64; 2]>(worker.params());
    (mode as usize, last != 0)
}

pub fn say_ready(worker: &mut Worker) -> WorkResult {
    Ok(PipeWriter::from(worker.take_fd("ready")?).write_all(b"!")?)
}

/// Starts workers of the roles "produce" and "consume", and kills them.
pub struct Stage<'a> {
    pub segment: &'a Segment,
    pub scope: &'a str,
    pub test: &'a str,
    pub mode: usize,
    /// How many messages a consumer may have reported and not released.
    pub most_held: u64,
}

impl Stage<'_> {
    /// Starts a worker, and hands back the pipe through which it says that it has its role.
    fn start(&self, role: &str, last: bool) -> (Process, PipeReader) {
        let (ready, theirs) = std::io::pipe().unwrap();
        let worker = Process::builder(self.scope, role)
            .under_test(self.test)
            .params(bytemuck::bytes_of(&[self.mode as u64, u64::from(last)]))
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

    /// Kills so many, producers and consumers in turn. `pushed` grows with every push. Returns the
    /// ledger, and how many producers were seen at work.
    pub fn run(
        &self,
        book: &Ring<u64>,
        pushed: impl Fn() -> u64,
        kills: u64,
        seed: u64,
    ) -> (Ledger, u64) {
        let mut random = Random::new(seed);
        std::thread::scope(|scope| {
            let ledger = scope.spawn(|| keep_ledger(book, self.most_held));
            let mut producer = self.start("produce", false);
            let mut consumer = self.start("consume", false);
            let (mut before, mut at_work) = (0, 0);
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
                        until("a message", || pushed() > before);
                        at_work += 1;
                    }
                }
                // The moment is what is random; nothing is waited for.
                std::thread::sleep(Duration::from_micros(random.below(1500)));
                if kill % 2 == 0 {
                    self.kill(producer);
                    before = pushed();
                    producer = self.start("produce", false);
                } else {
                    self.kill(consumer);
                    consumer = self.start("consume", false);
                }
            }
            self.kill(producer);
            let (mut producer, _ready) = self.start("produce", true);
            producer.join().unwrap().into_result().unwrap();
            consumer.0.join().unwrap().into_result().unwrap();
            (ledger.join().unwrap(), at_work)
        })
    }
}

/// What the ledger says.
#[derive(Debug, Default)]
pub struct Ledger {
    pub received: u64,
    /// Places at which numbers are missing, and how many are in all.
    pub gaps: u64,
    pub missing: u64,
    pub repeated: u64,
    pub deaths: u64,
    pub end: u64,
}

impl Ledger {
    /// Checks it against how many messages there were.
    #[track_caller]
    pub fn check(&self, messages: u64, at_work: u64, kills: u64) {
        // The last ones were taken by a consumer that was not killed.
        assert_eq!(self.end, messages, "{self:?}");
        let counted = self.received + self.missing - self.repeated;
        assert_eq!(counted, messages, "{self:?}");
        assert!(messages >= LAST + at_work, "{self:?}");
        // Every death of a ledger's producer that was told is one that was.
        assert!(self.deaths <= kills, "{self:?}");
        eprintln!("{kills} kills, {messages} messages, {self:?}");
    }
}

fn keep_ledger(ring: &Ring<u64>, most_held: u64) -> Ledger {
    let mut rx = ring.consumer().unwrap();
    let mut ledger = Ledger::default();
    let mut next = 0;
    loop {
        let number = match rx.pop_timeout(PATIENCE) {
            Ok(Some(number)) => number,
            Ok(None) => return ledger,
            Err(PopError::ProducerDied) => {
                ledger.deaths += 1;
                continue;
            }
            Err(error) => panic!("{error}; {ledger:?}"),
        };
        ledger.received += 1;
        if number < ledger.end {
            // A successor begins again with what the dead one held, and goes on in order.
            let again = number == next || number + most_held >= ledger.end;
            assert!(again, "out of order: {number}; {ledger:?}");
            ledger.repeated += 1;
        } else {
            ledger.gaps += u64::from(number > ledger.end);
            ledger.missing += number - ledger.end;
            ledger.end = number + 1;
        }
        next = number + 1;
    }
}
