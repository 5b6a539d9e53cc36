//! What senders and receivers look at while they wait.

use super::end::{self, End};
use super::layout::Shared;
use super::members::Watch;
use super::memory::{OPEN, Trouble};
use super::pop::{Head, Taken};
use super::push::{Claim, Refusal, Tail, ready};
use super::wait::Waiter;
use ipc_core::atomic::Ordering;
use ipc_core::{Payload, SharedCells};

/// Looks for a message that a closed queue seems to have.
const LOOKS: u32 = 64;

/// A sender that waits for room.
pub(super) struct RoomWaiter<'a, T: Payload, R> {
    pub memory: &'a Shared<SharedCells<T>>,
    pub tail: &'a mut Tail,
    /// Whether there is what else it needs: before that no slot is claimed.
    pub is_ready: R,
}

impl<T: Payload, R: FnMut() -> bool> Waiter for RoomWaiter<'_, T, R> {
    type Found = Result<Claim, Refusal>;

    fn has_changed(&self) -> bool {
        !self.tail.is_still_blocked(self.memory)
            || self.memory.words.cursors.end.load(Ordering::Relaxed) != OPEN
    }

    fn refresh(&mut self) {}

    fn attempt(&mut self) -> Option<Self::Found> {
        let claimed =
            ready(self.memory, &mut self.is_ready).and_then(|()| self.tail.claim(self.memory));
        match claimed {
            Err(Refusal::Full) => None,
            other => Some(other),
        }
    }
}

/// What there is to say to who wants a message.
pub(super) enum Answer {
    Message(Taken),
    Ended,
    SendersDied,
    Trouble(Trouble),
}

/// A receiver that waits for a message.
pub(super) struct MessageWaiter<'a, T: Payload> {
    pub memory: &'a Shared<SharedCells<T>>,
    pub head: &'a mut Head,
    pub watch: &'a mut Watch,
    /// The word `end` as the last attempt saw it.
    pub end: u64,
}

/// A way to take the next message.
type Take<T> = fn(&mut Head, &Shared<SharedCells<T>>) -> Result<Option<Taken>, Trouble>;

impl<T: Payload> MessageWaiter<'_, T> {
    /// As [`attempt`](Waiter::attempt), for who was just refused by [`Head::take_fast`].
    pub(super) fn attempt_slow(&mut self) -> Option<Answer> {
        self.look_everywhere(Head::take_slow)
            .unwrap_or_else(|trouble| Some(Answer::Trouble(trouble)))
    }

    #[inline(always)]
    fn look_everywhere(&mut self, take: Take<T>) -> Result<Option<Answer>, Trouble> {
        // Deaths first: all that the dead committed is found after this.
        let deaths = self.watch.unreported(&self.memory.words.census.deaths);
        self.end = self.memory.words.cursors.end.load(Ordering::Relaxed);
        // Bounded: damaged words may show messages that nobody can take.
        for _ in 0..LOOKS {
            if let Some(taken) = take(self.head, self.memory)? {
                return Ok(Some(Answer::Message(taken)));
            }
            match end::judge(self.memory)? {
                End::Ended => return Ok(Some(Answer::Ended)),
                End::NotYet => return Ok(None),
                End::Open => break,
                // One of those that its sender may still take back: nobody announces it.
                End::Messages => self.head.forget(),
            }
        }
        Ok(deaths.map(|deaths| {
            self.watch.report(deaths);
            Answer::SendersDied
        }))
    }
}

impl<T: Payload> Waiter for MessageWaiter<'_, T> {
    type Found = Answer;

    fn has_changed(&self) -> bool {
        self.head.has_news(self.memory)
            || self.memory.words.cursors.end.load(Ordering::Relaxed) != self.end
    }

    fn refresh(&mut self) {
        self.head.forget();
        self.watch.deaths_of_all(&self.memory.words.census.deaths);
    }

    fn attempt(&mut self) -> Option<Answer> {
        self.look_everywhere(Head::take)
            .unwrap_or_else(|trouble| Some(Answer::Trouble(trouble)))
    }
}
