//! Producers and consumers of byte records killed at random moments, hundreds of them, with a
//! ledger of every record.
//!
//! Record `n` says `n`, and its length is made of its number, so the ledger shows what was lost,
//! doubled or torn, and the ring whether its stream ends between two records.

mod common;

use common::bytes::{len_of, number_of, record};
use common::from_env;
use common::kills::{self, LAST, Ledger, Stage, say_ready, wait_of};
use ipc_core::{Place, Segment};
use ipc_process::{WorkResult, Worker, run_if_worker, test_name};
use ipc_queue::spsc::bytes::{ByteConsumer, ByteProducer, ByteRing};
use ipc_queue::spsc::{PopError, Producer, PushError, Ring};
use std::time::Duration;

/// How both sides work.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Pop, then report: at most the one popped last is lost with a consumer.
    PopFirst,
    /// Take in place, report, release: nothing is lost, and at most the last is reported twice.
    ReportFirst,
    /// As the second, many at a time, and pushed many at a time.
    Batches,
    /// As the third, written in place.
    BatchesInPlace,
}

const MODES: [Mode; 4] = [
    Mode::PopFirst,
    Mode::ReportFirst,
    Mode::Batches,
    Mode::BatchesInPlace,
];
const MOST: u64 = 16;

fn len(number: u64, max_record: usize) -> usize {
    len_of(number, 8, max_record)
}

/// The number of the record that begins after so many bytes of the stream.
fn number_at(bytes: u64, max_record: usize) -> u64 {
    let (mut at, mut number) = (0, 0);
    while at < bytes {
        at += 8 + len(number, max_record).next_multiple_of(8) as u64;
        number += 1;
    }
    assert_eq!(at, bytes, "the stream ends within a record");
    number
}

/// Pushes records from `next` on, and returns how many.
fn push_some(tx: &mut ByteProducer, mode: Mode, next: u64) -> Result<u64, PushError> {
    let max = tx.max_record();
    let make = |number| record(number, len(number, max));
    match mode {
        Mode::PopFirst => tx.push(&make(next)).map(|()| 1),
        Mode::ReportFirst => {
            let bytes = make(next);
            let mut guard = tx.reserve(max)?;
            guard[..bytes.len()].copy_from_slice(&bytes);
            guard.commit(bytes.len()).map(|()| 1)
        }
        Mode::Batches => {
            let many: Vec<_> = (next..next + MOST).map(make).collect();
            tx.push_batch_timeout(&many, Duration::MAX)
                .map(|count| count as u64)
        }
        Mode::BatchesInPlace => {
            // Waits for room.
            drop(tx.reserve(max)?);
            let mut batch = tx.batch();
            let mut count = 0;
            while count < MOST {
                let bytes = make(next + count);
                match batch.try_reserve(bytes.len()) {
                    Ok(mut guard) => {
                        guard.copy_from_slice(&bytes);
                        guard.commit(bytes.len())?;
                    }
                    Err(PushError::Full | PushError::ConsumerDied) => break,
                    Err(error) => return Err(error),
                }
                count += 1;
            }
            batch.commit().map(|()| count)
        }
    }
}

