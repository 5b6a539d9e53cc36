//! Every transport between two processes: each message arrives exactly once, and an end that is
//! gone is told from one that is done.

use std::{
    ffi::OsStr,
    fs::File,
    io::Read as _,
    num::NonZeroUsize,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use baseline::{
    Error, Ledger, Polling, Received, Receiver, Report, Sender, Stamped, append_file, json_file,
    pipe,
};
use ipc_process::{Builder, Process, WorkResult, Worker, join_any, run_if_worker, test_name};

const SCOPE: &str = "baseline";
const PRODUCER: u32 = 7;
const CAPACITY: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// For what takes less than a second unless something hangs.
const DEADLINE: Duration = Duration::from_secs(60);

fn queue_path(worker: &Worker) -> PathBuf {
    OsStr::from_bytes(worker.params()).into()
}

fn worker(test: &str, role: &str, path: &Path) -> Builder {
    Process::builder(SCOPE, role)
        .params(path.as_os_str().as_bytes())
        .under_test(test)
}

/// Messages of all lengths from 0 to 99 bytes, mostly not UTF-8.
fn produce(mut sender: impl Sender, count: u64) -> WorkResult {
    let mut message = Vec::new();
    for sequence in 0..count {
        let payload = vec![sequence as u8; sequence as usize % 100];
        Stamped {
            producer: PRODUCER,
            sequence,
            payload: &payload,
        }
        .encode(&mut message);
        sender.send(&message)?;
    }
    Ok(sender.finish()?)
}

fn consume(worker: &mut Worker, mut receiver: impl Receiver, count: u64) -> WorkResult {
    let mut ledger = Ledger::new(PRODUCER);
    let mut message = Vec::new();
    while receiver.receive(&mut message)? == Received::Message {
        ledger.record(&message);
    }
    Ok(worker.set_result(&serde_json::to_vec(&ledger.report(count))?)?)
}

/// Waits for all, whichever fails first, for the others may wait for it without end.
fn join_all<const N: usize>(mut processes: [Process; N]) -> [Vec<u8>; N] {
    let mut results = [const { Vec::new() }; N];
    for _ in 0..N {
        let ended = join_any(&mut processes, Some(DEADLINE)).unwrap();
        let index = ended.expect("a process hangs");
        let exit = processes[index].join().unwrap();
        results[index] = exit.into_result().unwrap();
    }
    results
}

/// Waits for both and checks the consumer's report.
fn assert_exactly_once(producer: Process, consumer: Process, count: u64) {
    let [_, result] = join_all([producer, consumer]);
    let report: Report = serde_json::from_slice(&result).unwrap();
    assert!(report.is_exactly_once(), "{report:?}");
    assert_eq!(report.received, count);
}

#[test]
fn json_file_delivers_exactly_once_within_its_capacity() {
    const COUNT: u64 = 400;
    let polling = Polling::default();
    run_if_worker(
        SCOPE,
        &[
            ("producer", &|worker| {
                produce(
                    json_file::JsonSender::open(queue_path(worker), CAPACITY, polling)?,
                    COUNT,
                )
            }),
            ("consumer", &|worker| {
                let path = queue_path(worker);
                let receiver = json_file::JsonReceiver::open(&path, polling)?;
                wait_until_full(&path);
                consume(worker, Bounded { receiver, path }, COUNT)
            }),
        ],
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue.json");
    json_file::create(&path).unwrap();
    let producer = worker(test_name!(), "producer", &path).spawn().unwrap();
    let consumer = worker(test_name!(), "consumer", &path).spawn().unwrap();
    assert_exactly_once(producer, consumer, COUNT);
}

/// A receiver that looks whether the queue keeps to its capacity.
struct Bounded {
    receiver: json_file::JsonReceiver,
    path: PathBuf,
}

impl Receiver for Bounded {
    fn receive(&mut self, into: &mut Vec<u8>) -> baseline::Result<Received> {
        assert!(queue_len(&self.path) <= CAPACITY.get());
        self.receiver.receive(into)
    }
}

/// How many messages are in the file, read as anybody would who knows its format.
fn queue_len(path: &Path) -> usize {
    let mut file = File::open(path).unwrap();
    file.lock_shared().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    document["messages"].as_array().unwrap().len()
}

/// The sender fills the queue and must then wait. Nothing tells of a change of a file, so that it
/// is looked at again and again.
fn wait_until_full(path: &Path) {
    let deadline = Instant::now() + DEADLINE;
    while queue_len(path) < CAPACITY.get() {
        assert!(
            Instant::now() < deadline,
            "the sender does not fill the queue"
        );
        thread::yield_now();
    }
}

#[test]
fn append_file_delivers_exactly_once() {
    const COUNT: u64 = 5_000;
    run_if_worker(
        SCOPE,
        &[
            ("producer", &|worker| {
                produce(append_file::AppendSender::open(queue_path(worker))?, COUNT)
            }),
            ("consumer", &|worker| {
                let polling = Polling::default();
                let receiver = append_file::AppendReceiver::open(queue_path(worker), polling)?;
                consume(worker, receiver, COUNT)
            }),
        ],
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue");
    append_file::create(&path).unwrap();
    let consumer = worker(test_name!(), "consumer", &path).spawn().unwrap();
    let producer = worker(test_name!(), "producer", &path).spawn().unwrap();
    assert_exactly_once(producer, consumer, COUNT);
}

fn pipe_sender(worker: &mut Worker) -> Result<pipe::PipeSender, ipc_process::Error> {
    Ok(worker.take_fd("pipe")?.into())
}

fn pipe_receiver(worker: &mut Worker) -> Result<pipe::PipeReceiver, ipc_process::Error> {
    Ok(worker.take_fd("pipe")?.into())
}

/// A process at each end of a pipe, of which this one keeps none.
fn at_both_ends(test: &str) -> (Process, Process) {
    let (sender, receiver) = pipe::pair().unwrap();
    let at = |role, end: &dyn Fn(Builder) -> Builder| {
        end(Process::builder(SCOPE, role).under_test(test))
            .spawn()
            .unwrap()
    };
    let producer = at("producer", &|builder| builder.fd("pipe", &sender));
    let consumer = at("consumer", &|builder| builder.fd("pipe", &receiver));
    (producer, consumer)
}

#[test]
fn pipe_delivers_exactly_once() {
    // Many times what a pipe holds, so that the sender has to wait.
    const COUNT: u64 = 50_000;
    run_if_worker(
        SCOPE,
        &[
            ("producer", &|worker| produce(pipe_sender(worker)?, COUNT)),
            ("consumer", &|worker| {
                let receiver = pipe_receiver(worker)?;
                consume(worker, receiver, COUNT)
            }),
        ],
    );
    let (producer, consumer) = at_both_ends(test_name!());
    assert_exactly_once(producer, consumer, COUNT);
}

#[test]
fn a_pipe_tells_of_a_sender_that_ended_without_finishing() {
    run_if_worker(
        SCOPE,
        &[
            ("producer", &|worker| {
                Ok(pipe_sender(worker)?.send(b"last words")?)
            }),
            ("consumer", &|worker| {
                let mut receiver = pipe_receiver(worker)?;
                let mut message = Vec::new();
                assert_eq!(receiver.receive(&mut message)?, Received::Message);
                assert_eq!(message, b"last words");
                let error = receiver.receive(&mut message).unwrap_err();
                assert!(matches!(error, Error::PeerGone { .. }), "{error}");
                Ok(())
            }),
        ],
    );
    let (producer, consumer) = at_both_ends(test_name!());
    join_all([producer, consumer]);
}

#[test]
fn a_pipe_tells_of_a_receiver_that_is_gone() {
    run_if_worker(
        SCOPE,
        &[
            ("producer", &|worker| {
                let mut sender = pipe_sender(worker)?;
                // As many as it takes: some fit into the pipe while the receiver still lives.
                let error = loop {
                    if let Err(error) = sender.send(b"anybody there?") {
                        break error;
                    }
                };
                assert!(matches!(error, Error::PeerGone { .. }), "{error}");
                Ok(())
            }),
            ("consumer", &|worker| {
                let received = pipe_receiver(worker)?.receive(&mut Vec::new())?;
                assert_eq!(received, Received::Message);
                Ok(())
            }),
        ],
    );
    let (producer, consumer) = at_both_ends(test_name!());
    join_all([producer, consumer]);
}
