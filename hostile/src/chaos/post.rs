//! What a worker has in hand, whatever its job is.

use super::ledger::{Common, Ledger, Tag};
use crate::random::Random;
use ipc_core::Segment;
use std::time::Duration;

/// What a worker has in hand.
pub(crate) struct Post {
    pub segment: Segment,
    pub ledger: Ledger,
    pub me: Tag,
    pub random: Random,
    /// Whether what the seat has counted may be one behind: its last owner was killed.
    pub is_mutex_new: bool,
}

/// The longest that a call waits.
pub(crate) const PATIENCE: Duration = Duration::from_millis(10);

impl Post {
    pub(crate) fn epoch(&self) -> u64 {
        self.ledger.get(Common::Epoch)
    }

    /// A time up to [`PATIENCE`]; often none.
    pub(crate) fn patience(&mut self) -> Duration {
        match self.random.below(4) {
            0 => PATIENCE / 10 * self.random.below(11) as u32,
            _ => Duration::ZERO,
        }
    }

    /// Now and then stays a while where it is: a kill is to find it there.
    pub(crate) fn linger(&mut self) {
        if self.random.once_in(12) {
            std::thread::sleep(Duration::from_micros(self.random.below(1_500)));
        }
    }

    /// How many things to do in a row.
    pub(crate) fn some(&mut self) -> u64 {
        1 + self.random.below(30)
    }
}
