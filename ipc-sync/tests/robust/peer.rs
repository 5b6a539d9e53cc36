//! Another process that does one thing with an opening of the segment of its own.

use super::{Forked, PATIENCE};
use ipc_core::Segment;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// One end of a line that carries words.
pub struct Line(UnixStream);

impl Line {
    fn pair() -> (Self, Self) {
        let (a, b) = UnixStream::pair().unwrap();
        for end in [&a, &b] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        (Self(a), Self(b))
    }

    pub fn say(&self, word: u64) {
        (&self.0).write_all(&word.to_ne_bytes()).unwrap();
    }

    /// Waits for the next word.
    #[track_caller]
    pub fn hear(&self) -> u64 {
        let mut word = [0; 8];
        let heard = (&self.0).read_exact(&mut word);
        heard.expect("the other end says something");
        u64::from_ne_bytes(word)
    }

    /// Says a word, and waits to be told to go on.
    pub fn say_and_wait(&self, word: u64) {
        self.say(word);
        self.hear();
    }
}

/// A process forked from the test. Killed and reaped on drop.
pub struct Peer {
    pub line: Line,
    child: Forked,
}

impl Peer {
    pub fn start(segment: &Segment, body: impl FnOnce(&Segment, &Line)) -> Self {
        let (line, theirs) = Line::pair();
        let segment = segment.descriptor().unwrap();
        let child = Forked::run(|| {
            let segment = Segment::open(segment).unwrap();
            body(&segment, &theirs);
            drop(segment);
            0
        });
        Self { line, child }
    }

    /// Starts it, and waits until it has said a word.
    pub fn ready(segment: &Segment, body: impl FnOnce(&Segment, &Line)) -> Self {
        let peer = Self::start(segment, body);
        peer.line.hear();
        peer
    }

    /// Stops it, wherever it is, and waits until it is stopped.
    pub fn stop(&self) {
        kill(self.child.pid(), Signal::SIGSTOP).unwrap();
        waitpid(self.child.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
    }

    pub fn resume(&self) {
        kill(self.child.pid(), Signal::SIGCONT).unwrap();
    }

    /// Kills it and waits until it is gone.
    pub fn kill(self) {
        self.child.kill();
    }

    /// Whether it sleeps in the kernel, on a futex.
    pub fn sleeps(&self) -> bool {
        let path = format!("/proc/{}/syscall", self.child.pid());
        let call = std::fs::read_to_string(path).unwrap_or_default();
        call.split(' ').next() == Some(&libc::SYS_futex.to_string())
    }

    /// Waits for its end, which must be a good one.
    #[track_caller]
    pub fn join(self) {
        assert_eq!(self.child.join(), Ok(0));
    }
}
