//! The shared account of a run: what each consumer got, and whether producers should give up.

use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{
    Departed, Kind, Object, ObjectSpec, Result, Segment, SharedLayout, SharedRef, TypeTag,
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

/// One worker's lines. Written by that worker alone, read by the parent.
#[repr(C, align(128))]
pub(crate) struct Account {
    received: AtomicU64,
    doubled: AtomicU64,
    torn: AtomicU64,
    expected: AtomicU64,
}

/// What concerns everybody.
#[repr(C, align(128))]
struct Common {
    abandoned: AtomicU64,
}

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Account {}
// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Common {}

/// The ledger as an object of the run's segment.
#[derive(Debug)]
pub(crate) struct Ledger {
    object: Object,
    common: SharedRef<Common>,
}

impl Ledger {
    /// Bytes needed for so many consumers.
    pub(crate) fn size_for(consumers: usize) -> usize {
        size_of::<Common>() + consumers * size_of::<Account>()
    }

    pub(crate) fn create(segment: &Segment, consumers: usize) -> Result<Self> {
        let spec = ObjectSpec {
            kind: &KIND,
            element: TypeTag::of::<()>(),
            config: [consumers as u64, 0, 0, 0],
            len: Self::size_for(consumers) as u64,
        };
        Self::new(segment.create_object(NAME, &spec, |_| Ok(()))?)
    }

    pub(crate) fn open(segment: &Segment) -> Result<Self> {
        Self::new(segment.open_object(NAME, &KIND, &TypeTag::of::<()>())?)
    }

    fn new(object: Object) -> Result<Self> {
        Ok(Self {
            common: object.structure(0)?,
            object,
        })
    }

    /// The account of a consumer, numbered from 0.
    pub(crate) fn account(&self, consumer: usize) -> Result<SharedRef<Account>> {
        let offset = size_of::<Common>() + consumer * size_of::<Account>();
        self.object.structure(offset as u64)
    }

    /// Tells the producers that nobody will consume what they send.
    pub(crate) fn abandon(&self) {
        // Relaxed: a flag that nothing else depends on.
        self.common.abandoned.store(1, Ordering::Relaxed);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.common.abandoned.load(Ordering::Relaxed) != 0
    }
}

/// What a consumer makes of a message's number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Novelty {
    New,
    Doubled,
}

// Relaxed unless said otherwise: each word has one writer, and the parent reads final values only
// after the worker has ended, which orders them.
impl Account {
    pub(crate) fn received(&self) -> u64 {
        // Acquire: pairs with the Release in `enter`. Who has seen a message received sees it sent.
        self.received.load(Ordering::Acquire)
    }

    pub(crate) fn doubled(&self) -> u64 {
        self.doubled.load(Ordering::Relaxed)
    }

    pub(crate) fn torn(&self) -> u64 {
        self.torn.load(Ordering::Relaxed)
    }

    /// Enters an intact message. Numbers come in order; one that is not beyond the last is a
    /// repetition.
    #[inline]
    pub(crate) fn enter(&self, sequence: u64) -> Novelty {
        if sequence < self.expected.load(Ordering::Relaxed) {
            increment(&self.doubled);
            return Novelty::Doubled;
        }
        self.expected
            .store(sequence.saturating_add(1), Ordering::Relaxed);
        let received = self.received.load(Ordering::Relaxed) + 1;
        // Release: pairs with the Acquire in `received`.
        self.received.store(received, Ordering::Release);
        Novelty::New
    }

    pub(crate) fn enter_torn(&self) {
        increment(&self.torn);
    }
}

/// Of a word that this process alone writes.
#[inline]
fn increment(word: &AtomicU64) {
    word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use ipc_core::Place;

    fn account() -> SharedRef<Account> {
        let segment = Segment::builder(Place::memfd("ledger"))
            .size(Ledger::size_for(1) + 4096)
            .create()
            .unwrap();
        Ledger::create(&segment, 1).unwrap().account(0).unwrap()
    }

    #[test]
    fn what_came_before_is_doubled_and_what_was_left_out_is_not_received() {
        let account = account();
        // A ring that delivers 2 in place of 1, 2 again, and 1 late.
        let novelties = [0, 2, 2, 1, 3].map(|sequence| account.enter(sequence));
        use Novelty::{Doubled, New};
        assert_eq!(novelties, [New, New, Doubled, Doubled, New]);
        assert_eq!(
            (account.received(), account.doubled(), account.torn()),
            (3, 2, 0)
        );
        account.enter_torn();
        assert_eq!(
            (account.received(), account.doubled(), account.torn()),
            (3, 2, 1)
        );
    }
}
