//! The ring of byte records.

use super::Line;
use crate::subjects::common::{MOMENT, check_whole_bytes, message_of, segment};
use ipc_core::{Segment, Wait};
use ipc_queue::spsc::bytes::{ByteConsumer, ByteProducer, ByteRing};
use ipc_queue::spsc::{OpenError, PopError, PushError};

pub struct Bytes;

/// A record takes 40 bytes of the ring: of those in a row, the seventh lies across the seam of
/// the memory for four.
const RECORD: usize = 32;
const TAKES: usize = 40;

fn record(number: u64) -> [u8; RECORD] {
    message_of(number)
}

impl Line for Bytes {
    const CALLED: &'static str = "spsc bytes";
    type Ring = ByteRing;
    type Tx = ByteProducer;
    type Rx = ByteConsumer;

    fn create(capacity: usize) -> (Segment, Self::Ring) {
        let bytes = capacity * TAKES;
        let segment = segment(ByteRing::size_for(bytes, RECORD).expect("a size"));
        let ring = ByteRing::create_in(&segment, "ring", bytes, RECORD).expect("room");
        (segment, ring)
    }

    fn open(segment: &Segment) -> Self::Ring {
        ByteRing::open_in(segment, "ring").expect("a ring")
    }

    fn producer(ring: &Self::Ring) -> Result<Self::Tx, OpenError> {
        ring.producer()
    }

    fn consumer(ring: &Self::Ring) -> Result<Self::Rx, OpenError> {
        ring.consumer()
    }

    fn try_push(tx: &mut Self::Tx, number: u64) -> Result<(), PushError> {
        tx.try_push(&record(number))
    }

    fn push_or_wait(tx: &mut Self::Tx, number: u64) -> Result<(), PushError> {
        tx.set_wait(Wait::Park);
        tx.push_timeout(&record(number), MOMENT)
    }

    fn try_push_two(tx: &mut Self::Tx, number: u64) -> Result<usize, PushError> {
        tx.try_push_batch(&[record(number), record(number + 1)])
    }

    fn try_reserve(tx: &mut Self::Tx, number: u64, commits: bool) -> Result<(), PushError> {
        let mut grant = tx.try_reserve(RECORD)?;
        grant.copy_from_slice(&record(number));
        if commits {
            grant.commit(RECORD)?;
        }
        Ok(())
    }

    fn close(tx: Self::Tx) -> Result<(), PushError> {
        tx.close()
    }

    fn try_pop(rx: &mut Self::Rx) -> Result<Option<u64>, PopError> {
        let mut into = [0; RECORD];
        let len = rx.try_pop_into(&mut into[..])?;
        Ok(len.map(|len| check_whole_bytes(&into[..len])))
    }

    fn pop_or_wait(rx: &mut Self::Rx) -> Result<Option<u64>, PopError> {
        rx.set_wait(Wait::Park);
        let mut into = [0; RECORD];
        let len = rx.pop_into_timeout(&mut into[..], MOMENT)?;
        Ok(len.map(|len| check_whole_bytes(&into[..len])))
    }

    fn try_pop_two(rx: &mut Self::Rx) -> Result<Option<(usize, u64)>, PopError> {
        let batch = rx.try_take_batch(2)?;
        Ok(batch.map(|batch| {
            let numbers: Vec<u64> = batch.iter().map(check_whole_bytes).collect();
            (numbers.len(), numbers[0])
        }))
    }

    fn try_take(rx: &mut Self::Rx, releases: bool) -> Result<Option<u64>, PopError> {
        let Some(guard) = rx.try_take()? else {
            return Ok(None);
        };
        let it = check_whole_bytes(&guard);
        if !releases {
            guard.release_back();
        }
        Ok(Some(it))
    }
}
