//! The semaphore's protocol: every change of the permits is one compare-and-swap, and that is also
//! the record of who made it.
//!
//! `state` holds how many permits are free, and the *last operation*: the seat that made it and its
//! epoch, which counts the seat's operations. A seat is used by one guard at a time, so what it
//! does alternates: after an operation of odd epoch it holds permits, after one of even epoch none.
//!
//! | word | meaning | written by |
//! |---|---|---|
//! | `state` | free permits (negative after a reduction below what is held), last seat, its epoch, whether `intent` tells more | everybody, by CAS |
//! | `intent` | how many the seat holds after an epoch, if several, or by how many that changed their number | its user, before that operation |
//! | `total` | how many permits there are, free and held, and the seat and epoch of the last change of that | whoever is about to replace that change in `state`, by CAS |
//! | `settled` | how many the seat holds after an epoch | whoever is about to put another seat into `state`, by CAS |
//! | `holder` | whose the seat is | see [`Seats`](crate::semaphore::seats::Seats) |
//!
//! What a seat holds is told by `state` (and `intent`) if it names the seat, else by `settled`. To
//! be the last, an operation first settles the one before, unless that is of the same seat: who
//! acquires and gives back alone writes nothing but `state`.
//!
//! | operation `e` of seat `s` | becomes | by |
//! |---|---|---|
//! | to come | last: `state` names `s`, `e` | `s`'s user, or a sweeper of its dead user (giving back only), by CAS of `state` |
//! | last | settled: `settled` of `s` names `e` | any other seat's operation, before its CAS of `state` |
//! | last, or settled | history | the next operation of `s` |
//!
//! A change of the number of permits is counted in `total` before any operation, also of the same
//! seat, replaces it in `state`: once, since `total` says which it counted last.
//!
//! A death before the CAS of `state` has taken nothing, after it everything, and the sweep finds how
//! much. The sweep is an operation of the dead seat, so it happens once, however many try.
//!
//! Epochs have 35 bits. To take a new operation for an old one, a process would have to be stopped
//! between settling and its CAS for exactly a multiple of 2^35 operations of one seat, a minute's
//! worth at least, and find as many permits free.

use ipc_core::atomic::{AtomicU64, Ordering};

const EPOCH_BITS: u32 = 35;
/// `intent` tells more: several permits are held, or their number was changed.
const TOLD: u64 = 1 << EPOCH_BITS;
const SEAT_SHIFT: u32 = EPOCH_BITS + 1;
const SEAT_BITS: u32 = 10;
const FREE_SHIFT: u32 = SEAT_SHIFT + SEAT_BITS;
const ONE_FREE: u64 = 1 << FREE_SHIFT;
const EPOCHS: u64 = (1 << EPOCH_BITS) - 1;
const SEATS: u64 = (1 << SEAT_BITS) - 1;

/// The most seats.
pub(crate) const MOST_SEATS: usize = 1 << SEAT_BITS;
/// The most permits: as many can be missing below none.
pub(crate) const MOST_PERMITS: u32 = (1 << (62 - FREE_SHIFT)) - 1;

/// The word `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State(u64);

impl State {
    /// Before the first operation.
    pub(crate) fn initial(permits: u32) -> Self {
        Self::after(permits.into(), 0, 0, None)
    }

    /// What is remembered of a seat that holds nothing, and of which more is not known.
    pub(crate) fn unknown(seat: usize) -> Self {
        Self::after(0, seat, 0, None)
    }

    /// After the operation `epoch` of a seat, with this intent.
    #[inline(always)]
    fn after(free: i64, seat: usize, epoch: u64, intent: Option<Record>) -> Self {
        let told = if intent.is_some() { TOLD } else { 0 };
        Self((free as u64) << FREE_SHIFT | (seat as u64) << SEAT_SHIFT | told | epoch & EPOCHS)
    }

    #[inline(always)]
    pub(crate) fn from_word(word: u64) -> Self {
        Self(word)
    }

    #[inline(always)]
    pub(crate) fn to_word(self) -> u64 {
        self.0
    }

    /// Permits that nobody holds. Negative: so many more are to come back before one is free.
    #[inline(always)]
    pub(crate) fn free(self) -> i64 {
        self.0.cast_signed() >> FREE_SHIFT
    }

    /// The seat of the last operation.
    #[inline(always)]
    pub(crate) fn seat(self) -> usize {
        (self.0 >> SEAT_SHIFT & SEATS) as usize
    }

    #[inline(always)]
    fn epoch(self) -> u64 {
        self.0 & EPOCHS
    }

    /// What its seat holds: `None` if `intent` tells.
    fn held(self) -> Option<u32> {
        let held = (self.0 & 1) as u32;
        (held == 0 || self.0 & TOLD == 0).then_some(held)
    }

