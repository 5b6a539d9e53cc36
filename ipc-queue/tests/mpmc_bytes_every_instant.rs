//! A process may be killed at any instruction: after every single change that it makes to a queue
//! of byte messages, the others find each message whole, once, and every block.

#![cfg(not(loom))]

mod common;

use common::ShmName;
use ipc_core::Segment;
use ipc_queue::mpmc::bytes::{Queue, Receiver, Sender};
use ipc_queue::mpmc::{PopError, PushError};
use std::path::PathBuf;
use test_kit::stepped::contents_after_each_change;

const BLOCKS: usize = 2;
/// Longer than what fits into a slot.
const LONG: usize = 200;
const OLD: [u8; LONG] = [1; LONG];
const NEW: [u8; LONG] = [2; LONG];
const OTHER: [u8; LONG] = [3; LONG];

fn path(name: &ShmName) -> PathBuf {
    PathBuf::from("/dev/shm").join(&name.0)
}

/// A queue with one message, that nobody has attached.
fn with_a_message() -> ShmName {
    let name = ShmName::new();
    let options = Queue::options().blocks(256, BLOCKS);
    let segment = Segment::builder(name.0.as_str())
        .participants(4)
        .handles(8)
        .objects(1)
        .size(options.size_for(3, LONG, 8).unwrap())
        .create()
        .unwrap();
    let queue = options.create_in(&segment, "queue", 3, LONG).unwrap();
    queue.sender().unwrap().push(&OLD).unwrap();
    name
}

fn open(name: &ShmName) -> Queue {
    Queue::open(name.0.as_str()).unwrap()
}

/// The segment with these contents under another name, where nobody has a lock on it: who was
/// attached is dead.
fn dead(contents: &[u8]) -> (Queue, ShmName) {
    let name = ShmName::new();
    std::fs::write(path(&name), contents).unwrap();
    (open(&name), name)
}

/// What the others do first.
#[derive(Clone, Copy)]
enum First {
    /// They recover.
    Recover,
    /// They take all blocks they can get, before anybody has recovered.
    Push,
}

