//! What is counted, waited for and met at; and values.

use super::{Done, wrong};
use crate::chaos::Violation;
use crate::chaos::ledger::{Common, Ledger, PERMITS, Tag};
use crate::chaos::post::{PATIENCE, Post};
use crate::chaos::world::{Counts, ELEMENTS, PARTIES};
use ipc_core::Segment;
use ipc_sync::{
    AcquireError, Array, Arrival, Barrier, BarrierError, CountingSemaphore, Event, EventError,
    Latch, Semaphore, Value, WaitError, WriteError,
};
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering::SeqCst;

pub(crate) fn semaphore(post: &mut Post) -> Done {
    let semaphore = Semaphore::open_in(&post.segment, "semaphore").map_err(wrong)?;
    let mut done = 0;
    for _ in 0..post.some() {
        let permits = match semaphore.acquire_timeout(post.patience()) {
            Ok(permits) => permits,
            Err(
                AcquireError::NoPermits | AcquireError::TimedOut | AcquireError::Crowded { .. },
            ) => continue,
            Err(error) => return Err(wrong(error)),
        };
        let permit = sit_down(post)?;
        post.linger();
        post.ledger.permit(permit).store(0, SeqCst);
        drop(permits);
        done += 1;
    }
    Ok(done)
}

/// Takes one of as many places as there are permits, if need be one of somebody dead.
fn sit_down(post: &Post) -> Result<usize, Violation> {
    // Places change hands while one looks: who leaves one that was passed and who takes one that
    // comes hide a free one from a single look, and not from many.
    for _ in 0..1000 {
        for permit in 0..PERMITS {
            let place = post.ledger.permit(permit);
            let before = place.load(SeqCst);
            let is_free = Tag::from_word(before).is_none_or(|it| post.ledger.is_doomed(it));
            let mine = post.me.to_word();
            if is_free && place.compare_exchange(before, mine, SeqCst, SeqCst).is_ok() {
                return Ok(permit);
            }
        }
        std::thread::yield_now();
    }
    let holders = (0..PERMITS).map(|it| Tag::from_word(post.ledger.permit(it).load(SeqCst)));
    let holders: Vec<_> = holders.collect();
    let what = format!("{PERMITS} permits, and one more than that: {holders:?}");
    Err(Violation::new(what))
}

fn passed(result: Result<(), WaitError>) -> Result<bool, Violation> {
    match result {
        Ok(()) => Ok(true),
        Err(WaitError::NotYet | WaitError::TimedOut) => Ok(false),
        Err(error) => Err(wrong(error)),
    }
}

pub(crate) fn counting_semaphore(post: &mut Post) -> Done {
    let posts = CountingSemaphore::open_in(&post.segment, "posts").map_err(wrong)?;
    let mut done = 0;
    for _ in 0..post.some() {
        if post.random.once_in(2) {
            post.ledger.add(Common::Posted, 1);
            posts.post(1).map_err(wrong)?;
            post.ledger.add(Common::PostedDone, 1);
        } else {
            post.ledger.add(Common::Waited, 1);
            if passed(posts.wait_timeout(post.patience()))? {
                post.ledger.add(Common::WaitedDone, 1);
            } else {
                post.ledger.common(Common::Waited).fetch_sub(1, SeqCst);
                continue;
            }
        }
        done += 1;
    }
    Ok(done)
}

const LATCHED: u32 = 500;

