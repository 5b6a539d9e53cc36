//! A worker: whoever has a seat now, and does a little of everything.

use super::Violation;
use super::jobs::JOBS;
use super::ledger::{Common, Ledger, Own, Tag};
use crate::random::Random;
use ipc_core::Segment;
use ipc_process::{WorkResult, Worker};
use std::sync::atomic::Ordering::SeqCst;
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

/// The role.
pub(crate) fn work(worker: &mut Worker) -> WorkResult {
    let text = std::str::from_utf8(worker.params())?;
    let numbers: Vec<u64> = text.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [seat, number, seed] = numbers[..] else {
        return Err("a worker has three numbers".into());
    };
    let me = Tag::new(seat as usize, number);
    let file = worker.take_fd("segment")?;
    let mut post = Post {
        segment: Segment::open(file.try_clone()?)?,
        ledger: Ledger::of(worker.take_fd("ledger")?)?,
        me,
        random: Random::of_part(seed, me.to_word()),
        is_mutex_new: true,
    };
    loop {
        let kind = post.random.below(JOBS.len() as u64) as usize;
        let (name, job) = JOBS[kind];
        let done = job(&mut post).map_err(|it| Violation::new(format!("{name}: {it}")))?;
        post.ledger.done(kind).fetch_add(done, SeqCst);
        let own = |word| post.ledger.own(me.seat(), word);
        own(Own::Progress).fetch_add(1, SeqCst);
        if own(Own::Leave).load(SeqCst) >= me.number() {
            return Ok(());
        }
        if post.random.once_in(50) {
            // Leaves, and comes back as another participant.
            post.segment = Segment::open(file.try_clone()?)?;
        }
    }
}
