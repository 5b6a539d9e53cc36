//! Values that are read and written whole: one in a word, and a large one.

use super::common::{Bystanders, check_clean, door, enter, segment_with_bystanders};
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::{Payload, Segment};
use ipc_sync::Value;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;

/// What the victim does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Get,
    Set,
    /// Adds one.
    Update,
}

/// A number in all parts of a value.
trait Number: Payload + Copy + PartialEq + std::fmt::Debug + 'static {
    const CALLED: &'static str;
    fn of(number: u64) -> Self;
    fn number(self) -> u64;
}

impl Number for u64 {
    const CALLED: &'static str = "one word";
    fn of(number: u64) -> Self {
        number
    }
    fn number(self) -> u64 {
        self
    }
}

impl Number for [u64; 32] {
    const CALLED: &'static str = "256 bytes";
    fn of(number: u64) -> Self {
        [number; 32]
    }
    fn number(self) -> u64 {
        assert!(self.iter().all(|&it| it == self[0]), "torn: {self:?}");
        self[0]
    }
}

struct OnValue<T> {
    act: Act,
    of: PhantomData<T>,
}

pub fn all() -> Vec<Box<dyn Runnable>> {
    let mut all: Vec<Box<dyn Runnable>> = Vec::new();
    for act in [Act::Get, Act::Set, Act::Update] {
        all.push(Box::new(OnValue::<u64> {
            act,
            of: PhantomData,
        }));
        all.push(Box::new(OnValue::<[u64; 32]> {
            act,
            of: PhantomData,
        }));
    }
    all
}

struct Others<T: Number> {
    segment: Segment,
    value: Value<T>,
    added: u64,
    bystanders: Bystanders,
}

/// What it is before, and what the victim sets it to.
const BEFORE: u64 = 10;
const SET: u64 = 100;

impl<T: Number> Subject for OnValue<T> {
    type Others = Others<T>;
    type Victim = Value<T>;

    fn name(&self) -> String {
        format!("value: {:?}, {}", self.act, T::CALLED)
    }

    fn scene(&self) -> (Others<T>, OwnedFd) {
        let (segment, bystanders) = segment_with_bystanders(Value::<T>::size());
        let value = Value::create_in(&segment, "value", T::of(BEFORE)).expect("room");
        let door = door(&segment);
        (
            Others {
                segment,
                value,
                added: 0,
                bystanders,
            },
            door,
        )
    }

    fn enter(&self, door: OwnedFd) -> Value<T> {
        Value::open_in(&enter(door), "value").expect("a value")
    }

    /// What it read.
    fn operate(&self, value: &mut Value<T>) -> Said {
        let read = match self.act {
            Act::Get => value.get().expect("a sound segment").number(),
            Act::Set => {
                value.set(T::of(SET)).expect("a sound segment");
                0
            }
            Act::Update => {
                let old = value.update(|old| T::of(old.number() + 1));
                old.expect("a sound segment").number()
            }
        };
        [read, 0, 0, 0]
    }

    fn go_on(&self, others: &mut Others<T>, case: &mut Case) {
        others.bystanders.use_all();
        // Nobody ever waits for one who is stopped.
        for _ in 0..case.turn(3) {
            let old = others.value.update(|old| T::of(old.number() + 1));
            let old = old.expect("a sound segment").number();
            others.added += 1;
            let mine = [
                0,
                if self.act == Act::Update {
                    1
                } else {
                    SET - BEFORE
                },
            ];
            let without = old + 1 - others.added;
            assert!(mine.iter().any(|it| without == BEFORE + it), "{old}");
        }
        others.value.get().expect("a sound segment").number();
        case.went_on();
    }

    fn settle(&self, others: Others<T>, said: Option<Said>, _: &Case) -> Outcome {
        let Others {
            segment,
            value,
            added,
            mut bystanders,
        } = others;
        let found = value.get().expect("a sound segment").number();
        // All spare cells are there: more writes than there are cells.
        for number in 0..20 {
            value.try_set(T::of(number)).expect("nobody writes");
            assert_eq!(value.get().expect("a sound segment").number(), number);
        }
        bystanders.use_all();
        drop((value, bystanders));
        check_clean(&segment);
        let (done, undone) = match self.act {
            Act::Get => (None, BEFORE + added),
            // The others' changes came before it, or after.
            Act::Set if said.is_some() && found == SET => (Some(SET), 0),
            Act::Set => (Some(SET + added), BEFORE + added),
            Act::Update => (Some(BEFORE + added + 1), BEFORE + added),
        };
        let is_done = done == Some(found);
        assert!(is_done || found == undone, "{found}");
        assert!(
            said.is_none() || is_done || self.act == Act::Get,
            "it is lost: {found}"
        );
        if let Some([read, ..]) = said
            && self.act != Act::Set
        {
            assert!((BEFORE..=BEFORE + added).contains(&read), "it read {read}");
        }
        match is_done {
            true => Outcome::new(1, "done"),
            false => Outcome::new(0, "not done"),
        }
    }
}
