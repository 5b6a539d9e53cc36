//! Streams of byte records between processes: every record, once, in order, whole.

mod common;

use common::bytes::{Sizes, len_of, record, unnamed};
use common::from_env;
use ipc_core::Wait;
use ipc_process::{Process, WorkResult, Worker, run_if_worker, test_name};
use ipc_queue::spsc::bytes::{ByteConsumer, ByteProducer, ByteRing};
use ipc_queue::spsc::{PopError, PushError};
use std::time::Duration;

const SCOPE: &str = "byte streams";
const SOON: Duration = Duration::from_millis(3);
const POLICIES: [Wait; 3] = [Wait::Busy, Wait::Adaptive, Wait::Park];

/// How both sides do it.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
enum Form {
    Try,
    Block,
    Timeout,
    Batch,
    TryBatch,
    InPlace,
    TryInPlace,
    InPlaceBatch,
    /// Each of them in turn.
    All,
}

const FORMS: [Form; 9] = [
    Form::Try,
    Form::Block,
    Form::Timeout,
    Form::Batch,
    Form::TryBatch,
    Form::InPlace,
    Form::TryInPlace,
    Form::InPlaceBatch,
    Form::All,
];

impl Form {
    fn at(self, number: u64) -> Self {
        match self {
            Form::All => FORMS[number as usize / 3 % (FORMS.len() - 1)],
            form => form,
        }
    }
}

/// Pushes the records from `sent` on, some of them, and returns how many.
fn push_some(
    tx: &mut ByteProducer,
    form: Form,
    sent: u64,
    most: u64,
    least: usize,
) -> Result<u64, PushError> {
    let max = tx.max_record();
    let make = |number| record(number, len_of(number, least, max));
    let many = || -> Vec<_> { (sent..sent + most).map(make).collect() };
    match form {
        Form::Try => tx.try_push(&make(sent)).map(|()| 1),
        Form::Block => tx.push(&make(sent)).map(|()| 1),
        Form::Timeout => tx.push_timeout(&make(sent), SOON).map(|()| 1),
        Form::Batch => tx.push_batch(&many()).map(|()| most),
        Form::TryBatch => tx.try_push_batch(&many()).map(|count| count as u64),
        Form::InPlace | Form::TryInPlace | Form::All => {
            let bytes = make(sent);
            // Now and then more is reserved than is used.
            let asked = if sent.is_multiple_of(5) {
                max
            } else {
                bytes.len()
            };
            let mut guard = match form {
                Form::InPlace => tx.reserve(asked)?,
                _ => tx.try_reserve(asked)?,
            };
            guard[..bytes.len()].copy_from_slice(&bytes);
            guard.commit(bytes.len())?;
            Ok(1)
        }
        Form::InPlaceBatch => {
            let mut batch = tx.batch();
            let mut count = 0;
            for number in sent..sent + most {
                let bytes = make(number);
                let added = match batch.try_reserve(bytes.len()) {
                    Ok(mut guard) => {
                        guard.copy_from_slice(&bytes);
                        guard.commit(bytes.len())
                    }
                    Err(error) => Err(error),
                };
                match added {
                    Ok(()) => count += 1,
                    Err(PushError::Full) if count > 0 => break,
                    Err(error) => return Err(error),
                }
            }
            batch.commit()?;
            Ok(count)
        }
    }
}

/// Takes some records, checks them, and returns how many; `None` at the end.
fn pop_some(
    rx: &mut ByteConsumer,
    form: Form,
    received: u64,
    most: u64,
    least: usize,
) -> Result<Option<u64>, PopError> {
    let max = rx.max_record();
    let check = |number, bytes: &[u8]| {
        assert!(
            bytes == record(number, len_of(number, least, max)),
            "record {number} is not what was sent: {bytes:?}"
        );
    };
    let mut into = vec![0; max];
    let len = match form {
        Form::Try => rx.try_pop_into(&mut into)?,
        Form::Block => rx.pop_into(&mut into)?,
        Form::Timeout => rx.pop_into_timeout(into.as_mut_slice(), SOON)?,
        Form::InPlace | Form::TryInPlace | Form::All => {
            let taken = match form {
                Form::InPlace => rx.take()?,
                _ => rx.try_take()?,
            };
            return Ok(taken.map(|bytes| {
                check(received, &bytes);
                1
            }));
        }
        Form::Batch | Form::TryBatch | Form::InPlaceBatch => {
            let batch = match form {
                Form::Batch => rx.take_batch(most as usize)?,
                Form::TryBatch => rx.try_take_batch(most as usize)?,
                _ => rx.take_batch_timeout(most as usize, SOON)?,
            };
            return Ok(batch.map(|batch| {
                assert!(!batch.is_empty());
                for (number, bytes) in (received..).zip(batch.iter()) {
                    check(number, bytes);
                }
                batch.len() as u64
            }));
        }
    };
    Ok(len.map(|len| {
        check(received, &into[..len]);
        1
    }))
}

