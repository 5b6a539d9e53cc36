//! The protocol under loom, in the interleavings and with the values that the memory model allows:
//! `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test -p ipc-queue --release --lib`.
//!
//! The slots are loom's cells, which fail on any access that the cursors do not order. Real copies
//! tolerate such races; in-place references do not.

use super::cursor::{Cursors, Head, Tail};
use super::reader::{Emptiness, judge};
use super::role::{Attempt, Role};
use ipc_core::atomic::Ordering;
use ipc_core::{Bell, Deadline, Fences, OwnerId, Wait};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct Model {
    cursors: Cursors,
    slots: Vec<UnsafeCell<u64>>,
    capacity: u64,
    producer: Role,
    consumer: Role,
    messages: Bell,
    room: Bell,
}

// SAFETY: loom checks that the cells are not accessed at once.
unsafe impl Sync for Model {}
// SAFETY: as above.
unsafe impl Send for Model {}

impl Model {
    fn new(capacity: u64) -> Arc<Self> {
        Self::from(capacity, 0)
    }

    /// With both cursors at a number.
    fn from(capacity: u64, start: u64) -> Arc<Self> {
        let cursors = Cursors::default();
        cursors.tail.0.store(start, Ordering::Relaxed);
        cursors.head.0.store(start, Ordering::Relaxed);
        let slots = (0..capacity.next_power_of_two())
            .map(|_| UnsafeCell::new(0))
            .collect();
        Arc::new(Self {
            cursors,
            slots,
            capacity,
            producer: Role::default(),
            consumer: Role::default(),
            messages: Bell::new(),
            room: Bell::new(),
        })
    }

    fn slot(&self, position: u64) -> &UnsafeCell<u64> {
        &self.slots[position as usize & (self.slots.len() - 1)]
    }

    fn tail(&self) -> Tail {
        Tail::resume(&self.cursors, self.capacity).unwrap()
    }

    fn head(&self) -> Head {
        Head::resume(&self.cursors, self.capacity).unwrap()
    }

    /// As `try_push`: whether there was room.
    fn try_push(&self, tail: &mut Tail, value: u64) -> bool {
        let has_room = tail.known_room(self.capacity) > 0
            || tail.refresh(&self.cursors, self.capacity).unwrap() > 0;
        if has_room {
            // SAFETY: loom checks that nobody else accesses the slot.
            self.slot(tail.next)
                .with_mut(|slot| unsafe { *slot = value });
            tail.advance(&self.cursors, 1);
        }
        has_room
    }

    fn take(&self, head: &mut Head) -> u64 {
        // SAFETY: loom checks that nobody writes to the slot.
        let value = self.slot(head.next).with(|slot| unsafe { *slot });
        head.advance(&self.cursors, 1);
        value
    }

    /// As `try_pop`.
    fn try_pop(&self, head: &mut Head) -> Result<u64, Emptiness> {
        if head.known_messages() == 0 {
            let found = judge(head, &self.cursors, self.capacity, &self.producer).unwrap();
            if found != Emptiness::Not {
                return Err(found);
            }
        }
        Ok(self.take(head))
    }

    fn push(&self, tail: &mut Tail, value: u64) {
        while !self.try_push(tail, value) {
            thread::yield_now();
        }
    }

    fn pop(&self, head: &mut Head) -> Result<u64, Emptiness> {
        loop {
            match self.try_pop(head) {
                Err(Emptiness::ForNow) => thread::yield_now(),
                other => return other,
            }
        }
    }
}

fn id(number: u64) -> OwnerId {
    OwnerId::from_word(1 << 16 | number).unwrap()
}

/// Becomes the holder, and finds whoever of `dead` still holds the role.
fn claim(role: &Role, mine: OwnerId, dead: &[OwnerId]) {
    loop {
        match role.try_claim(mine) {
            Attempt::Claimed => return,
            Attempt::HeldBy(holder) if dead.contains(&holder) => role.mark_dead(holder),
            Attempt::HeldBy(_) | Attempt::Overtaken => thread::yield_now(),
        }
    }
}

fn arrives_in_order(capacity: u64, start: u64, count: u64) {
    loom::model(move || {
        let ring = Model::from(capacity, start);
        let other = ring.clone();
        let producer = thread::spawn(move || {
            let mut tail = other.tail();
            for value in 1..=count {
                other.push(&mut tail, value);
            }
        });
        let mut head = ring.head();
        for value in 1..=count {
            assert_eq!(ring.pop(&mut head), Ok(value));
        }
        assert_eq!(ring.try_pop(&mut head), Err(Emptiness::ForNow));
        producer.join().unwrap();
    });
}

