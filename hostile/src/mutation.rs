//! Damage with an eye to the structure: single bits, words as they might be, words and slots of
//! somewhere else, and parts of an earlier time.

use crate::anatomy::{Anatomy, CHECKSUM};
use crate::memory::Memory;
use crate::random::Random;
use std::fmt;

/// One change of a segment's memory: the new words and where.
#[derive(Clone, Debug)]
pub struct Mutation {
    what: &'static str,
    part: &'static str,
    words: Vec<(usize, u64)>,
}

/// Numbers at which something changes: signs, widths, packed fields, counts next to a limit.
const BOUNDARIES: [u64; 30] = [
    0,
    1,
    2,
    3,
    7,
    8,
    63,
    64,
    127,
    128,
    255,
    0xFFFF,
    1 << 16,
    1 << 20,
    (1 << 24) - 1,
    0x7FFF_FFFF,
    1 << 31,
    0xFFFF_FFFF,
    1 << 32,
    0xFFFF_FFFF_0000_0000,
    1 << 40,
    1 << 44,
    (1 << 48) - 1,
    1 << 48,
    1 << 62,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 128,
    u64::MAX - 1,
    u64::MAX,
];

/// The longest run of words that is moved or overwritten at once.
const RUN: u64 = 40;

impl Mutation {
    /// Draws one. `past` are snapshots of earlier times of the same segment.
    pub fn draw(
        random: &mut Random,
        memory: &Memory,
        anatomy: &Anatomy,
        past: &[Vec<u64>],
    ) -> Self {
        let at = place(random, anatomy);
        let old = memory.get(at);
        let (what, mut words) = match random.below(16) {
            0..=2 => ("bit", vec![(at, old ^ 1 << random.below(64))]),
            3 => {
                let shift = random.below(8) * 8;
                let byte = random.below(256) << shift;
                ("byte", vec![(at, old & !(0xFF << shift) | byte)])
            }
            4 => ("word", vec![(at, random.word())]),
            5..=6 => ("boundary", vec![(at, random.pick(&BOUNDARIES))]),
            7 => {
                let shift = random.below(2) * 32;
                let half = (random.pick(&BOUNDARIES) & 0xFFFF_FFFF) << shift;
                (
                    "half a word",
                    vec![(at, old & !(0xFFFF_FFFF << shift) | half)],
                )
            }
            8..=9 => {
                let shift = random.pick(&[0, 0, 0, 16, 20, 32, 48]);
                let by = (1 + random.below(4)) << shift;
                let near = if random.once_in(2) {
                    old.wrapping_add(by)
                } else {
                    old.wrapping_sub(by)
                };
                ("near", vec![(at, near)])
            }
            10 => {
                let other = place(random, anatomy);
                ("copy", vec![(at, memory.get(other))])
            }
            11 => {
                let other = place(random, anatomy);
                ("swap", vec![(at, memory.get(other)), (other, old)])
            }
            12 => {
                let from = place(random, anatomy);
                let run = run(random, memory.words() - at.max(from));
                let copied = (0..run).map(|it| (at + it, memory.get(from + it)));
                ("run over run", copied.collect())
            }
            13 => {
                let snapshot = &past[random.below(past.len() as u64) as usize];
                ("past word", vec![(at, snapshot[at])])
            }
            14 => {
                let snapshot = &past[random.below(past.len() as u64) as usize];
                let run = run(random, memory.words() - at);
                let older = (at..at + run).map(|it| (it, snapshot[it]));
                ("past run", older.collect())
            }
            _ => {
                let run = run(random, memory.words() - at);
                let fill = random.pick(&[0, u64::MAX, old]);
                ("fill", (at..at + run).map(|it| (it, fill)).collect())
            }
        };
        // Else hardly any header would get past its checksum.
        if anatomy.header.contains(&at) && !random.once_in(3) {
            words.push((CHECKSUM, checksum(memory, &words)));
        }
        Self {
            what,
            part: anatomy.part(at),
            words,
        }
    }

    /// Does it.
    pub fn apply(&self, memory: &Memory) {
        for &(at, word) in &self.words {
            memory.set(at, word);
        }
    }

    /// Whether only words in this range change.
    pub fn is_within(&self, range: &std::ops::Range<usize>) -> bool {
        self.words.iter().all(|(at, _)| range.contains(at))
    }

    /// It, and what it would replace.
    pub fn shown<'a>(&'a self, memory: &'a Memory) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| {
            write!(f, "{} in the {}:", self.what, self.part)?;
            for &(at, new) in self
                .words
                .iter()
                .filter(|(at, new)| memory.get(*at) != *new)
            {
                write!(f, " [{}] {:#x} -> {new:#x}", at * 8, memory.get(at))?;
            }
            Ok(())
        })
    }
}

fn place(random: &mut Random, anatomy: &Anatomy) -> usize {
    let range = match random.below(32) {
        0..=15 if !anatomy.alive.is_empty() => return random.pick(&anatomy.alive),
        0..=19 => &anatomy.object,
        20..=22 => &anatomy.directory,
        23..=24 => &anatomy.participants,
        25..=26 => &anatomy.handles,
        27..=28 => &anatomy.vitals,
        29 => &anatomy.header,
        _ => &anatomy.whole,
    };
    let range = if range.is_empty() {
        &anatomy.whole
    } else {
        range
    };
    range.start + random.below(range.len() as u64) as usize
}

fn run(random: &mut Random, room: usize) -> usize {
    (1 + random.below(RUN) as usize).min(room)
}

fn checksum(memory: &Memory, changes: &[(usize, u64)]) -> u64 {
    let mut header: Vec<u64> = (0..CHECKSUM).map(|at| memory.get(at)).collect();
    for &(at, word) in changes {
        if at < CHECKSUM {
            header[at] = word;
        }
    }
    let bytes: Vec<u8> = header.iter().flat_map(|word| word.to_ne_bytes()).collect();
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