pub(crate) fn latch(post: &mut Post) -> Done {
    let epoch = post.epoch();
    let name = format!("latch {epoch}");
    let latch = match Latch::open_in(&post.segment, &name) {
        Err(ipc_core::Error::ObjectNotFound { .. }) => {
            match Latch::create_in(&post.segment, &name, LATCHED) {
                Err(ipc_core::Error::ObjectExists { .. }) => Latch::open_in(&post.segment, &name),
                created => created,
            }
        }
        opened => opened,
    }
    .map_err(wrong)?;
    let mut done = 0;
    for _ in 0..post.some().min(6) {
        post.ledger.add(Common::CountedDown, 1);
        latch.count_down(1).map_err(wrong)?;
        post.ledger.add(Common::CountedDownDone, 1);
        let certain = post.ledger.get(Common::CountedDownDone);
        let left = u64::from(latch.count().map_err(wrong)?);
        let begun = post.ledger.get(Common::CountedDown);
        let most = u64::from(LATCHED);
        if !(most.saturating_sub(begun)..=most.saturating_sub(certain)).contains(&left) {
            let what =
                format!("{left} left of {most} after {certain} to {begun} were counted down");
            return Err(Violation::new(what));
        }
        done += 1 + u64::from(passed(latch.try_wait())?);
    }
    Ok(done)
}

pub(crate) fn barrier(post: &mut Post) -> Done {
    let barrier = Barrier::open_in(&post.segment, "barrier").map_err(wrong)?;
    let mut party = match barrier.join() {
        Ok(party) => party,
        Err(BarrierError::Crowded { .. }) => return Ok(0),
        Err(BarrierError::Broken { .. }) => {
            barrier.reset().map_err(wrong)?;
            return Ok(0);
        }
        Err(error) => return Err(wrong(error)),
    };
    let mut done = 0;
    for _ in 0..post.some() {
        post.ledger.add(Common::Arrived, 1);
        match party.wait_timeout(PATIENCE) {
            Ok(Arrival::Leader) => {
                post.ledger.add(Common::Led, 1);
                let led = post.ledger.get(Common::Led);
                let arrived = post.ledger.get(Common::Arrived);
                if arrived < led * u64::from(PARTIES) {
                    let what = format!("{led} meetings of {PARTIES}, and {arrived} arrivals");
                    return Err(Violation::new(what));
                }
                done += 1;
            }
            Ok(Arrival::Follower) => done += 1,
            Err(BarrierError::TimedOut | BarrierError::NotAll) => {}
            Err(BarrierError::Broken { .. }) => barrier.reset().map_err(wrong)?,
            Err(error) => return Err(wrong(error)),
        }
    }
    Ok(done)
}

pub(crate) fn event(post: &mut Post) -> Done {
    let event = Event::open_in(&post.segment, "event").map_err(wrong)?;
    let mut done = 0;
    for _ in 0..post.some() {
        if post.random.once_in(2) {
            post.ledger.add(Common::Set, 1);
            event.set().map_err(wrong)?;
        } else {
            match event.wait_timeout(post.patience()) {
                Ok(()) => {
                    post.ledger.add(Common::Passed, 1);
                    let passed = post.ledger.get(Common::Passed);
                    let set = post.ledger.get(Common::Set);
                    if passed > set {
                        return Err(Violation::new(format!("set {set} times, passed {passed}")));
                    }
                }
                Err(EventError::NotSet | EventError::TimedOut) => continue,
                Err(error) => return Err(wrong(error)),
            }
        }
        done += 1;
    }
    Ok(done)
}

fn is_whole(value: &[u64]) -> Result<u64, Violation> {
    if value.iter().any(|it| *it != value[0]) {
        return Err(Violation::new(format!("half a change was read: {value:?}")));
    }
    Ok(value[0])
}

/// What was read between two looks at the account.
fn is_within(count: u64, certain: u64, begun: u64) -> Result<(), Violation> {
    if (certain..=begun).contains(&count) {
        Ok(())
    } else {
        Err(Violation::new(format!(
            "{count}, and not between {certain} and {begun}"
        )))
    }
}

pub(crate) fn large_value(post: &mut Post) -> Done {
    let value = Value::<Counts>::open_in(&post.segment, "large").map_err(wrong)?;
    let mut done = 0;
    for _ in 0..post.some() {
        if post.random.once_in(2) {
            post.ledger.add(Common::Updated, 1);
            let next = |it: Counts| {
                post.linger();
                Some([it[0] + 1; 8])
            };
            match value.try_update(PATIENCE, next) {
                Ok(_) => post.ledger.add(Common::UpdatedDone, 1),
                Err(WriteError::TimedOut | WriteError::Busy) => {
                    post.ledger.common(Common::Updated).fetch_sub(1, SeqCst);
                }
                Err(error) => return Err(wrong(error)),
            }
        } else {
            let certain = post.ledger.get(Common::UpdatedDone);
            let count = is_whole(&value.get().map_err(wrong)?)?;
            if count < certain {
                is_within(count, certain, u64::MAX)?;
            }
        }
        done += 1;
    }
    Ok(done)
}

