//! Counting the words of a text that comes in blocks.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use hashbrown::HashMap;

/// Counts the words of a text fed block by block, in order.
///
/// A word is a run, as long as possible, of ASCII letters and digits, `_`, and bytes of 0x80 and
/// above (so that a word in UTF-8 stays whole). ASCII letters are counted as lower case. A word
/// that is cut by the end of a block is one word.
#[derive(Clone, Debug, Default)]
pub struct WordCounter {
    counts: WordCounts,
    /// The start of the word that the last block ended in, in lower case.
    carried: Vec<u8>,
}

impl WordCounter {
    /// A counter that has seen no text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts the words of the next block of the text. A word at its very end is counted when the
    /// text has gone on, or with [`finish`](Self::finish).
    pub fn feed(&mut self, block: &[u8]) {
        let start = if self.carried.is_empty() {
            0
        } else {
            self.complete_carried(block)
        };
        // After the carried word comes its separator, or nothing.
        let Some(mut rest) = block.get(start..) else {
            return;
        };
        loop {
            let Some(first) = rest.iter().position(|&byte| is_word_byte(byte)) else {
                return;
            };
            rest = &rest[first..];
            let Some(len) = rest.iter().position(|&byte| !is_word_byte(byte)) else {
                extend_lower_case(&mut self.carried, rest);
                return;
            };
            self.counts.add_first(rest, len);
            rest = &rest[len..];
        }
    }

    /// Goes on with the carried word and gives how much of the block belonged to it.
    fn complete_carried(&mut self, block: &[u8]) -> usize {
        let end = block.iter().position(|&byte| !is_word_byte(byte));
        extend_lower_case(&mut self.carried, &block[..end.unwrap_or(block.len())]);
        match end {
            Some(end) => {
                self.counts.add(&self.carried, 1);
                self.carried.clear();
                end
            }
            None => block.len(),
        }
    }

    /// Counts the words of a text that is whole: the block before and the one after belong to
    /// others.
    pub fn feed_whole(&mut self, text: &[u8]) {
        self.feed(text);
        self.end_word();
    }

    /// Ends the text, and with it its last word.
    pub fn finish(mut self) -> WordCounts {
        self.end_word();
        self.counts
    }

    fn end_word(&mut self) {
        if !self.carried.is_empty() {
            self.counts.add(&self.carried, 1);
            self.carried.clear();
        }
    }
}

/// For each byte: itself in lower case if it is part of a word, or 0.
const WORD_BYTES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        if value.is_ascii_alphanumeric() || value == b'_' || !value.is_ascii() {
            table[byte] = value.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

pub(crate) fn is_word_byte(byte: u8) -> bool {
    WORD_BYTES[byte as usize] != 0
}

fn extend_lower_case(word: &mut Vec<u8>, part: &[u8]) {
    word.extend(part.iter().map(|byte| byte.to_ascii_lowercase()));
}

/// How often each word occurs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WordCounts {
    total: u64,
    /// Apart from the long ones so that these words lie in the table itself: looking one up, which
    /// is mostly waiting for memory, waits once and not twice.
    short: HashMap<ShortWord, u64>,
    long: HashMap<Box<[u8]>, u64>,
}

impl WordCounts {
    /// How many words there are, each as often as it occurs.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many different words there are.
    pub fn distinct(&self) -> usize {
        self.short.len() + self.long.len()
    }

    /// How often a word, in lower case, occurs.
    pub fn count(&self, word: &[u8]) -> u64 {
        let known = match ShortWord::new(word) {
            Some(short) => self.short.get(&short),
            None => self.long.get(word),
        };
        known.copied().unwrap_or(0)
    }

    /// The `n` most frequent words, most frequent first; of the same count, in the order of their
    /// bytes.
    pub fn top(&self, n: usize) -> Vec<(&[u8], u64)> {
        let mut words: Vec<_> = self.iter().collect();
        let order = |a: &(&[u8], u64), b: &(&[u8], u64)| b.1.cmp(&a.1).then(a.0.cmp(b.0));
        if n < words.len() {
            words.select_nth_unstable_by(n, order);
            words.truncate(n);
        }
        words.sort_unstable_by(order);
        words
    }

