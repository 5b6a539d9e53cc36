//! The semaphore's protocol under loom, with interleavings and weak memory:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test -p ipc-sync --release --lib loom
//! ```

use super::word::{
    Done, Memory, Operation, Seat, State, Total, give_back, give_one_back_again, look, operate,
    take_one_again, total,
};
use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{Bell, Deadline, Fences, Wait};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct Checked {
    state: AtomicU64,
    total: AtomicU64,
    seats: [Seat; 3],
    bell: Bell,
    /// What one permit of one protects.
    guarded: UnsafeCell<u64>,
}

// SAFETY: the cell is what loom is to check.
unsafe impl Sync for Checked {}
// SAFETY: as above.
unsafe impl Send for Checked {}

impl Memory for Checked {
    fn state(&self) -> &AtomicU64 {
        &self.state
    }

    fn total(&self) -> &AtomicU64 {
        &self.total
    }

    fn seat(&self, index: usize) -> Option<&Seat> {
        self.seats.get(index)
    }
}

impl Checked {
    fn new(permits: u32) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU64::new(State::initial(permits).to_word()),
            total: AtomicU64::new(Total::initial(permits).to_word()),
            seats: Default::default(),
            bell: Bell::new(),
            guarded: UnsafeCell::new(0),
        })
    }

    fn take(&self, seat: usize, permits: u32) -> bool {
        let taken = operate(self, seat, Operation::Take(permits));
        matches!(taken, Ok(Done::Yes(_)))
    }

    fn wait_for(&self, seat: usize, permits: u32) {
        let taken = self.bell.wait(
            Wait::Park,
            Fences::Symmetric,
            Deadline::NEVER,
            || self.take(seat, permits).then_some(()),
            || Ok::<(), ()>(()),
        );
        assert_eq!(taken, Ok(Some(())));
    }

    fn give(&self, seat: usize, permits: u32) {
        let given = operate(self, seat, Operation::GiveBack(permits));
        assert!(matches!(given, Ok(Done::Yes(_))));
        self.bell.ring(Fences::Symmetric);
    }

    fn touch(&self) {
        // SAFETY: loom checks that nobody else is at it.
        self.guarded.with_mut(|it| unsafe { *it += 1 });
    }

    fn free(&self) -> i64 {
        look(self).free()
    }
}

/// One permit, taken and given back from what was remembered if that is still so, excludes; of two,
/// none is lost and none comes back twice.
#[test]
fn what_is_remembered_is_the_state_or_worth_nothing() {
    for permits in [1, 2] {
        loom::model(move || {
            let memory = Checked::new(permits);
            let use_again = move |memory: &Checked, seat: usize, last: State| {
                let operate = |operation| match operate(memory, seat, operation) {
                    Ok(Done::Yes(state)) => Some(state),
                    _ => None,
                };
                let again = take_one_again(memory, last);
                let Some(taken) = again.or_else(|| operate(Operation::Take(1))) else {
                    return last;
                };
                if permits == 1 {
                    memory.touch();
                }
                give_one_back_again(memory, taken)
                    .or_else(|| operate(Operation::GiveBack(1)))
                    .unwrap()
            };
            let last = use_again(&memory, 0, State::unknown(0));
            let other = memory.clone();
            let user = thread::spawn(move || use_again(&other, 1, State::unknown(1)));
            use_again(&memory, 0, last);
            user.join().unwrap();
            assert_eq!(memory.free(), permits.into());
        });
    }
}

/// A sweeper that comes late meets the seat's next user, who goes on from what it remembers.
#[test]
fn a_late_sweeper_does_not_disturb_who_remembers() {
    loom::model(|| {
        let memory = Checked::new(1);
        let Ok(Done::Yes(_)) = operate(&*memory, 0, Operation::Take(1)) else {
            panic!("there is one");
        };
        let sweep = |memory: &Checked| {
            let seat = &memory.seats[0];
            give_back(memory, 0, || seat.holder.load(Ordering::Acquire) == 0).unwrap()
        };
        let other = memory.clone();
        let sweeper = thread::spawn(move || sweep(&other));
        let given = sweep(&memory);
        memory.seats[0].holder.store(7, Ordering::Release);
        let Ok(Done::Yes(taken)) = operate(&*memory, 0, Operation::Take(1)) else {
            panic!("it came back");
        };
        let last = give_one_back_again(&*memory, taken).unwrap();
        assert!(take_one_again(&*memory, last).is_some());
        assert_eq!(given + sweeper.join().unwrap(), 1);
        assert_eq!(memory.free(), 0);
    });
}

/// Whoever has both permits is alone, and no wake is lost.
#[test]
fn all_permits_exclude_and_are_waited_for() {
    loom::model(|| {
        let memory = Checked::new(2);
        let other = memory.clone();
        let user = thread::spawn(move || {
            other.wait_for(1, 2);
            other.touch();
            other.give(1, 2);
        });
        memory.wait_for(0, 2);
        memory.touch();
        memory.give(0, 2);
        user.join().unwrap();
        assert_eq!(memory.free(), 2);
    });
}

