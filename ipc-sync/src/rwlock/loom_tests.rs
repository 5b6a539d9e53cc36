//! The protocol of readers and writers under loom, with interleavings and weak memory:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test -p ipc-sync --release --lib loom
//! ```

use super::word::{self, Condition, Memory, Refusal};
use ipc_core::atomic::{AtomicU64, Ordering, fence};
use ipc_core::{Bell, Deadline, Fences, OwnerId, Wait};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct Checked {
    writer: AtomicU64,
    joined: AtomicU64,
    rows: [AtomicU64; 3],
    free: Bell,
    drained: Bell,
    value: UnsafeCell<u64>,
}

// SAFETY: the cell is what loom is to check.
unsafe impl Sync for Checked {}
// SAFETY: as above.
unsafe impl Send for Checked {}

impl Memory for Checked {
    fn writer(&self) -> &AtomicU64 {
        &self.writer
    }

    fn joined(&self) -> &AtomicU64 {
        &self.joined
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, index: usize) -> &AtomicU64 {
        &self.rows[index]
    }
}

fn id(index: u64, generation: u64) -> OwnerId {
    OwnerId::from_word(generation << 16 | index).unwrap()
}

impl Checked {
    fn new() -> Arc<Self> {
        let this = Self::without_handles();
        (0..3).for_each(|index| assert!(word::join(&*this, id(index, 1))));
        this
    }

    fn row_of(&self, me: OwnerId) -> &AtomicU64 {
        self.row(word::row_index(me))
    }

    fn without_handles() -> Arc<Self> {
        Arc::new(Self {
            writer: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            rows: Default::default(),
            free: Bell::new(),
            drained: Bell::new(),
            value: UnsafeCell::new(0),
        })
    }

    fn ring(&self) {
        self.drained.ring(Fences::Symmetric);
        self.free.ring(Fences::Symmetric);
    }

    fn await_with<R>(&self, bell: &Bell, ready: impl FnMut() -> Option<R>) -> R {
        let slice = || Ok::<(), ()>(());
        bell.wait(Wait::Park, Fences::Symmetric, Deadline::NEVER, ready, slice)
            .unwrap()
            .unwrap()
    }

    fn start_reading(&self, me: OwnerId) -> Result<(), Refusal> {
        self.await_with(&self.free, || match word::try_read(self, self.row_of(me)) {
            Err(Refusal::Held) => {
                self.drained.ring(Fences::Symmetric);
                None
            }
            other => Some(other),
        })
    }

    fn read(&self, me: OwnerId) -> u64 {
        self.start_reading(me).unwrap();
        // SAFETY: loom checks that nobody writes.
        let value = self.value.with(|it| unsafe { *it });
        word::end_read(self.row_of(me));
        self.drained.ring(Fences::Symmetric);
        value
    }

    fn start_writing(&self, me: OwnerId) -> Condition {
        let claim = || word::try_claim(self, me).ok();
        let condition = self.await_with(&self.free, claim);
        let mut from = 0;
        self.await_with(&self.drained, || {
            let at = word::first_reader(self, from);
            from = at.unwrap_or(from);
            at.is_none().then_some(())
        });
        word::begin_write(self, me, condition);
        condition
    }

    fn add(&self) {
        // SAFETY: loom checks that nobody else is at it.
        self.value.with_mut(|it| unsafe { *it += 1 });
    }

    fn write(&self, me: OwnerId) {
        assert_eq!(self.start_writing(me), Condition::Sound);
        self.add();
        word::end_write(self, Condition::Sound);
        self.ring();
    }
}

#[test]
fn a_writer_and_a_reader_exclude_each_other_and_no_wake_is_lost() {
    loom::model(|| {
        let lock = Checked::new();
        let other = lock.clone();
        let writer = thread::spawn(move || other.write(id(1, 1)));
        assert!(lock.read(id(0, 1)) <= 1);
        writer.join().unwrap();
        assert_eq!(lock.read(id(0, 1)), 1);
    });
}

#[test]
fn a_reader_that_has_just_come_is_seen() {
    loom::model(|| {
        let lock = Checked::without_handles();
        assert!(word::join(&*lock, id(0, 1)));
        let other = lock.clone();
        let reader = thread::spawn(move || {
            assert!(word::join(&*other, id(2, 1)));
            other.read(id(2, 1))
        });
        lock.write(id(0, 1));
        assert!(reader.join().unwrap() <= 1);
    });
}

