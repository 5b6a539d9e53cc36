//! The protocol under loom, as for the typed ring: positions, lengths and publications of records,
//! over loom's cells, which fail on any access that the cursors do not order.

use super::shape::{Shape, UNIT, units};
use crate::spsc::cursor::{Cursors, Head, Tail};
use crate::spsc::reader::{Emptiness, judge};
use crate::spsc::role::Role;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct Model {
    cursors: Cursors,
    shape: Shape,
    memory: Vec<UnsafeCell<u64>>,
    producer: Role,
}

// SAFETY: loom checks that the cells are not accessed at once.
unsafe impl Sync for Model {}
// SAFETY: as above.
unsafe impl Send for Model {}

impl Model {
    /// So many units, and a longest record of so many bytes.
    fn new(capacity: usize, max_record: usize) -> Arc<Self> {
        let shape = Shape::new(capacity * UNIT, max_record).unwrap();
        Arc::new(Self {
            cursors: Cursors::default(),
            memory: (0..shape.bytes() / UNIT as u64)
                .map(|_| UnsafeCell::new(u64::MAX))
                .collect(),
            shape,
            producer: Role::default(),
        })
    }

    fn tail(&self) -> Tail {
        Tail::resume(&self.cursors, self.shape.capacity).unwrap()
    }

    fn head(&self) -> Head {
        Head::resume(&self.cursors, self.shape.capacity).unwrap()
    }

    fn set(&self, at: usize, value: u64) {
        // SAFETY: loom checks that nobody else accesses the cell.
        self.memory[at].with_mut(|cell| unsafe { *cell = value });
    }

    fn get(&self, at: usize) -> u64 {
        // SAFETY: loom checks that nobody writes to the cell.
        self.memory[at].with(|cell| unsafe { *cell })
    }

    /// Writes a record whose bytes say `value`, behind what is visible.
    fn put(&self, tail: &Tail, ahead: u64, len: usize, value: u64) {
        let at = self.shape.offset(tail.next + ahead) / UNIT;
        for unit in 1..units(len) as usize {
            self.set(at + unit, value);
        }
        self.set(at, len as u64);
    }

    fn await_room(&self, tail: &mut Tail, need: u64) {
        while tail.known_room(self.shape.capacity) < need
            && tail.refresh(&self.cursors, self.shape.capacity).unwrap() < need
        {
            thread::yield_now();
        }
    }

    fn push(&self, tail: &mut Tail, len: usize, value: u64) {
        self.await_room(tail, units(len));
        self.put(tail, 0, len, value);
        tail.advance(&self.cursors, units(len));
    }

    /// Reads and checks the record that begins `ahead` units behind the next.
    fn read(&self, head: &Head, ahead: u64, value: u64) -> usize {
        let at = self.shape.offset(head.next + ahead) / UNIT;
        let available = head.known_messages() - ahead;
        let len = self.shape.check(self.get(at), available).unwrap();
        for unit in 1..units(len) as usize {
            assert_eq!(self.get(at + unit), value);
        }
        len
    }

    fn judge(&self, head: &mut Head) -> Emptiness {
        judge(head, &self.cursors, self.shape.capacity, &self.producer).unwrap()
    }

    fn await_records(&self, head: &mut Head) -> Emptiness {
        loop {
            if head.known_messages() > 0 {
                return Emptiness::Not;
            }
            match self.judge(head) {
                Emptiness::ForNow => thread::yield_now(),
                other => return other,
            }
        }
    }

    fn pop(&self, head: &mut Head, value: u64) -> Result<usize, Emptiness> {
        match self.await_records(head) {
            Emptiness::Not => {}
            other => return Err(other),
        }
        let len = self.read(head, 0, value);
        head.advance(&self.cursors, units(len));
        Ok(len)
    }
}

/// Sends records of these lengths, and the end.
fn arrive_in_order(capacity: usize, lens: &'static [usize]) {
    let max_record = lens.iter().copied().max().unwrap_or(0);
    loom::model(move || {
        let ring = Model::new(capacity, max_record);
        let other = ring.clone();
        let producer = thread::spawn(move || {
            let mut tail = other.tail();
            for (value, &len) in lens.iter().enumerate() {
                other.push(&mut tail, len, value as u64);
            }
            tail.close(&other.cursors);
        });
        let mut head = ring.head();
        for (value, &len) in lens.iter().enumerate() {
            assert_eq!(ring.pop(&mut head, value as u64), Ok(len));
        }
        assert_eq!(ring.pop(&mut head, 0), Err(Emptiness::Ended));
        producer.join().unwrap();
    });
}

#[test]
fn records_as_long_as_the_ring_arrive_in_order() {
    arrive_in_order(2, &[8, 0, 8, 5]);
}

#[test]
fn records_that_begin_at_the_last_place_arrive_in_order() {
    // Four units: the second begins at the last of them, the fourth in the middle of the round.
    arrive_in_order(4, &[16, 8, 0, 16]);
}

#[test]
fn in_a_ring_of_no_power_of_two_records_arrive_in_order() {
    arrive_in_order(3, &[0, 16, 8, 1]);
}

#[test]
fn a_batch_is_seen_whole_and_left_whole() {
    loom::model(|| {
        let ring = Model::new(4, 8);
        let other = ring.clone();
        let producer = thread::spawn(move || {
            let mut tail = other.tail();
            for round in 0..2 {
                other.await_room(&mut tail, 3);
                other.put(&tail, 0, 0, 0);
                other.put(&tail, 1, 8, round);
                tail.advance(&other.cursors, 3);
            }
        });
        let mut head = ring.head();
        for round in 0..2 {
            assert_eq!(ring.await_records(&mut head), Emptiness::Not);
            // One of them is never there without the other.
            assert_eq!(ring.read(&head, 0, 0), 0);
            assert_eq!(ring.read(&head, 1, round), 8);
            head.advance(&ring.cursors, 3);
        }
        producer.join().unwrap();
    });
}

#[test]
fn what_a_dead_producer_had_not_committed_is_overwritten_by_its_successor() {
    loom::model(|| {
        let ring = Model::new(4, 16);
        let other = ring.clone();
        // Dies with a record that has its length and its bytes, and is not published.
        let dying = thread::spawn(move || {
            let mut tail = other.tail();
            other.push(&mut tail, 8, 1);
            other.put(&tail, 0, 8, 99);
        });
        let mut head = ring.head();
        assert_eq!(ring.pop(&mut head, 1), Ok(8));
        // The kernel takes the lock after the last instruction: that orders as a join does.
        dying.join().unwrap();
        let other = ring.clone();
        let successor = thread::spawn(move || {
            let mut tail = other.tail();
            other.push(&mut tail, 16, 2);
        });
        assert_eq!(ring.pop(&mut head, 2), Ok(16));
        successor.join().unwrap();
    });
}

#[test]
fn what_a_dead_consumer_had_not_given_back_is_its_successors() {
    loom::model(|| {
        let ring = Model::new(2, 8);
        let mut tail = ring.tail();
        ring.push(&mut tail, 8, 1);
        let other = ring.clone();
        // Dies while it holds the record.
        let dying = thread::spawn(move || {
            let mut head = other.head();
            assert_eq!(other.await_records(&mut head), Emptiness::Not);
            other.read(&head, 0, 1);
        });
        dying.join().unwrap();
        let other = ring.clone();
        let producer = thread::spawn(move || other.push(&mut tail, 0, 2));
        let mut head = ring.head();
        assert_eq!(ring.pop(&mut head, 1), Ok(8));
        assert_eq!(ring.pop(&mut head, 2), Ok(0));
        producer.join().unwrap();
    });
}
