//! The sweep: who gives back what a dead one held is killed, or stopped, itself.

use super::common::{HANDLES, Message, SOON, check_clean, check_whole, door, enter, message};
use super::pair;
use super::peer::Peer;
use crate::case::Case;
use crate::play::LABEL;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::{Place, Segment};
use ipc_queue::mpmc::{PopError, Queue, bytes};
use ipc_queue::spsc::Ring;
use ipc_sync::{Barrier, LockError, Mutex, OnceCell, RwLock, Semaphore, Value};
use std::os::fd::OwnedFd;

type Pair = [u64; 2];

struct Sweep;

pub fn all() -> Vec<Box<dyn Runnable>> {
    let mut all = pair::all_of(|| Sweep);
    all.insert(0, Box::new(Sweep));
    all
}

const CAPACITY: usize = 2;
const LONG: usize = 200;
const PERMITS: u32 = 3;

/// An object of each kind that somebody can hold something of.
#[derive(Debug)]
struct Objects {
    mutex: Mutex<Pair>,
    lock: RwLock<Pair>,
    semaphore: Semaphore,
    cell: OnceCell<Message>,
    value: Value<[u64; 16]>,
    barrier: Barrier,
    queue: Queue<Message>,
    byte_queue: bytes::Queue,
    ring: Ring<Message>,
}

impl Objects {
    fn create(segment: &Segment) -> ipc_core::Result<Self> {
        Ok(Self {
            mutex: Mutex::create_in(segment, "mutex", [0; 2])?,
            lock: RwLock::create_in(segment, "lock", [0; 2])?,
            semaphore: Semaphore::create_in(segment, "semaphore", PERMITS)?,
            cell: OnceCell::create_in(segment, "cell")?,
            value: Value::create_in(segment, "value", [0; 16])?,
            barrier: Barrier::create_in(segment, "barrier", 2)?,
            queue: Queue::create_in(segment, "queue", CAPACITY)?,
            byte_queue: bytes::Queue::create_in(segment, "byte queue", CAPACITY, LONG)?,
            ring: Ring::create_in(segment, "ring", CAPACITY)?,
        })
    }

    fn open(segment: &Segment) -> ipc_core::Result<Self> {
        Ok(Self {
            mutex: Mutex::open_in(segment, "mutex")?,
            lock: RwLock::open_in(segment, "lock")?,
            semaphore: Semaphore::open_in(segment, "semaphore")?,
            cell: OnceCell::open_in(segment, "cell")?,
            value: Value::open_in(segment, "value")?,
            barrier: Barrier::open_in(segment, "barrier")?,
            queue: Queue::open_in(segment, "queue")?,
            byte_queue: bytes::Queue::open_in(segment, "byte queue")?,
            ring: Ring::open_in(segment, "ring")?,
        })
    }

    /// Holds some of all, and stands still.
    fn hold(&self, stand_still: &dyn Fn()) {
        let mut pair = self.mutex.lock().expect("free");
        pair[0] = 1;
        let _read = self.lock.read().expect("free");
        let _permits = self.semaphore.acquire_many(PERMITS - 1).expect("free");
        let _party = self.barrier.join().expect("a place");
        let (mut tx, mut rx) = self.queue_ends();
        tx.try_push(message(1)).expect("room");
        let _message = rx.try_take().expect("a message");
        let _slot = tx.try_reserve().expect("room");
        let mut tx = self.byte_queue.sender().expect("a place");
        let mut rx = self.byte_queue.receiver().expect("a place");
        tx.try_push(&[5; LONG]).expect("room");
        let _bytes = rx.try_take().expect("a message");
        let _grant = tx.try_reserve(LONG).expect("room");
        let mut tx = self.ring.producer().expect("the role");
        tx.try_push(message(2)).expect("room");
        let _rx = self.ring.consumer().expect("the role");
        let value = self.cell.get_or_init(|| {
            stand_still();
            message(3)
        });
        value.expect("a sound segment");
    }

    fn queue_ends(
        &self,
    ) -> (
        ipc_queue::mpmc::Sender<Message>,
        ipc_queue::mpmc::Receiver<Message>,
    ) {
        (
            self.queue.sender().expect("a place"),
            self.queue.receiver().expect("a place"),
        )
    }

