//! The segment itself: who is there, whose a handle is, what objects there are.

use crate::random::Random;
use crate::subject::{Failure, Handles, OBJECT, Outcome, Subject, kept, told};
use ipc_core::{Owner, OwnerId, Segment};
use ipc_sync::{Event, Latch, Reset};

pub(crate) const DIRECTORY: Subject = Subject {
    name: "segment",
    bytes: 4096,
    create: |segment| {
        Latch::create_in(segment, OBJECT, 1)?;
        Ok(())
    },
    attach: |segment, _| Directory::attach(segment),
};

struct Directory {
    segment: Segment,
    owner: Option<Owner>,
}

impl Directory {
    fn attach(segment: &Segment) -> Result<Box<dyn Handles>, Failure> {
        Ok(Box::new(Self {
            segment: segment.clone(),
            owner: None,
        }))
    }
}

impl Handles for Directory {
    fn step(&mut self, random: &mut Random, meddle: &mut dyn FnMut()) -> Outcome {
        about_segment(&self.segment, &mut self.owner, random, meddle)
    }
}

/// Does one thing with a segment, of whatever objects.
pub(crate) fn about_segment(
    segment: &Segment,
    owner: &mut Option<Owner>,
    random: &mut Random,
    meddle: &mut dyn FnMut(),
) -> Outcome {
    match random.below(16) {
        0..=1 => told(segment.participants()),
        2..=4 => told(segment.recover()),
        5..=6 => match segment.objects() {
            Ok(objects) => {
                for object in objects {
                    let end = object.offset.checked_add(object.len);
                    assert!(end.is_some_and(|end| end <= segment.len()));
                }
                Outcome::Worked
            }
            Err(error) => told::<(), _>(Err(error)),
        },
        7..=8 => {
            let name = ["a", "b", "c", "d"][random.below(4) as usize];
            meddle();
            told(Event::create_in(segment, name, Reset::Manual))
        }
        9 => told(Event::open_in(
            segment,
            ["a", "b", "c", "d"][random.below(4) as usize],
        )),
        10 => told(Event::open_in(segment, OBJECT)),
        11..=12 => kept(owner, segment.owner()),
        13 => {
            *owner = None;
            Outcome::Worked
        }
        14 => match OwnerId::from_word(random.word()) {
            Some(id) => told(segment.holder(id)),
            None => Outcome::Worked,
        },
        _ => match owner {
            Some(owner) => told(segment.holder(owner.id())),
            None => told(segment.descriptor()),
        },
    }
}