#[test]
fn through_one_slot_everything_arrives_in_order() {
    arrives_in_order(1, 0, 3);
}

#[test]
fn through_two_slots_everything_arrives_in_order() {
    arrives_in_order(2, 0, 4);
}

#[test]
fn with_more_slots_than_room_everything_arrives_in_order() {
    arrives_in_order(3, 0, 5);
}

#[test]
fn around_the_largest_number_everything_arrives_in_order() {
    arrives_in_order(2, u64::MAX - 1, 3);
}

#[test]
fn the_end_comes_after_the_last_message() {
    loom::model(|| {
        let ring = Model::new(2);
        let other = ring.clone();
        let producer = thread::spawn(move || {
            let mut tail = other.tail();
            other.push(&mut tail, 1);
            other.push(&mut tail, 2);
            tail.close(&other.cursors);
        });
        let mut head = ring.head();
        assert_eq!(ring.pop(&mut head), Ok(1));
        assert_eq!(ring.pop(&mut head), Ok(2));
        assert_eq!(ring.pop(&mut head), Err(Emptiness::Ended));
        producer.join().unwrap();
    });
}

#[test]
fn two_producers_one_after_the_other_overwrite_nothing() {
    loom::model(|| {
        let ring = Model::new(4);
        let producers: Vec<_> = (1..=2)
            .map(|number| {
                let ring = ring.clone();
                thread::spawn(move || {
                    claim(&ring.producer, id(number), &[]);
                    let mut tail = ring.tail();
                    assert!(ring.try_push(&mut tail, number));
                    ring.producer.release(id(number));
                })
            })
            .collect();
        for producer in producers {
            producer.join().unwrap();
        }
        let mut head = ring.head();
        let mut both = [ring.pop(&mut head).unwrap(), ring.pop(&mut head).unwrap()];
        both.sort();
        assert_eq!(both, [1, 2]);
    });
}

#[test]
fn two_consumers_one_after_the_other_take_nothing_twice() {
    loom::model(|| {
        let ring = Model::new(2);
        let mut tail = ring.tail();
        ring.push(&mut tail, 1);
        ring.push(&mut tail, 2);
        let consumers: Vec<_> = (1..=2)
            .map(|number| {
                let ring = ring.clone();
                thread::spawn(move || {
                    claim(&ring.consumer, id(number), &[]);
                    let mut head = ring.head();
                    let value = ring.pop(&mut head).unwrap();
                    ring.consumer.release(id(number));
                    value
                })
            })
            .collect();
        let mut both: Vec<_> = consumers.into_iter().map(|it| it.join().unwrap()).collect();
        both.sort();
        assert_eq!(both, [1, 2]);
        // Both slots are free again, and nobody reads them any more.
        assert!(ring.try_push(&mut tail, 3) && ring.try_push(&mut tail, 4));
    });
}

#[test]
fn a_successor_of_a_dead_producer_goes_on_where_it_stopped() {
    loom::model(|| {
        let ring = Model::new(2);
        claim(&ring.producer, id(1), &[]);
        let other = ring.clone();
        let dying = thread::spawn(move || {
            let mut tail = other.tail();
            other.push(&mut tail, 1);
            // Written and not committed.
            // SAFETY: loom checks that nobody else accesses the slot.
            other.slot(1).with_mut(|slot| unsafe { *slot = 99 });
        });
        // The kernel takes the lock after the last instruction: that orders as a join does.
        dying.join().unwrap();
        let other = ring.clone();
        let sweeper = thread::spawn(move || other.producer.mark_dead(id(1)));
        let other = ring.clone();
        let successor = thread::spawn(move || {
            claim(&other.producer, id(2), &[id(1)]);
            let mut tail = other.tail();
            other.push(&mut tail, 2);
        });
        let mut head = ring.head();
        assert_eq!(ring.pop(&mut head), Ok(1));
        let next = loop {
            match ring.pop(&mut head) {
                Err(Emptiness::ProducerDied) => {}
                other => break other,
            }
        };
        assert_eq!(next, Ok(2));
        sweeper.join().unwrap();
        successor.join().unwrap();
        assert!(ring.producer.deaths() == 1, "counted once");
    });
}

