//! What the tests of several guarantees need. Each test program uses a part of it.
#![allow(dead_code, reason = "each test program uses some of it")]

pub mod forked;
pub mod stepped;
pub mod words;

use ipc_core::{Place, Segment, Wait};
use ipc_process::{Process, Worker};
use ipc_sync::{Event, Reset};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// What takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const POLICIES: [Wait; 3] = [Wait::Busy, Wait::Adaptive, Wait::Park];

/// A segment with an event called `event` in it.
pub fn event(reset: Reset) -> (Segment, Event) {
    let segment = Segment::create(Place::memfd("test"), 4096).unwrap();
    let event = Event::create_in(&segment, "event", reset).unwrap();
    (segment, event)
}

/// Polls for what another process does without telling anybody.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Whether somebody has announced to sleep until the event is set.
pub fn somebody_sleeps(segment: &Segment) -> bool {
    let offset = segment.objects().unwrap()[0].offset;
    let mut words = [0; 8];
    File::from(segment.descriptor().unwrap())
        .read_exact_at(&mut words, offset)
        .unwrap();
    // The state, then the bell, which is odd while somebody sleeps.
    u32::from_ne_bytes(words[4..].try_into().unwrap()) % 2 == 1
}

/// A worker that uses the event, and what it tells: one byte at a time.
pub struct Peer {
    pub process: Process,
    told: PipeReader,
}

impl Peer {
    pub fn start(scope: &str, role: &str, test: &str, segment: &Segment, params: &[u8]) -> Self {
        Self::start_with(scope, role, test, segment, params, |it| it)
    }

    /// With more settings.
    pub fn start_with(
        scope: &str,
        role: &str,
        test: &str,
        segment: &Segment,
        params: &[u8],
        more: impl FnOnce(ipc_process::Builder) -> ipc_process::Builder,
    ) -> Self {
        let (told, tell) = std::io::pipe().unwrap();
        let builder = Process::builder(scope, role)
            .under_test(test)
            .params(params)
            .fd("segment", segment.descriptor().unwrap())
            .fd("tell", tell);
        let process = more(builder).spawn().unwrap();
        Self { process, told }
    }

    /// Waits for the next byte.
    #[track_caller]
    pub fn hear(&mut self) -> u8 {
        let mut byte = [0];
        self.told.read_exact(&mut byte).expect("it says something");
        byte[0]
    }

    /// How many bytes it has told and nobody has heard, which are taken. Does not wait.
    pub fn told_so_far(&mut self) -> usize {
        let mut ready = [nix::poll::PollFd::new(
            std::os::fd::AsFd::as_fd(&self.told),
            nix::poll::PollFlags::POLLIN,
        )];
        let now = nix::poll::PollTimeout::ZERO;
        if nix::poll::poll(&mut ready, now).unwrap() == 0 {
            return 0;
        }
        self.told.read(&mut [0; 1024]).unwrap()
    }

    /// Kills it and keeps what it told.
    pub fn kill_and_keep(mut self) -> PipeReader {
        self.process.kill().unwrap();
        let exit = self.process.join().unwrap();
        // Else it had ended by itself.
        assert_eq!(
            exit.status,
            ipc_process::ExitStatusKind::Signal(9),
            "{exit}"
        );
        self.told
    }

    pub fn kill(self) {
        self.kill_and_keep();
    }

    #[track_caller]
    pub fn finish(mut self) -> Vec<u8> {
        let exit = self.process.join_timeout(PATIENCE).unwrap();
        exit.expect("it ends").into_result().unwrap()
    }
}

/// The worker's side: the event and the voice.
pub fn joined(worker: &mut Worker) -> (Event, PipeWriter) {
    let segment = Segment::open(worker.take_fd("segment").unwrap()).unwrap();
    let mut event = Event::open_in(&segment, "event").unwrap();
    if let Some(&policy) = worker.params().first() {
        event.set_wait(POLICIES[policy as usize]);
    }
    (event, worker.take_fd("tell").unwrap().into())
}

pub fn tell(mut to: &PipeWriter, byte: u8) {
    to.write_all(&[byte]).unwrap();
}

/// How many bytes are left in a pipe that nobody writes to any more.
pub fn rest_of(pipe: &mut PipeReader) -> usize {
    pipe.read_to_end(&mut Vec::new()).unwrap()
}