/// The role: pushes so many records and closes.
fn produce(worker: &mut Worker) -> WorkResult {
    let [count, form, wait, least] = bytemuck::pod_read_unaligned::<[u64; 4]>(worker.params());
    let mut tx = ByteRing::open(worker.take_fd("ring")?)?.producer()?;
    tx.set_wait(POLICIES[wait as usize]);
    let mut sent = 0;
    while sent < count {
        let most = (1 + sent % 13).min(count - sent);
        match push_some(
            &mut tx,
            FORMS[form as usize].at(sent),
            sent,
            most,
            least as usize,
        ) {
            Ok(pushed) => sent += pushed,
            // One core for both would else be wasted on polling.
            Err(PushError::Full) => std::thread::yield_now(),
            Err(PushError::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(tx.close()?)
}

/// Bytes that go past the caches, with some before and behind the whole lines.
const LONG: usize = 4200;

/// The role: pushes so many long records of nothing but their number, and closes.
fn number_through(worker: &mut Worker) -> WorkResult {
    let count = bytemuck::pod_read_unaligned::<u64>(worker.params());
    let mut tx = ByteRing::open(worker.take_fd("ring")?)?.producer()?;
    let mut words = vec![0u64; LONG / 8];
    for number in 1..=count {
        words.fill(number);
        tx.push(bytemuck::cast_slice(&words))?;
    }
    Ok(tx.close()?)
}

fn become_worker() {
    run_if_worker(
        SCOPE,
        &[("produce", &produce), ("number_through", &number_through)],
    );
}

/// One stream from a worker to here.
fn stream(test: &str, sizes: Sizes, count: u64, form: usize, wait: usize, least: usize) {
    let ring = unnamed(sizes.capacity, sizes.max_record);
    let mut rx = ring.consumer().unwrap();
    rx.set_wait(POLICIES[wait]);
    let mut worker = Process::builder(SCOPE, "produce")
        .under_test(test)
        .params(bytemuck::bytes_of(&[
            count,
            form as u64,
            wait as u64,
            least as u64,
        ]))
        .fd("ring", ring.segment().descriptor().unwrap())
        .spawn()
        .unwrap();
    let mut received = 0;
    loop {
        // Other forms than those of the other side, so that they mix.
        let form = FORMS[form].at(received + 4);
        match pop_some(&mut rx, form, received, 1 + received % 17, least) {
            Ok(Some(popped)) => received += popped,
            Ok(None) => break,
            Err(PopError::Empty) => std::thread::yield_now(),
            Err(PopError::TimedOut) => {}
            Err(error) => panic!("{sizes:?} {form:?}: {error}"),
        }
    }
    assert_eq!(received, count, "{sizes:?}");
    assert_eq!(ring.pushed().unwrap(), ring.taken().unwrap());
    worker.join().unwrap().into_result().unwrap();
}

const fn sizes(capacity: usize, max_record: usize) -> Sizes {
    Sizes {
        capacity,
        max_record,
    }
}

#[test]
fn millions_of_records_of_random_lengths_arrive_whole() {
    become_worker();
    let count = from_env("IPC_QUEUE_MESSAGES", 2_000_000);
    stream(test_name!(), sizes(1 << 16, 100), count, 8, 1, 0);
    stream(test_name!(), sizes(10_000, 1500), count / 10, 8, 1, 0);
}

#[test]
fn records_as_long_as_the_ring_arrive_whole() {
    become_worker();
    for (capacity, max_record) in [(1 << 16, (1 << 16) - 8), (100_000, 99_992)] {
        stream(test_name!(), sizes(capacity, max_record), 3000, 8, 1, 0);
    }
}

/// What goes past the caches is there when the record is seen, the last of it, too.
#[test]
fn long_records_are_whole_as_soon_as_they_are_seen() {
    become_worker();
    let count = from_env("IPC_QUEUE_MESSAGES", 2_000_000) / 200;
    let ring = unnamed(64 * (LONG + 8), LONG);
    let mut rx = ring.consumer().unwrap();
    let mut worker = Process::builder(SCOPE, "number_through")
        .under_test(test_name!())
        .params(bytemuck::bytes_of(&count))
        .fd("ring", ring.segment().descriptor().unwrap())
        .spawn()
        .unwrap();
    let mut number = 0;
    while let Some(record) = rx.take().unwrap() {
        number += 1;
        let (words, _) = record.as_chunks();
        for (nth, word) in words.iter().enumerate().rev() {
            assert_eq!(u64::from_le_bytes(*word), number, "word {nth}");
        }
    }
    assert_eq!(number, count);
    worker.join().unwrap().into_result().unwrap();
}

#[test]
fn every_form_with_every_policy_carries_a_stream() {
    become_worker();
    for form in 0..FORMS.len() {
        for wait in 0..POLICIES.len() {
            stream(test_name!(), sizes(200, 100), 1_000, form, wait, 0);
        }
    }
}

#[test]
fn rings_of_every_size_carry_a_stream() {
    become_worker();
    for size in Sizes::around_boundaries() {
        stream(test_name!(), size, 500, 8, 1, 0);
        // Nothing but the longest.
        stream(test_name!(), size, 200, 8, 2, size.max_record);
    }
}
