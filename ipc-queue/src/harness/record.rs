//! What a consumer has settled: messages and their effects, in one step.
//!
//! A consumer takes messages, works, writes the effect into its [journal](super::journal), and
//! then says by one store that these messages and this effect are one. Killed before that store,
//! it leaves an effect that nobody reads and messages that come to others. Killed after it and
//! before the messages are finished, it leaves an effect that counts, and messages that come to
//! others too: those look into the records of all before they believe a message that comes again.
//!
//! | step | |
//! |---|---|
//! | 1 | write the entry that is not current: the messages' ids, the journal's end, the sums |
//! | 2 | store the number of this entry: settled |
//! | 3 | finish the messages |
//!
//! An entry is current until the next one, so the ids of a consumer that died between 2 and 3 stay
//! as long as the run. Those of a living consumer are not asked for: what it settled it finishes.

use ipc_core::SharedLayout;
use ipc_core::atomic::{AtomicU64, Ordering};

/// The most messages that are settled at once.
pub(crate) const MOST: usize = 256;

/// One life of a consumer. Written by that process alone.
#[repr(C, align(128))]
pub(crate) struct Record {
    /// How many entries there were: the current one is this number's parity.
    settled: AtomicU64,
    torn: AtomicU64,
    doubled: AtomicU64,
    entries: [Entry; 2],
}

#[repr(C, align(128))]
struct Entry {
    messages: AtomicU64,
    redelivered: AtomicU64,
    digest: AtomicU64,
    journal_end: AtomicU64,
    len: AtomicU64,
    ids: [AtomicU64; MOST],
}

// SAFETY: `repr(C)`, atomics and arrays of them only.
unsafe impl SharedLayout for Record {}

/// All that a consumer has settled, in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Messages.
    pub messages: u64,
    /// Those of them that somebody had before.
    pub redelivered: u64,
    /// The sum of the messages' digests.
    pub digest: u64,
    /// Where the journal's settled part ends.
    pub journal_end: u64,
}

