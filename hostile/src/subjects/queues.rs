//! Queues for any number of senders and receivers.

use crate::random::Random;
use crate::subject::{
    Failure, Handles, OBJECT, Outcome, Subject, kept, moment, policy, seen, told,
};
use ipc_core::Segment;
use ipc_queue::mpmc::{self, bytes};

const CAPACITY: usize = 5;
const LONGEST: usize = 400;

pub(crate) const MESSAGES: Subject = Subject {
    name: "mpmc",
    bytes: 16 * 1024,
    create: |segment| {
        mpmc::Queue::<[u64; 3]>::create_in(segment, OBJECT, CAPACITY)?;
        Ok(())
    },
    attach: |segment, random| Messages::attach(segment, random),
};

pub(crate) const BYTES: Subject = Subject {
    name: "mpmc bytes",
    bytes: 32 * 1024,
    create: |segment| {
        bytes::Queue::options()
            .blocks(200, 2)
            .blocks(LONGEST, 2)
            .create_in(segment, OBJECT, CAPACITY, LONGEST)?;
        Ok(())
    },
    attach: |segment, random| Bytes::attach(segment, random),
};

struct Messages {
    queue: mpmc::Queue<[u64; 3]>,
    tx: Option<mpmc::Sender<[u64; 3]>>,
    rx: Option<mpmc::Receiver<[u64; 3]>>,
}

impl Messages {
    fn attach(segment: &Segment, random: &mut Random) -> Result<Box<dyn Handles>, Failure> {
        let queue = mpmc::Queue::open_in(segment, OBJECT)?;
        let mut it = Self {
            queue,
            tx: None,
            rx: None,
        };
        it.join(random);
        Ok(Box::new(it))
    }

    fn join(&mut self, random: &mut Random) -> Outcome {
        if random.once_in(2) {
            let outcome = kept(&mut self.tx, self.queue.sender());
            if let Some(tx) = &mut self.tx {
                tx.set_wait(policy(random));
            }
            outcome
        } else {
            let outcome = kept(&mut self.rx, self.queue.receiver());
            if let Some(rx) = &mut self.rx {
                rx.set_wait(policy(random));
            }
            outcome
        }
    }

    fn send(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        let Some(tx) = &mut self.tx else {
            return self.join(random);
        };
        let messages = [[random.word(); 3]; 2 * CAPACITY];
        let some = &messages[..random.below(messages.len() as u64) as usize];
        match random.below(40) {
            0..=9 => told(tx.try_push(messages[0])),
            10..=14 => told(tx.try_push_slice(some)),
            15..=19 => told(tx.push_timeout(messages[0], moment(random))),
            20..=24 => told(tx.push_slice_timeout(some, moment(random))),
            25..=35 => match tx.try_reserve() {
                Ok(mut guard) => {
                    meddle();
                    *guard = messages[0];
                    match random.below(8) {
                        0 => drop(guard),
                        1 => std::mem::forget(guard),
                        _ => return told(guard.commit()),
                    }
                    Outcome::Worked
                }
                Err(error) => told::<(), _>(Err(error)),
            },
            36 if random.once_in(8) => self
                .tx
                .take()
                .map_or(Outcome::Worked, |tx| told(tx.close())),
            37 => told(tx.try_clone()),
            38 => {
                self.tx = None;
                Outcome::Worked
            }
            _ => self.look(random),
        }
    }

    fn receive(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        let Some(rx) = &mut self.rx else {
            return self.join(random);
        };
        let mut messages = [[0; 3]; 2 * CAPACITY];
        let some = random.below(messages.len() as u64) as usize;
        match random.below(40) {
            0..=9 => told(rx.try_pop()),
            10..=14 => told(rx.try_pop_slice(&mut messages[..some])),
            15..=19 => told(rx.pop_timeout(moment(random))),
            20..=22 => told(rx.pop_slice_timeout(&mut messages[..some], moment(random))),
            23..=29 => match rx.try_take() {
                Ok(Some(message)) => {
                    meddle();
                    std::hint::black_box((*message, message.redeliveries()));
                    match random.below(8) {
                        0 => message.release_back(),
                        1 => std::mem::forget(message),
                        _ => drop(message),
                    }
                    Outcome::Worked
                }
                other => told(other.map(drop)),
            },
            30..=36 => match rx.take_slice_timeout(some, moment(random)) {
                Ok(Some(messages)) => {
                    assert!(messages.len() <= some);
                    meddle();
                    for message in messages.iter() {
                        std::hint::black_box((*message, message.redeliveries()));
                    }
                    match random.below(8) {
                        0 => messages.release_back(),
                        1 => std::mem::forget(messages),
                        _ => drop(messages),
                    }
                    Outcome::Worked
                }
                other => told(other.map(drop)),
            },
            37 => told(rx.try_clone()),
            38 => {
                self.rx = None;
                Outcome::Worked
            }
            _ => self.look(random),
        }
    }

