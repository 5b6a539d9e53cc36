//! A text cut into records of one size, for a ring with slots of one size.

use crate::words::is_word_byte;
use bytemuck::{Pod, Zeroable};

/// The text that one block holds at most, in bytes.
///
/// A block is 4096 bytes: the hand-over of a slot is then small beside the copying, while hundreds
/// of blocks on their way still fit a second-level cache.
pub const BLOCK_TEXT_LEN: usize = 4096 - 2 * size_of::<u32>();

/// A piece of a text, in a form that may lie in shared memory.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct TextBlock {
    len: u32,
    index: u32,
    bytes: [u8; BLOCK_TEXT_LEN],
}

const _: () = assert!(size_of::<TextBlock>() == 4096);

impl TextBlock {
    /// A block with as much of the start of `text` as fits, [`BLOCK_TEXT_LEN`] bytes at most.
    pub fn new(index: u32, text: &[u8]) -> Self {
        let len = text.len().min(BLOCK_TEXT_LEN);
        let mut block = Self {
            len: len as u32,
            index,
            ..Self::zeroed()
        };
        block.bytes[..len].copy_from_slice(&text[..len]);
        block
    }

    /// The number of the block in its text, from 0 on; past `u32::MAX` (16 TiB) it starts again.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The text in the block.
    ///
    /// # Errors
    ///
    /// When the block claims more text than it has room for, as one that is not made by
    /// [`TextBlock::new`] may.
    pub fn as_text(&self) -> Result<&[u8], BlockError> {
        let Self { len, index, .. } = *self;
        self.bytes
            .get(..len as usize)
            .ok_or(BlockError::Length { index, len })
    }
}

impl std::fmt::Debug for TextBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextBlock")
            .field("index", &self.index)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// Why a block is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// Its length is beyond its end.
    #[error(
        "text block {index} claims {len} bytes of at most {BLOCK_TEXT_LEN}: what was received is \
         not a block, check that both sides use the same ring"
    )]
    Length {
        /// The number it claims.
        index: u32,
        /// The length it claims, in bytes.
        len: u32,
    },
}

/// Cuts a text into pieces of at most [`BLOCK_TEXT_LEN`] bytes, as long as they can be without
/// cutting a word; only a word longer than that is cut. An empty text has none.
pub fn pieces(text: &[u8]) -> Pieces<'_> {
    Pieces { rest: text }
}

/// The pieces of a text, from [`pieces`].
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let most = self.rest.len().min(BLOCK_TEXT_LEN);
        let within_word = |at: usize| {
            let byte = |at: usize| self.rest.get(at).copied().is_some_and(is_word_byte);
            byte(at - 1) && byte(at)
        };
        let end = (1..=most).rev().find(|&at| !within_word(at));
        let (piece, rest) = self.rest.split_at(end.unwrap_or(most));
        self.rest = rest;
        Some(piece)
    }
}

/// Cuts a text into blocks, one for each of its [`pieces`].
pub fn blocks(text: &[u8]) -> impl Iterator<Item = TextBlock> {
    (0u32..)
        .zip(pieces(text))
        .map(|(index, piece)| TextBlock::new(index, piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_put_together_are_the_text() {
        for len in [
            0,
            1,
            BLOCK_TEXT_LEN - 1,
            BLOCK_TEXT_LEN,
            BLOCK_TEXT_LEN + 1,
            50_000,
        ] {
            let text: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let mut together = Vec::new();
            for (expected, block) in blocks(&text).enumerate() {
                assert_eq!(block.index(), expected as u32);
                together.extend_from_slice(block.as_text().unwrap());
            }
            assert_eq!(together, text);
        }
    }

    #[test]
    fn only_a_word_longer_than_a_block_is_cut() {
        let long = "x".repeat(BLOCK_TEXT_LEN);
        let words = |n| "word ".repeat(n);
        for (text, lens) in [
            // 4088 is 817 words of 5 bytes and 3 bytes of the next.
            (words(1000), vec![4085, 915]),
            (format!("{}abc", words(817)), vec![4088]),
            (format!("{}abcd", words(817)), vec![4085, 4]),
            (format!("{long}yz."), vec![4088, 3]),
            (format!(". {long}"), vec![2, 4088]),
            (".".repeat(5000), vec![4088, 912]),
        ] {
            let cut: Vec<_> = pieces(text.as_bytes()).map(<[u8]>::len).collect();
            assert_eq!(cut, lens);
        }
    }

    #[test]
    fn a_block_of_any_bytes_is_an_error_or_within_its_bounds() {
        for len in [
            0,
            1,
            BLOCK_TEXT_LEN as u32,
            BLOCK_TEXT_LEN as u32 + 1,
            u32::MAX,
        ] {
            let mut bytes = [0xff; size_of::<TextBlock>()];
            bytes[..4].copy_from_slice(&len.to_ne_bytes());
            let block: TextBlock = bytemuck::pod_read_unaligned(&bytes);
            let text = block.as_text();
            if len as usize <= BLOCK_TEXT_LEN {
                assert_eq!(text.unwrap().len(), len as usize);
            } else {
                assert_eq!(
                    text,
                    Err(BlockError::Length {
                        index: u32::MAX,
                        len
                    })
                );
            }
        }
    }
}