    /// Uses all there is. `first` is whether nobody has since the death.
    fn use_all(&self, first: bool) {
        assert_eq!(*self.mutex.try_lock().expect("it was repaired"), [1, 1]);
        drop(
            self.lock
                .write_timeout(SOON)
                .expect("the dead reads no more"),
        );
        drop(
            self.semaphore
                .acquire_many_timeout(PERMITS, SOON)
                .expect("all come back"),
        );
        assert_eq!(
            self.semaphore.available().expect("a sound segment"),
            PERMITS
        );
        let cell = self
            .cell
            .get_or_init_timeout(SOON, || message(4))
            .expect("the dead is not at it");
        assert_eq!(cell, message(4), "the dead did not come to the end");
        self.value.try_set([9; 16]).expect("a free cell");
        if first {
            assert!(
                self.barrier.is_broken().expect("a sound segment"),
                "a party died"
            );
            self.barrier.reset().expect("a sound segment");
        }
        let parties = [self.barrier.join(), self.barrier.join()].map(|it| it.expect("a place"));
        drop(parties);
        self.use_queues(first);
        let (mut tx, mut rx) = (
            self.ring.producer().expect("free"),
            self.ring.consumer().expect("free"),
        );
        let mut popped = 0;
        // A death is told once.
        while let Some(it) = rx.try_pop().unwrap_or_else(|_| rx.try_pop().ok().flatten()) {
            check_whole(it);
            popped += 1;
        }
        assert_eq!(popped, usize::from(first), "messages in the ring");
        (0..CAPACITY).for_each(|_| tx.try_push(message(5)).expect("room"));
        (0..CAPACITY).for_each(|_| assert!(rx.try_pop().expect("a message").is_some()));
    }

    fn use_queues(&self, first: bool) {
        let (mut tx, mut rx) = self.queue_ends();
        let mut again = 0;
        while let Ok(Some(it)) = rx.try_take() {
            check_whole(*it);
            assert!(it.is_redelivered(), "{it:?}");
            again += 1;
        }
        assert_eq!(
            again,
            usize::from(first),
            "what the dead was reading comes again"
        );
        for _ in 0..2 {
            (0..CAPACITY).for_each(|_| tx.try_push(message(6)).expect("all room is back"));
            (0..CAPACITY).for_each(|_| check_whole(rx.try_pop().expect("a message").expect("one")));
        }
        assert!(matches!(
            rx.try_pop(),
            Err(PopError::Empty | PopError::ProducersDied)
        ));
        let mut tx = self.byte_queue.sender().expect("a place");
        let mut rx = self.byte_queue.receiver().expect("a place");
        let mut again = 0;
        while let Ok(Some(it)) = rx.try_take() {
            assert_eq!(&*it, [5; LONG], "torn");
            again += 1;
        }
        assert_eq!(
            again,
            usize::from(first),
            "what the dead was reading comes again"
        );
        for _ in 0..2 {
            (0..CAPACITY).for_each(|_| tx.try_push(&[6; LONG]).expect("all room is back"));
            (0..CAPACITY).for_each(|_| drop(rx.try_take().expect("a message").expect("one")));
        }
        let blocks = self.byte_queue.survey().expect("a sound segment").classes;
        assert!(blocks.iter().all(|it| it.free == it.blocks), "{blocks:?}");
    }
}

struct Others {
    segment: Segment,
    objects: Objects,
}

impl Subject for Sweep {
    type Others = Others;
    type Victim = Segment;

    fn name(&self) -> String {
        "sweep: of one who held some of everything".to_owned()
    }

    fn scene(&self) -> (Others, OwnedFd) {
        let handles = 4 * HANDLES;
        let segment = Segment::builder(Place::memfd(LABEL))
            .participants(6)
            .handles(handles)
            .objects(10)
            .size(1 << 16)
            .create()
            .expect("a segment");
        let objects = Objects::create(&segment).expect("room");
        let way_in = door(&segment);
        drop(Peer::start(|stand_still| {
            Objects::open(&enter(way_in))
                .expect("objects")
                .hold(stand_still);
        }));
        let door = door(&segment);
        (Others { segment, objects }, door)
    }

    fn enter(&self, door: OwnedFd) -> Segment {
        enter(door)
    }

    fn operate(&self, segment: &mut Segment) -> Said {
        segment.recover().expect("recovery");
        [0; 4]
    }

    fn go_on(&self, others: &mut Others, case: &mut Case) {
        // Without a look by those who go on, or with one.
        if case.turn(2) == 0 {
            others.segment.recover().expect("recovery");
        }
        match others.objects.mutex.lock_timeout(SOON) {
            Err(LockError::OwnerDied(mut pair)) => {
                assert_eq!(*pair, [1, 0]);
                pair[1] = 1;
                drop(pair.repaired());
            }
            other => panic!("nobody was told of the death: {other:?}"),
        }
        case.went_on();
        if !case.is_kill() {
            // All of it, while the sweeper stands still.
            others.segment.recover().expect("recovery");
            others.objects.use_all(true);
        }
    }

    fn settle(&self, others: Others, _: Option<Said>, case: &Case) -> Outcome {
        let Others { segment, objects } = others;
        segment.recover().expect("recovery");
        if case.is_kill() {
            objects.use_all(true);
        }
        objects.use_all(false);
        drop(objects);
        check_clean(&segment);
        Outcome::new(0, "all is back")
    }
}
