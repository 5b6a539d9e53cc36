//! Who sleeps is woken by what it waits for, and not by the end of its slice of 10 ms.

mod robust;

use ipc_core::{Segment, Wait};
use ipc_sync::{Barrier, BarrierError, CountingSemaphore, Latch, RwLock, Semaphore};
use robust::{Peer, segment, until};
use std::time::{Duration, Instant};

/// A quarter of these took no longer. On a busy machine the others may have waited for a core as
/// well.
fn undisturbed(what: &str, mut delays: Vec<Duration>) -> Duration {
    delays.sort();
    println!("{what}: {delays:?}");
    delays[delays.len() / 4]
}

/// The delay must be much less than a slice, if not at once, then when the machine is less busy.
#[track_caller]
fn is_prompt(mut delay: impl FnMut() -> Duration) {
    let is_prompt = (0..25).any(|_| {
        let delay = undisturbed("woken after", (0..8).map(|_| delay()).collect());
        delay < Duration::from_millis(4)
    });
    assert!(is_prompt);
}

/// How long a process that sleeps by `wait` goes on sleeping after `wake`.
fn delay(segment: &Segment, wait: impl Fn(&Segment), wake: impl FnOnce()) -> Duration {
    let sleeper = Peer::start(segment, |segment, line| {
        wait(segment);
        line.say(1);
    });
    until("it sleeps", || sleeper.sleeps());
    let start = Instant::now();
    wake();
    sleeper.line.hear();
    let delay = start.elapsed();
    sleeper.join();
    delay
}

/// Opened by one that sleeps at once.
macro_rules! sleepy {
    ($type:ty, $segment:expr) => {{
        let mut it = <$type>::open_in($segment, "it").unwrap();
        it.set_wait(Wait::Park);
        it
    }};
}

#[test]
fn by_permits_that_come_back_or_are_added() {
    let segment = segment();
    let it = Semaphore::create_in(&segment, "it", 2).unwrap();
    let both = |segment: &Segment| drop(sleepy!(Semaphore, segment).acquire_many(2).unwrap());
    is_prompt(|| {
        let held = it.acquire().unwrap();
        delay(&segment, both, || drop(held))
    });
    is_prompt(|| {
        it.reduce_permits(1).unwrap();
        delay(&segment, both, || it.add_permits(1).unwrap())
    });
}

#[test]
fn by_readers_and_writers_that_go() {
    let segment = segment();
    let it = RwLock::create_in(&segment, "it", 0u64).unwrap();
    let write = |segment: &Segment| sleepy!(RwLock<u64>, segment).set(1).unwrap();
    let read = |segment: &Segment| {
        sleepy!(RwLock<u64>, segment).get().unwrap();
    };
    is_prompt(|| {
        let reading = it.read().unwrap();
        delay(&segment, write, || drop(reading))
    });
    for next in [&write as &dyn Fn(&Segment), &read] {
        is_prompt(|| {
            let writing = it.write().map_err(drop).unwrap();
            delay(&segment, next, || drop(writing))
        });
    }
}

#[test]
fn by_a_writer_that_gives_up() {
    // Not long after a slice of the reader's, and long before the next.
    const PATIENCE: Duration = Duration::from_millis(22);
    let segment = segment();
    let it = RwLock::create_in(&segment, "it", 0u64).unwrap();
    let _reading = it.read().unwrap();
    is_prompt(|| {
        let writer = Peer::start(&segment, |segment, line| {
            let it = sleepy!(RwLock<u64>, segment);
            assert!(it.write_timeout(PATIENCE).is_err());
            line.say(1);
        });
        until("readers are kept out", || it.try_read().is_err());
        let read = |segment: &Segment| {
            sleepy!(RwLock<u64>, segment).get().unwrap();
        };
        let delay = delay(&segment, read, || {
            writer.line.hear();
        });
        writer.join();
        delay.saturating_sub(PATIENCE)
    });
}

#[test]
fn by_the_last_party_an_abort_and_a_reset() {
    let segment = segment();
    let it = Barrier::create_in(&segment, "it", 2).unwrap();
    let pass = |segment: &Segment| {
        let mut party = sleepy!(Barrier, segment).join().unwrap();
        party.wait().unwrap();
    };
    is_prompt(|| {
        let mut party = it.join().unwrap();
        delay(&segment, pass, || {
            party.try_wait().unwrap();
        })
    });
    let fail = |segment: &Segment| {
        let mut party = sleepy!(Barrier, segment).join().unwrap();
        assert!(matches!(party.wait(), Err(BarrierError::Broken { .. })));
    };
    is_prompt(|| delay(&segment, fail, || it.reset().unwrap()));
    is_prompt(|| {
        it.reset().unwrap();
        delay(&segment, fail, || it.abort().unwrap())
    });
}

#[test]
fn by_signals_and_by_the_last_count() {
    let segment = segment();
    let it = CountingSemaphore::create_in(&segment, "it", 0).unwrap();
    let take = |segment: &Segment| sleepy!(CountingSemaphore, segment).wait().unwrap();
    is_prompt(|| delay(&segment, take, || it.post(1).unwrap()));
    let pass = |segment: &Segment| sleepy!(Latch, segment).wait().unwrap();
    is_prompt(|| {
        let segment = robust::segment();
        let it = Latch::create_in(&segment, "it", 1).unwrap();
        delay(&segment, pass, || it.count_down(1).unwrap())
    });
}
