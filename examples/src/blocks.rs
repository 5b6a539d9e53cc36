//! A text cut into records of one size, for a ring with slots of one size.

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

/// Cuts a text into blocks, all full but the last one. Words are cut too. An empty text has none.
pub fn blocks(text: &[u8]) -> Blocks<'_> {
    Blocks {
        pieces: text.chunks(BLOCK_TEXT_LEN),
        next_index: 0,
    }
}

/// The blocks of a text, from [`blocks`].
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    pieces: std::slice::Chunks<'a, u8>,
    next_index: u32,
}

impl Iterator for Blocks<'_> {
    type Item = TextBlock;

    fn next(&mut self) -> Option<TextBlock> {
        let piece = self.pieces.next()?;
        let index = self.next_index;
        self.next_index = index.wrapping_add(1);
        Some(TextBlock::new(index, piece))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.pieces.size_hint()
    }
}

impl ExactSizeIterator for Blocks<'_> {}

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
            let cut = blocks(&text);
            assert_eq!(cut.len(), len.div_ceil(BLOCK_TEXT_LEN));
            let mut together = Vec::new();
            for (expected, block) in cut.enumerate() {
                assert_eq!(block.index(), expected as u32);
                together.extend_from_slice(block.as_text().unwrap());
            }
            assert_eq!(together, text);
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
