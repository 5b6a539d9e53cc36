//! A worker: whoever has a seat now, and does a little of everything.

use super::Violation;
use super::jobs::JOBS;
use super::ledger::{Ledger, Own, Tag};
use super::post::Post;
use crate::random::Random;
use ipc_core::Segment;
use ipc_process::{WorkResult, Worker};
use std::sync::atomic::Ordering::SeqCst;

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
