//! Rings for one producer and one consumer.

use crate::random::Random;
use crate::subject::{
    Failure, Handles, OBJECT, Outcome, Subject, kept, moment, policy, seen, told,
};
use ipc_core::Segment;
use ipc_queue::spsc::bytes::{ByteConsumer, ByteProducer, ByteRing};
use ipc_queue::spsc::{Consumer, Producer, Ring};

const CAPACITY: usize = 5;
const BYTE_CAPACITY: usize = 512;
const LONGEST: usize = 200;

pub(crate) const MESSAGES: Subject = Subject {
    name: "spsc",
    bytes: 4096,
    create: |segment| {
        Ring::<u64>::create_in(segment, OBJECT, CAPACITY)?;
        Ok(())
    },
    attach: |segment, random| Messages::attach(segment, random),
};

pub(crate) const BYTES: Subject = Subject {
    name: "spsc bytes",
    bytes: 4096,
    create: |segment| {
        ByteRing::create_in(segment, OBJECT, BYTE_CAPACITY, LONGEST)?;
        Ok(())
    },
    attach: |segment, random| Bytes::attach(segment, random),
};

struct Messages {
    ring: Ring<u64>,
    tx: Option<Producer<u64>>,
    rx: Option<Consumer<u64>>,
}

impl Messages {
    fn attach(segment: &Segment, random: &mut Random) -> Result<Box<dyn Handles>, Failure> {
        let ring = Ring::open_in(segment, OBJECT)?;
        let mut it = Self {
            ring,
            tx: None,
            rx: None,
        };
        it.join(random);
        Ok(Box::new(it))
    }

    fn join(&mut self, random: &mut Random) -> Outcome {
        if random.once_in(2) {
            let outcome = kept(&mut self.tx, self.ring.producer());
            if let Some(tx) = &mut self.tx {
                tx.set_wait(policy(random));
            }
            outcome
        } else {
            let outcome = kept(&mut self.rx, self.ring.consumer());
            if let Some(rx) = &mut self.rx {
                rx.set_wait(policy(random));
            }
            outcome
        }
    }

    fn produce(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        let Some(tx) = &mut self.tx else {
            return self.join(random);
        };
        let messages = [random.word(); 2 * CAPACITY];
        let some = &messages[..random.below(messages.len() as u64) as usize];
        match random.below(40) {
            0..=9 => told(tx.try_push(messages[0])),
            10..=14 => told(tx.try_push_slice(some)),
            15..=19 => told(tx.push_timeout(messages[0], moment(random))),
            20..=24 => told(tx.push_slice_timeout(some, moment(random))),
            25..=34 => match tx.try_reserve() {
                Ok(mut guard) => {
                    meddle();
                    *guard = messages[0];
                    match random.below(8) {
                        0 => drop(guard),
                        _ => guard.commit(),
                    }
                    Outcome::Worked
                }
                Err(error) => told::<(), _>(Err(error)),
            },
            35 => told(tx.len()),
            36 => told(tx.is_full()),
            37 if random.once_in(8) => self
                .tx
                .take()
                .map_or(Outcome::Worked, |tx| told(tx.close())),
            38 => {
                self.tx = None;
                Outcome::Worked
            }
            _ => told(self.ring.pushed()),
        }
    }

    fn consume(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        let Some(rx) = &mut self.rx else {
            return self.join(random);
        };
        let mut messages = [0; 2 * CAPACITY];
        let some = random.below(messages.len() as u64) as usize;
        match random.below(40) {
            0..=9 => told(rx.try_pop()),
            10..=14 => told(rx.try_pop_slice(&mut messages[..some])),
            15..=19 => told(rx.pop_timeout(moment(random))),
            20..=24 => told(rx.pop_slice_timeout(&mut messages[..some], moment(random))),
            25..=34 => match rx.try_peek() {
                Ok(Some(guard)) => {
                    std::hint::black_box(*guard);
                    meddle();
                    match random.below(8) {
                        0 => drop(guard),
                        _ => guard.release(),
                    }
                    Outcome::Worked
                }
                other => told(other.map(drop)),
            },
            35 => told(rx.len()),
            36 => told(rx.is_empty()),
            37 => {
                self.rx = None;
                Outcome::Worked
            }
            _ => told(self.ring.popped()),
        }
    }
}

impl Handles for Messages {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        if random.once_in(2) {
            self.produce(random, meddle)
        } else {
            self.consume(random, meddle)
        }
    }
}