fn produce(worker: &mut Worker) -> WorkResult {
    let (mode, last) = kills::params(worker);
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let ring = ByteRing::open_in(&segment, "data")?;
    let mut tx = ring.producer()?;
    tx.set_wait(wait_of(std::process::id()));
    // A record's number is its place in the stream: what is committed is known from the ring.
    let mut next = number_at(ring.pushed()?, ring.max_record());
    let end = next + LAST;
    say_ready(worker)?;
    while !last || next < end {
        match push_some(&mut tx, MODES[mode], next) {
            Ok(count) => next += count,
            Err(PushError::ConsumerDied) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(tx.close()?)
}

/// The number of a record, if it is whole and of its own length.
fn read(bytes: &[u8], max_record: usize) -> u64 {
    let number = number_of(bytes);
    assert_eq!(bytes.len(), len(number, max_record));
    number
}

/// Takes some records and reports them; `None` at the end.
fn report_some(
    rx: &mut ByteConsumer,
    mode: Mode,
    book: &mut Producer<u64>,
) -> Result<Option<Result<(), PushError>>, PopError> {
    let max = rx.max_record();
    match mode {
        Mode::PopFirst => {
            let mut bytes = Vec::new();
            let popped = rx.pop_into(&mut bytes)?;
            Ok(popped.map(|_| book.push(read(&bytes, max))))
        }
        Mode::ReportFirst => Ok(rx.take()?.map(|bytes| book.push(read(&bytes, max)))),
        Mode::Batches | Mode::BatchesInPlace => Ok(rx.take_batch(MOST as usize)?.map(|batch| {
            let numbers: Vec<_> = batch.iter().map(|bytes| read(bytes, max)).collect();
            book.push_slice(&numbers)
        })),
    }
}

fn consume(worker: &mut Worker) -> WorkResult {
    let (mode, _) = kills::params(worker);
    let segment = Segment::open(worker.take_fd("segment")?)?;
    let mut rx = ByteRing::open_in(&segment, "data")?.consumer()?;
    let mut book = Ring::<u64>::open_in(&segment, "ledger")?.producer()?;
    rx.set_wait(wait_of(std::process::id()));
    say_ready(worker)?;
    loop {
        match report_some(&mut rx, MODES[mode], &mut book) {
            Ok(Some(reported)) => reported?,
            Ok(None) => return Ok(book.close()?),
            Err(PopError::ProducerDied) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn become_worker() {
    run_if_worker(
        "byte kills",
        &[("produce", &produce), ("consume", &consume)],
    );
}

fn run(test: &str, mode: Mode, sizes: (usize, usize), kills: u64, seed: u64) -> Ledger {
    let (capacity, max_record) = sizes;
    let size =
        ByteRing::size_for(capacity, max_record).unwrap() + Ring::<u64>::size_for(64).unwrap();
    let segment = Segment::create(Place::memfd("kills"), size).unwrap();
    let data = ByteRing::create_in(&segment, "data", capacity, max_record).unwrap();
    let book = Ring::<u64>::create_in(&segment, "ledger", 64).unwrap();
    let stage = Stage {
        segment: &segment,
        scope: "byte kills",
        test,
        mode: MODES.iter().position(|&it| it == mode).unwrap(),
        most_held: match mode {
            Mode::PopFirst => 0,
            Mode::ReportFirst => 1,
            Mode::Batches | Mode::BatchesInPlace => MOST,
        },
    };
    let (ledger, at_work) = stage.run(&book, || data.pushed().unwrap(), kills, seed);
    let pushed = data.pushed().unwrap();
    assert_eq!(data.taken().unwrap(), pushed, "all was taken");
    ledger.check(number_at(pushed, max_record), at_work, kills);
    ledger
}

/// Room for one record, and for many.
const SIZES: [(usize, usize); 2] = [(208, 200), (5000, 400)];

#[test]
fn a_popped_record_is_all_that_a_killed_consumer_can_take_along() {
    become_worker();
    let kills = from_env("IPC_QUEUE_KILLS", 200);
    for (seed, sizes) in (1..).zip(SIZES) {
        let ledger = run(test_name!(), Mode::PopFirst, sizes, kills, seed);
        assert_eq!(ledger.repeated, 0, "{ledger:?}");
        // One for each consumer that was killed, and no producer's death cost any.
        assert!(ledger.missing <= kills / 2, "{ledger:?}");
    }
}

#[test]
fn nothing_is_lost_by_who_reports_before_it_releases() {
    become_worker();
    let kills = from_env("IPC_QUEUE_KILLS", 200);
    for (seed, sizes) in (3..).zip(SIZES) {
        let ledger = run(test_name!(), Mode::ReportFirst, sizes, kills, seed);
        assert_eq!(ledger.missing, 0, "{ledger:?}");
        assert!(ledger.repeated <= kills / 2, "{ledger:?}");
    }
}

#[test]
fn nor_is_anything_of_batches() {
    become_worker();
    let kills = from_env("IPC_QUEUE_KILLS", 200);
    for (seed, mode) in (5..).zip([Mode::Batches, Mode::BatchesInPlace]) {
        let ledger = run(test_name!(), mode, SIZES[1], kills, seed);
        assert_eq!(ledger.missing, 0, "{ledger:?}");
        assert!(ledger.repeated <= kills / 2 * MOST, "{ledger:?}");
    }
}
