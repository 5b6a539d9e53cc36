//! Workers of a harness killed at every instruction, one after the other: every effect happens
//! once, and the account is exact.

#![cfg(target_arch = "x86_64")]

mod common;
mod harness_common;

use common::{ShmName, from_env};
use harness_common::promptly;
use harness_common::worker::kill_me;
use ipc_queue::harness::{Batch, Harness, Sink, Source, WorkResult, test_name};
use nix::sys::signal::Signal::SIGKILL;
use std::fs::OpenOptions;
use std::io::{Seek, Write};
use std::time::Duration;
use test_kit::stepper::{NEVER, run_to};

const SOON: Duration = Duration::from_secs(120);

/// A message says whose it is and which one.
type Message = [u32; 2];

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

fn commit(batch: Batch<'_, '_, Message>) -> WorkResult {
    let effect: Vec<u8> = bytemuck::cast_slice(&batch).to_vec();
    Ok(batch.commit(&effect)?)
}

fn commit_all(sink: &mut Sink<'_, Message>) -> WorkResult {
    while let Some(batch) = sink.batch()? {
        commit(batch)?;
    }
    Ok(())
}

fn commit_one(sink: &mut Sink<'_, Message>) -> WorkResult {
    sink.batch()?.map_or(Ok(()), commit)
}

fn send_all(source: &mut Source<'_, Message>, messages: u32) -> WorkResult {
    let producer = source.index() as u32;
    (source.skip_sent() as u32..messages)
        .try_for_each(|number| Ok(source.send([producer, number])?))
}

/// Who dies, in what: consumers and producers before each step of this.
struct Lives {
    consumers: usize,
    consume: fn(&mut Sink<'_, Message>, u64) -> WorkResult,
    producers: usize,
    produce: fn(&mut Source<'_, Message>, u64) -> WorkResult,
    /// How many steps that is, at least.
    span: u64,
}

/// Checks that every message has its effect once, and returns how many died.
fn run(test: &str, lives: &Lives) -> u64 {
    let counters = ShmName::new();
    let _of_roles = ["producer", "consumer"].map(|role| ShmName(format!("{}{role}", counters.0)));
    let messages = 30 * deaths() as u32;
    let mut times = vec![0u8; lives.producers * messages as usize];
    let harness = Harness::new(test)
        .under_test(test)
        .capacity(12 * lives.consumers)
        .params(counters.0.as_bytes())
        .replace_killed(2 * deaths() as usize)
        .producers(lives.producers, |source| {
            let at = death(&source.params(), "producer", lives.span);
            (lives.produce)(source, at)?;
            send_all(source, messages)
        })
        .consumers(lives.consumers, |sink| {
            let at = death(&sink.params(), "consumer", lives.span);
            (lives.consume)(sink, at)?;
            commit_all(sink)
        })
        .on_effect(|effect| {
            for &[producer, number] in bytemuck::cast_slice::<_, Message>(effect) {
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

/// Consumers alone.
const OF_CONSUMERS: Lives = Lives {
    consumers: 1,
    consume: |_, _| Ok(()),
    producers: 1,
    produce: |_, _| Ok(()),
    span: 60,
};

#[test]
fn of_a_commit() {
    let died = run(
        test_name!(),
        &Lives {
            consume: |sink, at| {
                // Not the very first message: its number is that of a word that nobody wrote.
                commit_one(sink)?;
                let Some(batch) = sink.batch()? else {
                    return Ok(());
                };
                dying(at, || commit(batch))
            },
            ..OF_CONSUMERS
        },
    );
    assert_eq!(died, deaths());
}

/// The second one is written over the first one's place.
#[test]
fn of_three_batches_and_their_commits() {
    let died = run(
        test_name!(),
        &Lives {
            span: 600,
            consume: |sink, at| dying(at, || (0..3).try_for_each(|_| commit_one(sink))),
            ..OF_CONSUMERS
        },
    );
    assert_eq!(died, deaths());
}

#[test]
fn of_a_batch_that_is_given_back() {
    let died = run(
        test_name!(),
        &Lives {
            span: 300,
            consume: |sink, at| {
                dying(at, || {
                    drop(sink.batch()?);
                    Ok(())
                })
            },
            ..OF_CONSUMERS
        },
    );
    assert_eq!(died, deaths());
}

#[test]
fn of_sending() {
    let died = run(
        test_name!(),
        &Lives {
            produce: |source, at| {
                let number = source.skip_sent() as u32;
                dying(at, || Ok(source.send([0, number])?))
            },
            ..OF_CONSUMERS
        },
    );
    assert_eq!(died, deaths());
}

#[test]
fn of_all_of_them() {
    let died = run(
        test_name!(),
        &Lives {
            consumers: 2,
            consume: |sink, at| dying(at, || (0..2).try_for_each(|_| commit_one(sink))),
            producers: 2,
            produce: |source, at| {
                let producer = source.index() as u32;
                let number = source.skip_sent() as u32;
                dying(at, || {
                    (number..number + 2).try_for_each(|it| Ok(source.send([producer, it])?))
                })
            },
            span: 600,
        },
    );
    assert_eq!(died, 2 * deaths());
}
