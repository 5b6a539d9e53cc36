//! One process, one object, and damage: everything that a seed and a number determine.

use crate::anatomy::Anatomy;
use crate::cage::Cage;
use crate::memory::Memory;
use crate::mutation::Mutation;
use crate::progress::{Count, Progress};
use crate::random::Random;
use crate::subject::{Failure, Handles, OBJECT, Outcome, Subject};
use crate::subjects::directory::{self, about_segment};
use ipc_core::{Owner, Segment};
use std::cell::RefCell;
use std::os::fd::OwnedFd;

/// How many attachments a trial has at once, at most.
const ATTACHMENTS: usize = 3;

/// One process's room for trials of a subject.
pub struct Arena {
    subject: &'static Subject,
    file: OwnedFd,
    memory: Memory,
    anatomy: Anatomy,
    /// The segment at several times of an undamaged life.
    past: Vec<Vec<u64>>,
    cage: Cage,
}

/// Which of a trial's mutations are left out, and whether each is written down.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// By their numbers.
    pub without: Vec<usize>,
    /// Says on standard error what is done.
    pub is_told: bool,
}

struct Damage<'a> {
    random: Random,
    arena: &'a Arena,
    progress: &'a Progress,
    replay: &'a Replay,
    confined: bool,
    drawn: usize,
}

struct Attached {
    segment: Segment,
    handles: Option<Box<dyn Handles>>,
    owner: Option<Owner>,
}

impl Arena {
    /// Lets a segment live for a while, and keeps what it looked like.
    ///
    /// # Errors
    /// Those of creating, opening and mapping it.
    pub fn new(subject: &'static Subject, seed: u64) -> Result<Self, Failure> {
        let mut random = Random::new(seed);
        let segment = subject.segment()?;
        let file = segment.descriptor()?;
        let memory = Memory::map(&file)?;
        let mut past = vec![memory.snapshot()];
        for steps in [0, 3, 20, 200] {
            let other = Segment::open(segment.descriptor()?)?;
            let mut two = [
                (subject.attach)(&segment, &mut random)?,
                (subject.attach)(&other, &mut random)?,
            ];
            for _ in 0..steps {
                two[random.below(2) as usize].step(&mut random, &mut || {});
            }
            past.push(memory.snapshot());
        }
        past.push(memory.snapshot());
        let anatomy = Anatomy::of(&segment, OBJECT, &past)?;
        drop(segment);
        let cage = Cage::new(memory.words() * 8, ATTACHMENTS)?;
        Ok(Self {
            subject,
            file,
            memory,
            anatomy,
            past,
            cage,
        })
    }

