//! A point that all parties must have reached before any goes on.
//!
//! `state` counts, in one word:
//!
//! | field | meaning | who changes it, by CAS |
//! |---|---|---|
//! | passes (24 bits) | how often all had arrived | the last party to arrive: one more, and nobody has arrived |
//! | resets (23 bits) | how often it was reset | whoever resets: one more, and nobody has arrived |
//! | aborted (1 bit) | somebody broke it by hand | whoever does; whoever resets |
//! | arrived (16 bits) | parties that wait for the rest | a party that arrives, or whose time is up |
//!
//! Each party has a place, a word of its own:
//!
//! | place | meaning | who leaves it, and how |
//! |---|---|---|
//! | 0 | free | a party that joins, by CAS to its owner id |
//! | owner id | a party's | the party when it leaves (to 0); the sweep of the dead (to dead) |
//! | dead, of this id | its party died; the barrier is broken | whoever found it so before a reset of `state`, after that (to 0) |
//!
//! An arrival is one step, and so is giving it up. Which parties have arrived is recorded nowhere: a
//! dead one breaks the barrier in either case, and the reset forgets all arrivals.

use crate::waiting::Waiting;
use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{
    Bell, Deadline, Departed, Error, Kind, Object, ObjectSpec, Owner, OwnerId, Segment,
    SharedArray, SharedLayout, SharedRef, TypeTag, Wait,
};
use std::time::Duration;

const ARRIVED: u64 = 0xFFFF;
const ABORTED: u64 = 1 << 16;
const RESET_SHIFT: u32 = 17;
const PASS_SHIFT: u32 = 40;
const RESETS: u64 = ((1 << PASS_SHIFT) - 1) & !((1 << RESET_SHIFT) - 1);
const MOST_PARTIES: u32 = ARRIVED as u32;
/// In the low 16 bits of a place, where an owner id has an index that is never this large.
const DEAD: u64 = 0xFFFF;

/// The word `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State(u64);

impl State {
    fn arrived(self) -> u64 {
        self.0 & ARRIVED
    }

    fn is_aborted(self) -> bool {
        self.0 & ABORTED != 0
    }

    fn passes(self) -> u64 {
        self.0 >> PASS_SHIFT
    }

    fn resets(self) -> u64 {
        self.0 & RESETS
    }

    /// All have arrived.
    fn passed(self) -> Self {
        let passes = self.passes().wrapping_add(1);
        Self(passes << PASS_SHIFT | self.resets())
    }

    fn reset(self) -> Self {
        let resets = self.0.wrapping_add(1 << RESET_SHIFT) & RESETS;
        Self(self.passes() << PASS_SHIFT | resets)
    }
}

#[repr(C, align(128))]
struct Words {
    state: AtomicU64,
    bell: Bell,
}

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Words {}

#[repr(C)]
#[derive(Debug, Default)]
struct Place(AtomicU64);

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Place {}

/// What stands in the place of a dead party. Each one's is another, so that a slow reset does not
/// take one who died later for one whom it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark(u64);

impl Place {
    fn take(&self, id: OwnerId) -> bool {
        self.0.load(Ordering::Relaxed) == 0 && self.change(0, id.to_word())
    }

    /// A failure means that it is not the party's any more.
    fn leave(&self, id: OwnerId) {
        self.change(id.to_word(), 0);
    }

    /// The party that `is_dead`, if it is this one's, has died.
    fn bury(&self, is_dead: impl Fn(OwnerId) -> bool) {
        let seen = self.0.load(Ordering::Acquire);
        if seen & DEAD != DEAD && OwnerId::from_word(seen).is_some_and(is_dead) {
            self.change(seen, seen << 16 | DEAD);
        }
    }

    fn dead(&self) -> Option<Mark> {
        let seen = self.0.load(Ordering::Acquire);
        (seen & DEAD == DEAD).then_some(Mark(seen))
    }

    fn clear(&self, mark: Mark) {
        self.change(mark.0, 0);
    }

