//! Elements of more than eight bytes: written beside the old value, and then made the new one by one
//! step.
//!
//! There are more *cells* than elements. `index[e]` says which cell has the value of element `e`, and
//! its version. A writer takes a cell that has no element's value, fills it, and puts it into
//! `index[e]` by compare-and-swap. So readers never wait, and what a dead or stopped writer has
//! written half is never seen.
//!
//! | cell's word | meaning | who leaves it, and how |
//! |---|---|---|
//! | owner id | a writer's. It has an element's value already if an `index` names the cell | the writer, to a mark; the sweep of the dead, to the mark that is due |
//! | mark of `(e, v)` | it had version `v` of element `e`; still, if `index[e]` names the cell; else it is free | a writer that has found it free, by CAS to its owner id |
//!
//! A cell becomes an element's only by its writer, and the mark changes with every use: so a cell
//! found free is free as long as its word stays the same.

use crate::waiting::Waiting;
use ipc_core::{
    Bell, Departed, Object, OwnerId, Payload, Result, SharedArray, SharedCells, SharedRef,
    SharedWords,
};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Cells beyond one for each element: as many writers can be at it at once.
const SPARE: usize = 7;
/// In the low 16 bits, where an owner id has an index that is never this large.
const MARK: u64 = 0xFFFF;
const CELL_BITS: u32 = 24;
/// The most elements.
const MOST: usize = (1 << CELL_BITS) - SPARE;
/// A loop ends after so many rounds, each of which means that somebody else wrote.
const ROUNDS: u32 = 1 << 24;
const NONE: u32 = u32::MAX;
/// Cells that a handle remembers to have replaced.
const REMEMBERED: usize = 3;

/// A word of `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Current(u64);

impl Current {
    fn new(version: u64, cell: usize) -> Self {
        Self(version << CELL_BITS | cell as u64)
    }

    fn version(self) -> u64 {
        self.0 >> CELL_BITS
    }

    fn cell(self) -> usize {
        (self.0 & ((1 << CELL_BITS) - 1)) as usize
    }
}

/// How many elements, and where everything lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    len: usize,
    stride: usize,
}

impl Shape {
    pub(crate) fn of<T: Payload>(len: usize) -> Self {
        let stride = SharedCells::<T>::STRIDE;
        Self { len, stride }
    }

    pub(crate) fn from_object(object: &Object) -> Result<Self> {
        let [len, stride, ..] = object.info().config;
        let in_range = |number: u64, most: usize| {
            usize::try_from(number)
                .ok()
                .filter(|it| (1..=most).contains(it))
                .ok_or_else(|| object.corrupted("its length or its elements' size is impossible"))
        };
        Ok(Self {
            len: in_range(len, MOST)?,
            stride: in_range(stride, usize::MAX >> 1)?,
        })
    }

    pub(crate) fn stride(self) -> usize {
        self.stride
    }

    /// `None` beyond what can be.
    pub(crate) fn bytes(self) -> Option<usize> {
        (self.len <= MOST).then_some(())?;
        self.cells_at()
            .checked_add(self.cells().checked_mul(self.stride)?)
    }

    fn cells(self) -> usize {
        self.len + SPARE
    }

    /// The bell lies at the beginning.
    fn index_at(self) -> u64 {
        128
    }

    fn cells_at(self) -> usize {
        128 + (self.len * 8).next_multiple_of(128)
    }

    /// As many low bits of a mark's upper part tell the element.
    fn element_bits(self) -> u32 {
        usize::BITS - (self.len - 1).leading_zeros()
    }

    fn mark(self, element: usize, version: u64) -> u64 {
        (version << self.element_bits() | element as u64) << 16 | MARK
    }

    /// Of a cell that has never had a value, or lost its writer: no version gets there.
    fn never(self) -> u64 {
        self.mark(0, u64::MAX)
    }

    /// `None` for an owner id.
    fn element_of(self, word: u64) -> Option<usize> {
        let element = word >> 16 & ((1 << self.element_bits()) - 1);
        (word & MARK == MARK).then_some(element as usize)
    }

    fn index(self, object: &Object) -> Result<SharedArray<AtomicU64>> {
        object.array(self.index_at(), self.len)
    }

