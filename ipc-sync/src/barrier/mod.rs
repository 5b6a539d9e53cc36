//! A point that all parties must have reached before any goes on.
//!
//! The state machine is in [`state`].

mod error;
mod party;
mod state;

pub use error::BarrierError;
pub use party::{Arrival, Party};

use ipc_core::atomic::{AtomicU64, Ordering};
use ipc_core::{
    Bell, Departed, Error, Kind, Object, ObjectSpec, Owner, Segment, SharedArray, SharedLayout,
    SharedRef, TypeTag, Wait,
};
use state::{ABORTED, MOST_PARTIES, Place, State};
use std::sync::Arc;

#[repr(C, align(128))]
struct Words {
    state: AtomicU64,
    bell: Bell,
}

// SAFETY: `repr(C)`, atomics only.
unsafe impl SharedLayout for Words {}

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
    places: Arc<SharedArray<Place>>,
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
            places: Arc::new(places(&object)?),
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
