//! Tests in processes of their own: for everything that concerns a whole process (descriptors,
//! limits, user, namespaces, signals, forks), and for races between processes.

use crate::patience::PATIENCE;
use crate::scratch::Scratch;
use ipc_process::{Process, Worker, run_if_worker};
use std::ffi::OsStr;
use std::io::{PipeReader, PipeWriter, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs `body` in a process that does nothing else, with a directory that is removed afterwards
/// however that process ends.
pub fn alone(test: &'static str, body: impl Fn(&Path)) {
    run_if_worker(
        test,
        &[("alone", &|worker: &mut Worker| {
            body(&scratch_of(worker));
            Ok(())
        })],
    );
    let scratch = Scratch::new();
    let mut process = Process::builder(test, "alone")
        .params(scratch.path().as_os_str().as_bytes())
        .under_test(test)
        .spawn()
        .unwrap();
    let exit = process.join_timeout(4 * PATIENCE).unwrap();
    exit.expect("the process hangs").into_result().unwrap();
}

/// The directory whose path came as the worker's parameters.
pub fn scratch_of(worker: &Worker) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(worker.params()))
}

/// Starts several workers of one role, which wait in [`at_start`] until all are there, and returns
/// their results.
pub fn race(test: &'static str, role: &str, count: usize, scratch: &Path) -> Vec<Vec<u8>> {
    let (hold, go) = start_line();
    let racers: Vec<_> = (0..count)
        .map(|i| racer(test, role, i, scratch, &hold))
        .collect();
    drop((hold, go));
    finish(racers)
}

/// One of several workers that wait in [`at_start`] until the other end of `hold` is closed.
pub fn racer(
    test: &'static str,
    role: &str,
    i: usize,
    scratch: &Path,
    hold: &PipeReader,
) -> Process {
    Process::builder(test, role)
        .name(format!("{role}-{i}"))
        .params(scratch.as_os_str().as_bytes())
        .fd("start", hold)
        .under_test(test)
        .spawn()
        .unwrap()
}

/// The end that racers wait at, and the one that lets them go by being closed.
pub fn start_line() -> (PipeReader, PipeWriter) {
    std::io::pipe().unwrap()
}

/// In a racer: waits for the start.
pub fn at_start(worker: &mut Worker) {
    let mut start = PipeReader::from(worker.take_fd("start").unwrap());
    assert_eq!(start.read(&mut [0]).unwrap(), 0);
}

/// The results of workers that must all succeed.
pub fn finish(workers: Vec<Process>) -> Vec<Vec<u8>> {
    workers
        .into_iter()
        .map(|mut worker| {
            let exit = worker.join_timeout(PATIENCE).unwrap();
            exit.expect("a worker hangs").into_result().unwrap()
        })
        .collect()
}

/// Spins for a time too short to sleep: the moment of a kill is to be met within microseconds.
pub fn spin_for(time: Duration) {
    let start = std::time::Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Says why a part of a test did not run.
pub fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}