    fn look(&self, random: &mut Random) -> Outcome {
        match random.below(5) {
            0 => told(self.queue.len()),
            1 => told(self.queue.is_full()),
            2 => told(self.queue.is_closed()),
            3 if random.once_in(8) => told(self.queue.close()),
            _ => told(self.queue.stats()),
        }
    }
}

impl Handles for Messages {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        if random.once_in(2) {
            self.send(random, meddle)
        } else {
            self.receive(random, meddle)
        }
    }
}

struct Bytes {
    queue: bytes::Queue,
    tx: Option<bytes::Sender>,
    rx: Option<bytes::Receiver>,
}

impl Bytes {
    fn attach(segment: &Segment, random: &mut Random) -> Result<Box<dyn Handles>, Failure> {
        let queue = bytes::Queue::open_in(segment, OBJECT)?;
        let mut it = Self {
            queue,
            tx: None,
            rx: None,
        };
        it.join(random);
        Ok(Box::new(it))
    }

    fn join(&mut self, random: &mut Random) -> Outcome {
        if random.once_in(2) {
            let outcome = kept(&mut self.tx, self.queue.sender());
            if let Some(tx) = &mut self.tx {
                tx.set_wait(policy(random));
            }
            outcome
        } else {
            let outcome = kept(&mut self.rx, self.queue.receiver());
            if let Some(rx) = &mut self.rx {
                rx.set_wait(policy(random));
            }
            outcome
        }
    }

    fn send(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        let Some(tx) = &mut self.tx else {
            return self.join(random);
        };
        let message = [random.word() as u8; LONGEST + 2];
        let message = &message[..random.below(message.len() as u64) as usize];
        match random.below(40) {
            0..=14 => told(tx.try_push(message)),
            15..=24 => told(tx.push_timeout(message, moment(random))),
            25..=35 => match tx.try_reserve(message.len()) {
                Ok(mut grant) => {
                    meddle();
                    grant.copy_from_slice(message);
                    match random.below(8) {
                        0 => drop(grant),
                        1 => std::mem::forget(grant),
                        _ => {
                            let len = random.below(message.len() as u64 + 2) as usize;
                            return told(grant.commit(len));
                        }
                    }
                    Outcome::Worked
                }
                Err(error) => told::<(), _>(Err(error)),
            },
            36 if random.once_in(8) => self
                .tx
                .take()
                .map_or(Outcome::Worked, |tx| told(tx.close())),
            37 => told(tx.try_clone()),
            38 => {
                self.tx = None;
                Outcome::Worked
            }
            _ => self.look(random),
        }
    }

    fn receive(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        let Some(rx) = &mut self.rx else {
            return self.join(random);
        };
        match random.below(40) {
            0..=16 => {
                let mut message = Vec::new();
                let outcome = told(rx.pop_into_timeout(&mut message, moment(random)));
                assert!(message.len() <= LONGEST);
                outcome
            }
            17..=36 => match rx.try_take() {
                Ok(Some(message)) => {
                    assert!(message.len() <= LONGEST);
                    seen(&message);
                    meddle();
                    seen(&message);
                    match random.below(8) {
                        0 => message.release_back(),
                        1 => std::mem::forget(message),
                        _ => drop(message),
                    }
                    Outcome::Worked
                }
                other => told(other.map(drop)),
            },
            37 => told(rx.try_clone()),
            38 => {
                self.rx = None;
                Outcome::Worked
            }
            _ => self.look(random),
        }
    }

    fn look(&self, random: &mut Random) -> Outcome {
        match random.below(6) {
            0 => told(self.queue.len()),
            1 => told(self.queue.is_full()),
            2 => told(self.queue.is_closed()),
            3 if random.once_in(8) => told(self.queue.close()),
            4 => told(self.queue.stats()),
            _ => told(self.queue.survey()),
        }
    }
}

impl Handles for Bytes {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        if random.once_in(2) {
            self.send(random, meddle)
        } else {
            self.receive(random, meddle)
        }
    }
}
