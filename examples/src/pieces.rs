//! A text cut into messages of whole lines.

/// How long a piece is at most, in bytes, unless it is a single line.
///
/// The hand-over of a message is then small beside the copying, while hundreds of them on their way
/// still fit a second-level cache.
pub const PIECE_LEN: usize = 4096;

/// Cuts a text into pieces of as many whole lines as [`PIECE_LEN`] bytes hold, their newlines among
/// them. A longer line is a piece of its own. An empty text has none.
///
/// ```
/// let text = format!("one\ntwo\n{}\nthree", "x".repeat(10_000));
/// let lens: Vec<_> = examples::pieces(text.as_bytes()).map(<[u8]>::len).collect();
/// assert_eq!(lens, [8, 10_001, 5]);
/// ```
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
        let (piece, rest) = self.rest.split_at(self.end());
        self.rest = rest;
        Some(piece)
    }
}

impl Pieces<'_> {
    /// Where the next piece ends: behind a newline, or with the text.
    fn end(&self) -> usize {
        let behind_newline = |at: usize| at + 1;
        let is_newline = |&byte: &u8| byte == b'\n';
        let all = self.rest.len();
        if all <= PIECE_LEN {
            return all;
        }
        let last = self.rest[..PIECE_LEN].iter().rposition(is_newline);
        if let Some(last) = last {
            return behind_newline(last);
        }
        // One line that is longer.
        let next = self.rest[PIECE_LEN..].iter().position(is_newline);
        next.map_or(all, |next| behind_newline(PIECE_LEN + next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lens(text: &str) -> Vec<usize> {
        let pieces: Vec<_> = pieces(text.as_bytes()).collect();
        assert_eq!(pieces.concat(), text.as_bytes());
        pieces.iter().map(|piece| piece.len()).collect()
    }

    /// A line of so many bytes, its newline among them.
    fn line(len: usize) -> String {
        format!("{}\n", "x".repeat(len - 1))
    }

    #[test]
    fn as_many_lines_as_fit() {
        assert_eq!(lens(""), [0; 0]);
        assert_eq!(lens("no newline"), [10]);
        assert_eq!(lens("\n"), [1]);
        // 512 lines of 8 bytes are 4096 bytes.
        assert_eq!(lens(&line(8).repeat(512)), [4096]);
        assert_eq!(lens(&line(8).repeat(513)), [4096, 8]);
        // 40 of 100 bytes are 4000.
        assert_eq!(lens(&line(100).repeat(101)), [4000, 4000, 2100]);
        assert_eq!(lens(&"\n".repeat(5000)), [4096, 904]);
    }

    #[test]
    fn a_longer_line_is_whole_and_alone() {
        for len in [4096, 4097, 5000, 1 << 20] {
            assert_eq!(lens(&line(len)), [len]);
            let between = format!("{}{}{}", line(3), line(len), line(5));
            assert_eq!(lens(&between), [3, len, 5]);
            let without_end = format!("{}{}", line(3), "x".repeat(len));
            assert_eq!(lens(&without_end), [3, len]);
        }
    }
}