pub(crate) fn small_value(post: &mut Post) -> Done {
    let value = Value::<u64>::open_in(&post.segment, "word").map_err(wrong)?;
    let some = post.some();
    for _ in 0..some {
        post.ledger.add(Common::Added, 1);
        value.fetch_add(1).map_err(wrong)?;
        post.ledger.add(Common::AddedDone, 1);
        let certain = post.ledger.get(Common::AddedDone);
        let count = value.get().map_err(wrong)?;
        is_within(count, certain, post.ledger.get(Common::Added))?;
    }
    Ok(some)
}

pub(crate) fn array(post: &mut Post) -> Done {
    let array = Array::<[u64; 2]>::open_in(&post.segment, "array").map_err(wrong)?;
    let some = post.some();
    for _ in 0..some {
        let at = post.random.below(ELEMENTS as u64) as usize;
        if post.random.once_in(2) {
            post.ledger.add(Common::Stored, 1);
            array
                .update(at, |[count, _]| [count + 1; 2])
                .map_err(wrong)?;
            post.ledger.add(Common::StoredDone, 1);
        } else {
            is_whole(&array.get(at).map_err(wrong)?)?;
        }
    }
    Ok(some)
}

/// With nobody there: whether what was counted is what was done, or begun by somebody who died.
pub(crate) fn check(segment: &Segment, ledger: &Ledger) -> Result<(), Violation> {
    let done = |begun, certain| -> RangeInclusive<u64> { ledger.get(certain)..=ledger.get(begun) };
    let sum = |name: &str, count: u64, within: RangeInclusive<u64>| {
        let (certain, begun) = within.into_inner();
        is_within(count, certain, begun).map_err(|it| Violation::new(format!("{name}: {it}")))
    };
    let large = Value::<Counts>::open_in(segment, "large").map_err(wrong)?;
    let updated = done(Common::Updated, Common::UpdatedDone);
    sum(
        "value, large",
        is_whole(&large.get().map_err(wrong)?)?,
        updated,
    )?;
    let small = Value::<u64>::open_in(segment, "word").map_err(wrong)?;
    let added = done(Common::Added, Common::AddedDone);
    sum("value, a word", small.get().map_err(wrong)?, added)?;
    let array = Array::<[u64; 2]>::open_in(segment, "array").map_err(wrong)?;
    let stored = array.to_vec().map_err(wrong)?;
    let stored = stored
        .iter()
        .map(|it| is_whole(it))
        .sum::<Result<u64, _>>()?;
    sum("array", stored, done(Common::Stored, Common::StoredDone))?;

    let semaphore = Semaphore::open_in(segment, "semaphore").map_err(wrong)?;
    let free = semaphore.available().map_err(wrong)?;
    if free != PERMITS as u32 {
        let what = format!("semaphore: {free} permits of {PERMITS} are free, with nobody there");
        return Err(Violation::new(what));
    }
    let posts = CountingSemaphore::open_in(segment, "posts").map_err(wrong)?;
    let left = u64::from(posts.count().map_err(wrong)?);
    let posted = done(Common::Posted, Common::PostedDone);
    let waited = done(Common::Waited, Common::WaitedDone);
    let least = posted.start().saturating_sub(*waited.end());
    sum(
        "counting semaphore",
        left,
        least..=posted.end() - waited.start(),
    )?;
    for count in [Common::Cell, Common::CountedDown, Common::CountedDownDone] {
        ledger.common(count).store(0, SeqCst);
    }
    Ok(())
}
