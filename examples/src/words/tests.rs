use super::*;

const TEXT: &[u8] =
    "The ring, the_ring: THE 2nd\tring\0na\u{ef}ve \u{c4}rger_\n  x--y Ring".as_bytes();

fn count_blocks<'a>(blocks: impl IntoIterator<Item = &'a [u8]>) -> WordCounts {
    let mut counter = WordCounter::new();
    for block in blocks {
        counter.feed(block);
    }
    counter.finish()
}

fn count(text: &[u8]) -> WordCounts {
    count_blocks([text])
}

/// The definition of a word, taken literally.
fn count_by_definition(text: &[u8]) -> WordCounts {
    let mut counts = WordCounts::default();
    let separator = |byte: &u8| byte.is_ascii() && !byte.is_ascii_alphanumeric() && *byte != b'_';
    for word in text.split(separator).filter(|word| !word.is_empty()) {
        counts.add(&word.to_ascii_lowercase(), 1);
    }
    counts
}

/// Xorshift: any numbers, but the same ones in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}

#[test]
fn words_are_what_the_definition_says() {
    let counts = count(TEXT);
    assert_eq!(counts.total(), 11);
    assert_eq!(counts.distinct(), 8);
    assert_eq!(counts.count(b"the"), 2);
    assert_eq!(counts.count(b"the_ring"), 1);
    assert_eq!(counts.count(b"ring"), 3);
    assert_eq!(counts.count("na\u{ef}ve".as_bytes()), 1);
    assert_eq!(counts.count("\u{c4}rger_".as_bytes()), 1);
    assert_eq!(counts.count(b"The"), 0);
    assert_eq!(counts.top(2), [(b"ring".as_slice(), 3), (b"the", 2)]);
    assert_eq!(counts, count_by_definition(TEXT));
}

#[test]
fn a_text_cut_anywhere_has_the_same_words() {
    let whole = count(TEXT);
    for first in 0..=TEXT.len() {
        let (head, tail) = TEXT.split_at(first);
        for second in 0..=tail.len() {
            let (middle, end) = tail.split_at(second);
            assert_eq!(
                count_blocks([head, middle, end]),
                whole,
                "cut at {first}, {second}"
            );
        }
    }
    for size in 1..=TEXT.len() {
        assert_eq!(count_blocks(TEXT.chunks(size)), whole, "blocks of {size}");
    }
}

#[test]
fn a_long_text_of_any_bytes_has_the_words_of_the_definition() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for round in 0..50 {
        // In every other round long words, past what is lowered on the stack.
        let letters: &[u8] = if round % 2 == 0 { b"aAbB_" } else { b"aB \n." };
        let text: Vec<u8> = (0..2000)
            .map(|_| match numbers.below(40) {
                0 => numbers.below(256) as u8,
                1 => b' ',
                _ => letters[numbers.below(letters.len())],
            })
            .collect();
        let expected = count_by_definition(&text);
        assert_eq!(count(&text), expected);

        let mut counter = WordCounter::new();
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let (block, after) = rest.split_at(1 + numbers.below(rest.len().min(40)));
            counter.feed(block);
            rest = after;
        }
        assert_eq!(counter.finish(), expected);
    }
}

#[test]
fn no_text_has_no_words() {
    for text in [b"".as_slice(), b" \n.;\0"] {
        let counts = count(text);
        assert_eq!((counts.total(), counts.distinct()), (0, 0));
        assert_eq!(counts.top(3), []);
    }
}

#[test]
fn merging_texts_is_counting_both() {
    let mut merged = count(b"a b a");
    merged.merge(&count(b"b c"));
    assert_eq!(merged, count(b"a b a b c"));
}

#[test]
fn the_top_is_by_count_and_then_by_word() {
    let counts = count(b"d c b a a b e e e");
    let all: [(&[u8], u64); 5] = [(b"e", 3), (b"a", 2), (b"b", 2), (b"c", 1), (b"d", 1)];
    for n in 0..7 {
        assert_eq!(counts.top(n), all[..n.min(5)]);
    }
}

#[test]
fn counts_come_back_from_their_bytes() {
    for text in [b"".as_slice(), TEXT] {
        let counts = count(text);
        assert_eq!(WordCounts::from_bytes(&counts.to_bytes()), Ok(counts));
    }
}

#[test]
fn bytes_that_are_no_counts_are_refused() {
    let entry = |word: &[u8], count: u64| {
        let len = (word.len() as u64).to_le_bytes();
        [len.as_slice(), &count.to_le_bytes(), word].concat()
    };
    let whole = entry(b"word", 2);
    for len in 1..whole.len() {
        let cut = WordCounts::from_bytes(&whole[..len]);
        assert_eq!(
            cut,
            Err(WordCountsError::CutShort { offset: 0 }),
            "{len} bytes"
        );
    }
    let refused: [(&[u8], u64); 7] = [
        (b"word", 1),
        (b"wor", 1),
        (b"x", 0),
        (b"x", u64::MAX),
        (b"xY", 1),
        (b"x y", 1),
        (b"x\0", 1),
    ];
    for (word, count) in refused {
        let bytes = [whole.clone(), entry(word, count)].concat();
        let error = Err(WordCountsError::Entry {
            offset: whole.len(),
        });
        assert_eq!(WordCounts::from_bytes(&bytes), error, "{word:?} {count}");
    }
    let empty_word = WordCounts::from_bytes(&entry(b"", 1));
    assert_eq!(empty_word, Err(WordCountsError::Entry { offset: 0 }));
}