    fn words(self, object: &Object) -> Result<SharedWords> {
        object.words(self.cells_at() as u64, self.stride as u64, self.cells())
    }

    /// Fills the zeroed memory of a new object, but for the values.
    pub(crate) fn initialise(self, object: &Object) -> Result<()> {
        let (index, words) = (self.index(object)?, self.words(object)?);
        for element in 0..self.len {
            let current = Current::new(0, element);
            index.at(element).store(current.0, Ordering::Relaxed);
            words
                .at(element)
                .store(self.mark(element, 0), Ordering::Relaxed);
        }
        for spare in self.len..self.cells() {
            words.at(spare).store(self.never(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Gives back the cells of the dead.
    pub(crate) fn sweep(self, object: &Object, departed: &Departed<'_>) -> Result<()> {
        let (index, words) = (self.index(object)?, self.words(object)?);
        for cell in 0..self.cells() {
            let word = words.at(cell).load(Ordering::Acquire);
            let owned = word & MARK != MARK
                && OwnerId::from_word(word).is_some_and(|id| departed.owned(id));
            if owned {
                // The dead may have died between the two steps of making it an element's.
                let named = (0..self.len).find_map(|element| {
                    let current = Current(index.at(element).load(Ordering::Acquire));
                    (current.cell() == cell).then(|| self.mark(element, current.version()))
                });
                let mark = named.unwrap_or(self.never());
                let _ = words.at(cell).compare_exchange(
                    word,
                    mark,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                );
            }
        }
        let bell: SharedRef<Bell> = object.structure(0)?;
        bell.ring(object.segment().attachment().fences());
        Ok(())
    }
}

/// The elements, for one handle.
#[derive(Debug)]
pub(crate) struct Large<T: Payload> {
    shape: Shape,
    bell: SharedRef<Bell>,
    index: SharedArray<AtomicU64>,
    cells: SharedCells<T>,
    /// Cells that this handle has replaced, the next to use at `turn`: the longer ago, the less it
    /// disturbs readers. Hints: others may have taken them.
    replaced: [AtomicU32; REMEMBERED],
    turn: AtomicU32,
}

/// Why nothing was written.
#[derive(Debug)]
pub(crate) enum Unwritten<T> {
    /// `change` gave no new value for this one.
    Refused(T),
    /// All spare cells have writers until the deadline.
    Busy,
    Segment(ipc_core::Error),
}

impl<T> From<ipc_core::Error> for Unwritten<T> {
    fn from(error: ipc_core::Error) -> Self {
        Self::Segment(error)
    }
}

impl<T: Payload> Large<T> {
    pub(crate) fn of(object: &Object, shape: Shape) -> Result<Self> {
        if shape.stride() != SharedCells::<T>::STRIDE {
            return Err(object.corrupted("its elements are not of their type's size"));
        }
        Ok(Self {
            bell: object.structure(0)?,
            index: shape.index(object)?,
            cells: object.cells(shape.cells_at() as u64, shape.cells())?,
            shape,
            replaced: [const { AtomicU32::new(NONE) }; REMEMBERED],
            turn: AtomicU32::new(0),
        })
    }

    /// Before anybody else sees the object.
    pub(crate) fn write_first(&self, element: usize, value: &T) {
        self.cells.write(element, value);
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }

    fn current(&self, element: usize) -> Current {
        // Acquire: pairs with the Release in `publish`: the cell is filled.
        Current(self.index.at(element).load(Ordering::Acquire))
    }

    pub(crate) fn get(&self, element: usize, object: &Object) -> Result<T> {
        self.read(element, object).map(|(_, value)| value)
    }

    fn read(&self, element: usize, object: &Object) -> Result<(Current, T)> {
        for _ in 0..ROUNDS {
            let current = self.current(element);
            let cell = current.cell();
            if cell >= self.shape.cells() {
                return Err(object.corrupted("an element lies outside"));
            }
            let word = self.cells.word(cell).load(Ordering::Acquire);
            let value = self.cells.read(cell);
            // Acquire: pairs with the Release in `claim`: if anything of a later writer was read,
            // one of the two words shows it.
            fence(Ordering::Acquire);
            let is_untouched = || {
                word == self.shape.mark(element, current.version())
                    && self.cells.word(cell).load(Ordering::Relaxed) == word
            };
            if self.index.at(element).load(Ordering::Relaxed) == current.0 || is_untouched() {
                return Ok((current, value));
            }
        }
        Err(object.corrupted("its words never come to rest"))
    }

    /// Changes an element as soon as a cell is free. Returns the old value.
    pub(crate) fn update(
        &self,
        element: usize,
        id: OwnerId,
        waiting: Waiting<'_>,
        mut change: impl FnMut(T) -> Option<T>,
    ) -> std::result::Result<T, Unwritten<T>> {
        let object = waiting.object;
        let mut first = Some(self.read_and_change(element, object, &mut change)?);
        let cell = waiting
            .run(|| self.claim(id, object).transpose())
            .map_err(Unwritten::Segment)?
            .ok_or(Unwritten::Busy)?;
        let mut claimed = Claimed {
            large: self,
            cell,
            word: Cell::new(self.shape.never()),
        };
        for _ in 0..ROUNDS {
            let (current, old, new) = match first.take() {
                Some(first) => first,
                None => self.read_and_change(element, object, &mut change)?,
            };
            if !ipc_core::planted!(IndexBeforeCell) {
                claimed.large.cells.write(cell, &new);
            }
            let next = Current::new(current.version() + 1, cell);
            // AcqRel: pairs with `current`; and the mark below comes after it.
            let published = self.index.at(element).compare_exchange(
                current.0,
                next.0,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if published.is_ok() {
                if ipc_core::planted!(IndexBeforeCell) {
                    claimed.large.cells.write(cell, &new);
                }
                *claimed.word.get_mut() = self.shape.mark(element, next.version());
                drop(claimed);
                self.remember(current.cell());
                self.bell.ring(object.segment().attachment().fences());
                return Ok(old);
            }
        }
        Err(object.corrupted("its words never come to rest").into())
    }

    fn read_and_change(
        &self,
        element: usize,
        object: &Object,
        change: &mut impl FnMut(T) -> Option<T>,
    ) -> std::result::Result<(Current, T, T), Unwritten<T>> {
        let (current, old) = self.read(element, object)?;
        let new = change(old).ok_or(Unwritten::Refused(old))?;
        Ok((current, old, new))
    }

    fn remember(&self, cell: usize) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) as usize;
        self.replaced[turn % REMEMBERED].store(cell as u32, Ordering::Relaxed);
    }

    /// Takes a free cell. `Ok(None)`: there is none.
    fn claim(&self, id: OwnerId, object: &Object) -> Result<Option<usize>> {
        let turn = self.turn.load(Ordering::Relaxed) as usize;
        let remembered = self.replaced[turn % REMEMBERED].load(Ordering::Relaxed);
        if (remembered as usize) < self.shape.cells()
            && self.try_claim(remembered as usize, id, object)?
        {
            return Ok(Some(remembered as usize));
        }
        let cells = self.shape.cells();
        // From the end on, where the spare ones are at first.
        for step in 1..=cells {
            let cell = cells - step;
            if self.try_claim(cell, id, object)? {
                return Ok(Some(cell));
            }
        }
        Ok(None)
    }

    fn try_claim(&self, cell: usize, id: OwnerId, object: &Object) -> Result<bool> {
        let word = self.cells.word(cell);
        // Acquire: the index is looked at after this.
        let seen = word.load(Ordering::Acquire);
        let Some(element) = self.shape.element_of(seen) else {
            return Ok(false);
        };
        if element >= self.shape.len {
            return Err(object.corrupted("a cell had an element that does not exist"));
        }
        let claimed = self.current(element).cell() != cell
            && word
                .compare_exchange(seen, id.to_word(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        if claimed {
            // Between the claim and the filling; pairs with the fence in `read`.
            fence(Ordering::Release);
        }
        Ok(claimed)
    }
}

/// A cell of this writer's, given back when dropped (also if a user's closure panics).
struct Claimed<'a, T: Payload> {
    large: &'a Large<T>,
    cell: usize,
    /// The mark that it gets then.
    word: Cell<u64>,
}

impl<T: Payload> Drop for Claimed<'_, T> {
    fn drop(&mut self) {
        // Release: who claims it comes after what was done here.
        self.large
            .cells
            .word(self.cell)
            .store(self.word.get(), Ordering::Release);
    }
}
