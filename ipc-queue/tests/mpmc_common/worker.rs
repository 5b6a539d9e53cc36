//! Senders and receivers as processes that are killed at any time.

use super::ledger::{Ledger, Phase};
use super::message::Message;
use ipc_core::{Segment, Wait};
use ipc_process::{Process, WorkResult, Worker};
use ipc_queue::mpmc::{PopError, PushError, Queue};
use std::collections::HashMap;
use std::time::Duration;

/// What a worker is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sender,
    Receiver,
}

/// How it pushes or pops.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// By copy.
    Copy,
    /// In place.
    InPlace,
    /// Several at once, by copy.
    Slices,
}

pub const QUEUE: &str = "queue";
pub const SCOPE: &str = "kills";

/// A place at work, which a replacement takes over.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    pub kind: Kind,
    pub number: u32,
    /// How many had it before.
    pub generation: u32,
    pub form: Form,
    pub wait: Wait,
}

impl Seat {
    pub fn start(&self, scope: &str, test: &str, segment: &Segment) -> Process {
        let role = match self.kind {
            Kind::Sender => "sender",
            Kind::Receiver => "receiver",
        };
        let form = match self.form {
            Form::Copy => 0,
            Form::InPlace => 1,
            Form::Slices => 2,
        };
        let wait = match self.wait {
            Wait::Busy => 0,
            Wait::Park => 1,
            _ => 2,
        };
        let mut params = Vec::new();
        for word in [self.number, self.generation, form, wait] {
            params.extend_from_slice(&word.to_ne_bytes());
        }
        Process::builder(scope, role)
            .under_test(test)
            .params(params)
            .fd("segment", segment.descriptor().unwrap())
            .spawn()
            .unwrap()
    }

    pub fn of(kind: Kind, worker: &Worker) -> Self {
        let words: Vec<u32> = worker
            .params()
            .chunks_exact(4)
            .map(|it| u32::from_ne_bytes(it.try_into().unwrap()))
            .collect();
        Self {
            kind,
            number: words[0],
            generation: words[1],
            form: [Form::Copy, Form::InPlace, Form::Slices][words[2] as usize],
            wait: [Wait::Busy, Wait::Park, Wait::Adaptive][words[3] as usize],
        }
    }
}

pub fn sender(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let ledger = Ledger::open(&segment);
    let seat = Seat::of(Kind::Sender, worker);
    let mut tx = Queue::<Message>::open_in(&segment, QUEUE)?.sender()?;
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
        ledger.intend(me, number);
        let timeout = Duration::from_millis(20);
        let pushed = loop {
            let pushed = match seat.form {
                Form::Copy => tx.push_timeout(message, timeout),
                Form::InPlace => tx.reserve_timeout(timeout).and_then(|mut slot| {
                    *slot = message;
                    slot.commit()
                }),
                Form::Slices => tx.push_slice_timeout(&[message], timeout).map(drop),
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

/// Messages of one sender come in their order, but for those that come again.
#[derive(Default)]
pub struct Order {
    last: HashMap<(u32, u32), u64>,
}

impl Order {
    pub fn check(&mut self, message: &Message) -> Result<(), String> {
        let last = self
            .last
            .insert((message.seat, message.generation), message.number);
        match last {
            Some(last) if last >= message.number => {
                Err(format!("{message:?} came after number {last}"))
            }
            _ => Ok(()),
        }
    }
}

pub fn receiver(worker: &mut Worker) -> WorkResult {
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let ledger = Ledger::open(&segment);
    let seat = Seat::of(Kind::Receiver, worker);
    let mut rx = Queue::<Message>::open_in(&segment, QUEUE)?.receiver()?;
    rx.set_wait(seat.wait);
    let me = seat.number as usize;
    let mut order = Order::default();
    loop {
        match rx.take_timeout(Duration::from_millis(20)) {
            Ok(Some(message)) => {
                if !message.is_whole() {
                    ledger.fault(&format!("torn: {:?}", *message));
                    continue;
                }
                let before = ledger.got(me, &message);
                if before > 0 && !message.is_redelivered() {
                    ledger.fault(&format!("{:?} came again unmarked", *message));
                }
                if !message.is_redelivered()
                    && let Err(fault) = order.check(&message)
                {
                    ledger.fault(&fault);
                }
                let copy = *message;
                ledger.finishing(me);
                drop(message);
                ledger.finished(me, &copy);
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
