//! The messages of bytes that both sides know beforehand.

use crate::failure::Failure;

/// Different messages in a script: prime, so that a lap lost in a ring is noticed.
const MESSAGES: usize = 61;
/// Where the next message begins in the bytes of which all are parts: a cache line further.
const STEP: usize = 64;
/// More messages behind these, the first ones again, so that a batch never ends in the middle.
const AGAIN: usize = 128;

/// Messages of one length that follow each other without end. They are parts of one run of bytes, so
/// that the sender's copies come from its cache.
pub struct Script {
    messages: Vec<&'static [u8]>,
    next: usize,
}

impl Script {
    /// Of messages of `length` bytes, at least eight. Its bytes stay in memory to the end of the process.
    pub fn new(length: usize) -> Self {
        assert!(length >= WORD, "a message holds a word to look at");
        let bytes: &'static [u8] = (0..length + MESSAGES * STEP)
            // Odd multiples of a 64-bit constant: words that are all different, all bits in use.
            .map(|at| {
                let word = (2 * (at / WORD) as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                word.to_ne_bytes()[at % WORD]
            })
            .collect::<Vec<u8>>()
            .leak();
        Self {
            messages: (0..MESSAGES + AGAIN)
                .map(|nth| &bytes[nth % MESSAGES * STEP..][..length])
                .collect(),
            next: 0,
        }
    }

    /// The next message.
    #[inline(always)]
    pub fn one(&mut self) -> &'static [u8] {
        let message = self.messages[self.next];
        self.skip(1);
        message
    }

    /// The next messages, at most 128.
    #[inline(always)]
    pub fn several(&mut self, messages: usize) -> &[&'static [u8]] {
        let from = self.next;
        self.skip(messages);
        &self.messages[from..from + messages]
    }

    #[inline(always)]
    fn skip(&mut self, messages: usize) {
        self.next += messages;
        while self.next >= MESSAGES {
            self.next -= MESSAGES;
        }
    }
}

const WORD: usize = size_of::<u64>();

/// Gathers what differs: the lengths, the first word and the last of every message. That is little
/// beside receiving it, and shows whatever is lost, doubled, torn or out of order.
#[derive(Default)]
pub struct Check {
    differences: u64,
}

impl Check {
    /// Compares a message with the expected one.
    #[inline(always)]
    pub fn compare(&mut self, message: &[u8], expected: &[u8]) {
        self.differences |= (message.len() ^ expected.len()) as u64
            | (first(message) ^ first(expected))
            | (last(message) ^ last(expected));
    }

    /// Whether all were as expected.
    ///
    /// # Errors
    /// [`Failure::WrongItems`].
    pub fn verdict(self, count: u64) -> Result<(), Failure> {
        if self.differences == 0 {
            Ok(())
        } else {
            Err(Failure::WrongItems { expected: count })
        }
    }
}

fn first(message: &[u8]) -> u64 {
    message
        .first_chunk()
        .map_or(0, |word| u64::from_ne_bytes(*word))
}

fn last(message: &[u8]) -> u64 {
    message
        .last_chunk()
        .map_or(0, |word| u64::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_differ_from_all_others_at_both_ends() {
        let mut script = Script::new(64);
        let messages: Vec<_> = (0..MESSAGES).map(|_| script.one()).collect();
        for (nth, message) in messages.iter().enumerate() {
            for other in &messages[..nth] {
                let mut check = Check::default();
                check.compare(other, message);
                assert!(check.verdict(1).is_err());
                assert_ne!([first(message), last(message)], [first(other), last(other)]);
            }
        }
        assert_eq!(script.one(), messages[0]);
    }

    #[test]
    fn batches_are_the_same_messages() {
        let (mut singly, mut batches) = (Script::new(1024), Script::new(1024));
        for messages in [1, 60, 128, 3, 61, 128] {
            for &message in batches.several(messages) {
                assert_eq!(message, singly.one());
            }
        }
    }

    #[test]
    fn a_difference_anywhere_it_looks_is_found() {
        let expected = Script::new(64).one();
        for (at, verdict) in [(0, false), (7, false), (56, false), (63, false)] {
            let mut message = expected.to_vec();
            message[at] ^= 1;
            let mut check = Check::default();
            check.compare(&message, expected);
            assert_eq!(check.verdict(1).is_ok(), verdict);
        }
        let mut check = Check::default();
        check.compare(&expected[..56], expected);
        assert!(check.verdict(1).is_err());
        let mut check = Check::default();
        check.compare(expected, expected);
        assert!(check.verdict(1).is_ok());
    }
}
