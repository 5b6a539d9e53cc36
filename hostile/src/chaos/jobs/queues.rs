//! Queues and the channel: each message has a lane and a number, and an account of what came of it.

use super::{Done, take_all, wrong};
use crate::chaos::Violation;
use crate::chaos::ledger::{Common, Lane, Ledger, SEATS};
use crate::chaos::post::{PATIENCE, Post};
use crate::chaos::world::{MESSAGE, RECORD, bytes_of, mixed, number_of};
use ipc_core::Segment;
use ipc_queue::channel::{self, Channel, End, RecvError, SendError};
use ipc_queue::mpmc::{self, OpenError, PopError, PushError};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// How long a message is held now and then: long enough for a kill.
const HELD: Duration = Duration::from_micros(300);

fn join<T>(role: Result<T, OpenError>) -> Result<Option<T>, Violation> {
    match role {
        Ok(role) => Ok(Some(role)),
        // The dead hold places until somebody sweeps.
        Err(OpenError::Crowded { .. }) => Ok(None),
        Err(error) => Err(wrong(error)),
    }
}

fn settle(
    ledger: &Ledger,
    lane: Lane,
    sequence: u64,
    result: Result<(), PushError>,
) -> Result<u64, Violation> {
    match result {
        Ok(()) => {
            ledger.confirm(lane, sequence);
            Ok(1)
        }
        Err(PushError::Full | PushError::TimedOut) => {
            ledger.refuse(lane, sequence);
            Ok(0)
        }
        Err(error) => Err(wrong(error)),
    }
}

fn nothing_there(error: PopError) -> Result<u64, Violation> {
    match error {
        PopError::Empty | PopError::TimedOut | PopError::ProducersDied => Ok(0),
        error => Err(wrong(error)),
    }
}

fn id(seat: usize, sequence: u64) -> u64 {
    (seat as u64) << 32 | sequence
}

fn parts(id: u64) -> Result<(usize, u64), Violation> {
    let seat = (id >> 32) as usize;
    if seat < SEATS {
        Ok((seat, id & 0xFFFF_FFFF))
    } else {
        Err(Violation::new(format!("message {id:#x} is nobody's")))
    }
}

pub(crate) fn messages(post: &mut Post) -> Done {
    let queue = mpmc::Queue::open_in(&post.segment, "queue").map_err(wrong)?;
    let mut done = 0;
    if post.random.once_in(2) {
        let Some(mut tx) = join(queue.sender())? else {
            return Ok(0);
        };
        let seat = post.me.seat();
        for _ in 0..post.some() {
            let lane = Lane::Queue(seat);
            let Some(sequence) = post.ledger.begin(lane) else {
                break;
            };
            let id = id(seat, sequence);
            let message = [id, mixed(id), !id];
            let result = if post.random.once_in(2) {
                tx.push_timeout(message, post.patience())
            } else {
                tx.try_reserve().and_then(|mut guard| {
                    *guard = message;
                    post.linger();
                    guard.commit()
                })
            };
            done += settle(&post.ledger, lane, sequence, result)?;
        }
    } else if let Some(mut rx) = join(queue.receiver())? {
        for _ in 0..post.some() {
            let patience = post.patience();
            let held = post.random.once_in(20).then_some(HELD);
            done += if post.random.once_in(2) {
                take(&post.ledger, &mut rx, patience, held)?
            } else {
                take_several(&post.ledger, &mut rx, patience)?
            };
        }
    }
    Ok(done)
}

fn arrive(
    ledger: &Ledger,
    message: &[u64; 3],
    redelivered: bool,
) -> Result<(Lane, u64), Violation> {
    let [id, ..] = *message;
    if *message != [id, mixed(id), !id] {
        return Err(Violation::new(format!("a torn message: {message:x?}")));
    }
    let (seat, sequence) = parts(id)?;
    ledger.arrive(Lane::Queue(seat), sequence, redelivered)?;
    Ok((Lane::Queue(seat), sequence))
}