    /// Runs one trial: opens and uses the segment while, and after, it is damaged.
    ///
    /// # Errors
    /// If descriptors cannot be duplicated, or memory not be mapped.
    ///
    /// # Panics
    /// If what a call returned cannot be, or memory changed that was not the object's.
    pub fn trial(
        &self,
        seed: u64,
        number: u64,
        progress: &Progress,
        replay: &Replay,
    ) -> Result<(), Failure> {
        let mut random = Random::of_part(seed, number);
        let before = &self.past[random.below(self.past.len() as u64) as usize];
        self.memory.restore(before);
        self.cage.close()?;
        let confined = random.once_in(4) && self.subject.name != directory::DIRECTORY.name;
        let damage = RefCell::new(Damage {
            random: Random::of_part(!seed, number),
            arena: self,
            progress,
            replay,
            confined,
            drawn: 0,
        });
        let mut meddle = || {
            let mut damage = damage.borrow_mut();
            if damage.random.once_in(3) {
                damage.one();
            }
        };
        if !random.once_in(8) {
            damage.borrow_mut().some();
        }
        let mut attached: Vec<Attached> = Vec::new();
        for _ in 0..8 + random.below(24) {
            let chosen = random.below(attached.len() as u64) as usize;
            match random.below(16) {
                0..=2 => damage.borrow_mut().some(),
                3..=4 if attached.len() < ATTACHMENTS => {
                    replay.tell(format_args!("open"));
                    attached.extend(self.open(&mut random, progress)?);
                }
                5 if !attached.is_empty() => {
                    replay.tell(format_args!("close {chosen}"));
                    attached.swap_remove(chosen);
                }
                6..=7 if !attached.is_empty() => {
                    replay.tell(format_args!("segment {chosen}"));
                    let Attached { segment, owner, .. } = &mut attached[chosen];
                    let outcome = if confined {
                        crate::subject::told(segment.recover())
                    } else {
                        about_segment(segment, owner, &mut random, &mut meddle)
                    };
                    damage.borrow().count(outcome);
                }
                _ => match attached.get_mut(chosen) {
                    Some(Attached {
                        handles: Some(handles),
                        ..
                    }) => {
                        for step in 0..1 + random.below(24) {
                            replay.tell(format_args!("step {step} of {chosen}"));
                            let outcome = handles.step(&mut random, &mut meddle);
                            damage.borrow().count(outcome);
                        }
                    }
                    Some(it) => {
                        it.handles = (self.subject.attach)(&it.segment, &mut random).ok();
                    }
                    None => attached.extend(self.open(&mut random, progress)?),
                },
            }
        }
        if number.is_multiple_of(64) {
            let (mapped, caged) = self.cage.count("memfd:hostile")?;
            // The arena's own mapping is no segment's.
            progress.add(Count::Mapped, mapped as u64 - 1);
            progress.add(Count::Caged, caged as u64);
        }
        drop(attached);
        if confined {
            self.check_outside(before);
            progress.add(Count::Confined, 1);
        }
        Ok(())
    }

    /// Attaches, if that is not refused.
    fn open(&self, random: &mut Random, progress: &Progress) -> Result<Option<Attached>, Failure> {
        let opened = Segment::open(self.file.try_clone()?);
        progress.add(Count::Opens, 1);
        Ok(match opened {
            Ok(segment) => Some(Attached {
                handles: (self.subject.attach)(&segment, random).ok(),
                segment,
                owner: None,
            }),
            Err(error) => {
                std::hint::black_box(error.to_string());
                None
            }
        })
    }

    /// What belongs to no table and no object is as it was, and so is the header.
    fn check_outside(&self, before: &[u64]) {
        let Anatomy { header, unused, .. } = &self.anatomy;
        for at in header.clone().chain(unused.clone()) {
            let (now, was) = (self.memory.get(at), before[at]);
            assert!(
                now == was,
                "byte {} was changed, which no object's is: {was:#x} -> {now:#x}",
                at * 8
            );
        }
    }
}

impl Damage<'_> {
    fn some(&mut self) {
        for _ in 0..1 + self.random.below(5) {
            self.one();
        }
    }

    /// Only calls on damaged memory count.
    fn count(&self, outcome: Outcome) {
        if self.drawn > 0 {
            self.progress.count(outcome);
        }
    }

    fn one(&mut self) {
        let Arena {
            memory,
            anatomy,
            past,
            ..
        } = self.arena;
        let mutation = Mutation::draw(&mut self.random, memory, anatomy, past);
        let number = self.drawn;
        self.drawn += 1;
        let is_out = self.confined && !mutation.is_within(&anatomy.object);
        if is_out || self.replay.without.contains(&number) {
            return;
        }
        self.replay.tell(format_args!(
            "mutation {number}: {}",
            mutation.shown(memory)
        ));
        mutation.apply(memory);
        self.progress.add(Count::Mutations, 1);
    }
}

impl Replay {
    fn tell(&self, what: std::fmt::Arguments<'_>) {
        if self.is_told {
            eprintln!("{what}");
        }
    }
}

impl Progress {
    /// One call that has returned.
    pub(crate) fn count(&self, outcome: Outcome) {
        self.add(Count::Operations, 1);
        if outcome == Outcome::Refused {
            self.add(Count::Refused, 1);
        }
    }
}
