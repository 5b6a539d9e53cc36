//! The queue of byte messages: some lie in their slots, some in blocks of the pool.

use super::{Got, Kind};
use crate::subjects::common::{HANDLES, MOMENT, check_whole_bytes, message_of, segment};
use ipc_core::{Segment, Wait};
use ipc_queue::mpmc::bytes::{Queue, Receiver, Sender};
use ipc_queue::mpmc::{OpenError, PopError, PushError};

pub struct Bytes;

/// Lies in a block.
const LONG: usize = 160;
/// Lies in its slot.
const SHORT: usize = 16;

/// Even ones are long, the victim's first one among them.
fn with_message<R>(number: u64, work: impl FnOnce(&[u8]) -> R) -> R {
    if number.is_multiple_of(2) {
        work(&message_of::<LONG>(number))
    } else {
        work(&message_of::<SHORT>(number))
    }
}

/// The operations on several messages, which this kind does not have.
const NO_SLICES: &str = "this kind has no slices";

impl Kind for Bytes {
    const CALLED: &'static str = "mpmc bytes";
    const SLICES: bool = false;
    type Queue = Queue;
    type Tx = Sender;
    type Rx = Receiver;

    fn create(capacity: usize) -> (Segment, Queue) {
        let size = Queue::options().size_for(capacity, LONG, HANDLES);
        let segment = segment(size.expect("a size"));
        let queue = Queue::create_in(&segment, "queue", capacity, LONG).expect("room");
        (segment, queue)
    }

    fn open(segment: &Segment) -> Queue {
        Queue::open_in(segment, "queue").expect("a queue")
    }

    fn sender(queue: &Queue) -> Result<Sender, OpenError> {
        queue.sender()
    }

    fn receiver(queue: &Queue) -> Result<Receiver, OpenError> {
        queue.receiver()
    }

    fn close(queue: &Queue) -> ipc_core::Result<bool> {
        queue.close()
    }

    fn is_closed(queue: &Queue) -> ipc_core::Result<bool> {
        queue.is_closed()
    }

    fn check_empty(queue: &Queue) {
        assert_eq!(queue.len().expect("a sound segment"), 0);
        for class in queue.survey().expect("a sound segment").classes {
            assert_eq!(class.free, class.blocks, "blocks are missing: {class:?}");
        }
    }

    fn try_push(tx: &mut Sender, number: u64) -> Result<(), PushError> {
        with_message(number, |bytes| tx.try_push(bytes))
    }

    fn push_or_wait(tx: &mut Sender, number: u64) -> Result<(), PushError> {
        tx.set_wait(Wait::Park);
        with_message(number, |bytes| tx.push_timeout(bytes, MOMENT))
    }

    fn try_push_two(_: &mut Sender, _: u64) -> Result<usize, PushError> {
        unreachable!("{NO_SLICES}")
    }

    fn try_reserve(
        tx: &mut Sender,
        number: u64,
        commits: bool,
        meanwhile: &dyn Fn(),
    ) -> Result<(), PushError> {
        with_message(number, |bytes| {
            let mut grant = tx.try_reserve(bytes.len())?;
            grant.copy_from_slice(bytes);
            meanwhile();
            if commits {
                grant.commit(bytes.len())
            } else {
                Ok(())
            }
        })
    }

    fn try_pop(rx: &mut Receiver) -> Result<Option<u64>, PopError> {
        let mut into = Vec::new();
        Ok(rx
            .try_pop_into(&mut into)?
            .map(|_| check_whole_bytes(&into)))
    }

    fn pop_or_wait(rx: &mut Receiver) -> Result<Option<u64>, PopError> {
        rx.set_wait(Wait::Park);
        let mut into = Vec::new();
        let len = rx.pop_into_timeout(&mut into, MOMENT)?;
        Ok(len.map(|_| check_whole_bytes(&into)))
    }

    fn try_pop_two(_: &mut Receiver) -> Result<Option<(usize, [u64; 2])>, PopError> {
        unreachable!("{NO_SLICES}")
    }

    fn try_take(
        rx: &mut Receiver,
        gives_back: bool,
        meanwhile: &dyn Fn(),
    ) -> Result<Option<Got>, PopError> {
        let Some(guard) = rx.try_take()? else {
            return Ok(None);
        };
        let got = (check_whole_bytes(&guard), guard.is_redelivered());
        meanwhile();
        if gives_back {
            guard.release_back();
        }
        Ok(Some(got))
    }

    fn try_take_two(_: &mut Receiver, _: bool) -> Result<Option<(usize, [Got; 2])>, PopError> {
        unreachable!("{NO_SLICES}")
    }
}