/// Two that want two of three: never both, never neither for ever.
#[test]
fn several_at_a_time_are_all_or_none() {
    loom::model(|| {
        let memory = Checked::new(3);
        let others: Vec<_> = (0..2)
            .map(|seat| {
                let memory = memory.clone();
                thread::spawn(move || {
                    let taken = memory.take(seat, 2);
                    if taken {
                        memory.touch();
                        memory.give(seat, 2);
                    }
                    taken
                })
            })
            .collect();
        let taken: Vec<bool> = others.into_iter().map(|it| it.join().unwrap()).collect();
        assert!(taken.contains(&true));
        assert_eq!(memory.free(), 3);
    });
}

/// Several sweep a dead holder while another seat is busy: what it held comes back once.
#[test]
fn what_the_dead_held_comes_back_once() {
    for held in [1, 2] {
        loom::model(move || {
            let memory = Checked::new(3);
            assert!(memory.take(0, held));
            let sweep = |memory: &Checked| {
                let seat = &memory.seats[0];
                let given = give_back(memory, 0, || seat.holder.load(Ordering::Acquire) == 0);
                given.unwrap()
            };
            let other = memory.clone();
            let sweeper = thread::spawn(move || sweep(&other));
            let other = memory.clone();
            let user = thread::spawn(move || {
                if other.take(1, 1) {
                    other.give(1, 1);
                }
            });
            let given = sweep(&memory) + sweeper.join().unwrap();
            user.join().unwrap();
            assert_eq!(given, held);
            assert_eq!(sweep(&memory), 0);
            assert_eq!(memory.free(), 3);
        });
    }
}

/// A sweeper that comes late meets the seat's next user.
#[test]
fn a_late_sweeper_takes_nothing_from_the_seats_next_user() {
    loom::model(|| {
        let memory = Checked::new(3);
        assert!(memory.take(0, 2));
        let sweep = |memory: &Checked| {
            let seat = &memory.seats[0];
            give_back(memory, 0, || seat.holder.load(Ordering::Acquire) == 0).unwrap()
        };
        let other = memory.clone();
        let sweeper = thread::spawn(move || sweep(&other));
        let given = sweep(&memory);
        // The seat changes hands, as after a complete pass.
        memory.seats[0].holder.store(7, Ordering::Release);
        assert!(memory.take(0, 3));
        let given = given + sweeper.join().unwrap();
        assert_eq!(given, 2);
        assert_eq!(memory.free(), 0);
        memory.give(0, 3);
        assert_eq!(memory.free(), 3);
    });
}

/// Two that settle the same operation, one of them late: the record of a later one stays.
#[test]
fn a_record_is_never_replaced_by_an_older_one() {
    for held in [1, 2] {
        loom::model(move || {
            let memory = Checked::new(4);
            assert!(memory.take(0, held));
            let others = [1, 2].map(|seat| {
                let memory = memory.clone();
                thread::spawn(move || assert!(memory.take(seat, 1)))
            });
            memory.give(0, held);
            others.into_iter().for_each(|it| it.join().unwrap());
            assert_eq!(give_back(&*memory, 0, || true), Ok(0));
            assert_eq!(memory.free(), 2);
        });
    }
}

/// Each change counts once, whoever counts it, and the limits hold.
#[test]
fn the_number_of_permits_is_exact() {
    loom::model(|| {
        let memory = Checked::new(1);
        let change = |memory: &Checked, seat: usize, by: i64| {
            let done = operate(memory, seat, Operation::Change(by)).unwrap();
            if done == Done::Refused { 0 } else { by }
        };
        let others = [(1, -1), (2, -1)].map(|(seat, by)| {
            let memory = memory.clone();
            thread::spawn(move || change(&memory, seat, by))
        });
        let mut changed = change(&memory, 0, 2);
        let seen = total(&*memory).unwrap();
        assert!((1..=3).contains(&seen), "{seen}");
        for other in others {
            changed += other.join().unwrap();
        }
        // There was one to take away, and two only afterwards.
        assert!(changed == 0 || changed == 1, "{changed}");
        assert_eq!(total(&*memory).map(i64::from), Ok(1 + changed));
        assert_eq!(memory.free(), 1 + changed);
    });
}

/// Who changes the number twice is about to tell the second change while others count the first.
#[test]
fn a_change_is_counted_while_its_seat_goes_on() {
    loom::model(|| {
        let memory = Checked::new(1);
        let other = memory.clone();
        let user = thread::spawn(move || {
            let seen = total(&*other).unwrap();
            assert!((1..=3).contains(&seen), "{seen}");
            assert!(other.take(1, 1));
        });
        for _ in 0..2 {
            let done = operate(&*memory, 0, Operation::Change(1)).unwrap();
            assert_ne!(done, Done::Refused);
        }
        user.join().unwrap();
        assert_eq!(total(&*memory), Ok(3));
        assert_eq!(memory.free(), 2);
    });
}
