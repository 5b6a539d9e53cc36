//! The queue of messages of one type.

use super::{Got, Kind};
use crate::subjects::common::{HANDLES, MOMENT, Message, check_whole, message, segment};
use ipc_core::{Segment, Wait};
use ipc_queue::mpmc::{OpenError, PopError, PushError, Queue, Receiver, Sender};

pub struct Typed;

fn number(it: Message) -> u64 {
    check_whole(it);
    it[0]
}

impl Kind for Typed {
    const CALLED: &'static str = "mpmc";
    const SLICES: bool = true;
    type Queue = Queue<Message>;
    type Tx = Sender<Message>;
    type Rx = Receiver<Message>;

    fn create(capacity: usize) -> (Segment, Self::Queue) {
        let segment = segment(Queue::<Message>::size_for(capacity, HANDLES).expect("a size"));
        let queue = Queue::create_in(&segment, "queue", capacity).expect("room");
        (segment, queue)
    }

    fn open(segment: &Segment) -> Self::Queue {
        Queue::open_in(segment, "queue").expect("a queue")
    }

    fn sender(queue: &Self::Queue) -> Result<Self::Tx, OpenError> {
        queue.sender()
    }

    fn receiver(queue: &Self::Queue) -> Result<Self::Rx, OpenError> {
        queue.receiver()
    }

    fn close(queue: &Self::Queue) -> ipc_core::Result<bool> {
        queue.close()
    }

    fn is_closed(queue: &Self::Queue) -> ipc_core::Result<bool> {
        queue.is_closed()
    }

    fn check_empty(queue: &Self::Queue) {
        assert_eq!(queue.len().expect("a sound segment"), 0);
    }

    fn try_push(tx: &mut Self::Tx, number: u64) -> Result<(), PushError> {
        tx.try_push(message(number))
    }

    fn push_or_wait(tx: &mut Self::Tx, number: u64) -> Result<(), PushError> {
        tx.set_wait(Wait::Park);
        tx.push_timeout(message(number), MOMENT)
    }

    fn try_push_two(tx: &mut Self::Tx, number: u64) -> Result<usize, PushError> {
        tx.try_push_slice(&[message(number), message(number + 1)])
    }

    fn try_reserve(
        tx: &mut Self::Tx,
        number: u64,
        commits: bool,
        meanwhile: &dyn Fn(),
    ) -> Result<(), PushError> {
        let mut slot = tx.try_reserve()?;
        *slot = message(number);
        meanwhile();
        if commits { slot.commit() } else { Ok(()) }
    }

    fn try_pop(rx: &mut Self::Rx) -> Result<Option<u64>, PopError> {
        Ok(rx.try_pop()?.map(number))
    }

    fn pop_or_wait(rx: &mut Self::Rx) -> Result<Option<u64>, PopError> {
        rx.set_wait(Wait::Park);
        Ok(rx.pop_timeout(MOMENT)?.map(number))
    }

    fn try_pop_two(rx: &mut Self::Rx) -> Result<Option<(usize, [u64; 2])>, PopError> {
        let mut all = [message(0); 2];
        let count = rx.try_pop_slice(&mut all)?;
        Ok(count.map(|count| (count, all.map(number))))
    }

    fn try_take(
        rx: &mut Self::Rx,
        gives_back: bool,
        meanwhile: &dyn Fn(),
    ) -> Result<Option<Got>, PopError> {
        let Some(guard) = rx.try_take()? else {
            return Ok(None);
        };
        let got = (number(*guard), guard.is_redelivered());
        meanwhile();
        if gives_back {
            guard.release_back();
        }
        Ok(Some(got))
    }

    fn try_take_two(
        rx: &mut Self::Rx,
        gives_back: bool,
    ) -> Result<Option<(usize, [Got; 2])>, PopError> {
        let Some(guard) = rx.try_take_slice(2)? else {
            return Ok(None);
        };
        let mut all = [(0, false); 2];
        for (to, it) in all.iter_mut().zip(guard.iter()) {
            *to = (number(*it), it.is_redelivered());
        }
        let count = guard.len();
        if gives_back {
            guard.release_back();
        }
        Ok(Some((count, all)))
    }
}
