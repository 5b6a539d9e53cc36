//! What is counted, waited for and met at; and values.

use crate::random::Random;
use crate::subject::{Failure, Handles, OBJECT, Outcome, Subject, kept, moment, policy, told};
use ipc_core::Segment;
use ipc_sync::{Array, Barrier, CountingSemaphore, Event, Latch, Party, Reset, Semaphore, Value};

pub(crate) const SEMAPHORE: Subject = Subject {
    name: "semaphore",
    bytes: 16 * 1024,
    create: |segment| {
        Semaphore::create_in(segment, OBJECT, 3)?;
        Ok(())
    },
    attach: |segment, random| {
        let mut semaphore = Semaphore::open_in(segment, OBJECT)?;
        semaphore.set_wait(policy(random));
        Ok(Box::new(semaphore))
    },
};

pub(crate) const COUNTING_SEMAPHORE: Subject = Subject {
    name: "counting semaphore",
    bytes: 1024,
    create: |segment| {
        CountingSemaphore::create_in(segment, OBJECT, 3)?;
        Ok(())
    },
    attach: |segment, random| {
        let mut semaphore = CountingSemaphore::open_in(segment, OBJECT)?;
        semaphore.set_wait(policy(random));
        Ok(Box::new(semaphore))
    },
};

pub(crate) const LATCH: Subject = Subject {
    name: "latch",
    bytes: 1024,
    create: |segment| {
        Latch::create_in(segment, OBJECT, 100)?;
        Ok(())
    },
    attach: |segment, random| {
        let mut latch = Latch::open_in(segment, OBJECT)?;
        latch.set_wait(policy(random));
        Ok(Box::new(latch))
    },
};

pub(crate) const BARRIER: Subject = Subject {
    name: "barrier",
    bytes: 2048,
    create: |segment| {
        Barrier::create_in(segment, OBJECT, 2)?;
        Ok(())
    },
    attach: |segment, random| {
        let mut barrier = Barrier::open_in(segment, OBJECT)?;
        barrier.set_wait(policy(random));
        let parties = [barrier.join().ok(), None];
        Ok(Box::new(Meeting { barrier, parties }))
    },
};

pub(crate) const EVENT: Subject = Subject {
    name: "event",
    bytes: 1024,
    create: |segment| {
        Event::create_in(segment, OBJECT, Reset::Auto)?;
        Ok(())
    },
    attach: |segment, random| Ok(Box::new(event(segment, random)?)),
};

pub(crate) const MANUAL_EVENT: Subject = Subject {
    name: "event, manual",
    bytes: 1024,
    create: |segment| {
        Event::create_in(segment, OBJECT, Reset::Manual)?;
        Ok(())
    },
    attach: |segment, random| Ok(Box::new(event(segment, random)?)),
};

pub(crate) const SMALL_VALUE: Subject = Subject {
    name: "value, a word",
    bytes: 1024,
    create: |segment| {
        Value::create_in(segment, OBJECT, 7_u32)?;
        Ok(())
    },
    attach: |segment, random| {
        let mut value = Value::<u32>::open_in(segment, OBJECT)?;
        value.set_wait(policy(random));
        Ok(Box::new(value))
    },
};

pub(crate) const LARGE_VALUE: Subject = Subject {
    name: "value, large",
    bytes: 8192,
    create: |segment| {
        Value::create_in(segment, OBJECT, [7_u64; 9])?;
        Ok(())
    },
    attach: |segment, random| {
        let mut value = Value::<[u64; 9]>::open_in(segment, OBJECT)?;
        value.set_wait(policy(random));
        Ok(Box::new(value))
    },
};

pub(crate) const ARRAY: Subject = Subject {
    name: "array",
    bytes: 16 * 1024,
    create: |segment| {
        Array::create_in(segment, OBJECT, ELEMENTS, |at| [at as u64; 3])?;
        Array::create_in(segment, NUMBERS, ELEMENTS, |at| at as u16)?;
        Ok(())
    },
    attach: |segment, random| {
        let mut large = Array::open_in(segment, OBJECT)?;
        large.set_wait(policy(random));
        let numbers = Array::open_in(segment, NUMBERS)?;
        Ok(Box::new(Arrays { large, numbers }))
    },
};

const ELEMENTS: usize = 6;
const NUMBERS: &str = "numbers";

fn event(segment: &Segment, random: &mut Random) -> Result<Event, Failure> {
    let mut event = Event::open_in(segment, OBJECT)?;
    event.set_wait(policy(random));
    Ok(event)
}

