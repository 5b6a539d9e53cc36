//! A pipe in both directions.

use crate::random::Random;
use crate::subject::{
    Failure, Handles, OBJECT, Outcome, Subject, kept, moment, policy, seen, told,
};
use ipc_core::Segment;
use ipc_queue::channel::{Channel, End};

const CAPACITY: usize = 512;
const LONGEST: usize = 200;

pub(crate) const CHANNEL: Subject = Subject {
    name: "channel",
    bytes: 8192,
    create: |segment| {
        Channel::create_in(segment, OBJECT, CAPACITY, LONGEST)?;
        Ok(())
    },
    attach: |segment, random| Pipe::attach(segment, random),
};

struct Pipe {
    channel: Channel,
    end: Option<End>,
}

impl Pipe {
    fn attach(segment: &Segment, random: &mut Random) -> Result<Box<dyn Handles>, Failure> {
        let channel = Channel::open_in(segment, OBJECT)?;
        let mut it = Self { channel, end: None };
        it.join(random);
        Ok(Box::new(it))
    }

    fn join(&mut self, random: &mut Random) -> Outcome {
        let end = if random.once_in(2) {
            self.channel.first()
        } else {
            self.channel.second()
        };
        let outcome = kept(&mut self.end, end);
        if let Some(end) = &mut self.end {
            end.set_wait(policy(random));
        }
        outcome
    }
}

impl Handles for Pipe {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        let Some(end) = &mut self.end else {
            return self.join(random);
        };
        let bytes = [random.word() as u8; LONGEST + 2];
        let message = &bytes[..random.below(bytes.len() as u64) as usize];
        let mut buffer = [0; LONGEST];
        let room = random.below(LONGEST as u64 + 1) as usize;
        match random.below(40) {
            0..=7 => told(end.try_send(message)),
            8..=11 => told(end.send_timeout(message, moment(random))),
            12..=16 => match end.try_reserve(message.len()) {
                Ok(mut guard) => {
                    meddle();
                    guard.copy_from_slice(message);
                    told(guard.commit(random.below(message.len() as u64 + 2) as usize))
                }
                Err(error) => told::<(), _>(Err(error)),
            },
            17..=22 => {
                let mut into = Vec::new();
                let outcome = told(end.try_recv_into(&mut into));
                assert!(into.len() <= LONGEST);
                outcome
            }
            23..=26 => told(end.recv_into_timeout(&mut buffer[..room], moment(random))),
            27..=32 => match end.try_take() {
                Ok(Some(message)) => {
                    assert!(message.len() <= LONGEST);
                    meddle();
                    seen(&message);
                    if random.once_in(8) {
                        message.release_back();
                    }
                    Outcome::Worked
                }
                other => told(other.map(drop)),
            },
            33..=35 => told(end.request_timeout(message, &mut buffer, moment(random))),
            36 => {
                let (tx, rx) = end.split();
                told(tx.try_send(message));
                told(rx.try_recv_into(&mut buffer))
            }
            37 if random.once_in(8) => self
                .end
                .take()
                .map_or(Outcome::Worked, |end| told(end.close())),
            38 => {
                self.end = None;
                Outcome::Worked
            }
            _ => told(self.channel.segment().recover()),
        }
    }
}
