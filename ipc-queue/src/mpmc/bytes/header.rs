//! The header of a message: one word, so that it is read once.
//!
//! ```text
//! | block + 1, 24 | length in bytes, 40 |      no block: the message lies in its slot
//! ```

const LENGTH_BITS: u32 = 40;
/// The longest message that a header can describe.
pub(super) const LONGEST: u64 = (1 << LENGTH_BITS) - 1;
/// How many blocks a header can tell apart.
pub(super) const MOST_BLOCKS: u64 = (1 << (64 - LENGTH_BITS)) - 1;

/// What a header says. Nothing of it has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub block: Option<usize>,
    pub len: u64,
}

impl Header {
    #[inline(always)]
    pub(super) fn to_word(self) -> u64 {
        let block = self.block.map_or(0, |block| block as u64 + 1);
        block << LENGTH_BITS | self.len
    }

    #[inline(always)]
    pub(super) fn from_word(word: u64) -> Self {
        Self {
            block: (word >> LENGTH_BITS)
                .checked_sub(1)
                .map(|block| block as usize),
            len: word & LONGEST,
        }
    }
}
