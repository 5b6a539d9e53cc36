//! Elements of up to eight bytes: each lies within one word and is changed by one step.

use ipc_core::{Object, Payload, Result, SharedArray};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// Elements packed into words, each in a field of 1, 2, 4 or 8 bytes.
#[derive(Debug)]
pub(crate) struct Small<T> {
    words: SharedArray<AtomicU64>,
    _elements: PhantomData<fn() -> T>,
}

/// Where an element lies.
#[derive(Clone, Copy)]
struct Field {
    word: usize,
    shift: u32,
}

impl<T: Payload> Small<T> {
    pub(crate) const FITS: bool = size_of::<T>() <= 8;
    /// Bytes of an element's field.
    const WIDTH: usize = if size_of::<T>() == 0 {
        1
    } else {
        size_of::<T>().next_power_of_two()
    };
    const MASK: u64 = if Self::WIDTH >= 8 {
        u64::MAX
    } else {
        (1 << (Self::WIDTH * 8)) - 1
    };

    pub(crate) fn bytes(len: usize) -> Option<usize> {
        Some(len.checked_mul(Self::WIDTH)?.next_multiple_of(8))
    }

    pub(crate) fn of(object: &Object, offset: u64, len: usize) -> Result<Self> {
        let bytes = Self::bytes(len).ok_or_else(|| object.corrupted("its length is impossible"))?;
        Ok(Self {
            words: object.array(offset, bytes / 8)?,
            _elements: PhantomData,
        })
    }

    #[inline(always)]
    fn field(at: usize) -> Field {
        let in_word = 8 / Self::WIDTH;
        Field {
            word: at / in_word,
            shift: (at % in_word * Self::WIDTH * 8) as u32,
        }
    }

    #[inline(always)]
    fn value(word: u64, field: Field) -> T {
        let bytes = (word >> field.shift & Self::MASK).to_le_bytes();
        bytemuck::pod_read_unaligned(&bytes[..size_of::<T>()])
    }

    #[inline(always)]
    fn with(word: u64, field: Field, value: &T) -> u64 {
        let mut bytes = [0; 8];
        bytes[..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(value));
        word & !(Self::MASK << field.shift) | u64::from_le_bytes(bytes) << field.shift
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> T {
        let field = Self::field(at);
        // Acquire: pairs with the Release of the writers.
        Self::value(self.words.at(field.word).load(Ordering::Acquire), field)
    }

    #[inline]
    pub(crate) fn set(&self, at: usize, value: &T) {
        if Self::WIDTH == 8 {
            let field = Self::field(at);
            // Release: pairs with the Acquire of the readers.
            self.words
                .at(field.word)
                .store(Self::with(0, field, value), Ordering::Release);
        } else {
            let _ = self.update(at, |_| Some(*value));
        }
    }

    /// The old value; `Err` with it if `change` gives none.
    #[inline]
    pub(crate) fn update(
        &self,
        at: usize,
        mut change: impl FnMut(T) -> Option<T>,
    ) -> std::result::Result<T, T> {
        let field = Self::field(at);
        self.words
            .at(field.word)
            // AcqRel and Acquire: as in `get` and `set`.
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                let value = change(Self::value(word, field))?;
                Some(Self::with(word, field, &value))
            })
            .map(|word| Self::value(word, field))
            .map_err(|word| Self::value(word, field))
    }
}