fn take(
    ledger: &Ledger,
    rx: &mut mpmc::Receiver<[u64; 3]>,
    patience: Duration,
    held: Option<Duration>,
) -> Result<u64, Violation> {
    let message = match rx.take_timeout(patience) {
        Ok(Some(message)) => message,
        Ok(None) => return Err(Violation::new("the stream ended, and nobody ended it")),
        Err(error) => return nothing_there(error),
    };
    let (lane, sequence) = arrive(ledger, &message, message.is_redelivered())?;
    if let Some(held) = held {
        std::thread::sleep(held);
    }
    drop(message);
    ledger.finish(lane, sequence);
    Ok(1)
}

fn take_several(
    ledger: &Ledger,
    rx: &mut mpmc::Receiver<[u64; 3]>,
    patience: Duration,
) -> Result<u64, Violation> {
    let messages = match rx.take_slice_timeout(5, patience) {
        Ok(Some(messages)) => messages,
        Ok(None) => return Err(Violation::new("the stream ended, and nobody ended it")),
        Err(error) => return nothing_there(error),
    };
    let arrived = messages
        .iter()
        .map(|message| arrive(ledger, &message, message.is_redelivered()));
    let arrived: Vec<_> = arrived.collect::<Result<_, _>>()?;
    drop(messages);
    for &(lane, sequence) in &arrived {
        ledger.finish(lane, sequence);
    }
    Ok(arrived.len() as u64)
}

pub(crate) fn bytes(post: &mut Post) -> Done {
    let queue = mpmc::bytes::Queue::open_in(&post.segment, "messages").map_err(wrong)?;
    let mut done = 0;
    if post.random.once_in(2) {
        let Some(mut tx) = join(queue.sender())? else {
            return Ok(0);
        };
        let seat = post.me.seat();
        for _ in 0..post.some() {
            let lane = Lane::Bytes(seat);
            let Some(sequence) = post.ledger.begin(lane) else {
                break;
            };
            let message = bytes_of(id(seat, sequence), MESSAGE);
            let result = if post.random.once_in(2) {
                tx.push_timeout(&message, post.patience())
            } else {
                tx.try_reserve(message.len()).and_then(|mut grant| {
                    grant.copy_from_slice(&message);
                    post.linger();
                    grant.commit(message.len())
                })
            };
            done += settle(&post.ledger, lane, sequence, result)?;
        }
    } else if let Some(mut rx) = join(queue.receiver())? {
        for _ in 0..post.some() {
            let held = post.random.once_in(20).then_some(HELD);
            let patience = post.patience();
            done += take_bytes(&post.ledger, &mut rx, patience, held)?;
        }
    }
    Ok(done)
}

fn take_bytes(
    ledger: &Ledger,
    rx: &mut mpmc::bytes::Receiver,
    patience: Duration,
    held: Option<Duration>,
) -> Result<u64, Violation> {
    let message = match rx.take_timeout(patience) {
        Ok(Some(message)) => message,
        Ok(None) => return Err(Violation::new("the stream ended, and nobody ended it")),
        Err(error) => return nothing_there(error),
    };
    let id = number_of(&message, MESSAGE)
        .ok_or_else(|| Violation::new(format!("a torn message of {} bytes", message.len())))?;
    let (seat, sequence) = parts(id)?;
    ledger.arrive(Lane::Bytes(seat), sequence, message.is_redelivered())?;
    if let Some(held) = held {
        std::thread::sleep(held);
    }
    drop(message);
    ledger.finish(Lane::Bytes(seat), sequence);
    Ok(1)
}

fn end(end: Result<End, channel::OpenError>) -> Result<Option<End>, Violation> {
    match end {
        Ok(end) => Ok(Some(end)),
        Err(channel::OpenError::EndTaken { .. }) => Ok(None),
        Err(error) => Err(wrong(error)),
    }
}