#[test]
fn every_death_is_told_after_all_that_the_dead_committed_and_once() {
    loom::model(|| {
        let ring = Model::new(4);
        claim(&ring.producer, id(1), &[]);
        ring.push(&mut ring.tail(), 1);
        // The first is dead from here on. The second comes, pushes and dies; nobody but the
        // newcomer and a sweeper finds either dead.
        let other = ring.clone();
        let second = thread::spawn(move || {
            claim(&other.producer, id(2), &[id(1)]);
            let mut tail = other.tail();
            other.push(&mut tail, 2);
            other.producer.mark_dead(id(2));
        });
        let mut head = ring.head();
        let mut told = 0;
        assert_eq!(ring.pop(&mut head), Ok(1));
        loop {
            match ring.pop(&mut head) {
                Err(Emptiness::ProducerDied) => told += 1,
                other => break assert_eq!(other, Ok(2)),
            }
        }
        assert!(told <= 1, "one death before the second message");
        // Its death comes after its message, whatever was told before.
        assert_eq!(ring.pop(&mut head), Err(Emptiness::ProducerDied));
        second.join().unwrap();
        while ring.try_pop(&mut head) == Err(Emptiness::ProducerDied) {
            told += 1;
        }
        assert!(told <= 1, "two deaths, two reports at most");
        assert!(ring.producer.unreported_death().is_none());
    });
}

#[test]
fn of_two_newcomers_after_a_death_one_wins_and_the_death_counts_once() {
    loom::model(|| {
        let ring = Model::new(1);
        claim(&ring.consumer, id(1), &[]);
        let newcomers: Vec<_> = (2..=3)
            .map(|number| {
                let ring = ring.clone();
                thread::spawn(move || {
                    loop {
                        match ring.consumer.try_claim(id(number)) {
                            Attempt::Claimed => break true,
                            Attempt::HeldBy(dead) if dead == id(1) => ring.consumer.mark_dead(dead),
                            Attempt::HeldBy(_) => break false,
                            Attempt::Overtaken => {}
                        }
                    }
                })
            })
            .collect();
        let won = newcomers
            .into_iter()
            .filter_map(|it| it.join().ok()?.then_some(()));
        assert_eq!(won.count(), 1);
        assert_eq!(ring.consumer.deaths(), 1);
    });
}

#[test]
fn a_death_gets_its_own_number_whoever_finds_it() {
    loom::model(|| {
        let ring = Model::new(1);
        claim(&ring.consumer, id(1), &[]);
        let other = ring.clone();
        // Looks once: after a wait, loom would show nothing but the latest of what has changed.
        let finder = thread::spawn(move || {
            let seen = other.consumer.try_claim(id(3));
            match seen {
                Attempt::HeldBy(dead) if dead == id(2) => other.consumer.mark_dead(dead),
                // Faster than the second one, and dead at once.
                Attempt::Claimed => other.consumer.mark_dead(id(3)),
                Attempt::HeldBy(_) | Attempt::Overtaken => {}
            }
            u64::from(matches!(seen, Attempt::Claimed))
        });
        // The second one comes, and is dead at once.
        claim(&ring.consumer, id(2), &[id(1)]);
        let more = finder.join().unwrap();
        ring.consumer.mark_dead(id(2));
        assert_eq!(ring.consumer.deaths(), 2 + more);
    });
}

fn wait(bell: &Bell, ready: impl FnMut() -> Option<()>) {
    let waited: Result<_, ()> = bell.wait(
        Wait::Park,
        Fences::Symmetric,
        Deadline::NEVER,
        ready,
        || Ok(()),
    );
    assert_eq!(waited, Ok(Some(())));
}

#[test]
fn a_consumer_that_sleeps_on_an_empty_ring_is_woken() {
    loom::model(|| {
        let ring = Model::new(2);
        let other = ring.clone();
        let producer = thread::spawn(move || {
            let mut tail = other.tail();
            other.push(&mut tail, 1);
            other.messages.ring(Fences::Symmetric);
            tail.close(&other.cursors);
            other.messages.ring(Fences::Symmetric);
        });
        let mut head = ring.head();
        let sleep = |head: &mut Head| {
            wait(&ring.messages, || {
                let some = head.refresh(&ring.cursors, ring.capacity).unwrap() > 0;
                (some || Head::has_ended(&ring.cursors)).then_some(())
            });
            ring.try_pop(head)
        };
        assert_eq!(sleep(&mut head), Ok(1));
        assert_eq!(sleep(&mut head), Err(Emptiness::Ended));
        producer.join().unwrap();
    });
}

#[test]
fn a_producer_that_sleeps_on_a_full_ring_is_woken() {
    loom::model(|| {
        let ring = Model::new(1);
        let mut tail = ring.tail();
        ring.push(&mut tail, 1);
        let other = ring.clone();
        let consumer = thread::spawn(move || {
            let mut head = other.head();
            assert_eq!(other.try_pop(&mut head), Ok(1));
            other.room.ring(Fences::Symmetric);
        });
        wait(&ring.room, || {
            let room = tail.refresh(&ring.cursors, ring.capacity).unwrap();
            (room > 0).then_some(())
        });
        assert!(ring.try_push(&mut tail, 2));
        consumer.join().unwrap();
    });
}
