//! Making, finding and joining a queue, and being refused.

mod common;
mod mpmc_common;

use common::ShmName;
use ipc_core::{Error, Place, Segment};
use ipc_queue::mpmc::{OpenError, PopError, PushError, Queue};
use mpmc_common::unnamed;
use test_kit::forked::Forked;

#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(32))]
struct Wide {
    words: [u64; 4],
}

fn goes_through<T: ipc_core::Payload + PartialEq + std::fmt::Debug>(values: &[T]) {
    let queue = unnamed::<T>(3);
    let same = Queue::<T>::open(queue.segment().descriptor().unwrap()).unwrap();
    let (mut tx, mut rx) = (queue.sender().unwrap(), same.receiver().unwrap());
    for round in 0..5 {
        for value in values {
            tx.try_push(*value).unwrap();
            let mut slot = tx.try_reserve().unwrap();
            *slot = *value;
            slot.commit().unwrap();
            assert_eq!(rx.try_pop().unwrap(), Some(*value), "{round}");
            assert_eq!(*rx.try_take().unwrap().unwrap(), *value);
        }
    }
}

#[test]
fn messages_of_every_size_and_alignment() {
    goes_through::<u8>(&[0, 1, 255]);
    goes_through::<()>(&[()]);
    goes_through::<[u8; 3]>(&[[1, 2, 3], [4, 5, 6]]);
    goes_through::<[u8; 13]>(&[[7; 13]]);
    goes_through::<u128>(&[u128::MAX, 5]);
    goes_through::<[u32; 3]>(&[[1, 2, 3]]);
    goes_through::<Wide>(&[Wide { words: [9; 4] }]);
    goes_through::<[u64; 9]>(&[[3; 9]]);
    goes_through::<[u8; 4096]>(&[[3; 4096]]);
}

#[test]
fn by_name_by_descriptor_and_among_other_objects() {
    let name = ShmName::new();
    let made = Queue::<u64>::create(name.0.as_str(), 5).unwrap();
    let found = Queue::<u64>::open(name.0.as_str()).unwrap();
    assert_eq!((made.capacity(), found.capacity()), (5, 5));
    let again = Queue::<u64>::open_or_create(name.0.as_str(), 99).unwrap();
    assert_eq!(again.capacity(), 5, "an existing one keeps its capacity");
    made.sender().unwrap().push(1).unwrap();
    assert_eq!(again.receiver().unwrap().pop().unwrap(), Some(1));

    let room = Queue::<u64>::size_for(4, 64).unwrap() + Queue::<u8>::size_for(2, 64).unwrap();
    let segment = Segment::builder(Place::memfd("several"))
        .handles(64)
        .size(room)
        .create()
        .unwrap();
    Queue::<u64>::create_in(&segment, "a", 4).unwrap();
    Queue::<u8>::create_in(&segment, "b", 2).unwrap();
    let mut tx = Queue::<u8>::open_in(&segment, "b")
        .unwrap()
        .sender()
        .unwrap();
    tx.push(3).unwrap();
    assert!(
        Queue::<u64>::open_in(&segment, "a")
            .unwrap()
            .is_empty()
            .unwrap()
    );
    assert_eq!(
        Queue::<u8>::open_in(&segment, "b").unwrap().len().unwrap(),
        1
    );
}

#[test]
fn of_the_wrong_type_kind_or_name() {
    let name = ShmName::new();
    let queue = Queue::<u64>::create(name.0.as_str(), 5).unwrap();
    let error = Queue::<i64>::open(name.0.as_str()).unwrap_err();
    assert!(matches!(error, Error::WrongType { .. }));
    let told = error.to_string();
    assert!(told.contains("u64") && told.contains("i64"), "{told}");
    let error = ipc_queue::spsc::Ring::<u64>::open_in(queue.segment(), "queue").unwrap_err();
    assert!(matches!(error, Error::WrongKind { .. }), "{error}");
    let error = Queue::<u64>::open_in(queue.segment(), "other").unwrap_err();
    assert!(matches!(error, Error::ObjectNotFound { .. }), "{error}");
    let error = Queue::<u64>::create(Place::memfd("none"), 0).unwrap_err();
    assert!(matches!(error, Error::OutOfRange { .. }), "{error}");
    let error = Queue::<u64>::create(Place::memfd("huge"), usize::MAX).unwrap_err();
    assert!(matches!(error, Error::OutOfRange { .. }), "{error}");
}