pub(crate) fn channel(post: &mut Post) -> Done {
    let channel = Channel::open_in(&post.segment, "channel").map_err(wrong)?;
    let (which, mut end) = match post.random.below(2) {
        0 => (0, end(channel.first())?),
        _ => (1, end(channel.second())?),
    };
    let Some(end) = &mut end else {
        return Ok(0);
    };
    let mut done = 0;
    for _ in 0..post.some() {
        if post.random.once_in(2) {
            let lane = Lane::Channel(which);
            let Some(sequence) = post.ledger.begin(lane) else {
                break;
            };
            match end.send_timeout(&bytes_of(sequence, RECORD), post.patience()) {
                Ok(()) => {
                    post.ledger.confirm(lane, sequence);
                    done += 1;
                }
                Err(SendError::Full | SendError::TimedOut | SendError::PeerDied) => {
                    post.ledger.refuse(lane, sequence);
                }
                Err(error) => return Err(wrong(error)),
            }
        } else {
            let patience = post.patience();
            done += receive(&post.ledger, end, 1 - which, patience)?;
        }
    }
    Ok(done)
}

/// Receives what came in this direction: in order, without a gap, and again only what a dead one
/// had in its hands.
fn receive(
    ledger: &Ledger,
    end: &mut End,
    direction: usize,
    patience: Duration,
) -> Result<u64, Violation> {
    let message = match end.take_timeout(patience) {
        Ok(Some(message)) => message,
        Ok(None) => return Err(Violation::new("the other end was closed, by nobody")),
        Err(RecvError::Empty | RecvError::TimedOut | RecvError::PeerDied) => return Ok(0),
        Err(error) => return Err(wrong(error)),
    };
    let lane = Lane::Channel(direction);
    let last = ledger.common([Common::LastFirst, Common::LastSecond][direction]);
    let sequence = number_of(&message, RECORD)
        .ok_or_else(|| Violation::new(format!("a torn message of {} bytes", message.len())))?;
    let before = last.load(SeqCst);
    if sequence < before || sequence == before && ledger.is_finished(lane, sequence) {
        let what = format!("{lane:?}: {sequence} came after {before}");
        return Err(Violation::new(what));
    }
    if let Some(lost) = (before + 1..sequence).find(|it| ledger.is_confirmed(lane, *it)) {
        let what = format!("{lane:?}: {lost} is missing between {before} and {sequence}");
        return Err(Violation::new(what));
    }
    ledger.arrive(lane, sequence, sequence == before)?;
    last.store(sequence, SeqCst);
    drop(message);
    ledger.finish(lane, sequence);
    Ok(1)
}

/// Takes what is left, with nobody else there; nothing may be held by the dead.
pub(crate) fn drain(segment: &Segment, ledger: &Ledger) -> Result<(), Violation> {
    let queue = mpmc::Queue::open_in(segment, "queue").map_err(wrong)?;
    let mut rx = queue.receiver().map_err(wrong)?;
    let is_left = || Ok(!queue.is_empty()?);
    take_all(is_left, || take(ledger, &mut rx, PATIENCE, None))?;
    let stats = queue.stats().map_err(wrong)?;
    if (stats.senders, stats.receivers) != (0, 1) {
        return Err(Violation::new(format!("somebody is left: {stats:?}")));
    }
    let queue = mpmc::bytes::Queue::open_in(segment, "messages").map_err(wrong)?;
    let mut rx = queue.receiver().map_err(wrong)?;
    let is_left = || Ok(!queue.is_empty()?);
    take_all(is_left, || take_bytes(ledger, &mut rx, PATIENCE, None))?;
    let survey = queue.survey().map_err(wrong)?;
    if survey
        .classes
        .iter()
        .any(|class| class.free != class.blocks)
    {
        return Err(Violation::new(format!("a block is lost: {survey:?}")));
    }
    let channel = Channel::open_in(segment, "channel").map_err(wrong)?;
    for direction in [0, 1] {
        let mut end = match direction {
            0 => channel.second(),
            _ => channel.first(),
        }
        .map_err(wrong)?;
        while receive(ledger, &mut end, direction, Duration::ZERO)? > 0 {}
    }
    for last in [Common::LastFirst, Common::LastSecond] {
        ledger.common(last).store(0, SeqCst);
    }
    Ok(())
}
