//! The ring of messages of one type.

use super::Line;
use crate::subjects::common::{MOMENT, Message, check_whole, message, segment};
use ipc_core::{Segment, Wait};
use ipc_queue::spsc::{Consumer, OpenError, PopError, Producer, PushError, Ring};

pub struct Typed;

fn number(it: Message) -> u64 {
    check_whole(it);
    it[0]
}

impl Line for Typed {
    const CALLED: &'static str = "spsc";
    type Ring = Ring<Message>;
    type Tx = Producer<Message>;
    type Rx = Consumer<Message>;

    fn create(capacity: usize) -> (Segment, Self::Ring) {
        let segment = segment(Ring::<Message>::size_for(capacity).expect("a size"));
        let ring = Ring::create_in(&segment, "ring", capacity).expect("room");
        (segment, ring)
    }

    fn open(segment: &Segment) -> Self::Ring {
        Ring::open_in(segment, "ring").expect("a ring")
    }

    fn producer(ring: &Self::Ring) -> Result<Self::Tx, OpenError> {
        ring.producer()
    }

    fn consumer(ring: &Self::Ring) -> Result<Self::Rx, OpenError> {
        ring.consumer()
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

    fn try_reserve(tx: &mut Self::Tx, number: u64, commits: bool) -> Result<(), PushError> {
        let mut slot = tx.try_reserve()?;
        *slot = message(number);
        if commits {
            slot.commit();
        }
        Ok(())
    }

    fn close(tx: Self::Tx) -> Result<(), PushError> {
        tx.close()
    }

    fn try_pop(rx: &mut Self::Rx) -> Result<Option<u64>, PopError> {
        Ok(rx.try_pop()?.map(number))
    }

    fn pop_or_wait(rx: &mut Self::Rx) -> Result<Option<u64>, PopError> {
        rx.set_wait(Wait::Park);
        Ok(rx.pop_timeout(MOMENT)?.map(number))
    }

    fn try_pop_two(rx: &mut Self::Rx) -> Result<Option<(usize, u64)>, PopError> {
        let mut all = [[0; 2]; 2];
        let count = rx.try_pop_slice(&mut all)?;
        Ok(count.map(|count| (count, number(all[0]))))
    }

    fn try_take(rx: &mut Self::Rx, releases: bool) -> Result<Option<u64>, PopError> {
        let Some(guard) = rx.try_peek()? else {
            return Ok(None);
        };
        let it = number(*guard);
        if releases {
            guard.release();
        }
        Ok(Some(it))
    }
}
