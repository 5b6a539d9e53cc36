//! Values of serde types, in each of the things that carry bytes.

use crate::random::Random;
use crate::subject::{Failure, Handles, OBJECT, Outcome, Subject, kept, moment, told};
use ipc_core::Segment;
use ipc_queue::channel::{Channel, End};
use ipc_queue::mpmc::bytes::{Queue, Receiver, Sender};
use ipc_queue::spsc::bytes::{ByteConsumer, ByteProducer, ByteRing};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const CAPACITY: usize = 1024;
const LONGEST: usize = 300;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Thing {
    Nothing,
    Number(f64, Option<i128>),
    Text(String),
    Several(Vec<Thing>),
    Named(BTreeMap<String, (u16, bool, char)>),
}

impl Thing {
    fn draw(random: &mut Random, depth: u64) -> Self {
        match random.below(4 + depth) {
            0 => Self::Nothing,
            1 => Self::Number(random.word() as f64, Some(i128::from(random.word()))),
            2 => Self::Text("✶ text".repeat(random.below(8) as usize)),
            3 => {
                let entry = |it| (format!("key {it}"), (it as u16, it & 1 == 0, 'ß'));
                Self::Named((0..random.below(5)).map(entry).collect())
            }
            _ => Self::Several(
                (0..random.below(4))
                    .map(|_| Self::draw(random, depth - 1))
                    .collect(),
            ),
        }
    }
}

pub(crate) const RING: Subject = Subject {
    name: "values, spsc",
    bytes: 4096,
    create: |segment| {
        ByteRing::create_in(segment, OBJECT, CAPACITY, LONGEST)?;
        Ok(())
    },
    attach: |segment, random| InRing::attach(segment, random),
};

pub(crate) const QUEUE: Subject = Subject {
    name: "values, mpmc",
    bytes: 32 * 1024,
    create: |segment| {
        Queue::create_in(segment, OBJECT, 4, LONGEST)?;
        Ok(())
    },
    attach: |segment, random| InQueue::attach(segment, random),
};

pub(crate) const CHANNEL: Subject = Subject {
    name: "values, channel",
    bytes: 8192,
    create: |segment| {
        Channel::create_in(segment, OBJECT, CAPACITY, LONGEST)?;
        Ok(())
    },
    attach: |segment, random| InChannel::attach(segment, random),
};

struct InRing {
    ring: ByteRing,
    tx: Option<ByteProducer>,
    rx: Option<ByteConsumer>,
}

impl InRing {
    fn attach(segment: &Segment, _: &mut Random) -> Result<Box<dyn Handles>, Failure> {
        let ring = ByteRing::open_in(segment, OBJECT)?;
        Ok(Box::new(Self {
            tx: ring.producer().ok(),
            rx: ring.consumer().ok(),
            ring,
        }))
    }
}

impl Handles for InRing {
    fn step(&mut self, random: &mut Random, _: &mut dyn FnMut()) -> Outcome {
        match (random.below(16), &mut self.tx, &mut self.rx) {
            (0, ..) => kept(&mut self.tx, self.ring.producer()),
            (1, ..) => kept(&mut self.rx, self.ring.consumer()),
            (2, ..) => {
                (self.tx, self.rx) = (None, None);
                Outcome::Worked
            }
            (3..=8, Some(tx), _) => {
                told(tx.send_value_timeout(&Thing::draw(random, 3), moment(random)))
            }
            (_, _, Some(rx)) => told(rx.recv_value_timeout::<Thing>(moment(random))),
            _ => told(self.ring.pushed()),
        }
    }
}

struct InQueue {
    queue: Queue,
    tx: Option<Sender>,
    rx: Option<Receiver>,
}

impl InQueue {
    fn attach(segment: &Segment, _: &mut Random) -> Result<Box<dyn Handles>, Failure> {
        let queue = Queue::open_in(segment, OBJECT)?;
        Ok(Box::new(Self {
            tx: queue.sender().ok(),
            rx: queue.receiver().ok(),
            queue,
        }))
    }
}

impl Handles for InQueue {
    fn step(&mut self, random: &mut Random, _: &mut dyn FnMut()) -> Outcome {
        match (random.below(16), &mut self.tx, &mut self.rx) {
            (0, ..) => kept(&mut self.tx, self.queue.sender()),
            (1, ..) => kept(&mut self.rx, self.queue.receiver()),
            (2, ..) => {
                (self.tx, self.rx) = (None, None);
                Outcome::Worked
            }
            (3..=8, Some(tx), _) => {
                told(tx.send_value_timeout(&Thing::draw(random, 3), moment(random)))
            }
            (_, _, Some(rx)) => told(rx.recv_value_timeout::<Thing>(moment(random))),
            _ => told(self.queue.len()),
        }
    }
}

struct InChannel {
    channel: Channel,
    end: Option<End>,
}

impl InChannel {
    fn attach(segment: &Segment, _: &mut Random) -> Result<Box<dyn Handles>, Failure> {
        let channel = Channel::open_in(segment, OBJECT)?;
        Ok(Box::new(Self {
            end: channel.first().ok(),
            channel,
        }))
    }
}

impl Handles for InChannel {
    fn step(&mut self, random: &mut Random, _: &mut dyn FnMut()) -> Outcome {
        match (random.below(16), &mut self.end) {
            (0, _) => kept(&mut self.end, self.channel.first()),
            (1, _) => kept(&mut self.end, self.channel.second()),
            (2, _) => {
                self.end = None;
                Outcome::Worked
            }
            (3..=8, Some(end)) => {
                told(end.send_value_timeout(&Thing::draw(random, 3), moment(random)))
            }
            (_, Some(end)) => told(end.recv_value_timeout::<Thing>(moment(random))),
            _ => told(self.channel.segment().recover()),
        }
    }
}
