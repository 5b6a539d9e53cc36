//! The cell that is initialised once.

use super::common::{Bystanders, SOON, check_clean, door, enter, segment_with_bystanders};
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::{Segment, Wait};
use ipc_sync::{OnceCell, OnceError};
use std::os::fd::OwnedFd;
use std::time::Duration;

type Many = [u64; 20];

const MINE: Many = [7; 20];
const THEIRS: Many = [8; 20];

/// What the victim does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Initialise,
    /// After another has.
    Get,
}

struct OnCell {
    act: Act,
}

pub fn all() -> Vec<Box<dyn Runnable>> {
    [Act::Initialise, Act::Get]
        .map(|act| Box::new(OnCell { act }) as Box<dyn Runnable>)
        .into()
}

struct Others {
    segment: Segment,
    cell: OnceCell<Many>,
    bystanders: Bystanders,
}

impl Subject for OnCell {
    type Others = Others;
    type Victim = OnceCell<Many>;

    fn name(&self) -> String {
        format!("once: {:?}", self.act)
    }

    fn scene(&self) -> (Others, OwnedFd) {
        let (segment, bystanders) = segment_with_bystanders(OnceCell::<Many>::SIZE);
        let cell = OnceCell::create_in(&segment, "cell").expect("room");
        if self.act == Act::Get {
            cell.get_or_init(|| THEIRS).expect("a sound segment");
        }
        let door = door(&segment);
        (
            Others {
                segment,
                cell,
                bystanders,
            },
            door,
        )
    }

    fn enter(&self, door: OwnedFd) -> OnceCell<Many> {
        let mut cell = OnceCell::open_in(&enter(door), "cell").expect("a cell");
        cell.set_wait(Wait::Park);
        cell
    }

    /// What it got.
    fn operate(&self, cell: &mut OnceCell<Many>) -> Said {
        let value = cell.get_or_init(|| MINE).expect("a sound segment");
        [value[0], value[19], 0, 0]
    }

    fn go_on(&self, others: &mut Others, case: &mut Case) {
        others.bystanders.use_all();
        let patience = if case.is_kill() {
            SOON
        } else {
            Duration::from_millis(case.turn(4) / 3)
        };
        match others.cell.get_or_init_timeout(patience, || THEIRS) {
            Ok(value) => assert!(value == MINE || value == THEIRS, "{value:?}"),
            Err(OnceError::TimedOut) if !case.is_kill() => {}
            Err(error) => panic!("{error}"),
        }
        case.went_on();
    }

    fn settle(&self, others: Others, said: Option<Said>, _: &Case) -> Outcome {
        let Others {
            segment,
            cell,
            mut bystanders,
        } = others;
        let value = cell
            .get()
            .expect("a sound segment")
            .expect("it was initialised");
        assert!(value == MINE || value == THEIRS, "{value:?}");
        assert_eq!(
            cell.get_or_init_timeout(SOON, || [9; 20])
                .expect("it is there"),
            value
        );
        if let Some([first, last, ..]) = said {
            assert_eq!(
                [first, last],
                [value[0]; 2],
                "what the victim got, and what there is"
            );
        }
        bystanders.use_all();
        drop((cell, bystanders));
        check_clean(&segment);
        match value == MINE {
            false => Outcome::new(0, "another's"),
            true => Outcome::new(1, "its own"),
        }
    }
}
