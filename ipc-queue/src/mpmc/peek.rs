//! A look at the messages of a queue without taking them.

use super::memory::Memory;
use super::queue::Queue;
use super::word::{State, lap, state};
use ipc_core::atomic::Ordering;
use ipc_core::{Payload, Result};

impl<T: Payload> Queue<T> {
    /// Whether one of the messages that are there satisfies this. Those are: all that were
    /// committed before the call and are not finished before it returns. A message that is
    /// committed or finished meanwhile may be seen or not.
    pub(crate) fn any(&self, mut wanted: impl FnMut(&T) -> bool) -> Result<bool> {
        let memory = self.shape().typed::<T>(self.object())?;
        Ok(any(&memory, |index, _| wanted(&memory.cells.read(index))))
    }
}

/// As [`Queue::any`]. `wanted` looks at the message of a slot and lap; it may be asked about one
/// that is changing, and its answer does not count then.
pub(super) fn any<M: Memory>(memory: &M, mut wanted: impl FnMut(usize, u64) -> bool) -> bool {
    let is_message = |word: u64| matches!(state(word), Some(State::Full | State::Reading));
    for index in 0..memory.geometry().slots() as usize {
        // Acquire: the payload is read after this.
        let mut word = memory.word(index).load(Ordering::Acquire);
        while is_message(word) {
            let found = wanted(index, lap(word));
            // Acquire: the second look comes after the reading. In between it is one message as
            // long as the lap is, whoever takes it or gives it back.
            ipc_core::atomic::fence(Ordering::Acquire);
            let now = memory.word(index).load(Ordering::Acquire);
            if is_message(now) && lap(now) == lap(word) {
                if found {
                    return true;
                }
                break;
            }
            word = now;
        }
    }
    false
}