    /// Whether the operation changed the number of permits.
    fn is_change(self) -> bool {
        self.0 & TOLD != 0 && self.0 & 1 == 0
    }
}

/// An epoch, and how many permits a seat holds after it, or by how many it changed their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record(u64);

impl Record {
    #[inline(always)]
    fn new(epoch: u64, held: u32) -> Self {
        Self(u64::from(held) << EPOCH_BITS | epoch & EPOCHS)
    }

    fn epoch(self) -> u64 {
        self.0 & EPOCHS
    }

    fn held(self) -> u32 {
        (self.0 >> EPOCH_BITS) as u32
    }

    fn change(by: i64, epoch: u64) -> Self {
        Self((by as u64) << EPOCH_BITS | epoch & EPOCHS)
    }

    fn changed_by(self) -> i64 {
        self.0.cast_signed() >> EPOCH_BITS
    }
}

/// The word `total`. Its lower bits are the seat and the epoch of the last change, as in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Total(u64);

/// What names an operation.
const LAST: u64 = ONE_FREE - 1;

impl Total {
    /// Before the first change.
    pub(crate) fn initial(permits: u32) -> Self {
        Self(u64::from(permits) << FREE_SHIFT)
    }

    pub(crate) fn to_word(self) -> u64 {
        self.0
    }

    fn permits(self) -> u32 {
        (self.0 >> FREE_SHIFT) as u32
    }

    /// `None` if there would be fewer than none, or too many.
    fn changed(self, by: i64) -> Option<u32> {
        let permits = u32::try_from(i64::from(self.permits()) + by).ok()?;
        (permits <= MOST_PERMITS).then_some(permits)
    }

    /// Whether this change is the last one counted.
    fn counts(self, change: State) -> bool {
        self.0 & LAST == change.0 & LAST
    }

    fn after(permits: u32, change: State) -> Self {
        Self(u64::from(permits) << FREE_SHIFT | change.0 & LAST)
    }
}

/// A seat's words.
#[repr(C, align(32))]
#[derive(Debug, Default)]
pub(crate) struct Seat {
    /// An owner id, or 0.
    pub holder: AtomicU64,
    settled: AtomicU64,
    intent: AtomicU64,
}

/// The shared words, wherever they are.
pub(crate) trait Memory {
    fn state(&self) -> &AtomicU64;
    fn total(&self) -> &AtomicU64;
    /// `None` if there is no such seat.
    fn seat(&self, index: usize) -> Option<&Seat>;
}

/// Words that the protocol cannot have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupted(pub &'static str);

const NO_SUCH_SEAT: Corrupted = Corrupted("it names a holder that does not exist");
const UNRESTING: Corrupted = Corrupted("its words never come to rest");
const NO_RECORD: Corrupted = Corrupted("there is no record of its last change");
/// A loop ends after so many rounds, each of which means that somebody else changed something.
const ROUNDS: u32 = 1 << 24;

/// An operation of a seat, for its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Takes so many permits, at least one. The seat holds none.
    Take(u32),
    /// Gives back all that the seat holds, which is so many.
    GiveBack(u32),
    /// So many permits more (or fewer). The seat holds none.
    Change(i64),
}

impl Operation {
    /// What is free afterwards; `None` if it cannot be done.
    #[inline(always)]
    fn free_after(self, free: i64) -> Option<i64> {
        match self {
            Self::Take(count) => {
                let after = free - i64::from(count);
                (after >= 0).then_some(after)
            }
            Self::GiveBack(count) => Some(free + i64::from(count)),
            Self::Change(by) => Some(free + by),
        }
    }

    /// What is to be told beside `state`.
    fn intent(self, epoch: u64) -> Option<Record> {
        match self {
            Self::Take(0 | 1) | Self::GiveBack(_) => None,
            Self::Take(count) => Some(Record::new(epoch, count)),
            Self::Change(by) => Some(Record::change(by, epoch)),
        }
    }

