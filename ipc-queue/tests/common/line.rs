//! A line between two processes, so that tests wait for events and never for time.

use super::PATIENCE;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// One end of a socket pair that carries pairs of words.
#[derive(Debug)]
pub struct Line(UnixStream);

impl Line {
    pub fn pair() -> (Line, Line) {
        let (a, b) = UnixStream::pair().unwrap();
        (Self::over(a), Self::over(b))
    }

    pub fn over(stream: impl Into<OwnedFd>) -> Self {
        Self(UnixStream::from(stream.into()))
    }

    pub fn say(&self, words: [u64; 2]) {
        (&self.0)
            .write_all(bytemuck::bytes_of(&words))
            .expect("the other end listens");
    }

    /// The next pair; `None` when the other end is gone. The test waits for no longer than
    /// [`PATIENCE`].
    pub fn hear(&self) -> Option<[u64; 2]> {
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        self.read()
    }

    /// As [`hear`](Self::hear), for workers, which wait for as long as their parent lives.
    pub fn obey(&self) -> Option<[u64; 2]> {
        self.0.set_read_timeout(None).unwrap();
        self.read()
    }

    fn read(&self) -> Option<[u64; 2]> {
        let mut words = [0; 2];
        match (&self.0).read_exact(bytemuck::bytes_of_mut(&mut words)) {
            Ok(()) => Some(words),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                None
            }
            Err(error) => panic!("the other end does not answer: {error}"),
        }
    }
}

impl From<Line> for OwnedFd {
    fn from(line: Line) -> Self {
        line.0.into()
    }
}