#[test]
fn two_writers_exclude_each_other_and_no_wake_is_lost() {
    loom::model(|| {
        let lock = Checked::new();
        let other = lock.clone();
        let writer = thread::spawn(move || other.write(id(1, 1)));
        lock.write(id(0, 1));
        writer.join().unwrap();
        assert_eq!(lock.read(id(0, 1)), 2);
    });
}

/// Two of one handle read at the same time as a writer comes.
#[test]
fn readers_of_one_handle_are_counted() {
    loom::model(|| {
        let lock = Checked::new();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let lock = lock.clone();
                thread::spawn(move || {
                    if word::try_read(&*lock, lock.row_of(id(0, 1))).is_ok() {
                        // SAFETY: loom checks that nobody writes.
                        lock.value.with(|it| unsafe { *it });
                        word::end_read(lock.row_of(id(0, 1)));
                        lock.drained.ring(Fences::Symmetric);
                    }
                })
            })
            .collect();
        if let Ok(condition) = word::try_claim(&*lock, id(1, 1)) {
            if word::first_reader(&*lock, 0).is_none() {
                word::begin_write(&*lock, id(1, 1), condition);
                lock.add();
            }
            word::end_write(&*lock, condition);
        }
        readers.into_iter().for_each(|it| it.join().unwrap());
    });
}

/// A dead reader is in the way until somebody sweeps it; two do.
#[test]
fn a_dead_reader_is_swept() {
    loom::model(|| {
        let lock = Checked::new();
        assert_eq!(word::try_read(&*lock, lock.row_of(id(2, 1))), Ok(()));
        let other = lock.clone();
        let sweeper = thread::spawn(move || {
            word::sweep(&*other, id(2, 1));
            other.ring();
        });
        let other = lock.clone();
        let second = thread::spawn(move || {
            word::sweep(&*other, id(2, 1));
            other.ring();
        });
        lock.write(id(0, 1));
        sweeper.join().unwrap();
        second.join().unwrap();
        assert_eq!(word::first_reader(&*lock, 0), None);
    });
}

/// The next writer after a dead one is told, once, though two sweep it.
#[test]
fn a_dead_writer_is_told_to_the_next() {
    loom::model(|| {
        let lock = Checked::new();
        assert_eq!(lock.start_writing(id(2, 1)), Condition::Sound);
        let other = lock.clone();
        let sweeper = thread::spawn(move || {
            word::sweep(&*other, id(2, 1));
            other.ring();
        });
        word::sweep(&*lock, id(2, 1));
        lock.ring();
        assert_eq!(lock.start_writing(id(0, 1)), Condition::Died);
        lock.add();
        word::end_write(&*lock, Condition::Sound);
        lock.ring();
        assert_eq!(lock.read(id(1, 1)), 1);
        sweeper.join().unwrap();
        assert_eq!(lock.writer.load(Ordering::Relaxed), 0);
    });
}

/// A writer is swept in whatever state it died: its mark is there if any change of its is.
#[test]
fn who_sees_a_dead_writers_change_sees_that_it_wrote() {
    loom::model(|| {
        let lock = Checked::new();
        let changed = Arc::new(AtomicU64::new(0));
        let (other, change) = (lock.clone(), changed.clone());
        let dead = thread::spawn(move || {
            other.start_writing(id(2, 1));
            change.store(1, Ordering::Relaxed);
        });
        let seen = changed.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        word::sweep(&*lock, id(2, 1));
        if seen == 1 {
            assert_eq!(word::try_claim(&*lock, id(0, 1)), Ok(Condition::Died));
        }
        dead.join().unwrap();
    });
}

/// A sweeper that comes late meets the row's next owner.
#[test]
fn a_late_sweeper_takes_nothing_from_the_rows_next_owner() {
    loom::model(|| {
        let lock = Checked::new();
        assert_eq!(word::try_read(&*lock, lock.row_of(id(2, 1))), Ok(()));
        let other = lock.clone();
        let late = thread::spawn(move || word::sweep(&*other, id(2, 1)));
        word::sweep(&*lock, id(2, 1));
        assert!(word::join(&*lock, id(2, 2)));
        assert_eq!(word::try_read(&*lock, lock.row_of(id(2, 2))), Ok(()));
        late.join().unwrap();
        assert_eq!(word::first_reader(&*lock, 0), Some(2));
    });
}
