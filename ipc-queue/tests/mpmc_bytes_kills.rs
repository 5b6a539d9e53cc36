//! Senders and receivers of byte messages are killed and stopped at random moments, and replaced:
//! every message that was committed is finished exactly once, or again only after its receiver
//! died, and whole; and when all are gone every block is there.
//!
//! `MPMC_ROUNDS=1000 cargo test --release -p ipc-queue --test mpmc_bytes_kills` is a soak.

mod common;
mod mpmc_common;

use ipc_core::{Segment, Wait};
use ipc_process::{run_if_worker, test_name};
use ipc_queue::mpmc::bytes::{Queue, QueueOptions};
use ipc_queue::mpmc::{PopError, PushError, Stats};
use mpmc_common::byte_worker::{LONGEST, message_in, receiver, sender};
use mpmc_common::kills::{self, Plan, Subject};
use mpmc_common::ledger::Ledger;
use mpmc_common::worker::{Form, QUEUE, SCOPE};

/// With few blocks: long messages mostly wait for one.
struct Scarce(Queue);

/// Of both sizes.
const BLOCKS: [(usize, usize); 2] = [(768, 3), (3072, 2)];

impl Scarce {
    fn options() -> QueueOptions {
        let [(small, few), (large, fewer)] = BLOCKS;
        Queue::options().blocks(small, few).blocks(large, fewer)
    }
}

impl Subject for Scarce {
    fn bytes(plan: &Plan) -> usize {
        Self::options()
            .size_for(plan.capacity, LONGEST, 1024)
            .unwrap()
    }

    fn create(segment: &Segment, plan: &Plan) -> Self {
        let options = Self::options().first_lap(plan.first_lap);
        let queue = options.create_in(segment, QUEUE, plan.capacity, LONGEST);
        Self(queue.unwrap())
    }

    fn take_the_rest(&self, ledger: &Ledger, seat: usize) {
        let mut rx = self.0.receiver().unwrap();
        loop {
            match rx.try_take() {
                Ok(Some(bytes)) => {
                    let message = message_in(&bytes).expect("it is whole");
                    ledger.got(seat, &message);
                    drop(bytes);
                    ledger.finished(seat, &message);
                }
                Err(PopError::ProducersDied) => {}
                Err(PopError::Empty) => break,
                other => panic!("{other:?}"),
            }
        }
    }

    fn nothing_is_missing(&self, plan: &Plan) {
        let survey = self.0.survey().unwrap();
        for (class, (_, blocks)) in survey.classes.iter().zip(BLOCKS) {
            let there = class.free + class.over;
            assert_eq!((there, class.blocks), (blocks, blocks), "{survey:?}");
        }
        let (mut tx, mut rx) = (self.0.sender().unwrap(), self.0.receiver().unwrap());
        for round in 0..3 {
            // As many slots as there are, and as many blocks.
            for number in 0..plan.capacity {
                let error = format!("round {round}: {number} of {}", plan.capacity);
                tx.try_push(&[1; 60]).expect(&error);
            }
            assert!(matches!(tx.try_push(&[]), Err(PushError::Full)));
            for _ in 0..plan.capacity {
                assert_eq!(*rx.try_take().unwrap().unwrap(), [1; 60]);
            }
            let blocks: usize = BLOCKS.iter().map(|it| it.1).sum();
            for number in 0..blocks.min(plan.capacity) {
                let error = format!("round {round}: block {number}");
                tx.try_push(&[2; 700]).expect(&error);
            }
            assert!(matches!(tx.try_push(&[3; 700]), Err(PushError::Full)));
            for _ in 0..blocks.min(plan.capacity) {
                assert_eq!(*rx.try_take().unwrap().unwrap(), [2; 700]);
            }
        }
        tx.close().unwrap();
        assert!(rx.try_take().unwrap().is_none());
        assert_eq!(self.stats().senders, 0);
    }

    fn stats(&self) -> Stats {
        self.0.stats().unwrap()
    }
}

fn run(test: &'static str, plan: impl Fn() -> Plan) {
    run_if_worker(SCOPE, &[("sender", &sender), ("receiver", &receiver)]);
    kills::run::<Scarce>(test, plan);
}

const FORMS: &[Form] = &[Form::InPlace, Form::Copy, Form::Slices];
const WAITS: &[Wait] = &[Wait::Adaptive, Wait::Park, Wait::Busy];

#[test]
fn four_by_four() {
    run(test_name!(), || Plan {
        capacity: 16,
        senders: 4,
        receivers: 4,
        kills: 1_500,
        stop_one_in: 10,
        forms: FORMS,
        waits: WAITS,
        first_lap: 1,
    });
}

/// Laps as they stand in the words of slots and blocks go round at once.
#[test]
fn four_by_four_round_the_edge_of_laps() {
    run(test_name!(), || Plan {
        capacity: 3,
        senders: 4,
        receivers: 4,
        kills: 600,
        stop_one_in: 5,
        forms: FORMS,
        waits: WAITS,
        first_lap: (1 << 44) - 10_000,
    });
}

#[test]
fn two_by_two_over_one_slot() {
    run(test_name!(), || Plan {
        capacity: 1,
        senders: 2,
        receivers: 2,
        kills: 400,
        stop_one_in: 10,
        forms: FORMS,
        waits: &[Wait::Adaptive, Wait::Park],
        first_lap: (1 << 44) - 5_000,
    });
}
