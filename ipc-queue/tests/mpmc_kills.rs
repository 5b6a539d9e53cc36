//! Senders and receivers are killed and stopped at random moments, and replaced; the books show
//! that every message that was committed was finished exactly once, or again only after its
//! receiver died.
//!
//! `MPMC_ROUNDS=1000 cargo test --release -p ipc-queue --test mpmc_kills` is a soak.

mod common;
mod mpmc_common;

use ipc_core::{Segment, Wait};
use ipc_process::{run_if_worker, test_name};
use ipc_queue::mpmc::{PopError, PushError, Queue, Stats};
use mpmc_common::kills::{self, Plan, Subject};
use mpmc_common::ledger::Ledger;
use mpmc_common::message::Message;
use mpmc_common::worker::{Form, QUEUE, SCOPE, receiver, sender};

struct Typed(Queue<Message>);

impl Subject for Typed {
    fn bytes(plan: &Plan) -> usize {
        Queue::<Message>::size_for(plan.capacity, 1024).unwrap()
    }

    fn create(segment: &Segment, plan: &Plan) -> Self {
        let options = Queue::options().first_lap(plan.first_lap);
        Self(options.create_in(segment, QUEUE, plan.capacity).unwrap())
    }

    fn take_the_rest(&self, ledger: &Ledger, seat: usize) {
        let mut rx = self.0.receiver().unwrap();
        loop {
            match rx.try_take() {
                Ok(Some(message)) => {
                    ledger.got(seat, &message);
                    let copy = *message;
                    drop(message);
                    ledger.finished(seat, &copy);
                }
                Err(PopError::ProducersDied) => {}
                Err(PopError::Empty) => break,
                other => panic!("{other:?}"),
            }
        }
    }

    fn nothing_is_missing(&self, plan: &Plan) {
        let (mut tx, mut rx) = (self.0.sender().unwrap(), self.0.receiver().unwrap());
        for round in 0..3 {
            for number in 0..plan.capacity as u64 {
                if let Err(error) = tx.try_push(Message::new(0, round, number)) {
                    panic!("round {round}: {number} of {}: {error}", plan.capacity);
                }
            }
            assert!(matches!(
                tx.try_push(Message::new(0, 0, 0)),
                Err(PushError::Full)
            ));
            for number in 0..plan.capacity as u64 {
                assert_eq!(rx.try_pop().unwrap(), Some(Message::new(0, round, number)));
            }
        }
        tx.close().unwrap();
        assert_eq!(rx.try_pop().unwrap(), None);
        assert_eq!(self.stats().senders, 0);
    }

    fn stats(&self) -> Stats {
        self.0.stats().unwrap()
    }
}

fn run(test: &'static str, plan: impl Fn() -> Plan) {
    run_if_worker(SCOPE, &[("sender", &sender), ("receiver", &receiver)]);
    kills::run::<Typed>(test, plan);
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
