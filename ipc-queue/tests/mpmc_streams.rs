//! Streams of many messages between many processes: each arrives once, whole, and in its sender's
//! order, for every form of pushing and popping.

mod common;
mod mpmc_common;

use ipc_core::{Place, Wait};
use ipc_queue::mpmc::Queue;
use mpmc_common::message::Message;
use mpmc_common::peer::Peer;
use mpmc_common::worker::{Form, Order};
use mpmc_common::{Random, from_env};

const LAST_LAP: u64 = (1 << 44) - 1;

#[derive(Clone, Copy, Debug)]
struct Shape {
    senders: u32,
    receivers: u32,
    capacity: usize,
    first_lap: u64,
    push: Form,
    pop: Form,
    wait: Wait,
}

fn push_all(queue: &Queue<Message>, me: u32, count: u64, shape: Shape) {
    let mut tx = queue.sender().unwrap();
    tx.set_wait(shape.wait);
    let mut random = Random::new(u64::from(me) + 1);
    let mut number = 0;
    while number < count {
        match shape.push {
            Form::Copy => tx.push(Message::new(me, 0, number)).unwrap(),
            Form::InPlace => {
                let mut slot = tx.reserve().unwrap();
                if random.below(8) == 0 {
                    drop(slot);
                    continue;
                }
                *slot = Message::new(me, 0, number);
                slot.commit().unwrap();
            }
            Form::Slices => {
                let many = random.below(50).min(count - number - 1) + 1;
                let messages: Vec<_> = (number..number + many)
                    .map(|number| Message::new(me, 0, number))
                    .collect();
                tx.push_slice(&messages).unwrap();
                number += many - 1;
            }
        }
        number += 1;
    }
}

/// The number of messages, and the sum of their numbers.
fn pop_all(queue: &Queue<Message>, shape: Shape) -> [u64; 2] {
    let mut rx = queue.receiver().unwrap();
    rx.set_wait(shape.wait);
    let mut order = Order::default();
    let mut totals = [0; 2];
    let mut note = |message: &Message| {
        assert!(message.is_whole(), "{message:?}");
        order.check(message).unwrap();
        totals[0] += 1;
        totals[1] += message.number;
    };
    match shape.pop {
        Form::Copy => {
            while let Some(message) = rx.pop().unwrap() {
                note(&message);
            }
        }
        Form::InPlace => {
            while let Some(message) = rx.take().unwrap() {
                assert!(!message.is_redelivered());
                note(&message);
            }
        }
        Form::Slices => {
            let mut into = [Message::new(0, 0, 0); 37];
            while let Some(count) = rx.pop_slice(&mut into).unwrap() {
                into[..count].iter().for_each(&mut note);
            }
        }
    }
    totals
}

fn stream(shape: Shape, messages: u64) {
    let queue = Queue::<Message>::options()
        .first_lap(shape.first_lap)
        .create(Place::memfd("stream"), shape.capacity)
        .unwrap();
    let each = messages / u64::from(shape.senders);
    let receivers: Vec<_> = (0..shape.receivers)
        .map(|_| Peer::start(&queue, |queue, line| line.say(pop_all(queue, shape))))
        .collect();
    let senders: Vec<_> = (0..shape.senders)
        .map(|me| {
            Peer::start(&queue, |queue, line| {
                push_all(queue, me, each, shape);
                line.say([0, 0]);
            })
        })
        .collect();
    for sender in senders {
        sender.hear();
        sender.join();
    }
    queue.close().unwrap();
    let mut totals = [0; 2];
    for receiver in receivers {
        let theirs = receiver.line.hear().unwrap();
        totals[0] += theirs[0];
        totals[1] += theirs[1];
        receiver.join();
    }
    let senders = u64::from(shape.senders);
    assert_eq!(
        totals,
        [senders * each, senders * (each * (each - 1) / 2)],
        "{shape:?}"
    );
    let stats = queue.stats().unwrap();
    assert_eq!((stats.pushed, stats.popped), (totals[0], totals[0]));
    assert_eq!((stats.senders, stats.receivers), (0, 0));
    assert!(queue.is_empty().unwrap());
}

#[test]
fn of_every_shape_and_form() {
    let messages = from_env("MPMC_MESSAGES", 6_000);
    let forms = [Form::Copy, Form::InPlace, Form::Slices];
    for (senders, receivers) in [(1, 1), (2, 2), (4, 4), (1, 4), (4, 1)] {
        for (nth, form) in forms.into_iter().enumerate() {
            for capacity in [2, 7, 256] {
                stream(
                    Shape {
                        senders,
                        receivers,
                        capacity,
                        first_lap: 1,
                        push: form,
                        pop: forms[(nth + capacity) % 3],
                        wait: Wait::Adaptive,
                    },
                    messages,
                );
            }
        }
    }
}

#[test]
fn round_the_edge_of_laps() {
    for capacity in [1, 2, 3, 16] {
        stream(
            Shape {
                senders: 2,
                receivers: 2,
                capacity,
                first_lap: LAST_LAP - 20,
                push: Form::Copy,
                pop: Form::InPlace,
                wait: Wait::Adaptive,
            },
            from_env("MPMC_MESSAGES", 6_000),
        );
    }
}

#[test]
fn with_every_way_of_waiting() {
    for wait in [Wait::Busy, Wait::Adaptive, Wait::Park] {
        stream(
            Shape {
                senders: 2,
                receivers: 2,
                capacity: 4,
                first_lap: 1,
                push: Form::Copy,
                pop: Form::Copy,
                wait,
            },
            from_env("MPMC_MESSAGES", 6_000) / 6,
        );
    }
}

/// Who comes later finds his way from the claims and the hints, in whatever lap they are.
#[test]
fn newcomers_find_the_oldest_message_and_the_first_free_slot() {
    for capacity in [1, 2, 5, 8] {
        for first_lap in [1, LAST_LAP - 1, LAST_LAP, 1 << 43] {
            let queue = Queue::<u64>::options()
                .first_lap(first_lap)
                .create(Place::memfd("newcomers"), capacity)
                .unwrap();
            let (mut pushed, mut popped) = (0, 0);
            for round in 0..40 {
                for _ in 0..1 + round % capacity {
                    if queue.sender().unwrap().try_push(pushed).is_ok() {
                        pushed += 1;
                    }
                }
                for _ in 0..1 + round % 3 {
                    if queue.receiver().unwrap().try_pop().ok() == Some(Some(popped)) {
                        popped += 1;
                    }
                }
                assert_eq!(queue.len().unwrap() as u64, pushed - popped);
            }
            assert!(popped > 20);
        }
    }
}
