//! Senders and receivers of byte messages as processes that are killed at any time.

use super::ledger::{Ledger, Phase};
use super::message::Message;
use super::worker::{Form, Kind, Order, QUEUE, Seat};
use ipc_core::Segment;
use ipc_process::{WorkResult, Worker};
use ipc_queue::mpmc::bytes::Queue;
use ipc_queue::mpmc::{PopError, PushError};
use std::time::Duration;

/// The longest message that they send.
pub const LONGEST: usize = 3000;

fn mix(message: &Message) -> u64 {
    let seed = message.number << 20 ^ u64::from(message.generation) << 8 ^ u64::from(message.seat);
    (seed + 1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(23)
}

/// A message of some length that follows from its number, all of which does.
pub fn bytes_of(message: &Message) -> Vec<u8> {
    let mixed = mix(message);
    let most = match mixed % 4 {
        0 | 1 => 60,
        2 => 600,
        _ => LONGEST - size_of::<Message>() + 1,
    };
    let more = (mixed >> 8) as usize % most;
    let mut bytes = bytemuck::bytes_of(message).to_vec();
    bytes.extend((0..more).map(|at| (mixed >> (at % 57)) as u8 ^ (at >> 5) as u8));
    bytes
}

/// The message, if all of it is as it was sent.
pub fn message_in(bytes: &[u8]) -> Option<Message> {
    let head = bytes.get(..size_of::<Message>())?;
    let message: Message = bytemuck::pod_read_unaligned(head);
    (message.is_whole() && bytes_of(&message) == bytes).then_some(message)
}

pub fn sender(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let ledger = Ledger::open(&segment);
    let seat = Seat::of(Kind::Sender, worker);
    let mut tx = Queue::open_in(&segment, QUEUE)?.sender()?;
    tx.set_wait(seat.wait);
    let me = seat.number;
    // The last one's doubtful message is left in doubt.
    let mut number = ledger.intended(me);
    while ledger.phase() == Phase::Run {
        if !ledger.room_for_more(me) {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let message = Message::new(me, seat.generation, number);
        let bytes = bytes_of(&message);
        ledger.intend(me, number);
        let timeout = Duration::from_millis(20);
        let pushed = loop {
            let pushed = match seat.form {
                Form::Copy => tx.push_timeout(&bytes, timeout),
                form => {
                    // Now and then a grant is dropped first, and all of a block is reserved.
                    if number.is_multiple_of(5) {
                        drop(tx.try_reserve(bytes.len()));
                    }
                    let room = match form {
                        Form::Slices => LONGEST,
                        _ => bytes.len(),
                    };
                    tx.reserve_timeout(room, timeout).and_then(|mut grant| {
                        grant[..bytes.len()].copy_from_slice(&bytes);
                        grant.commit(bytes.len())
                    })
                }
            };
            // Until it succeeds, also when all are to stop: it is intended.
            match pushed {
                Err(PushError::TimedOut) => {}
                other => break other,
            }
        };
        match pushed {
            Ok(()) => ledger.done(me, number),
            Err(error) => {
                ledger.fault(&format!("a push failed: {error}"));
                break;
            }
        }
        number += 1;
    }
    Ok(())
}

pub fn receiver(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let ledger = Ledger::open(&segment);
    let seat = Seat::of(Kind::Receiver, worker);
    let mut rx = Queue::open_in(&segment, QUEUE)?.receiver()?;
    rx.set_wait(seat.wait);
    let me = seat.number as usize;
    let mut order = Order::default();
    loop {
        match rx.take_timeout(Duration::from_millis(20)) {
            Ok(Some(bytes)) => {
                let Some(message) = message_in(&bytes) else {
                    ledger.fault(&format!("torn: {} bytes", bytes.len()));
                    continue;
                };
                let before = ledger.got(me, &message);
                if before > 0 && !bytes.is_redelivered() {
                    ledger.fault(&format!("{message:?} came again unmarked"));
                }
                if !bytes.is_redelivered()
                    && let Err(fault) = order.check(&message)
                {
                    ledger.fault(&fault);
                }
                // Nobody may have touched it meanwhile.
                if message_in(&bytes) != Some(message) {
                    ledger.fault(&format!("{message:?} changed while it was held"));
                }
                ledger.finishing(me);
                drop(bytes);
                ledger.finished(me, &message);
            }
            Ok(None) => return Ok(()),
            Err(PopError::TimedOut) if ledger.phase() == Phase::Drain => return Ok(()),
            Err(PopError::TimedOut | PopError::ProducersDied) => {}
            Err(error) => {
                ledger.fault(&format!("a pop failed: {error}"));
                return Ok(());
            }
        }
    }
}
