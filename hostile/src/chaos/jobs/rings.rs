//! Rings: each message belongs to its position, so that a lost, doubled or torn one shows at once.

use super::{Done, take_all, wrong};
use crate::chaos::Violation;
use crate::chaos::ledger::{Common, Ledger};
use crate::chaos::post::{PATIENCE, Post};
use crate::chaos::world::{RECORD, bytes_of, mixed};
use ipc_core::Segment;
use ipc_queue::spsc::bytes::{ByteConsumer, ByteRing};
use ipc_queue::spsc::{Consumer, OpenError, PopError, PushError, Ring};
use ipc_queue::values::{RecvValueError, SendValueError};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// The role, if it is free.
fn free<T>(role: Result<T, OpenError>) -> Result<Option<T>, Violation> {
    match role {
        Ok(role) => Ok(Some(role)),
        Err(OpenError::RoleTaken { .. }) => Ok(None),
        Err(error) => Err(wrong(error)),
    }
}

fn pushed(result: Result<(), PushError>) -> Result<bool, Violation> {
    match result {
        Ok(()) => Ok(true),
        Err(PushError::Full | PushError::TimedOut | PushError::ConsumerDied) => Ok(false),
        Err(error) => Err(wrong(error)),
    }
}

/// Nothing that was pushed for certain is missing.
fn at_least(ledger: &Ledger, word: Common, pushed: u64) -> Result<(), Violation> {
    let confirmed = ledger.get(word);
    if pushed < confirmed {
        let what = format!("{confirmed} were pushed, and the ring knows of {pushed}");
        return Err(Violation::new(what));
    }
    Ok(())
}

fn message(position: u64) -> [u64; 2] {
    [position, mixed(position)]
}

pub(crate) fn messages(post: &mut Post) -> Done {
    let ring = Ring::<[u64; 2]>::open_in(&post.segment, "ring").map_err(wrong)?;
    let mut done = 0;
    if post.random.once_in(2) {
        let Some(mut tx) = free(ring.producer())? else {
            return Ok(0);
        };
        at_least(
            &post.ledger,
            Common::RingPushed,
            ring.pushed().map_err(wrong)?,
        )?;
        for _ in 0..post.some() {
            let at = ring.pushed().map_err(wrong)?;
            let patience = post.patience();
            done += match post.random.below(3) {
                0 => u64::from(pushed(tx.push_timeout(message(at), patience))?),
                1 => match tx.try_reserve() {
                    Ok(mut guard) => {
                        *guard = message(at);
                        post.linger();
                        guard.commit();
                        1
                    }
                    Err(error) => u64::from(pushed(Err(error))?),
                },
                _ => match tx.push_slice_timeout(&[0, 1, 2].map(|it| message(at + it)), patience) {
                    Ok(some) => some as u64,
                    Err(error) => u64::from(pushed(Err(error))?),
                },
            };
            let now = ring.pushed().map_err(wrong)?;
            post.ledger.common(Common::RingPushed).store(now, SeqCst);
        }
    } else if let Some(mut rx) = free(ring.consumer())? {
        for _ in 0..post.some() {
            done += take(&ring, &mut rx, post.patience())?;
        }
    }
    Ok(done)
}

fn take(
    ring: &Ring<[u64; 2]>,
    rx: &mut Consumer<[u64; 2]>,
    patience: Duration,
) -> Result<u64, Violation> {
    let at = ring.popped().map_err(wrong)?;
    match rx.pop_timeout(patience) {
        Ok(Some(found)) if found == message(at) => Ok(1),
        Ok(found) => Err(Violation::new(format!("at position {at}: {found:?}"))),
        Err(PopError::Empty | PopError::TimedOut | PopError::ProducerDied) => Ok(0),
        Err(error) => Err(wrong(error)),
    }
}

pub(crate) fn bytes(post: &mut Post) -> Done {
    let ring = ByteRing::open_in(&post.segment, "bytes").map_err(wrong)?;
    let mut done = 0;
    if post.random.once_in(2) {
        let Some(mut tx) = free(ring.producer())? else {
            return Ok(0);
        };
        at_least(
            &post.ledger,
            Common::BytesPushed,
            ring.pushed().map_err(wrong)?,
        )?;
        for _ in 0..post.some() {
            let record = bytes_of(ring.pushed().map_err(wrong)?, RECORD);
            let result = match post.random.below(3) {
                0 => tx.push_timeout(&record, post.patience()),
                1 => {
                    let mut batch = tx.batch();
                    match batch.try_push(&record) {
                        Ok(()) => batch.commit(),
                        refused => refused,
                    }
                }
                _ => tx.try_reserve(record.len()).and_then(|mut guard| {
                    guard.copy_from_slice(&record);
                    post.linger();
                    guard.commit(record.len())
                }),
            };
            done += u64::from(pushed(result)?);
            let now = ring.pushed().map_err(wrong)?;
            post.ledger.common(Common::BytesPushed).store(now, SeqCst);
        }
    } else if let Some(mut rx) = free(ring.consumer())? {
        for _ in 0..post.some() {
            done += take_bytes(&ring, &mut rx, post.patience())?;
        }
    }
    Ok(done)
}