struct Bytes {
    ring: ByteRing,
    tx: Option<ByteProducer>,
    rx: Option<ByteConsumer>,
}

impl Bytes {
    fn attach(segment: &Segment, random: &mut Random) -> Result<Box<dyn Handles>, Failure> {
        let ring = ByteRing::open_in(segment, OBJECT)?;
        let mut it = Self {
            ring,
            tx: None,
            rx: None,
        };
        it.join(random);
        Ok(Box::new(it))
    }

    fn join(&mut self, random: &mut Random) -> Outcome {
        if random.once_in(2) {
            let outcome = kept(&mut self.tx, self.ring.producer());
            if let Some(tx) = &mut self.tx {
                tx.set_wait(policy(random));
            }
            outcome
        } else {
            let outcome = kept(&mut self.rx, self.ring.consumer());
            if let Some(rx) = &mut self.rx {
                rx.set_wait(policy(random));
            }
            outcome
        }
    }

    fn produce(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        let Some(tx) = &mut self.tx else {
            return self.join(random);
        };
        let bytes = [random.word() as u8; LONGEST + 2];
        let record = &bytes[..random.below(bytes.len() as u64) as usize];
        match random.below(40) {
            0..=9 => told(tx.try_push(record)),
            10..=14 => told(tx.try_push_batch(&[record, &bytes[..8], record])),
            15..=19 => told(tx.push_timeout(record, moment(random))),
            20..=22 => told(tx.push_batch_timeout(&[record, &bytes[..9]], moment(random))),
            23..=27 => {
                let mut batch = tx.batch();
                for _ in 0..random.below(5) {
                    let _ = batch.try_push(record);
                    meddle();
                    if let Ok(mut guard) = batch.try_reserve(record.len()) {
                        guard.fill(7);
                        told(guard.commit(record.len() / 2));
                    }
                }
                if random.once_in(4) {
                    drop(batch);
                    Outcome::Worked
                } else {
                    told(batch.commit())
                }
            }
            28..=34 => match tx.try_reserve(record.len()) {
                Ok(mut guard) => {
                    meddle();
                    guard.copy_from_slice(record);
                    match random.below(8) {
                        0 => drop(guard),
                        _ => {
                            let len = random.below(record.len() as u64 + 2) as usize;
                            return told(guard.commit(len));
                        }
                    }
                    Outcome::Worked
                }
                Err(error) => told::<(), _>(Err(error)),
            },
            35 => told(tx.used()),
            36 => told(tx.is_empty()),
            37 if random.once_in(8) => self
                .tx
                .take()
                .map_or(Outcome::Worked, |tx| told(tx.close())),
            38 => {
                self.tx = None;
                Outcome::Worked
            }
            _ => told(self.ring.pushed()),
        }
    }

    fn consume(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        let Some(rx) = &mut self.rx else {
            return self.join(random);
        };
        let mut buffer = [0; LONGEST];
        let room = random.below(LONGEST as u64 + 1) as usize;
        match random.below(40) {
            0..=4 => {
                let mut record = Vec::new();
                let outcome = told(rx.try_pop_into(&mut record));
                assert!(record.len() <= LONGEST);
                outcome
            }
            5..=9 => told(rx.try_pop_into(&mut buffer[..room])),
            10..=14 => told(rx.pop_into_timeout(&mut buffer, moment(random))),
            15..=24 => match rx.try_take() {
                Ok(Some(record)) => {
                    assert!(record.len() <= LONGEST);
                    seen(&record);
                    meddle();
                    seen(&record);
                    match random.below(8) {
                        0 => record.release_back(),
                        1 => std::mem::forget(record),
                        _ => drop(record),
                    }
                    Outcome::Worked
                }
                other => told(other.map(drop)),
            },
            25..=34 => match rx.take_batch_timeout(random.below(6) as usize, moment(random)) {
                Ok(Some(batch)) => {
                    meddle();
                    batch.iter().for_each(seen);
                    match random.below(8) {
                        0 => batch.release_back(),
                        1 => std::mem::forget(batch),
                        _ => drop(batch),
                    }
                    Outcome::Worked
                }
                other => told(other.map(drop)),
            },
            35 => told(rx.used()),
            36 => told(rx.is_empty()),
            37 => {
                self.rx = None;
                Outcome::Worked
            }
            _ => told(self.ring.taken()),
        }
    }
}

impl Handles for Bytes {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        if random.once_in(2) {
            self.produce(random, meddle)
        } else {
            self.consume(random, meddle)
        }
    }
}
