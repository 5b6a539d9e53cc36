//! Workers of a harness killed at every instruction, one after the other: every effect happens
//! once, and the account is exact.

#![cfg(target_arch = "x86_64")]

mod common;
mod harness_common;

use common::{ShmName, from_env};
use harness_common::kind::{Id, Kind, list, listed};
use harness_common::promptly;
use harness_common::worker::kill_me;
use ipc_queue::harness::{Batch, Harness, Sink, Source, WorkResult, test_name};
use nix::sys::signal::Signal::SIGKILL;
use std::fs::OpenOptions;
use std::io::{Seek, Write};
use std::time::Duration;
use test_kit::stepper::{NEVER, run_to};

const SOON: Duration = Duration::from_secs(300);

/// How many workers of each role die: more for a closer look.
fn deaths() -> u64 {
    from_env("HARNESS_INSTANTS", 90)
}

/// Before which of `span` steps this worker is to die: each one a little later than the one before.
/// The last ones live.
fn death(params: &[u8], role: &str, span: u64) -> u64 {
    let name = format!("/dev/shm/{}{role}", std::str::from_utf8(params).unwrap());
    let counter = OpenOptions::new().append(true).create(true).open(name);
    let mut counter = counter.unwrap();
    counter.write_all(&[0]).unwrap();
    let number = counter.stream_position().unwrap() - 1;
    if number < deaths() {
        number * span.max(deaths()) / deaths()
    } else {
        NEVER
    }
}

/// At the latest after the work.
fn dying<R>(at: u64, work: impl FnOnce() -> R) -> R {
    let (result, _) = run_to("memfd:ipc-queue harness", at, SIGKILL, work);
    if at != NEVER {
        kill_me(libc::SIGKILL);
    }
    result
}

fn commit<K: Kind + ?Sized>(batch: Batch<'_, '_, K>) -> WorkResult {
    let effect = list(&batch);
    Ok(batch.commit(&effect)?)
}

fn commit_all<K: Kind + ?Sized>(sink: &mut Sink<'_, K>) -> WorkResult {
    while let Some(batch) = sink.batch()? {
        commit(batch)?;
    }
    Ok(())
}

fn commit_one<K: Kind + ?Sized>(sink: &mut Sink<'_, K>) -> WorkResult {
    sink.batch()?.map_or(Ok(()), commit)
}

/// Sends messages up to the one of this number.
fn send_up_to<K: Kind + ?Sized>(source: &mut Source<'_, K>, end: u32) -> WorkResult {
    let producer = source.index() as u32;
    (source.skip_sent() as u32..end).try_for_each(|number| Ok(K::send(source, [producer, number])?))
}

/// Sends so many.
fn send_more<K: Kind + ?Sized>(source: &mut Source<'_, K>, messages: u32) -> WorkResult {
    let number = source.skip_sent() as u32;
    send_up_to(source, number + messages)
}