    fn change(&self, from: u64, to: u64) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

static KIND: Kind = Kind {
    name: "barrier",
    sweep,
};
ipc_core::register_at_start!(KIND);

fn places(object: &Object) -> ipc_core::Result<SharedArray<Place>> {
    let parties = usize::try_from(object.info().config[0])
        .ok()
        .filter(|parties| (1..=MOST_PARTIES as usize).contains(parties))
        .ok_or_else(|| object.corrupted("its number of parties is impossible"))?;
    object.array(size_of::<Words>() as u64, parties)
}

fn sweep(object: &Object, departed: &Departed<'_>) -> ipc_core::Result<()> {
    let words: SharedRef<Words> = object.structure(0)?;
    for place in places(object)?.iter() {
        place.bury(|id| departed.owned(id));
    }
    // Always: it may have died between its arrival and its wake.
    words.bell.ring(object.segment().attachment().fences());
    Ok(())
}

/// Why a party did not join or pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// A party has died, somebody broke the barrier by hand, or it was reset while this party
    /// waited.
    #[error(
        "the barrier {barrier} is broken: a party died, or somebody aborted or reset it; find out what is left to do, and reset it (Barrier::reset)"
    )]
    Broken {
        /// The barrier.
        barrier: String,
    },
    /// There are as many parties as the barrier is for.
    #[error("the barrier {barrier} has all its {parties} parties; drop one first")]
    Crowded {
        /// The barrier.
        barrier: String,
        /// How many there can be.
        parties: usize,
    },
    /// Not all others have arrived at this moment.
    #[error("not all other parties have arrived; wait for them, or try again")]
    NotAll,
    /// Not all others arrived until the time was up. This party has not arrived either.
    #[error("not all other parties arrived until the time was up")]
    TimedOut,
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(#[from] Error),
}

/// How a party passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was the last to arrive. There is one such party each time.
    Leader,
    /// It was not.
    Follower,
}