/// What is in the queue: how many of the old messages and of the new. Each block is in use for one
/// of them, or free; and afterwards all are there for others.
#[track_caller]
fn check_recovered(queue: &Queue, first: First) -> (usize, usize) {
    let mut pushed = 0;
    if let First::Push = first {
        // Unless the stream is closed.
        while let Ok(mut tx) = queue.sender()
            && tx.try_push(&OTHER).is_ok()
        {
            pushed += 1;
        }
    }
    queue.segment().recover().unwrap();
    let class = queue.survey().unwrap().classes[0];
    let (kept, there) = (class.writing + class.over, class.free + class.messages);
    assert_eq!((kept, there), (0, BLOCKS), "{class:?}");

    let (mut old, mut new, mut others) = (0, 0, 0);
    let mut rx = queue.receiver().unwrap();
    loop {
        match rx.try_take() {
            Ok(Some(message)) if *message == OLD => old += 1,
            Ok(Some(message)) if *message == NEW => new += 1,
            Ok(Some(message)) if *message == OTHER => others += 1,
            Ok(Some(message)) => panic!("half a message: {:?}", &*message),
            Err(PopError::ProducersDied) => {}
            Err(PopError::Empty) | Ok(None) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(others, pushed, "lost");
    if queue.is_closed().unwrap() {
        // A message that came after the end keeps its block: nobody needs it any more.
        return (old, new);
    }
    assert_eq!(class.messages, old + new + others);
    assert_eq!(queue.survey().unwrap().classes[0].free, BLOCKS);
    for _ in 0..3 {
        let mut tx = queue.sender().unwrap();
        for _ in 0..BLOCKS {
            tx.try_push(&OLD).unwrap();
        }
        assert!(matches!(tx.try_push(&OLD), Err(PushError::Full)));
        tx.try_push(b"short").unwrap();
        assert!(matches!(tx.try_push(b""), Err(PushError::Full)));
        for expected in [&OLD[..], &OLD, b"short"] {
            assert_eq!(*rx.try_take().unwrap().unwrap(), *expected);
        }
    }
    (old, new)
}

/// What is in the queue after each change that `work` makes.
fn after_each_change<T>(
    name: &ShmName,
    before: impl FnOnce(Queue) -> T,
    work: impl FnOnce(T),
) -> Vec<(Vec<u8>, (usize, usize))> {
    let changes = contents_after_each_change(&path(name), || before(open(name)), work);
    let changes = changes.expect("this process may trace its children");
    let look = |contents: Vec<u8>| {
        let (queue, _name) = dead(&contents);
        let found = check_recovered(&queue, First::Recover);
        let (queue, _name) = dead(&contents);
        assert_eq!(check_recovered(&queue, First::Push), found);
        (contents, found)
    };
    changes.into_iter().map(look).collect()
}

type States = Vec<(Vec<u8>, (usize, usize))>;

/// The distinct finds, in order.
fn course(states: &States) -> Vec<(usize, usize)> {
    let mut course: Vec<_> = states.iter().map(|it| it.1).collect();
    course.dedup();
    eprintln!("{} states: {course:?}", states.len());
    course
}

/// In every state that was left, the recovery is interrupted after each of its changes.
fn check_sweeps(states: &States) {
    let mut total = 0;
    for (contents, found) in states.iter().skip(1) {
        let (queue, name) = dead(contents);
        drop(queue);
        let before = |queue: Queue| queue;
        let sweeps = after_each_change(&name, before, |queue| {
            queue.segment().recover().unwrap();
            std::mem::forget(queue);
        });
        total += sweeps.len();
        assert!(sweeps.iter().all(|it| it.1 == *found));
    }
    eprintln!("{total} states of recoveries");
    assert!(total > 5 * states.len());
}

fn sender(queue: Queue) -> Sender {
    queue.sender().unwrap()
}

fn receiver(queue: Queue) -> Receiver {
    queue.receiver().unwrap()
}

#[test]
fn of_a_push() {
    let states = after_each_change(&with_a_message(), sender, |mut tx| {
        tx.try_push(&NEW).unwrap();
        std::mem::forget(tx);
    });
    assert_eq!(course(&states), [(1, 0), (1, 1)]);
    // Claim, block, message, header, commit, hint, count.
    assert!(states.len() > 6);
    check_sweeps(&states);
}

#[test]
fn of_a_grant_that_is_dropped() {
    let states = after_each_change(&with_a_message(), sender, |mut tx| {
        drop(tx.try_reserve(LONG).unwrap());
        std::mem::forget(tx);
    });
    assert_eq!(course(&states), [(1, 0)]);
    assert!(states.len() > 4);
    check_sweeps(&states);
}

#[test]
fn of_a_take() {
    let states = after_each_change(&with_a_message(), receiver, |mut rx| {
        drop(rx.try_take().unwrap());
        std::mem::forget(rx);
    });
    assert_eq!(course(&states), [(1, 0), (0, 0)]);
    // A sender finds what the dead left, though nobody has recovered.
    for (contents, _) in states.iter().filter(|it| it.1 == (0, 0)) {
        let (queue, _name) = dead(contents);
        let mut tx = queue.sender().unwrap();
        for _ in 0..BLOCKS {
            tx.try_push(&OTHER).unwrap();
        }
    }
    assert!(states.len() > 4);
    check_sweeps(&states);
}

#[test]
fn of_a_take_that_is_given_back() {
    let states = after_each_change(&with_a_message(), receiver, |mut rx| {
        rx.try_take().unwrap().unwrap().release_back();
        std::mem::forget(rx);
    });
    assert_eq!(course(&states), [(1, 0)]);
    assert!(states.len() > 3);
    check_sweeps(&states);
}

/// Forgotten guards, whose handles are dropped: what a sweep of oneself does.
#[test]
fn of_handles_that_are_dropped_with_forgotten_guards() {
    let before = |queue: Queue| (sender(queue.clone()), receiver(queue));
    let states = after_each_change(&with_a_message(), before, |(mut tx, mut rx)| {
        std::mem::forget(tx.try_reserve(LONG).unwrap());
        std::mem::forget(rx.try_take().unwrap().unwrap());
        drop((tx, rx));
    });
    assert_eq!(course(&states), [(1, 0)]);
    check_sweeps(&states);
}

/// A commit that comes after the end.
#[test]
fn of_a_commit_that_is_too_late() {
    let before = |queue: Queue| {
        let mut rx = queue.receiver().unwrap();
        assert_eq!(*rx.try_take().unwrap().unwrap(), OLD);
        let tx = Box::leak(Box::new(queue.sender().unwrap()));
        let grant = tx.try_reserve(LONG).unwrap();
        queue.close().unwrap();
        assert!(rx.try_take().unwrap().is_none(), "the end is told");
        std::mem::forget(rx);
        grant
    };
    let states = after_each_change(&with_a_message(), before, |grant| {
        assert!(matches!(grant.commit(LONG), Err(PushError::Closed)));
    });
    assert_eq!(course(&states), [(0, 0)]);
    assert!(states.len() > 4);
    check_sweeps(&states);
}

/// A block whose user died is taken straight from it, before anybody has recovered.
#[test]
fn of_a_push_into_what_the_dead_left() {
    let name = with_a_message();
    let leave = after_each_change(&name, receiver, |mut rx| {
        drop(rx.try_take().unwrap());
        std::mem::forget(rx);
    });
    for (contents, found) in leave {
        let (queue, name) = dead(&contents);
        drop(queue);
        let states = after_each_change(&name, sender, |mut tx| {
            // Both blocks, if there are two.
            let _ = tx.try_push(&NEW);
            let _ = tx.try_push(&NEW);
            std::mem::forget(tx);
        });
        for (_, (old, new)) in states {
            assert_eq!(old, found.0);
            assert!(old + new <= BLOCKS);
        }
    }
}
