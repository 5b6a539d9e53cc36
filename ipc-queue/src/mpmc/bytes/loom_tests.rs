//! Blocks under loom, over the queue's own steps (see its loom tests for how to run these). The
//! blocks are loom's checked cells: one that two may use at a time is a failure by itself.

use super::block::{self, Blocks, Candidate, Tenancy, find_free, find_over};
use crate::mpmc::loom_tests::{Checked, Receiver, Sender};
use crate::mpmc::memory::Memory;
use crate::mpmc::push::{Committed, Refusal};
use crate::mpmc::sweep;
use crate::mpmc::word::OwnerBits;
use ipc_core::atomic::{AtomicU64, Ordering};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct Pool {
    words: Vec<AtomicU64>,
    blocks: Vec<UnsafeCell<u64>>,
    /// Of each slot, which block its message is in.
    headers: Vec<AtomicU64>,
}

// SAFETY: the cells are what loom is to check.
unsafe impl Sync for Pool {}
// SAFETY: as above.
unsafe impl Send for Pool {}

impl Blocks for Pool {
    fn block(&self, number: usize) -> &AtomicU64 {
        &self.words[number]
    }
}

impl Pool {
    fn new(blocks: usize, slots: usize) -> Arc<Self> {
        Arc::new(Self {
            words: (0..blocks).map(|_| AtomicU64::new(0)).collect(),
            blocks: (0..blocks).map(|_| UnsafeCell::new(0)).collect(),
            headers: (0..slots).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    fn find(&self, memory: &Checked) -> Option<Candidate> {
        let all = 0..self.words.len();
        find_free(self, all.clone(), 0).or_else(|| find_over(self, memory, all))
    }

    fn is_free(&self) -> bool {
        self.words.iter().all(|it| it.load(Ordering::Acquire) == 0)
    }

    /// Whether there was room.
    fn try_push(&self, tx: &mut Sender, message: u64) -> bool {
        let memory = &*tx.memory;
        let Some(candidate) = self.find(memory) else {
            return false;
        };
        let claim = match tx.tail.claim(memory) {
            Ok(claim) => claim,
            Err(Refusal::Full) => return false,
            Err(other) => panic!("{other:?}"),
        };
        let tenancy = Tenancy::new(claim.index, claim.lap(memory.geometry()));
        if !block::take(self, candidate, tenancy) {
            tx.tail.give_back(memory, claim);
            return false;
        }
        // SAFETY: the block is ours; loom checks it.
        self.blocks[candidate.block].with_mut(|it| unsafe { *it = message });
        self.headers[claim.index].store(candidate.block as u64, Ordering::Relaxed);
        assert_eq!(tx.tail.commit(memory, claim), Committed::Yes);
        true
    }

    fn push(&self, tx: &mut Sender, message: u64) {
        while !self.try_push(tx, message) {
            thread::yield_now();
        }
    }

    fn try_pop(&self, rx: &mut Receiver, then: Then) -> Option<u64> {
        let memory = &*rx.memory;
        let taken = rx.head.take(memory).unwrap()?;
        // An access that loom counts, so that the next is later than the fence before it.
        memory.cursors().tail.0.load(Ordering::Relaxed);
        let block = self.headers[taken.index].load(Ordering::Relaxed) as usize;
        let tenancy = Tenancy::new(taken.index, taken.lap());
        let word = self.words[block].load(Ordering::Relaxed);
        assert_eq!(word, tenancy.word(), "not its block");
        // SAFETY: the block is ours; loom checks it.
        let message = self.blocks[block].with(|it| unsafe { *it });
        rx.head.finish(memory, taken);
        if then == Then::Release {
            block::release(self, block, tenancy);
        }
        Some(message)
    }

    fn pop(&self, rx: &mut Receiver, then: Then) -> u64 {
        loop {
            if let Some(message) = self.try_pop(rx, then) {
                return message;
            }
            thread::yield_now();
        }
    }
}

/// What a receiver does after it has finished a message.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Release,
    /// It is stopped there.
    Nothing,
    /// The same, while somebody collects.
    Collect,
}

#[test]
fn two_senders_through_one_block() {
    loom::model(|| {
        let (memory, pool) = (Checked::new(3), Pool::new(1, 3));
        let mut rx = Receiver::new(&memory, 0);
        let senders = [1, 2].map(|message| {
            let mut tx = Sender::new(&memory, message as usize);
            let pool = pool.clone();
            thread::spawn(move || pool.try_push(&mut tx, message))
        });
        let mut got = Vec::new();
        got.extend(pool.try_pop(&mut rx, Then::Release));
        let pushed = senders.map(|it| it.join().unwrap());
        while let Some(message) = pool.try_pop(&mut rx, Then::Release) {
            got.push(message);
        }
        got.sort_unstable();
        let pushed = [1, 2].into_iter().zip(pushed);
        let pushed: Vec<u64> = pushed
            .filter_map(|(it, there)| there.then_some(it))
            .collect();
        assert_eq!(got, pushed);
        assert!(!got.is_empty());
        assert!(pool.is_free());
    });
}

/// Who is stopped between finishing a message and freeing its block keeps it from nobody, and does
/// no harm when it goes on.
#[test]
fn a_block_that_nobody_frees_is_taken_all_the_same() {
    loom::model(|| {
        let (memory, pool) = (Checked::new(1), Pool::new(1, 1));
        let mut rx = Receiver::new(&memory, 0);
        let mut tx = Sender::new(&memory, 0);
        let theirs = pool.clone();
        let sender = thread::spawn(move || {
            theirs.push(&mut tx, 1);
            theirs.push(&mut tx, 2);
        });
        let first = memory
            .geometry()
            .lap(memory.cursors().tail.0.load(Ordering::Relaxed));
        assert_eq!(pool.pop(&mut rx, Then::Nothing), 1);
        // It goes on later, whenever that is.
        let late = pool.clone();
        let stopped = thread::spawn(move || {
            block::release(&*late, 0, Tenancy::new(0, first));
        });
        assert_eq!(pool.pop(&mut rx, Then::Release), 2);
        sender.join().unwrap();
        stopped.join().unwrap();
        assert!(pool.is_free());
    });
}

/// Sweepers that collect at any moment take nothing from the living, and all from the dead.
#[test]
fn collectors_take_only_what_is_over() {
    loom::model(|| {
        let (memory, pool) = (Checked::new(2), Pool::new(2, 2));
        // One that was killed after it had taken a block.
        let dead = OwnerBits::new(5, 1);
        let mut killed = Sender::new(&memory, 5);
        let claim = killed.tail.claim(&*memory).unwrap();
        let tenancy = Tenancy::new(claim.index, claim.lap(memory.geometry()));
        let candidate = pool.find(&memory).unwrap();
        assert!(block::take(&*pool, candidate, tenancy));

        let mut tx = Sender::new(&memory, 0);
        let mut rx = Receiver::new(&memory, 0);
        let theirs = pool.clone();
        let sender = thread::spawn(move || theirs.push(&mut tx, 7));
        let (theirs, swept) = (pool.clone(), memory.clone());
        let sweeper = thread::spawn(move || {
            sweep::sweep(&*swept, &dead, &());
            block::collect(&*theirs, &*swept, 0..2);
        });
        assert_eq!(pool.pop(&mut rx, Then::Release), 7);
        sender.join().unwrap();
        sweeper.join().unwrap();
        assert!(pool.is_free());
        drop(killed);
    });
}

/// Whoever writes into a block comes after who read from it, by the block's words alone: the writer
/// had its claim before.
#[test]
fn a_block_goes_from_its_reader_to_the_next_writer() {
    for then in [Then::Release, Then::Nothing, Then::Collect] {
        loom::model(move || {
            let (memory, pool) = (Checked::new(2), Pool::new(1, 2));
            let mut rx = Receiver::new(&memory, 0);
            pool.push(&mut Sender::new(&memory, 0), 1);
            let mut next = Sender::new(&memory, 1);
            let claim = next.tail.claim(&*memory).unwrap();
            let theirs = pool.clone();
            let writer = thread::spawn(move || {
                let memory = &*next.memory;
                let candidate = loop {
                    match theirs.find(memory) {
                        Some(candidate) => break candidate,
                        None => thread::yield_now(),
                    }
                };
                let tenancy = Tenancy::new(claim.index, claim.lap(memory.geometry()));
                if !block::take(&*theirs, candidate, tenancy) {
                    // It was over, and has been freed meanwhile.
                    let candidate = theirs.find(memory).unwrap();
                    assert!(block::take(&*theirs, candidate, tenancy));
                }
                // SAFETY: the block is ours; loom checks it.
                theirs.blocks[0].with_mut(|it| unsafe { *it = 2 });
            });
            let theirs = (pool.clone(), memory.clone());
            let collector = (then == Then::Collect)
                .then(|| thread::spawn(move || block::collect(&*theirs.0, &*theirs.1, 0..1)));
            assert_eq!(pool.pop(&mut rx, then), 1);
            writer.join().unwrap();
            if let Some(collector) = collector {
                collector.join().unwrap();
            }
        });
    }
}
