//! The shared account of a run: what each producer sent, what each consumer took and settled, and
//! what concerns everybody.
//!
//! A consumer that is killed is replaced by another process: another *life*, with a record of its
//! own, so that what the dead one settled can still be looked up.

use super::envelope::Stamp;
use super::record::Record;
use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{
    Departed, Kind, Object, ObjectSpec, Result, Segment, SharedArray, SharedLayout, SharedRef,
    TypeTag,
};

static KIND: Kind = Kind {
    name: "harness ledger",
    sweep: nothing_is_owned,
};

ipc_core::register_at_start!(KIND);

fn nothing_is_owned(_: &Object, _: &Departed<'_>) -> Result<()> {
    Ok(())
}

const NAME: &str = "ledger";

/// What concerns everybody.
#[repr(C, align(128))]
struct Common {
    abandoned: AtomicU64,
    disturbances: AtomicU64,
}

/// How many messages a producer has sent: it, and those it replaces.
#[repr(C, align(128))]
struct Sent(AtomicU64);

/// One of a consumer's numbers: its row has one for each producer.
#[repr(C)]
struct Expected(AtomicU64);

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Common {}
// SAFETY: `repr(C)`, an atomic only.
unsafe impl SharedLayout for Sent {}
// SAFETY: `repr(C)`, an atomic only.
unsafe impl SharedLayout for Expected {}

/// Of rows, so that each is on lines of its own.
const LINE: usize = 128;

/// How many there are of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    pub producers: usize,
    /// Of consumers, those that may come to replace them among them.
    pub lives: usize,
}

impl Census {
    fn row(self) -> usize {
        self.producers
            .next_multiple_of(LINE / size_of::<Expected>())
    }

    fn sent_at(self) -> usize {
        size_of::<Common>()
    }

    fn records_at(self) -> usize {
        self.sent_at() + self.producers * size_of::<Sent>()
    }

    fn expected_at(self) -> usize {
        self.records_at() + self.lives * size_of::<Record>()
    }

    pub(crate) fn bytes(self) -> usize {
        self.expected_at() + self.lives * self.row() * size_of::<Expected>()
    }
}

/// The ledger as an object of the run's segment.
#[derive(Debug)]
pub(crate) struct Ledger {
    census: Census,
    common: SharedRef<Common>,
    sent: SharedArray<Sent>,
    records: SharedArray<Record>,
    expected: SharedArray<Expected>,
}

// Relaxed unless said otherwise: each word has one writer, and the parent reads final values only
// after the worker has ended, which orders them.
impl Ledger {
    pub(crate) fn create(segment: &Segment, census: Census) -> Result<Self> {
        let spec = ObjectSpec {
            kind: &KIND,
            element: TypeTag::of::<()>(),
            config: [census.producers as u64, census.lives as u64, 0, 0],
            len: census.bytes() as u64,
        };
        Self::new(segment.create_object(NAME, &spec, |_| Ok(()))?)
    }

    pub(crate) fn open(segment: &Segment) -> Result<Self> {
        Self::new(segment.open_object(NAME, &KIND, &TypeTag::of::<()>())?)
    }

    fn new(object: Object) -> Result<Self> {
        let [producers, lives, ..] = object.info().config;
        // The segment's checksum covers them.
        let census = Census {
            producers: producers as usize,
            lives: lives as usize,
        };
        Ok(Self {
            census,
            common: object.structure(0)?,
            sent: object.array(census.sent_at() as u64, census.producers)?,
            records: object.array(census.records_at() as u64, census.lives)?,
            expected: object.array(census.expected_at() as u64, census.lives * census.row())?,
        })
    }

    pub(crate) fn census(&self) -> Census {
        self.census
    }

    /// Tells the producers that nobody will consume what they send.
    pub(crate) fn abandon(&self) {
        self.common.abandoned.store(1, Ordering::Relaxed);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.common.abandoned.load(Ordering::Relaxed) != 0
    }

    /// How many kills and stops are still to come.
    pub(crate) fn disturbances(&self) -> u64 {
        self.common.disturbances.load(Ordering::Relaxed)
    }

