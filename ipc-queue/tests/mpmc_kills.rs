//! Senders and receivers are killed and stopped at random moments, and replaced; the books show
//! that every message that was committed was finished exactly once, or again only after its
//! receiver died.
//!
//! `MPMC_ROUNDS=1000 cargo test --release -p ipc-queue --test mpmc_kills` is a soak.

mod common;
mod mpmc_common;

use ipc_core::Wait;
use ipc_process::{Process, run_if_worker, test_name};
use ipc_queue::mpmc::{PopError, PushError, Queue};
use mpmc_common::ledger::{Held, Ledger, Phase};
use mpmc_common::message::Message;
use mpmc_common::worker::{Form, Kind, QUEUE, Seat, receiver, sender};
use mpmc_common::{Random, from_env, segment};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

const SCOPE: &str = "kills";
const MESSAGES_PER_SEAT: usize = 2_000_000;

fn become_worker() {
    run_if_worker(SCOPE, &[("sender", &sender), ("receiver", &receiver)]);
}

/// How a run is set up.
struct Plan {
    capacity: usize,
    senders: u32,
    receivers: u32,
    kills: u64,
    /// Of so many strikes, one stops its victim for a while instead.
    stop_one_in: u64,
    forms: &'static [Form],
    waits: &'static [Wait],
    /// The lap in which positions start.
    first_lap: u64,
}

struct Run {
    plan: Plan,
    test: &'static str,
    segment: ipc_core::Segment,
    queue: Queue<Message>,
    ledger: Ledger,
    workers: Vec<(Seat, Process)>,
    stopped: Vec<usize>,
    /// Messages in doubt because their sender was killed.
    doubtful: HashSet<usize>,
    /// How often a receiver was killed that had this message; and of those, while it finished it.
    orphaned: HashMap<usize, (u64, u64)>,
    random: Random,
    kills: u64,
    stops: u64,
}

impl Run {
    fn new(plan: Plan, test: &'static str) -> Self {
        let size = Queue::<Message>::size_for(plan.capacity, 1024).unwrap()
            + Ledger::bytes(plan.senders as usize, MESSAGES_PER_SEAT);
        let segment = segment(size);
        let queue = Queue::options()
            .first_lap(plan.first_lap)
            .create_in(&segment, QUEUE, plan.capacity)
            .unwrap();
        let ledger = Ledger::create(&segment, plan.senders as usize, MESSAGES_PER_SEAT);
        let seed = from_env("MPMC_SEED", u64::from(std::process::id()));
        println!("MPMC_SEED={seed}");
        let mut run = Self {
            workers: Vec::new(),
            stopped: Vec::new(),
            doubtful: HashSet::new(),
            orphaned: HashMap::new(),
            random: Random::new(seed),
            kills: 0,
            stops: 0,
            plan,
            test,
            segment,
            queue,
            ledger,
        };
        for number in 0..run.plan.senders {
            run.seat(Kind::Sender, number);
        }
        for number in 0..run.plan.receivers {
            run.seat(Kind::Receiver, number);
        }
        run
    }

    fn seat(&mut self, kind: Kind, number: u32) {
        let nth = number as usize;
        let seat = Seat {
            kind,
            number,
            generation: 0,
            form: self.plan.forms[nth % self.plan.forms.len()],
            wait: self.plan.waits[nth % self.plan.waits.len()],
        };
        let process = seat.start(SCOPE, self.test, &self.segment);
        self.workers.push((seat, process));
    }

    /// Kills and stops until there were enough kills.
    fn strike(&mut self) {
        while self.kills < self.plan.kills && self.ledger.faults() == 0 {
            let pause = self.random.below(3_000);
            std::thread::sleep(Duration::from_micros(pause));
            let victim = self.random.below(self.workers.len() as u64) as usize;
            if self.stopped.len() > 2 || self.random.below(4) == 0 {
                self.resume_one();
            }
            if self.random.below(self.plan.stop_one_in) == 0 && !self.stopped.contains(&victim) {
                self.workers[victim].1.stop().unwrap();
                self.stopped.push(victim);
                self.stops += 1;
            } else {
                self.kill(victim);
            }
        }
        while !self.stopped.is_empty() {
            self.resume_one();
        }
    }

    fn resume_one(&mut self) {
        if self.stopped.is_empty() {
            return;
        }
        let which = self.random.below(self.stopped.len() as u64) as usize;
        let index = self.stopped.swap_remove(which);
        self.workers[index].1.resume().unwrap();
    }

    fn kill(&mut self, victim: usize) {
        let (seat, process) = &mut self.workers[victim];
        process.kill().unwrap();
        process.join().unwrap();
        self.stopped.retain(|&it| it != victim);
        self.kills += 1;
        match seat.kind {
            Kind::Sender => {
                if let Some(number) = self.ledger.in_doubt(seat.number) {
                    let index = self.ledger.index_of(seat.number, number);
                    self.doubtful.insert(index);
                    // The next one goes on behind it.
                    self.ledger.done(seat.number, number);
                }
            }
            Kind::Receiver => match self.ledger.take_held(seat.number as usize) {
                Held::Nothing => {}
                Held::Working(index) => self.orphaned.entry(index).or_default().0 += 1,
                Held::Finishing(index) => {
                    let orphan = self.orphaned.entry(index).or_default();
                    orphan.0 += 1;
                    orphan.1 += 1;
                }
            },
        }
        seat.generation += 1;
        *process = seat.start(SCOPE, self.test, &self.segment);
    }