/// Who dies, in what: consumers and producers before each step of this.
struct Lives<K: Kind + ?Sized> {
    consumers: usize,
    consume: fn(&mut Sink<'_, K>, u64) -> WorkResult,
    producers: usize,
    produce: fn(&mut Source<'_, K>, u64) -> WorkResult,
    /// How many steps that is, at least.
    span: u64,
}

/// Checks that every message has its effect once, and returns how many died.
fn run<K: Kind + ?Sized>(test: &str, lives: &Lives<K>) -> u64 {
    let counters = ShmName::new();
    let _of_roles = ["producer", "consumer"].map(|role| ShmName(format!("{}{role}", counters.0)));
    let messages = 30 * deaths() as u32;
    let mut times = vec![0u8; lives.producers * messages as usize];
    let harness = K::set_up(Harness::new(test))
        .under_test(test)
        .capacity(12 * lives.consumers)
        .params(counters.0.as_bytes())
        .replace_killed(2 * deaths() as usize)
        .producers(lives.producers, |source| {
            let at = death(&source.params(), "producer", lives.span);
            (lives.produce)(source, at)?;
            send_up_to(source, messages)
        })
        .consumers(lives.consumers, |sink| {
            let at = death(&sink.params(), "consumer", lives.span);
            (lives.consume)(sink, at)?;
            commit_all(sink)
        })
        .on_effect(|effect| {
            for [producer, number] in listed(effect) {
                times[(producer * messages + number) as usize] += 1;
            }
        });
    let report = match promptly(SOON, || harness.run()) {
        Ok(report) => report,
        // The report of all who died is long.
        Err(error) => panic!("{error}"),
    };
    let wrong = times.iter().position(|&times| times != 1);
    assert_eq!(wrong.map(|it| (it, times[it])), None, "not once");
    assert!(report.messages.is_exact(), "{}", report.messages);
    assert_eq!(report.messages.sent, times.len() as u64);
    u64::from(report.survived.kills)
}

/// Nobody.
fn nobody<K: Kind + ?Sized>() -> Lives<K> {
    Lives {
        consumers: 1,
        consume: |_, _| Ok(()),
        producers: 1,
        produce: |_, _| Ok(()),
        span: 60,
    }
}

fn of_a_commit<K: Kind + ?Sized>(test: &str, span: u64) {
    let died = run::<K>(
        test,
        &Lives {
            span,
            consume: |sink, at| {
                // Not the very first message: its number is that of a word that nobody wrote.
                commit_one(sink)?;
                let Some(batch) = sink.batch()? else {
                    return Ok(());
                };
                let effect = list(&batch);
                dying(at, || Ok(batch.commit(&effect)?))
            },
            ..nobody()
        },
    );
    assert_eq!(died, deaths());
}

/// The second one is written over the first one's place.
fn of_three_batches_and_their_commits<K: Kind + ?Sized>(test: &str, span: u64) {
    let died = run::<K>(
        test,
        &Lives {
            span,
            consume: |sink, at| dying(at, || (0..3).try_for_each(|_| commit_one(sink))),
            ..nobody()
        },
    );
    assert_eq!(died, deaths());
}

fn of_a_batch_that_is_given_back<K: Kind + ?Sized>(test: &str, span: u64) {
    let died = run::<K>(
        test,
        &Lives {
            span,
            consume: |sink, at| {
                dying(at, || {
                    drop(sink.batch()?);
                    Ok(())
                })
            },
            ..nobody()
        },
    );
    assert_eq!(died, deaths());
}

fn of_sending<K: Kind + ?Sized>(test: &str, span: u64) {
    let died = run::<K>(
        test,
        &Lives {
            span,
            produce: |source, at| dying(at, || send_more(source, 1)),
            ..nobody()
        },
    );
    assert_eq!(died, deaths());
}

fn of_all_of_them<K: Kind + ?Sized>(test: &str, span: u64) {
    let died = run::<K>(
        test,
        &Lives {
            consumers: 2,
            consume: |sink, at| dying(at, || (0..2).try_for_each(|_| commit_one(sink))),
            producers: 2,
            produce: |source, at| dying(at, || send_more(source, 2)),
            span,
        },
    );
    assert_eq!(died, 2 * deaths());
}

mod of_values {
    use super::*;

    #[test]
    fn of_a_commit() {
        super::of_a_commit::<Id>(test_name!(), 60);
    }

    #[test]
    fn of_three_batches_and_their_commits() {
        super::of_three_batches_and_their_commits::<Id>(test_name!(), 600);
    }

    #[test]
    fn of_a_batch_that_is_given_back() {
        super::of_a_batch_that_is_given_back::<Id>(test_name!(), 300);
    }

    #[test]
    fn of_sending() {
        super::of_sending::<Id>(test_name!(), 60);
    }

    #[test]
    fn of_all_of_them() {
        super::of_all_of_them::<Id>(test_name!(), 600);
    }
}

mod of_bytes {
    use super::*;

    #[test]
    fn of_a_commit() {
        super::of_a_commit::<[u8]>(test_name!(), 80);
    }

    #[test]
    fn of_three_batches_and_their_commits() {
        super::of_three_batches_and_their_commits::<[u8]>(test_name!(), 1200);
    }

    #[test]
    fn of_a_batch_that_is_given_back() {
        super::of_a_batch_that_is_given_back::<[u8]>(test_name!(), 450);
    }

    #[test]
    fn of_sending() {
        super::of_sending::<[u8]>(test_name!(), 250);
    }

    #[test]
    fn of_all_of_them() {
        super::of_all_of_them::<[u8]>(test_name!(), 1000);
    }
}
