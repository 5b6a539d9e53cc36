//! Events, latches and semaphores without owners: words that anybody changes.

use super::common::{Bystanders, MOMENT, SOON, check_clean, door, enter, segment_with_bystanders};
use super::peer::Peer;
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::{Segment, Wait};
use ipc_sync::{CountingSemaphore, Event, EventError, Latch, Reset, WaitError};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Something that is brought about, and waited for.
trait Sign: Sized + 'static {
    const CALLED: &'static str;
    fn create(segment: &Segment) -> Self;
    fn open(segment: &Segment) -> Self;
    fn bring_about(&self);
    /// Whether it came about in time.
    fn wait(&self, patience: Duration) -> bool;
}

impl Sign for Event {
    const CALLED: &'static str = "event";

    fn create(segment: &Segment) -> Self {
        Event::create_in(segment, "sign", Reset::Auto).expect("room")
    }

    fn open(segment: &Segment) -> Self {
        let mut event = Event::open_in(segment, "sign").expect("an event");
        event.set_wait(Wait::Park);
        event
    }

    fn bring_about(&self) {
        self.set().expect("a sound segment");
    }

    fn wait(&self, patience: Duration) -> bool {
        came(self.wait_timeout(patience), |it| {
            matches!(it, EventError::TimedOut)
        })
    }
}

impl Sign for Latch {
    const CALLED: &'static str = "latch";

    fn create(segment: &Segment) -> Self {
        Latch::create_in(segment, "sign", 1).expect("room")
    }

    fn open(segment: &Segment) -> Self {
        let mut latch = Latch::open_in(segment, "sign").expect("a latch");
        latch.set_wait(Wait::Park);
        latch
    }

    fn bring_about(&self) {
        self.count_down(1).expect("a sound segment");
    }

    fn wait(&self, patience: Duration) -> bool {
        came(self.wait_timeout(patience), |it| {
            matches!(it, WaitError::TimedOut)
        })
    }
}

impl Sign for CountingSemaphore {
    const CALLED: &'static str = "counting";

    fn create(segment: &Segment) -> Self {
        CountingSemaphore::create_in(segment, "sign", 0).expect("room")
    }

    fn open(segment: &Segment) -> Self {
        let mut semaphore = CountingSemaphore::open_in(segment, "sign").expect("a semaphore");
        semaphore.set_wait(Wait::Park);
        semaphore
    }

    fn bring_about(&self) {
        self.post(1).expect("not too many");
    }

    fn wait(&self, patience: Duration) -> bool {
        came(self.wait_timeout(patience), |it| {
            matches!(it, WaitError::TimedOut)
        })
    }
}

fn came<E: Debug>(result: Result<(), E>, is_late: impl Fn(&E) -> bool) -> bool {
    match result {
        Ok(()) => true,
        Err(error) if is_late(&error) => false,
        Err(error) => panic!("{error:?}"),
    }
}

/// What the victim does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    BringAbout,
    /// While another sleeps until it comes about.
    BringAboutForOne,
    /// It has come about.
    Wait,
    /// It has not, and does not.
    WaitInVain,
}

struct OnSign<S> {
    act: Act,
    sign: PhantomData<S>,
}

pub fn all() -> Vec<Box<dyn Runnable>> {
    let mut all = all_of::<Event>();
    all.extend(all_of::<Latch>());
    all.extend(all_of::<CountingSemaphore>());
    all
}

fn all_of<S: Sign>() -> Vec<Box<dyn Runnable>> {
    [
        Act::BringAbout,
        Act::BringAboutForOne,
        Act::Wait,
        Act::WaitInVain,
    ]
    .map(|act| {
        Box::new(OnSign::<S> {
            act,
            sign: PhantomData,
        }) as Box<dyn Runnable>
    })
    .into()
}

struct Others<S> {
    segment: Segment,
    sign: S,
    sleeper: Option<Peer>,
    bystanders: Bystanders,
}

impl<S: Sign> Subject for OnSign<S> {
    type Others = Others<S>;
    type Victim = S;

    fn name(&self) -> String {
        format!("{}: {:?}", S::CALLED, self.act)
    }

    fn scene(&self) -> (Others<S>, OwnedFd) {
        let (segment, bystanders) = segment_with_bystanders(256);
        let sign = S::create(&segment);
        if self.act == Act::Wait {
            sign.bring_about();
        }
        let way_in = door(&segment);
        let sleeper = (self.act == Act::BringAboutForOne).then(|| {
            let peer = Peer::start(|stand_still| {
                let sign = S::open(&enter(way_in));
                stand_still();
                assert!(sign.wait(2 * SOON), "it came about");
            });
            peer.let_go();
            peer.until_it_sleeps();
            peer
        });
        let door = door(&segment);
        (
            Others {
                segment,
                sign,
                sleeper,
                bystanders,
            },
            door,
        )
    }

    fn enter(&self, door: OwnedFd) -> S {
        S::open(&enter(door))
    }

    /// Whether it came about.
    fn operate(&self, sign: &mut S) -> Said {
        let came = match self.act {
            Act::BringAbout | Act::BringAboutForOne => {
                sign.bring_about();
                true
            }
            Act::Wait => sign.wait(SOON),
            Act::WaitInVain => sign.wait(MOMENT),
        };
        [u64::from(came), 0, 0, 0]
    }

    fn go_on(&self, others: &mut Others<S>, case: &mut Case) {
        others.bystanders.use_all();
        case.went_on();
    }

    fn settle(&self, others: Others<S>, said: Option<Said>, _: &Case) -> Outcome {
        let Others {
            segment,
            sign,
            sleeper,
            mut bystanders,
        } = others;
        segment.recover().expect("recovery");
        // Those that stay can be waited for again.
        let stays = S::CALLED == "latch";
        let came = match sleeper {
            Some(sleeper) => {
                // Whatever wake is owed to it, in each slice it looks.
                let patience = match said {
                    Some(_) => SOON,
                    None => 3 * ipc_core::SLICE,
                };
                let stood = stays && sign.wait(Duration::ZERO);
                let came = stood || sleeper.has_ended_within(patience);
                assert!(came || said.is_none(), "nobody wakes it");
                if !came {
                    sign.bring_about();
                }
                assert_eq!(sleeper.end(), 0, "it came about");
                // It may have been slow to end: then it came about twice now.
                came || !stays && sign.wait(Duration::ZERO)
            }
            None => sign.wait(Duration::ZERO),
        };
        assert!(stays || !sign.wait(Duration::ZERO), "it came about twice");
        if let Some([its, ..]) = said {
            match self.act {
                Act::BringAbout => assert!(came, "it is lost"),
                Act::BringAboutForOne => assert!(came, "it is lost"),
                Act::Wait => assert!(its == 1 && came == stays, "it came about twice"),
                Act::WaitInVain => assert!(its == 0 && !came, "it never came about"),
            }
        }
        sign.bring_about();
        assert!(sign.wait(Duration::ZERO), "it does not come about any more");
        bystanders.use_all();
        drop((sign, bystanders));
        check_clean(&segment);
        match (self.act, came) {
            (Act::WaitInVain, false) => Outcome::new(0, "in vain"),
            (Act::Wait, false) => Outcome::new(1, "taken"),
            (Act::Wait, true) => Outcome::new(0, "still there"),
            (_, true) => Outcome::new(1, "came about"),
            (_, false) => Outcome::new(0, "not done"),
        }
    }
}