    /// Lets the workers come to an end.
    fn drain(&mut self) {
        self.ledger.set_phase(Phase::Drain);
        for (seat, process) in &mut self.workers {
            let exit = process
                .join_timeout(mpmc_common::PATIENCE)
                .unwrap()
                .unwrap_or_else(|| panic!("{seat:?} does not come to an end"));
            assert!(exit.success(), "{seat:?}: {exit:?}");
        }
    }

    /// What is left when all workers are gone.
    fn take_the_rest(&mut self) {
        self.segment.recover().unwrap();
        let mut rx = self.queue.receiver().unwrap();
        loop {
            match rx.try_take() {
                Ok(Some(message)) => {
                    self.ledger.got(63, &message);
                    let copy = *message;
                    drop(message);
                    self.ledger.finished(63, &copy);
                }
                Err(PopError::ProducersDied) => {}
                Err(PopError::Empty) => break,
                other => panic!("{other:?}"),
            }
        }
    }

    /// All of the capacity is there, and the end comes.
    fn nothing_is_missing(&self) {
        let (mut tx, mut rx) = (self.queue.sender().unwrap(), self.queue.receiver().unwrap());
        for round in 0..3 {
            for number in 0..self.plan.capacity as u64 {
                if let Err(error) = tx.try_push(Message::new(0, round, number)) {
                    panic!("round {round}: {number} of {}: {error}", self.plan.capacity);
                }
            }
            assert!(matches!(
                tx.try_push(Message::new(0, 0, 0)),
                Err(PushError::Full)
            ));
            for number in 0..self.plan.capacity as u64 {
                assert_eq!(rx.try_pop().unwrap(), Some(Message::new(0, round, number)));
            }
        }
        tx.close().unwrap();
        assert_eq!(rx.try_pop().unwrap(), None);
        assert_eq!(self.queue.stats().unwrap().senders, 0);
    }

    fn audit(&self) {
        let (mut committed, mut again, mut vanished) = (0, 0, 0);
        for seat in 0..self.plan.senders {
            for number in 0..self.ledger.intended(seat) {
                let index = self.ledger.index_of(seat, number);
                let (got, finished) = self.ledger.counts(index);
                let (orphaned, finishing) = self.orphaned.get(&index).copied().unwrap_or_default();
                let name = format!(
                    "number {number} of seat {seat}: got {got}, finished {finished}, \
                     orphaned {orphaned}, {finishing} of these while finishing"
                );
                if got == 0 && orphaned == 0 && self.doubtful.contains(&index) {
                    vanished += 1;
                    continue;
                }
                committed += 1;
                again += u64::from(orphaned > 0);
                // A killed receiver may have finished it, if it was about to.
                assert!(finished + finishing >= 1, "lost: {name}");
                assert!(finished <= 1, "doubled: {name}");
                // Each time but one it was got by one that died with it.
                assert!(got <= orphaned + 1, "doubled: {name}");
            }
        }
        let stats = self.queue.stats().unwrap();
        println!(
            "{} kills, {} stops: {committed} messages, {again} orphaned, {vanished} of {} in \
             doubt vanished; {stats:?}",
            self.kills,
            self.stops,
            self.doubtful.len()
        );
        assert!(committed > 0);
        assert_eq!(self.ledger.faults(), 0);
    }
}

/// The same plan again and again in a soak.
fn run(test: &'static str, plan: impl Fn() -> Plan) {
    become_worker();
    for _ in 0..from_env("MPMC_ROUNDS", 1) {
        let mut run = Run::new(plan(), test);
        run.strike();
        run.drain();
        run.take_the_rest();
        run.nothing_is_missing();
        run.audit();
    }
}

const FORMS: &[Form] = &[Form::InPlace, Form::Copy, Form::Slices];
const WAITS: &[Wait] = &[Wait::Adaptive, Wait::Park, Wait::Busy];

#[test]
fn four_by_four() {
    run(test_name!(), || Plan {
        capacity: 64,
        senders: 4,
        receivers: 4,
        kills: 1_000,
        stop_one_in: 10,
        forms: FORMS,
        waits: WAITS,
        first_lap: 1,
    });
}

/// Laps as they stand in the slots' words go round at once.
#[test]
fn four_by_four_round_the_edge_of_laps() {
    run(test_name!(), || Plan {
        capacity: 3,
        senders: 4,
        receivers: 4,
        kills: 400,
        stop_one_in: 5,
        forms: FORMS,
        waits: WAITS,
        first_lap: (1 << 44) - 50_000,
    });
}

#[test]
fn two_by_two_over_one_slot() {
    run(test_name!(), || Plan {
        capacity: 1,
        senders: 2,
        receivers: 2,
        kills: 300,
        stop_one_in: 10,
        forms: FORMS,
        waits: &[Wait::Adaptive, Wait::Park],
        first_lap: (1 << 44) - 10_000,
    });
}

#[test]
fn one_by_four_and_four_by_one() {
    for (senders, receivers) in [(1, 4), (4, 1)] {
        run(test_name!(), || Plan {
            capacity: 16,
            senders,
            receivers,
            kills: 300,
            stop_one_in: 10,
            forms: FORMS,
            waits: WAITS,
            first_lap: 1,
        });
    }
}