/// A point that a fixed number of parties reach together, again and again, like
/// `multiprocessing.Barrier`.
///
/// ```
/// use ipc_core::{Place, Segment};
/// use ipc_sync::Barrier;
///
/// let segment = Segment::create(Place::memfd("round"), 4096)?;
/// let barrier = Barrier::create_in(&segment, "round", 2)?;
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| {
///             let mut party = barrier.join().unwrap();
///             party.wait().unwrap();
///             party.wait().unwrap();
///         });
///     }
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Each party takes a place ([`join`](Self::join)) and keeps it until it is dropped. A party that
/// dies, waiting or not, breaks the barrier: the others get [`BarrierError::Broken`] instead of
/// waiting for it, those who wait within two slices of 10 ms, until somebody resets it. (If all
/// others arrive before anybody has noticed, a dead party that had arrived counts.) Who leaves in
/// order frees its place for another, for whom the rest waits.
#[derive(Clone, Debug)]
pub struct Barrier {
    object: Object,
    words: SharedRef<Words>,
    places: std::sync::Arc<SharedArray<Place>>,
    wait: Wait,
}

impl Barrier {
    /// Creates a barrier for so many parties, 1 to 65,535, in a segment.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; see [`Segment::create_object`].
    pub fn create_in(segment: &Segment, name: &str, parties: u32) -> ipc_core::Result<Self> {
        if !(1..=MOST_PARTIES).contains(&parties) {
            return Err(Error::OutOfRange {
                what: "the number of parties",
                asked: parties.into(),
                least: 1,
                most: MOST_PARTIES.into(),
            });
        }
        let spec = ObjectSpec {
            kind: &KIND,
            element: TypeTag::of::<()>(),
            config: [parties.into(), 0, 0, 0],
            len: Self::size_for(parties) as u64,
        };
        Self::new(segment.create_object(name, &spec, |_| Ok(()))?)
    }

    /// Opens a barrier of a segment.
    ///
    /// # Errors
    /// See [`Segment::open_object`].
    pub fn open_in(segment: &Segment, name: &str) -> ipc_core::Result<Self> {
        Self::new(segment.open_object(name, &KIND, &TypeTag::of::<()>())?)
    }

    /// Bytes that a barrier for so many parties takes of a segment.
    pub fn size_for(parties: u32) -> usize {
        size_of::<Words>() + parties as usize * size_of::<Place>()
    }

    fn new(object: Object) -> ipc_core::Result<Self> {
        Ok(Self {
            words: object.structure(0)?,
            places: std::sync::Arc::new(places(&object)?),
            object,
            wait: Wait::default(),
        })
    }

    /// How parties that join through this handle wait. Default: [`Wait::Adaptive`].
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// How many parties have to arrive.
    pub fn parties(&self) -> usize {
        self.places.len()
    }

    /// Takes one of the places. Each thread that is to wait needs one of its own.
    ///
    /// # Errors
    /// [`BarrierError::Crowded`]; [`BarrierError::Broken`] if no place is free because a party has
    /// died; [`BarrierError::Segment`].
    pub fn join(&self) -> Result<Party, BarrierError> {
        self.check_fork()?;
        let owner = self.object.segment().owner()?;
        let mut place = self.take_place(&owner);
        if place.is_none() {
            self.object.segment().recover()?;
            place = self.take_place(&owner);
        }
        match place {
            Some(place) => Ok(Party {
                barrier: self.clone(),
                place,
                owner,
            }),
            None if self.has_dead() => Err(self.broken()),
            None => Err(BarrierError::Crowded {
                barrier: self.object.to_string(),
                parties: self.parties(),
            }),
        }
    }

    fn take_place(&self, owner: &Owner) -> Option<usize> {
        (0..self.parties()).find(|&at| self.places.at(at).take(owner.id()))
    }

    /// Whether a party has died, as far as anybody has noticed, or somebody broke the barrier.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn is_broken(&self) -> ipc_core::Result<bool> {
        self.check_fork()?;
        Ok(self.is_broken_in(self.state()))
    }

    /// How many parties wait at this moment.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn waiting(&self) -> ipc_core::Result<usize> {
        self.check_fork()?;
        Ok(self.state().arrived() as usize)
    }

    /// Breaks the barrier by hand: those who wait, and those who come, get
    /// [`BarrierError::Broken`]. Never blocks.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn abort(&self) -> ipc_core::Result<()> {
        self.check_fork()?;
        self.words.state.fetch_or(ABORTED, Ordering::AcqRel);
        self.ring();
        Ok(())
    }

    /// Makes the barrier usable again, with the parties that live: the places of the dead are free.
    /// Those who wait get [`BarrierError::Broken`]. Never blocks.
    ///
    /// # Errors
    /// [`Error::Forked`]; those of [`Segment::recover`].
    pub fn reset(&self) -> ipc_core::Result<()> {
        // Deaths that nobody has noticed yet would break it again.
        self.object.segment().recover()?;
        let dead: Vec<_> = self.places.iter().map(Place::dead).collect();
        let update = |word| Some(State(word).reset().0);
        let _ = self
            .words
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
        // After the state: a death in between leaves it broken, and another reset does the rest.
        for (place, mark) in self.places.iter().zip(dead) {
            if let Some(mark) = mark {
                place.clear(mark);
            }
        }
        self.ring();
        Ok(())
    }

    fn state(&self) -> State {
        // Acquire: pairs with the Release of the arrivals: who passes sees what all did before.
        State(self.words.state.load(Ordering::Acquire))
    }

    /// Puts `to` in the place of `from`.
    fn advance(&self, from: State, to: State) -> bool {
        self.words
            .state
            .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    fn has_dead(&self) -> bool {
        self.places.iter().any(|place| place.dead().is_some())
    }

    fn is_broken_in(&self, state: State) -> bool {
        state.is_aborted() || self.has_dead()
    }

    #[cold]
    fn broken(&self) -> BarrierError {
        BarrierError::Broken {
            barrier: self.object.to_string(),
        }
    }

    fn ring(&self) {
        let attachment = self.object.segment().attachment();
        self.words.bell.ring(attachment.fences());
    }

    fn check_fork(&self) -> ipc_core::Result<()> {
        self.object.segment().attachment().check_fork()
    }
}