impl Handles for Semaphore {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        let permits = match random.below(16) {
            0..=4 => self.try_acquire(),
            5..=8 => self.acquire_timeout(moment(random)),
            9..=10 => self.try_acquire_many(random.below(4) as u32),
            11 => self.acquire_many_timeout(random.below(4) as u32, moment(random)),
            12 => return told(self.add_permits(random.below(3) as u32)),
            13 => return told(self.reduce_permits(random.below(3) as u32)),
            14 => return told(self.permits()),
            _ => {
                *self = self.clone();
                return told(self.available());
            }
        };
        match permits {
            Ok(permits) => {
                meddle();
                std::hint::black_box(permits.count());
                if random.once_in(16) {
                    std::mem::forget(permits);
                }
                Outcome::Worked
            }
            Err(error) => told::<(), _>(Err(error)),
        }
    }
}

impl Handles for CountingSemaphore {
    fn step(&mut self, random: &mut Random, _: &mut dyn FnMut()) -> Outcome {
        match random.below(8) {
            0..=2 => told(self.post(random.below(3) as u32)),
            3 => told(self.count()),
            4..=5 => told(self.try_wait()),
            _ => told(self.wait_timeout(moment(random))),
        }
    }
}

impl Handles for Latch {
    fn step(&mut self, random: &mut Random, _: &mut dyn FnMut()) -> Outcome {
        match random.below(8) {
            0..=2 => told(self.count_down(random.below(3) as u32)),
            3 => told(self.count()),
            4..=5 => told(self.try_wait()),
            _ => told(self.wait_timeout(moment(random))),
        }
    }
}

struct Meeting {
    barrier: Barrier,
    parties: [Option<Party>; 2],
}

impl Handles for Meeting {
    fn step(&mut self, random: &mut Random, _: &mut dyn FnMut()) -> Outcome {
        let party = &mut self.parties[random.below(2) as usize];
        match (random.below(16), party) {
            (0, _) => told(self.barrier.is_broken()),
            (1, _) => told(self.barrier.waiting()),
            (2, _) => told(self.barrier.abort()),
            (3..=4, _) => told(self.barrier.reset()),
            (5, party) => {
                *party = None;
                Outcome::Worked
            }
            (_, party @ None) => kept(party, self.barrier.join()),
            (6..=9, Some(party)) => told(party.try_wait()),
            (_, Some(party)) => told(party.wait_timeout(moment(random))),
        }
    }
}

impl Handles for Event {
    fn step(&mut self, random: &mut Random, _: &mut dyn FnMut()) -> Outcome {
        match random.below(8) {
            0..=2 => told(self.set()),
            3 => told(self.reset()),
            4 => told(self.is_set()),
            5 => told(self.try_wait()),
            _ => told(self.wait_timeout(moment(random))),
        }
    }
}

impl Handles for Value<u32> {
    fn step(&mut self, random: &mut Random, _: &mut dyn FnMut()) -> Outcome {
        match random.below(8) {
            0..=1 => told(self.get()),
            2 => told(self.try_set(random.word() as u32)),
            3 => told(self.fetch_add(3)),
            4 => told(self.fetch_max(random.word() as u32)),
            _ => told(self.try_update(moment(random), |it| it.checked_add(1))),
        }
    }
}

impl Handles for Value<[u64; 9]> {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        match random.below(8) {
            0..=2 => told(self.get()),
            3 => told(self.try_set([random.word(); 9])),
            4 => told(self.set_timeout([random.word(); 9], moment(random))),
            _ => {
                let timeout = moment(random);
                told(self.try_update(timeout, |value| {
                    meddle();
                    (value[0] != 1).then_some([value[8].wrapping_add(1); 9])
                }))
            }
        }
    }
}

struct Arrays {
    large: Array<[u64; 3]>,
    numbers: Array<u16>,
}

impl Handles for Arrays {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        let at = random.below(ELEMENTS as u64) as usize;
        match random.below(10) {
            0..=2 => told(self.large.get(at)),
            3 => told(self.large.try_set(at, [random.word(); 3])),
            4 => told(self.large.to_vec()),
            5..=6 => {
                let timeout = moment(random);
                told(self.large.try_update(at, timeout, |value| {
                    meddle();
                    Some([value[0].wrapping_add(1); 3])
                }))
            }
            7 => told(self.numbers.fetch_add(at, 1)),
            8 => told(
                self.numbers
                    .try_update(at, moment(random), |it| Some(it ^ 1)),
            ),
            _ => told(self.numbers.get(at)),
        }
    }
}
