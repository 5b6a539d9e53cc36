//! Where the parts of a queue lie in its object.
//!
//! | part | length |
//! |---|---|
//! | [`Words`] | 512 bytes |
//! | senders, receivers: [`Member`] | 64 bytes a place |
//! | claims | 8 bytes a slot |
//! | slots: word and payload | see [`SharedCells::STRIDE`] |
//! | of [byte messages](super::bytes): the pool | see its `layout.rs` |

use super::members::{Member, Members};
use super::memory::{Cursors, Memory};
use super::word::{Geometry, MOST_MEMBERS, MOST_SLOTS};
use ipc_core::atomic::AtomicU64;
use ipc_core::{
    Error, Fences, Object, Payload, Result, SharedArray, SharedCells, SharedLayout, SharedRef,
    SharedWords,
};
use std::io;
use std::sync::atomic::AtomicU64 as PlainU64;

/// What lies at the beginning of the object.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Words {
    pub cursors: Cursors,
    pub census: Census,
}

/// Counted when somebody comes, goes or dies.
#[repr(C, align(128))]
#[derive(Default)]
pub(crate) struct Census {
    pub senders_turn: PlainU64,
    pub receivers_turn: PlainU64,
    /// Senders that died.
    pub deaths: PlainU64,
    /// Receivers that died. Nobody asks.
    pub other_deaths: PlainU64,
    /// Messages given back, by their readers or the readers' sweeps.
    pub redelivered: PlainU64,
    /// Sweeps of this queue.
    pub sweeps: PlainU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Words>() == 512);

// SAFETY: `repr(C)`, atomics and structures of atomics only. Under loom nothing is mapped.
unsafe impl SharedLayout for Words {}

#[repr(transparent)]
pub(crate) struct ClaimWord(AtomicU64);

// SAFETY: `repr(transparent)`, an atomic. Under loom nothing is mapped.
unsafe impl SharedLayout for ClaimWord {}

/// The sizes that the layout follows from, as they stand in the object's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub slots: u64,
    pub members: u64,
    pub stride: u64,
    /// Bytes behind the slots, from a multiple of 128 on.
    pub extra: u64,
}

impl Shape {
    pub(crate) fn of<T: Payload>(slots: usize, handles: u32) -> Result<Self> {
        const {
            assert!(
                align_of::<T>() <= 128,
                "a message's alignment is 128 at most"
            )
        };
        let stride = SharedCells::<T>::STRIDE;
        let most = (isize::MAX as u128 / 2)
            .checked_div(stride as u128)
            .unwrap_or(1)
            .min(u128::from(MOST_SLOTS));
        if slots == 0 || slots as u128 > most {
            return Err(Error::OutOfRange {
                what: "a queue's capacity",
                asked: slots as u128,
                least: 1,
                most,
            });
        }
        Ok(Self {
            slots: slots as u64,
            members: u64::from(handles).min(MOST_MEMBERS as u64),
            stride: stride as u64,
            extra: 0,
        })
    }

    pub(crate) fn config(&self) -> [u64; 4] {
        [self.slots, self.members, self.stride, self.extra]
    }

    /// The shape of an object, which it is large enough for.
    pub(crate) fn from_object(object: &Object) -> Result<Self> {
        let info = object.info();
        let [slots, members, stride, extra] = info.config;
        let shape = Self {
            slots,
            members,
            stride,
            extra,
        };
        let possible = (1..=MOST_SLOTS).contains(&slots)
            && (1..=MOST_MEMBERS as u64).contains(&members)
            && stride.is_multiple_of(8)
            && shape.bytes().is_some_and(|bytes| bytes <= info.len);
        if possible {
            Ok(shape)
        } else {
            Err(object.corrupted("its capacity does not fit its size"))
        }
    }

    fn senders_at(&self) -> u64 {
        size_of::<Words>() as u64
    }

    fn receivers_at(&self) -> u64 {
        self.senders_at() + self.members * size_of::<Member>() as u64
    }

    fn claims_at(&self) -> u64 {
        (self.receivers_at() + self.members * size_of::<Member>() as u64).next_multiple_of(128)
    }

    /// Where the slots begin.
    pub(crate) fn slots_at(&self) -> u64 {
        (self.claims_at() + self.slots * 8).next_multiple_of(128)
    }

    fn slots_end(&self) -> Option<u64> {
        self.slots_at()
            .checked_add(self.slots.checked_mul(self.stride)?)
    }

    /// Where the extra bytes begin; they end with the object.
    pub(crate) fn extra_at(&self) -> Option<u64> {
        self.slots_end()?.checked_next_multiple_of(128)
    }

    /// The length of the object.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match self.extra {
            0 => self.slots_end(),
            extra => self.extra_at()?.checked_add(extra),
        }
    }

    pub(crate) fn senders(&self, object: &Object) -> Result<Members> {
        Ok(Members {
            places: object.array(self.senders_at(), self.members as usize)?,
        })
    }

    pub(crate) fn receivers(&self, object: &Object) -> Result<Members> {
        Ok(Members {
            places: object.array(self.receivers_at(), self.members as usize)?,
        })
    }

    /// The protocol's memory, for code that moves messages.
    pub(crate) fn typed<T: Payload>(&self, object: &Object) -> Result<Shared<SharedCells<T>>> {
        if self.stride != SharedCells::<T>::STRIDE as u64 {
            return Err(object.corrupted("its slots are not of its messages' size"));
        }
        let cells = object.cells(self.slots_at(), self.slots as usize)?;
        self.shared(object, cells)
    }

    /// The protocol's memory, for code that does not know the messages' type.
    pub(crate) fn untyped(&self, object: &Object) -> Result<Shared<SharedWords>> {
        let words = object.words(self.slots_at(), self.stride, self.slots as usize)?;
        self.shared(object, words)
    }

    fn shared<C>(&self, object: &Object, cells: C) -> Result<Shared<C>> {
        Ok(Shared {
            geometry: Geometry::new(self.slots),
            words: object.structure(0)?,
            claims: object.array(self.claims_at(), self.slots as usize)?,
            cells,
            fences: object.segment().attachment().fences(),
        })
    }
}

/// The protocol's words in the mapping.
#[derive(Debug)]
pub(crate) struct Shared<C> {
    geometry: Geometry,
    pub words: SharedRef<Words>,
    claims: SharedArray<ClaimWord>,
    pub cells: C,
    pub fences: Fences,
}

/// Slots that have words.
pub(crate) trait SlotWords {
    fn slot_word(&self, index: usize) -> &AtomicU64;
}

impl<T: Payload> SlotWords for SharedCells<T> {
    #[inline(always)]
    fn slot_word(&self, index: usize) -> &AtomicU64 {
        self.word(index)
    }
}

impl SlotWords for SharedWords {
    #[inline(always)]
    fn slot_word(&self, index: usize) -> &AtomicU64 {
        self.at(index)
    }
}

impl<C: SlotWords> Memory for Shared<C> {
    #[inline(always)]
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    #[inline(always)]
    fn cursors(&self) -> &Cursors {
        &self.words.cursors
    }

    #[inline(always)]
    fn claim(&self, index: usize) -> &AtomicU64 {
        &self.claims.at(index).0
    }

    #[inline(always)]
    fn word(&self, index: usize) -> &AtomicU64 {
        self.cells.slot_word(index)
    }

    #[inline(always)]
    fn light(&self) {
        self.fences.light();
    }

    fn heavy(&self) -> io::Result<()> {
        self.fences.heavy()
    }
}