/// One of the parties of a [`Barrier`]. Leaves it when dropped.
#[derive(Debug)]
pub struct Party {
    barrier: Barrier,
    place: usize,
    owner: Owner,
}

impl Party {
    /// Arrives, and waits until all parties have.
    ///
    /// # Errors
    /// [`BarrierError::Broken`]; [`BarrierError::Segment`].
    pub fn wait(&mut self) -> Result<Arrival, BarrierError> {
        self.wait_until(Deadline::NEVER)
    }

    /// Passes if all others have arrived, else has not arrived; never blocks.
    ///
    /// # Errors
    /// [`BarrierError::NotAll`]; those of [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<Arrival, BarrierError> {
        self.wait_until(Deadline::PAST)
            .map_err(|error| match error {
                BarrierError::TimedOut => BarrierError::NotAll,
                other => other,
            })
    }

    /// As [`wait`](Self::wait), for at most this long; this party has not arrived if the time is up.
    /// Zero looks once; [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// [`BarrierError::TimedOut`]; those of [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Arrival, BarrierError> {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&mut self, deadline: Deadline) -> Result<Arrival, BarrierError> {
        let barrier = &self.barrier;
        barrier.check_fork()?;
        if deadline == Deadline::PAST {
            let segment = barrier.object.segment();
            segment.recover_if_due(ipc_core::SLICE)?;
        }
        let before = loop {
            let state = barrier.state();
            if barrier.is_broken_in(state) {
                return Err(barrier.broken());
            }
            let arrived = state.arrived() + 1;
            let is_last = arrived >= barrier.parties() as u64;
            if is_last && barrier.advance(state, state.passed()) {
                barrier.ring();
                return Ok(Arrival::Leader);
            }
            if !is_last && deadline == Deadline::PAST {
                return Err(BarrierError::TimedOut);
            }
            if !is_last && barrier.advance(state, State(state.0 + 1)) {
                break state;
            }
        };
        let outcome = || {
            let state = barrier.state();
            if state.passes() != before.passes() {
                Some(Ok(Arrival::Follower))
            } else if state.resets() != before.resets() || barrier.is_broken_in(state) {
                Some(Err(barrier.broken()))
            } else {
                None
            }
        };
        let waited = Waiting {
            bell: &barrier.words.bell,
            object: &barrier.object,
            policy: barrier.wait,
            deadline,
        }
        .run(outcome);
        match waited {
            Ok(Some(arrival)) => return Ok(arrival),
            // The arrivals before a break are forgotten by the reset.
            Err(error @ BarrierError::Broken { .. }) => return Err(error),
            Ok(None) | Err(_) => {}
        }
        loop {
            let state = barrier.state();
            if let Some(over) = outcome() {
                return over;
            }
            if state.arrived() == 0 {
                let what = "a party that waits has not arrived";
                return Err(barrier.object.corrupted(what).into());
            }
            if barrier.advance(state, State(state.0 - 1)) {
                return Err(waited.err().unwrap_or(BarrierError::TimedOut));
            }
        }
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        let barrier = &self.barrier;
        if barrier.object.segment().attachment().is_mine() {
            barrier.places.at(self.place).leave(self.owner.id());
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reset_clears_nobody_who_died_after_its_look() {
        let place = Place::default();
        let ids = [1 << 16, 2 << 16, 1 << 16 | 1].map(|it| OwnerId::from_word(it).unwrap());
        let mut seen = Vec::new();
        for id in ids {
            assert!(place.take(id));
            place.bury(|it| it == id);
            let mark = place.dead().unwrap();
            seen.iter().for_each(|&old| place.clear(old));
            assert_eq!(place.dead(), Some(mark));
            // Nor does who comes next, or leaves late.
            assert!(!place.take(id));
            place.leave(id);
            assert_eq!(place.dead(), Some(mark));
            place.clear(mark);
            seen.push(mark);
        }
        assert_eq!(place.dead(), None);
    }
}