fn take_bytes(
    ring: &ByteRing,
    rx: &mut ByteConsumer,
    patience: Duration,
) -> Result<u64, Violation> {
    let at = ring.taken().map_err(wrong)?;
    match rx.take_timeout(patience) {
        Ok(Some(found)) if *found == *bytes_of(at, RECORD) => Ok(1),
        Ok(found) => Err(Violation::new(format!(
            "at position {at}: {:?}",
            found.as_deref()
        ))),
        Err(PopError::Empty | PopError::TimedOut | PopError::ProducerDied) => Ok(0),
        Err(error) => Err(wrong(error)),
    }
}

/// A value of a kind that takes some decoding.
type Thing = (u64, Option<Vec<u16>>, String);

fn thing(position: u64) -> Thing {
    let mixed = mixed(position);
    let numbers = (0..mixed % 50).map(|it| it as u16).collect();
    (
        position,
        (mixed & 64 != 0).then_some(numbers),
        format!("{mixed:x}"),
    )
}

pub(crate) fn values(post: &mut Post) -> Done {
    let ring = ByteRing::open_in(&post.segment, "values").map_err(wrong)?;
    let mut done = 0;
    if post.random.once_in(2) {
        let Some(mut tx) = free(ring.producer())? else {
            return Ok(0);
        };
        at_least(
            &post.ledger,
            Common::ValuesPushed,
            ring.pushed().map_err(wrong)?,
        )?;
        for _ in 0..post.some() {
            let value = thing(ring.pushed().map_err(wrong)?);
            match tx.send_value_timeout(&value, post.patience()) {
                Ok(()) => done += 1,
                Err(SendValueError::Send(error)) => drop(pushed(Err(error))?),
                Err(error) => return Err(wrong(error)),
            }
            let now = ring.pushed().map_err(wrong)?;
            post.ledger.common(Common::ValuesPushed).store(now, SeqCst);
        }
    } else if let Some(mut rx) = free(ring.consumer())? {
        for _ in 0..post.some() {
            done += take_value(&ring, &mut rx, post.patience())?;
        }
    }
    Ok(done)
}

fn take_value(
    ring: &ByteRing,
    rx: &mut ByteConsumer,
    patience: Duration,
) -> Result<u64, Violation> {
    let at = ring.taken().map_err(wrong)?;
    match rx.recv_value_timeout::<Thing>(patience) {
        Ok(Some(found)) if found == thing(at) => Ok(1),
        Ok(found) => Err(Violation::new(format!("at position {at}: {found:?}"))),
        Err(RecvValueError::Recv(
            PopError::Empty | PopError::TimedOut | PopError::ProducerDied,
        )) => Ok(0),
        Err(error) => Err(wrong(error)),
    }
}

/// Takes what is left, with nobody else there.
pub(crate) fn drain(segment: &Segment) -> Result<(), Violation> {
    let ring = Ring::<[u64; 2]>::open_in(segment, "ring").map_err(wrong)?;
    let bytes = ByteRing::open_in(segment, "bytes").map_err(wrong)?;
    let values = ByteRing::open_in(segment, "values").map_err(wrong)?;
    let mut rx = ring.consumer().map_err(wrong)?;
    let is_left = || Ok(ring.popped()? < ring.pushed()?);
    take_all(is_left, || take(&ring, &mut rx, PATIENCE))?;
    let mut rx = bytes.consumer().map_err(wrong)?;
    let is_left = || Ok(bytes.taken()? < bytes.pushed()?);
    take_all(is_left, || take_bytes(&bytes, &mut rx, PATIENCE))?;
    let mut rx = values.consumer().map_err(wrong)?;
    let is_left = || Ok(values.taken()? < values.pushed()?);
    take_all(is_left, || take_value(&values, &mut rx, PATIENCE))?;
    for role in [
        ring.producer().map(drop),
        bytes.producer().map(drop),
        values.producer().map(drop),
    ] {
        role.map_err(wrong)?;
    }
    Ok(())
}