    pub(crate) fn set_disturbances(&self, to_come: u64) {
        self.common.disturbances.store(to_come, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, producer: usize) -> u64 {
        self.sent.at(producer).0.load(Ordering::Relaxed)
    }

    /// Said by the producer, or, when it is dead, by the parent.
    #[inline]
    pub(crate) fn set_sent(&self, producer: usize, messages: u64) {
        self.sent.at(producer).0.store(messages, Ordering::Relaxed);
    }

    pub(crate) fn sent_by_all(&self) -> u64 {
        // Whatever the words say.
        (0..self.census.producers)
            .map(|it| self.sent(it))
            .fold(0, u64::saturating_add)
    }

    pub(crate) fn record(&self, life: usize) -> &Record {
        self.records.at(life)
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }

    #[inline]
    fn expected(&self, life: usize, producer: usize) -> &AtomicU64 {
        &self.expected.at(life * self.census.row() + producer).0
    }

    /// Enters that this consumer has got this message, before it is finished. A message is taken
    /// for new unless the consumer has had it or a later one of the same producer; one that is
    /// delivered again is always new.
    #[inline]
    pub(crate) fn enter(&self, life: usize, stamp: Stamp, delivery: Delivery) -> Novelty {
        let expected = self.expected(life, stamp.producer as usize);
        let next = expected.load(Ordering::Relaxed);
        if stamp.sequence < next {
            return match delivery {
                Delivery::First => Novelty::Doubled,
                Delivery::Again => Novelty::New,
            };
        }
        // Release: pairs with the Acquire in `was_taken`, through the slot that is freed later.
        expected.store(stamp.sequence.saturating_add(1), Ordering::Release);
        Novelty::New
    }

    /// Whether some consumer has got this message or a later one of its producer.
    pub(crate) fn was_taken(&self, stamp: Stamp) -> bool {
        (0..self.census.lives).any(|life| {
            let expected = self.expected(life, stamp.producer as usize);
            expected.load(Ordering::Acquire) > stamp.sequence
        })
    }

    /// Whether a consumer that died has settled this message, and could not finish it any more.
    pub(crate) fn is_settled(&self, stamp: Stamp) -> bool {
        self.records().any(|record| record.has_settled(stamp.id()))
    }
}

/// Whether a message comes for the first time, as far as the queue knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    First,
    Again,
}

/// What a consumer makes of a message's number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Novelty {
    New,
    Doubled,
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use ipc_core::Place;

    fn ledger(producers: usize, lives: usize) -> Ledger {
        let census = Census { producers, lives };
        let segment = Segment::builder(Place::memfd("ledger"))
            .size(census.bytes() + 4096)
            .create()
            .unwrap();
        Ledger::create(&segment, census).unwrap()
    }

    fn stamp(producer: u64, sequence: u64) -> Stamp {
        Stamp { producer, sequence }
    }

    #[test]
    fn what_came_before_is_doubled_unless_it_was_given_back() {
        use Delivery::{Again, First};
        use Novelty::{Doubled, New};
        let ledger = ledger(2, 3);
        let enter =
            |producer, sequence, delivery| ledger.enter(1, stamp(producer, sequence), delivery);
        assert_eq!(enter(0, 0, First), New);
        assert_eq!(enter(0, 2, First), New);
        assert_eq!(enter(0, 2, First), Doubled);
        assert_eq!(enter(0, 1, First), Doubled);
        assert_eq!(enter(0, 1, Again), New);
        // Of each producer by itself, and for each consumer.
        assert_eq!(enter(1, 1, First), New);
        assert_eq!(ledger.enter(2, stamp(0, 1), First), New);
    }

    #[test]
    fn what_anybody_took_was_taken() {
        let ledger = ledger(17, 3);
        ledger.enter(2, stamp(16, 5), Delivery::First);
        assert!(ledger.was_taken(stamp(16, 5)));
        assert!(!ledger.was_taken(stamp(16, 6)));
        assert!(!ledger.was_taken(stamp(15, 5)));
    }

    #[test]
    fn everybody_has_words_of_his_own() {
        let ledger = ledger(17, 3);
        for producer in 0..17 {
            ledger.set_sent(producer, producer as u64 + 1);
        }
        assert_eq!(ledger.sent_by_all(), 17 * 18 / 2);
        ledger.set_disturbances(7);
        ledger.abandon();
        assert_eq!((ledger.disturbances(), ledger.sent(0)), (7, 1));
    }
}
