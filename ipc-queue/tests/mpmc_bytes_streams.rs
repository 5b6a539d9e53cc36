//! Streams of byte messages of random lengths between many processes: each arrives once, whole, and
//! in its sender's order.

mod common;
mod mpmc_common;

use ipc_core::{Place, Wait};
use ipc_queue::mpmc::bytes::{INLINE, Queue};
use mpmc_common::peer::Peer;
use mpmc_common::worker::Form;
use mpmc_common::{Random, from_env};
use xxhash_rust::xxh3::xxh3_64;

/// What was sent, or received: how many, and a sum over all bytes of all of them, in any order.
type Totals = [u64; 2];

#[derive(Clone, Copy, Debug)]
struct Shape {
    senders: u64,
    receivers: u64,
    capacity: usize,
    longest: usize,
    /// Of the largest size; there are a few smaller ones.
    blocks: usize,
    first_lap: u64,
    push: Form,
    pop: Form,
    wait: Wait,
}

/// What a message that has room for it begins with.
const HEAD: usize = 16;

fn note(totals: &mut Totals, bytes: &[u8]) {
    totals[0] += 1;
    totals[1] = totals[1].wrapping_add(xxh3_64(bytes));
}

fn push_all(queue: &Queue, me: u64, count: u64, shape: Shape) -> Totals {
    let mut tx = queue.sender().unwrap();
    tx.set_wait(shape.wait);
    let mut random = Random::new(me + 1);
    let source: Vec<u8> = (0..2 * shape.longest + HEAD)
        .map(|_| random.below(256) as u8)
        .collect();
    let mut message = Vec::new();
    let mut totals = [0; 2];
    for number in 0..count {
        let most = match random.below(8) {
            0 => 2 * HEAD,
            1..4 => INLINE + 1,
            _ => shape.longest,
        };
        let len = random.below(most as u64 + 1) as usize;
        let from = random.below(shape.longest as u64) as usize;
        message.clear();
        message.extend_from_slice(&source[from..from + len]);
        if len >= HEAD {
            message[..8].copy_from_slice(&me.to_ne_bytes());
            message[8..HEAD].copy_from_slice(&number.to_ne_bytes());
        }
        match shape.push {
            Form::Copy => tx.push(&message).unwrap(),
            form => {
                if random.below(16) == 0 {
                    drop(tx.reserve(len).unwrap());
                }
                let room = match form {
                    Form::Slices => shape.longest.min(len + 100),
                    _ => len,
                };
                let mut grant = tx.reserve(room).unwrap();
                grant[..len].copy_from_slice(&message);
                grant.commit(len).unwrap();
            }
        }
        note(&mut totals, &message);
    }
    totals
}

fn pop_all(queue: &Queue, shape: Shape) -> Totals {
    let mut rx = queue.receiver().unwrap();
    rx.set_wait(shape.wait);
    let mut next = vec![0; shape.senders as usize];
    let mut totals = [0; 2];
    let mut check = |bytes: &[u8]| {
        note(&mut totals, bytes);
        if let Some((head, _)) = bytes.split_at_checked(HEAD) {
            let [sender, number]: [u64; 2] = bytemuck::pod_read_unaligned(head);
            let next = &mut next[sender as usize];
            assert!(number >= *next, "{number} after {next}");
            *next = number + 1;
        }
    };
    match shape.pop {
        Form::Copy => {
            let mut bytes = Vec::new();
            while rx.pop_into(&mut bytes).unwrap().is_some() {
                check(&bytes);
            }
        }
        _ => {
            while let Some(bytes) = rx.take().unwrap() {
                check(&bytes);
            }
        }
    }
    totals
}

fn stream(shape: Shape, messages: u64) {
    let queue = Queue::options()
        .first_lap(shape.first_lap)
        .blocks(shape.longest.min(400), 2)
        .blocks(shape.longest, shape.blocks)
        .create(Place::memfd("stream"), shape.capacity, shape.longest)
        .unwrap();
    let each = messages / shape.senders;
    let receivers: Vec<_> = (0..shape.receivers)
        .map(|_| {
            Peer::attached(queue.segment(), |segment, line| {
                line.say(pop_all(&Queue::open(segment).unwrap(), shape));
            })
        })
        .collect();
    let senders: Vec<_> = (0..shape.senders)
        .map(|me| {
            Peer::attached(queue.segment(), |segment, line| {
                line.say(push_all(&Queue::open(segment).unwrap(), me, each, shape));
            })
        })
        .collect();
    let sum = |peers: Vec<Peer>| {
        let mut sum = [0u64; 2];
        for peer in peers {
            let theirs = peer.line.hear().unwrap();
            sum[0] += theirs[0];
            sum[1] = sum[1].wrapping_add(theirs[1]);
            peer.join();
        }
        sum
    };
    let sent = sum(senders);
    queue.close().unwrap();
    assert_eq!(sum(receivers), sent, "{shape:?}");
    assert_eq!(sent[0], each * shape.senders);
    for class in queue.survey().unwrap().classes {
        assert_eq!(class.free, class.blocks, "{shape:?}");
    }
}

fn of(senders: u64, receivers: u64) -> Shape {
    Shape {
        senders,
        receivers,
        capacity: 64,
        longest: 5000,
        blocks: 16,
        first_lap: 1,
        push: Form::Copy,
        pop: Form::InPlace,
        wait: Wait::Adaptive,
    }
}

fn messages() -> u64 {
    from_env("MPMC_MESSAGES", 100_000)
}

#[test]
fn of_random_lengths_between_processes() {
    for (senders, receivers) in [(1, 1), (1, 3), (3, 1), (3, 3)] {
        for push in [Form::Copy, Form::InPlace, Form::Slices] {
            for pop in [Form::Copy, Form::InPlace] {
                let shape = Shape {
                    push,
                    pop,
                    ..of(senders, receivers)
                };
                stream(shape, messages() / 4);
            }
        }
    }
}

/// All wait for the last block, asleep or not.
#[test]
fn through_one_block() {
    for wait in [Wait::Park, Wait::Adaptive] {
        let shape = Shape {
            blocks: 1,
            wait,
            ..of(3, 2)
        };
        stream(shape, messages() / 4);
    }
}

#[test]
fn through_queues_of_one_slot_and_round_the_edge_of_laps() {
    for capacity in [1, 2, 3] {
        let shape = Shape {
            capacity,
            first_lap: (1 << 44) - 100,
            push: Form::InPlace,
            ..of(2, 2)
        };
        stream(shape, messages() / 10);
    }
}

#[test]
fn of_long_messages() {
    let shape = Shape {
        longest: 1 << 20,
        blocks: 4,
        ..of(2, 2)
    };
    stream(shape, messages() / 100);
}