#[test]
fn two_names_for_one_type() {
    let options = Queue::<u64>::options().type_name("job number");
    let queue = options.create(Place::memfd("test"), 2).unwrap();
    let theirs = Queue::<[u8; 8]>::options().type_name("job number");
    let error = theirs
        .open(queue.segment().descriptor().unwrap())
        .unwrap_err();
    assert!(matches!(error, Error::WrongType { .. }), "{error}");
    options.open(queue.segment().descriptor().unwrap()).unwrap();
}

#[test]
fn when_every_place_is_taken() {
    let segment = Segment::builder(Place::memfd("crowded"))
        .handles(4)
        .size(1 << 16)
        .create()
        .unwrap();
    let queue = Queue::<u64>::create_in(&segment, "queue", 4).unwrap();
    let mut held: Vec<_> = (0..4).map(|_| queue.sender().unwrap()).collect();
    // The segment's handles run out together with the places.
    assert!(matches!(
        queue.sender(),
        Err(OpenError::Segment(Error::HandlesFull { .. }))
    ));
    held.pop();
    let mut rx = queue.receiver().unwrap();
    held[0].push(1).unwrap();
    assert_eq!(rx.pop().unwrap(), Some(1));
}

/// Whoever died frees a place for the next.
#[test]
fn places_of_the_dead_are_given_again() {
    let queue = unnamed::<u64>(4);
    for _ in 0..20 {
        let segment = queue.segment().descriptor().unwrap();
        let child = Forked::run(|| {
            let queue = Queue::<u64>::open(segment).unwrap();
            // Half of all the places there are, at a time.
            for _ in 0..64 {
                std::mem::forget(queue.sender().unwrap());
                std::mem::forget(queue.receiver().unwrap());
            }
            0
        });
        assert_eq!(child.join(), Ok(0));
    }
}

#[test]
fn in_place_access_needs_a_private_segment() {
    let name = ShmName::new();
    let segment = Segment::builder(name.0.as_str())
        .mode(0o666)
        .create()
        .unwrap();
    let queue = Queue::<u64>::create_in(&segment, "queue", 4).unwrap();
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    assert!(matches!(tx.try_reserve(), Err(PushError::NotPrivate)));
    assert!(matches!(rx.try_take(), Err(PopError::NotPrivate)));
    tx.push(1).unwrap();
    assert!(matches!(rx.take(), Err(PopError::NotPrivate)));
    assert_eq!(rx.pop().unwrap(), Some(1));
}

#[test]
fn a_forked_child_has_no_handles() {
    let queue = unnamed::<u64>(4);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    tx.push(1).unwrap();
    let (mut writer, mut reader) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let mut slot = writer.reserve().unwrap();
    *slot = 2;
    let message = reader.take().unwrap().unwrap();
    let child = Forked::run(move || {
        let forked_push = |it| matches!(it, Err(PushError::Segment(Error::Forked { .. })));
        let forked_pop = |it| matches!(it, Err(PopError::Segment(Error::Forked { .. })));
        let refused = [
            forked_push(tx.try_push(9)),
            forked_push(tx.push(9)),
            forked_push(tx.push_slice(&[9])),
            forked_push(tx.try_reserve().map(drop)),
            forked_pop(rx.try_pop().map(drop)),
            forked_pop(rx.pop().map(drop)),
            forked_pop(rx.try_take().map(drop)),
            forked_push(slot.commit()),
            matches!(queue.len(), Err(Error::Forked { .. })),
            matches!(queue.close(), Err(Error::Forked { .. })),
            queue.sender().is_err(),
        ];
        // Dropped here, all of them do nothing.
        drop(message);
        drop((tx, rx, queue));
        i32::from(refused.contains(&false))
    });
    assert_eq!(child.join(), Ok(0));
}