    /// All words with their counts, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let short = self
            .short
            .iter()
            .map(|(word, &count)| (word.as_bytes(), count));
        let long = self
            .long
            .iter()
            .map(|(word, &count)| (word.as_ref(), count));
        short.chain(long)
    }

    /// Adds the counts of another text.
    pub fn merge(&mut self, other: &Self) {
        self.merge_times(other, 1);
    }

    /// Adds the counts of another text, as if it stood there so many times.
    pub fn merge_times(&mut self, other: &Self, times: u64) {
        if times == 0 {
            return;
        }
        for (word, count) in other.iter() {
            self.add(word, count.saturating_mul(times));
        }
    }

    /// `word` is in lower case and not empty.
    fn add(&mut self, word: &[u8], count: u64) {
        match ShortWord::new(word) {
            Some(short) => self.add_short(short, count),
            None => self.add_long(word, count),
        }
    }

    fn add_short(&mut self, word: ShortWord, count: u64) {
        self.total = self.total.saturating_add(count);
        let known = self.short.entry(word).or_insert(0);
        *known = known.saturating_add(count);
    }

    fn add_long(&mut self, word: &[u8], count: u64) {
        self.total = self.total.saturating_add(count);
        // Not by an entry, which wants an owned key each time.
        match self.long.get_mut(word) {
            Some(known) => *known = known.saturating_add(count),
            None => {
                self.long.insert(word.into(), count);
            }
        }
    }

    /// Counts the first `len` bytes of `text`, a word in any case, once.
    fn add_first(&mut self, text: &[u8], len: usize) {
        match ShortWord::lower_case_of(text, len) {
            Some(short) => self.add_short(short, 1),
            None => self.add_long(&text[..len].to_ascii_lowercase(), 1),
        }
    }

    /// The counts as bytes, for [`from_bytes`](Self::from_bytes): the same for equal counts.
    ///
    /// For each word, in the order of their bytes: its length (8), its count (8), both
    /// little-endian, and the word.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut words: Vec<_> = self.iter().collect();
        words.sort_unstable();
        let letters: usize = words.iter().map(|(word, _)| word.len()).sum();
        let mut bytes = Vec::with_capacity(letters + words.len() * 2 * size_of::<u64>());
        for (word, count) in words {
            bytes.extend_from_slice(&(word.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&count.to_le_bytes());
            bytes.extend_from_slice(word);
        }
        bytes
    }

    /// The counts that [`to_bytes`](Self::to_bytes) made the bytes of.
    ///
    /// # Errors
    ///
    /// When `bytes` are not what [`to_bytes`](Self::to_bytes) gives: cut, out of order, or with a
    /// word or count that cannot be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WordCountsError> {
        let mut counts = Self::default();
        let mut rest = bytes;
        let mut previous: &[u8] = b"";
        while !rest.is_empty() {
            let offset = bytes.len() - rest.len();
            let (word, count, after) =
                split_entry(rest).ok_or(WordCountsError::CutShort { offset })?;
            let lower_case = word.iter().all(|&byte| WORD_BYTES[byte as usize] == byte);
            // The empty word is not greater than the first previous one either.
            if !lower_case || word.contains(&0) || count == 0 || word <= previous {
                return Err(WordCountsError::Entry { offset });
            }
            if counts.total.checked_add(count).is_none() {
                return Err(WordCountsError::Entry { offset });
            }
            counts.add(word, count);
            (previous, rest) = (word, after);
        }
        Ok(counts)
    }
}

/// A word of at most 16 bytes, filled up with zeros, of which words have none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ShortWord([u8; Self::MAX_LEN]);

impl ShortWord {
    const MAX_LEN: usize = size_of::<u128>();

    fn new(word: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX_LEN];
        bytes.get_mut(..word.len())?.copy_from_slice(word);
        Some(Self(bytes))
    }

    /// The first `len` bytes of `text` in lower case.
    fn lower_case_of(text: &[u8], len: usize) -> Option<Self> {
        let mut word = match text.first_chunk() {
            // A mask costs less than a copy of unknown length.
            Some(chunk) if (1..=Self::MAX_LEN).contains(&len) => {
                let kept = u128::MAX >> (8 * (Self::MAX_LEN - len));
                Self((u128::from_le_bytes(*chunk) & kept).to_le_bytes())
            }
            _ => Self::new(&text[..len])?,
        };
        word.0.make_ascii_lowercase();
        Some(word)
    }

    fn as_bytes(&self) -> &[u8] {
        let len = self.0.iter().position(|&byte| byte == 0);
        &self.0[..len.unwrap_or(Self::MAX_LEN)]
    }
}

impl Hash for ShortWord {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.0));
    }
}

/// The word, its count, and what follows.
fn split_entry(bytes: &[u8]) -> Option<(&[u8], u64, &[u8])> {
    let (len, bytes) = bytes.split_first_chunk()?;
    let (count, bytes) = bytes.split_first_chunk()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
    let (word, rest) = bytes.split_at_checked(len)?;
    Some((word, u64::from_le_bytes(*count), rest))
}

impl fmt::Debug for WordCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordCounts")
            .field("total", &self.total)
            .field("distinct", &self.distinct())
            .finish_non_exhaustive()
    }
}

/// Why bytes are no word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WordCountsError {
    /// They end within an entry.
    #[error(
        "the word counts are cut short in the entry at byte {offset}: their sender may have died, \
         count again"
    )]
    CutShort {
        /// Where the entry begins, in bytes.
        offset: usize,
    },
    /// An entry cannot be: its word is none or out of order, or its count zero or too large.
    #[error(
        "the word counts have an impossible entry at byte {offset}: something else than word \
         counts was received"
    )]
    Entry {
        /// Where the entry begins, in bytes.
        offset: usize,
    },
}

#[cfg(test)]
mod tests;