    /// The epoch of this operation, if it comes after `epoch`.
    #[inline(always)]
    fn epoch_after(self, epoch: u64) -> u64 {
        epoch.wrapping_add(match self {
            Self::Take(_) | Self::GiveBack(_) => 1,
            // Holds nothing before and after.
            Self::Change(_) => 2,
        })
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// This is the state after it.
    Yes(State),
    /// There were not enough permits, or there would be too many. Nothing was changed.
    Refused,
}

/// The state at this moment.
#[inline(always)]
pub(crate) fn look<M: Memory>(memory: &M) -> State {
    // Acquire: pairs with the Release of every operation: who takes permits comes after those who
    // gave them back.
    State(memory.state().load(Ordering::Acquire))
}

#[inline(always)]
fn advance<M: Memory>(memory: &M, from: State, to: State) -> bool {
    // AcqRel: see `look`; and who sees this sees the intent and what was settled.
    memory
        .state()
        .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// What the seat holds that `state` names. `None`: `state` is history.
fn last<M: Memory>(memory: &M, state: State) -> Result<Option<Record>, Corrupted> {
    let seat = memory.seat(state.seat()).ok_or(NO_SUCH_SEAT)?;
    if let Some(held) = state.held() {
        return Ok(Some(Record::new(state.epoch(), held)));
    }
    // Acquire: a later intent shows that `state` has moved on.
    let intent = Record(seat.intent.load(Ordering::Acquire));
    if intent.epoch() == state.epoch() {
        Ok(Some(intent))
    } else if look(memory) == state {
        Err(NO_RECORD)
    } else {
        Ok(None)
    }
}

/// What came of recording the last operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    Yes,
    /// `state` is history, or somebody else changed the record: look again.
    LookAgain,
}

/// Records the operation that `state` tells in `settled` of its seat.
fn settle<M: Memory>(memory: &M, state: State) -> Result<Settled, Corrupted> {
    let seat = memory.seat(state.seat()).ok_or(NO_SUCH_SEAT)?;
    // Acquire: if this is the record of a later operation, the look below sees that `state` is
    // history.
    let settled = seat.settled.load(Ordering::Acquire);
    if Record(settled).epoch() == state.epoch() {
        return Ok(Settled::Yes);
    }
    let Some(last) = last(memory, state)? else {
        return Ok(Settled::LookAgain);
    };
    if look(memory) != state {
        return Ok(Settled::LookAgain);
    }
    // From here on the record found is an older one, and replaced by nothing but a newer one.
    // Release: whoever sees `state` without this seat sees this. A failure says nothing about
    // which operation somebody else recorded: it may be one that was late.
    let recorded =
        seat.settled
            .compare_exchange(settled, last.0, Ordering::AcqRel, Ordering::Relaxed);
    Ok(match recorded {
        Ok(_) => Settled::Yes,
        Err(_) => Settled::LookAgain,
    })
}

/// Counts the change that `state` tells in `total`, before another operation may replace it.
#[cold]
fn count<M: Memory>(memory: &M, state: State) -> Result<Settled, Corrupted> {
    let seat = memory.seat(state.seat()).ok_or(NO_SUCH_SEAT)?;
    // Acquire, in this order: if this is the intent of a later operation, the change has been
    // counted; if another was counted since, the look below sees that `state` is history.
    let intent = Record(seat.intent.load(Ordering::Acquire));
    let total = Total(memory.total().load(Ordering::Acquire));
    if total.counts(state) {
        return Ok(Settled::Yes);
    }
    if look(memory) != state {
        return Ok(Settled::LookAgain);
    }
    let changed = total.changed(intent.changed_by());
    let (true, Some(permits)) = (intent.epoch() == state.epoch(), changed) else {
        return Err(NO_RECORD);
    };
    // Release: whoever sees `state` without this change sees this.
    let counted = memory.total().compare_exchange(
        total.0,
        Total::after(permits, state).0,
        Ordering::AcqRel,
        Ordering::Relaxed,
    );
    Ok(match counted {
        Ok(_) => Settled::Yes,
        Err(_) => Settled::LookAgain,
    })
}

/// How many permits there are, free and held, after all changes.
pub(crate) fn total<M: Memory>(memory: &M) -> Result<u32, Corrupted> {
    for _ in 0..ROUNDS {
        let state = look(memory);
        if !state.is_change() || count(memory, state)? == Settled::Yes {
            // Acquire: pairs with the Release in `count`.
            return Ok(Total(memory.total().load(Ordering::Acquire)).permits());
        }
    }
    Err(UNRESTING)
}

/// The last operation of a seat, given that `state` is current, which may be replaced then; `None`:
/// look again.
fn last_of<M: Memory>(memory: &M, index: usize, state: State) -> Result<Option<Record>, Corrupted> {
    if state.is_change() && count(memory, state)? == Settled::LookAgain {
        return Ok(None);
    }
    if state.seat() == index {
        return last(memory, state);
    }
    if settle(memory, state)? == Settled::LookAgain {
        return Ok(None);
    }
    let seat = memory.seat(index).ok_or(NO_SUCH_SEAT)?;
    // Acquire: pairs with the Release in `settle`.
    Ok(Some(Record(seat.settled.load(Ordering::Acquire))))
}

/// An operation of a seat, by its user.
pub(crate) fn operate<M: Memory>(
    memory: &M,
    index: usize,
    operation: Operation,
) -> Result<Done, Corrupted> {
    let seat = memory.seat(index).ok_or(NO_SUCH_SEAT)?;
    for _ in 0..ROUNDS {
        let state = look(memory);
        let Some(free) = operation.free_after(state.free()) else {
            return Ok(Done::Refused);
        };
        let Some(last) = last_of(memory, index, state)? else {
            continue;
        };
        if let Operation::Change(by) = operation {
            // No older than `state`: exact if that is still so, as the change below requires, and
            // right at some moment of this call if not.
            let total = Total(memory.total().load(Ordering::Acquire));
            if total.changed(by).is_none() {
                return Ok(Done::Refused);
            }
        }
        let epoch = operation.epoch_after(last.epoch());
        let intent = operation.intent(epoch);
        if let Some(intent) = intent {
            // Release: who sees this sees the operation before it in `state`.
            seat.intent.store(intent.0, Ordering::Release);
        }
        let next = State::after(free, index, epoch, intent);
        if advance(memory, state, next) {
            return Ok(Done::Yes(next));
        }
    }
    Err(UNRESTING)
}

/// As [`operate`], to take one permit, if nothing happened since the seat's own last operation, after
/// which it held nothing, and there was one free. The state after it.
///
/// From what its user remembers of that operation, without a look at `state`. Nobody else makes
/// operations of the seat, so `state` is the same only if it has not changed.
#[inline(always)]
pub(crate) fn take_one_again<M: Memory>(memory: &M, last: State) -> Option<State> {
    if last.free() < 1 {
        return None;
    }
    // One word, not its fields: this is between two compare-and-swaps. The epoch was even, so it
    // stays within its bits.
    let next = State(last.0 - ONE_FREE + 1);
    advance(memory, last, next).then_some(next)
}

/// As [`operate`], to give back the one permit of a seat, if nothing happened since it was taken.
/// The state after it.
#[inline(always)]
pub(crate) fn give_one_back_again<M: Memory>(memory: &M, taken: State) -> Option<State> {
    if taken.epoch() == EPOCHS {
        return None;
    }
    let next = State(taken.0 + ONE_FREE + 1);
    advance(memory, taken, next).then_some(next)
}

/// Gives back what a seat holds whose user will never use it again. Any number may do so at once.
/// `is_current` says whether the seat still belongs to that user. Returns how many permits *this*
/// call gave back.
pub(crate) fn give_back<M: Memory>(
    memory: &M,
    index: usize,
    is_current: impl Fn() -> bool,
) -> Result<u32, Corrupted> {
    for _ in 0..ROUNDS {
        let state = look(memory);
        let last = last_of(memory, index, state)?;
        // After the reads: they are about this user and no later one.
        if !is_current() {
            return Ok(0);
        }
        let Some(last) = last else { continue };
        let held = last.held();
        if held == 0 {
            return Ok(0);
        }
        let operation = Operation::GiveBack(held);
        let epoch = operation.epoch_after(last.epoch());
        let times = if ipc_core::planted!(PermitsTwice) {
            2
        } else {
            1
        };
        let free = state.free() + times * i64::from(held);
        if advance(memory, state, State::after(free, index, epoch, None)) {
            return Ok(held);
        }
    }
    Err(UNRESTING)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    struct Words {
        state: AtomicU64,
        total: AtomicU64,
        seats: [Seat; 2],
    }

    impl Memory for Words {
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

    fn words(state: State) -> Words {
        Words {
            state: AtomicU64::new(state.0),
            total: AtomicU64::new(Total::initial(1).0),
            seats: Default::default(),
        }
    }

    #[test]
    fn an_epoch_runs_over_within_its_bits() {
        let words = words(State::after(1, 1, EPOCHS - 1, None));
        let taken = take_one_again(&words, look(&words)).unwrap();
        assert_eq!(taken, State::after(0, 1, EPOCHS, None));
        assert_eq!(give_one_back_again(&words, taken), None);
        let given = operate(&words, 1, Operation::GiveBack(1));
        assert_eq!(given, Ok(Done::Yes(State::after(1, 1, 0, None))));
    }

    #[test]
    fn nothing_is_taken_from_what_is_remembered_if_nothing_was_free_or_it_is_history() {
        for free in [0, -1] {
            let words = words(State::after(free, 1, 2, None));
            assert_eq!(take_one_again(&words, look(&words)), None);
            assert_eq!(look(&words).free(), free);
        }
        let words = words(State::after(1, 1, 2, None));
        let last = look(&words);
        operate(&words, 0, Operation::Take(1)).unwrap();
        operate(&words, 0, Operation::GiveBack(1)).unwrap();
        assert_eq!(look(&words).free(), 1);
        assert_eq!(take_one_again(&words, last), None);
    }
}
