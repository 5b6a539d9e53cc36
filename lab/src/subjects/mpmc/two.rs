//! Two victims at once: one stands somewhere in its operation while the other one operates, and is
//! cut off after each instruction; then both are killed, or both continued.

use super::{Act, Kind, MINE, OnQueue, Others, SCENES, Scene, Victim};
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use crate::subjects::common::{check_clean, door};
use crate::subjects::standing::{PARTS, Standing};
use crate::tracee::Tracee;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;

struct Two<K> {
    act: Act,
    other: OnQueue<K>,
    standing: Standing,
}

pub fn all<K: Kind>() -> Vec<Box<dyn Runnable>> {
    let pairs = [
        (Act::Push, Act::Push),
        (Act::Pop, Act::Pop),
        (Act::Push, Act::Pop),
        (Act::Pop, Act::Push),
        (Act::Take, Act::GiveBack),
        (Act::Close, Act::Commit),
        (Act::Close, Act::Take),
    ];
    let mut all: Vec<Box<dyn Runnable>> = Vec::new();
    for (act, other) in pairs {
        for part in 0..PARTS {
            // Of three slots, one with a message, after a lap.
            let other = OnQueue {
                act: other,
                scene: SCENES[1],
                kind: PhantomData,
            };
            let standing = Standing::after(part);
            all.push(Box::new(Two::<K> {
                act,
                other,
                standing,
            }));
        }
    }
    all
}

/// Those who survive, and the other one.
struct Survivors<K: Kind> {
    others: Others<K>,
    other: Option<Tracee>,
}

impl<K: Kind> Two<K> {
    fn inner(&self) -> OnQueue<K> {
        OnQueue {
            act: self.act,
            scene: self.other.scene,
            kind: PhantomData,
        }
    }
}

impl<K: Kind> Subject for Two<K> {
    type Others = Survivors<K>;
    type Victim = Victim<K>;

    fn name(&self) -> String {
        let (act, other) = (self.act, self.other.act);
        format!(
            "two: {}: {act:?}, {other:?} at {}/{PARTS}",
            K::CALLED,
            self.standing.part
        )
    }

    fn grid(&self) -> usize {
        PARTS
    }

    fn scene(&self) -> (Survivors<K>, OwnedFd) {
        self.standing.record(&self.other);
        let (others, way_in) = self.other.scene();
        let other = Some(self.standing.stand(&self.other, door(&others.segment)));
        (Survivors { others, other }, way_in)
    }

    fn enter(&self, door: OwnedFd) -> Victim<K> {
        self.inner().enter(door)
    }

    fn operate(&self, victim: &mut Victim<K>) -> Said {
        self.inner().operate(victim)
    }

    fn go_on(&self, survivors: &mut Survivors<K>, case: &mut Case) {
        let Survivors { others, other } = survivors;
        others.closed = [self.act, self.other.act].contains(&Act::Close);
        if case.is_kill() && case.turn(2) == 0 {
            *other = None;
        }
        match case.turn(3) {
            0 => drop(others.push()),
            1 => drop(others.pop()),
            _ => others.drain(),
        }
        case.went_on();
        if !others.closed {
            let missing = self.act.holds() + self.other.act.holds();
            for _ in 0..3 {
                let room = others.fill();
                let least = others.room.saturating_sub(missing);
                assert!(room >= least, "room for {room} of {}", others.room);
            }
        }
        if case.is_kill() {
            *other = None;
        }
    }

    fn settle(&self, survivors: Survivors<K>, said: Option<Said>, case: &Case) -> Outcome {
        let Survivors { mut others, other } = survivors;
        let said_too = other.map(|it| self.standing.finish(it));
        others.segment.recover().expect("recovery");
        others.drain();
        if K::is_closed(&others.queue).expect("a sound segment") {
            others.drain();
            assert!(others.ended, "the end does not come");
        } else {
            for _ in 0..2 {
                assert_eq!(others.fill(), others.room, "some room is missing");
            }
        }
        K::check_empty(&others.queue);
        let Others {
            segment,
            queue,
            tx,
            rx,
            next,
            got,
            ..
        } = others;
        drop((queue, tx, rx));
        check_clean(&segment);

        let acts = [(self.act, said), (self.other.act, said_too)];
        // What victims that came to their end took with them.
        let mut all: Vec<u64> = got.iter().map(|it| it.0).collect();
        for (act, said) in acts {
            if let Some([count, _, first, second]) = said
                && act.takes() > 0
            {
                all.extend(&[first, second][..count as usize]);
            }
        }
        all.sort_unstable();
        assert!(
            all.windows(2).all(|it| it[0] != it[1] || it[0] == MINE),
            "doubled: {all:?}"
        );
        let mine = all.iter().filter(|&&it| it == MINE).count();
        let lost = (0..next).filter(|it| !all.contains(it)).count();
        let limit = |of: fn(Act) -> usize| acts.iter().map(|it| of(it.0)).sum::<usize>();
        let pushes = limit(Act::pushes);
        assert!(mine <= pushes, "{mine} of {pushes} messages of the victims");
        // A victim's message may be what the other one took.
        let taken = if case.is_kill() { limit(Act::takes) } else { 0 };
        assert!(lost <= taken, "{lost} are lost");
        if !case.is_kill() {
            let said = acts
                .iter()
                .filter(|it| it.0.pushes() > 0)
                .filter_map(|it| it.1);
            let pushed: u64 = said.map(|it| it[0]).sum();
            assert_eq!(
                mine as u64, pushed,
                "what the victims said, and what there is"
            );
        }
        match (mine, lost) {
            (0, 0) => Outcome::new(0, "nothing pushed, nothing lost"),
            (_, 0) => Outcome::new(0, "pushed"),
            (0, _) => Outcome::new(0, "taken"),
            _ => Outcome::new(0, "pushed and taken"),
        }
    }
}

/// The scene, for those who read the list above.
const _: () = assert!(matches!(
    SCENES[1],
    Scene {
        capacity: 3,
        here: 1,
        closed: false,
        ..
    }
));