/// A number that says which messages there were, when summed up: equal for the same ones in any
/// order, and different, almost surely, for others.
pub(crate) fn digest(id: u64) -> u64 {
    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
    let mut z = id.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

// Relaxed unless said otherwise: one writer, and who needs more than a passing look reads after
// that one's death.
impl Record {
    fn entry(&self, number: u64) -> &Entry {
        &self.entries[(number & 1) as usize]
    }

    /// Settles these messages, at most [`MOST`]; `sums` includes them.
    #[inline]
    pub(crate) fn settle(&self, ids: impl ExactSizeIterator<Item = u64>, sums: Settled) {
        let number = self.settled.load(Ordering::Relaxed).wrapping_add(1);
        let entry = self.entry(number);
        // Release: pairs with the fence in `read`: who sees a word of this entry sees that the one
        // before it has become current.
        ipc_core::atomic::fence(Ordering::Release);
        entry.messages.store(sums.messages, Ordering::Relaxed);
        entry.redelivered.store(sums.redelivered, Ordering::Relaxed);
        entry.digest.store(sums.digest, Ordering::Relaxed);
        entry.journal_end.store(sums.journal_end, Ordering::Relaxed);
        entry.len.store(ids.len() as u64, Ordering::Relaxed);
        for (word, id) in entry.ids.iter().zip(ids) {
            word.store(id, Ordering::Relaxed);
        }
        // Release: pairs with the Acquire in `read`: the entry is complete.
        self.settled.store(number, Ordering::Release);
    }

    /// Reads from the current entry. `None` if it is changing all the time.
    fn read<R>(&self, from: impl Fn(&Entry) -> R) -> Option<R> {
        const ATTEMPTS: u32 = 1000;
        for _ in 0..ATTEMPTS {
            let number = self.settled.load(Ordering::Acquire);
            let read = from(self.entry(number));
            // Acquire: pairs with the fence in `settle`. The entry is written over only when the
            // next one is current.
            ipc_core::atomic::fence(Ordering::Acquire);
            if self.settled.load(Ordering::Relaxed) == number {
                return Some(read);
            }
        }
        None
    }

    /// What was settled up to now. `None`, of a living consumer, if it cannot be told now.
    pub(crate) fn sums(&self) -> Option<Settled> {
        self.read(|entry| Settled {
            messages: entry.messages.load(Ordering::Relaxed),
            redelivered: entry.redelivered.load(Ordering::Relaxed),
            digest: entry.digest.load(Ordering::Relaxed),
            journal_end: entry.journal_end.load(Ordering::Relaxed),
        })
    }

    /// Whether this message is one of those that were settled last; right for the dead.
    pub(crate) fn has_settled(&self, id: u64) -> bool {
        self.settled.load(Ordering::Acquire) != 0
            && self
                .read(|entry| {
                    let len = entry.len.load(Ordering::Relaxed).min(MOST as u64) as usize;
                    (entry.ids[..len].iter()).any(|it| it.load(Ordering::Relaxed) == id)
                })
                .unwrap_or(false)
    }

    pub(crate) fn torn(&self) -> u64 {
        self.torn.load(Ordering::Relaxed)
    }

    pub(crate) fn doubled(&self) -> u64 {
        self.doubled.load(Ordering::Relaxed)
    }

    pub(crate) fn count_torn(&self) {
        increment(&self.torn);
    }

    pub(crate) fn count_doubled(&self) {
        increment(&self.doubled);
    }
}

/// Of a word that this process alone writes.
fn increment(word: &AtomicU64) {
    let count = word.load(Ordering::Relaxed).wrapping_add(1);
    word.store(count, Ordering::Relaxed);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn record() -> Box<Record> {
        // SAFETY: atomics: zeros are a value.
        unsafe { Box::new_zeroed().assume_init() }
    }

    fn sums(messages: u64) -> Settled {
        Settled {
            messages,
            redelivered: 1,
            digest: messages * 3,
            journal_end: messages * 100,
        }
    }

    #[test]
    fn a_fresh_record_has_settled_nothing() {
        let record = record();
        // The words of an entry that nobody wrote say 0.
        assert!(!record.has_settled(0));
        assert_eq!(record.sums(), Some(Settled::default()));
    }

    #[test]
    fn the_last_entry_counts_and_only_that() {
        let record = record();
        record.settle([7, 8].into_iter(), sums(2));
        assert!(record.has_settled(7) && record.has_settled(8) && !record.has_settled(9));
        record.settle([9].into_iter(), sums(3));
        assert!(record.has_settled(9) && !record.has_settled(8));
        assert_eq!(record.sums(), Some(sums(3)));
        let many: Vec<u64> = (0..MOST as u64).collect();
        record.settle(many.iter().copied(), sums(4));
        assert!(many.iter().all(|&id| record.has_settled(id)));
    }

    #[test]
    fn an_entry_that_was_not_finished_does_not_count() {
        let record = record();
        record.settle([7].into_iter(), sums(1));
        // Killed within `settle`.
        let next = record.entry(2);
        next.len.store(1, Ordering::Relaxed);
        next.ids[0].store(9, Ordering::Relaxed);
        next.journal_end.store(1 << 40, Ordering::Relaxed);
        assert!(record.has_settled(7) && !record.has_settled(9));
        assert_eq!(record.sums(), Some(sums(1)));
    }

    /// In threads: the look of one at what another is writing.
    #[test]
    fn a_look_at_a_living_one_is_of_one_moment() {
        let record = record();
        std::thread::scope(|scope| {
            scope.spawn(|| (1..200_000).for_each(|n| record.settle([n].into_iter(), sums(n))));
            let mut last = 0;
            while last < 199_999 {
                if let Some(seen) = record.sums() {
                    assert!(seen == sums(seen.messages) || seen == Settled::default());
                    assert!(last <= seen.messages);
                    last = seen.messages;
                }
            }
        });
    }

    #[test]
    fn digests_tell_the_order_apart_from_the_set() {
        let of = |ids: &[u64]| {
            ids.iter()
                .fold(0, |sum: u64, &id| sum.wrapping_add(digest(id)))
        };
        assert_eq!(of(&[1, 2, 3]), of(&[3, 1, 2]));
        // One lost and another doubled.
        assert_ne!(of(&[1, 2, 3]), of(&[1, 3, 3]));
        assert_ne!(of(&[0, 1, 5]), of(&[0, 2, 4]));
    }
}
