//! A line between two processes, so that tests wait for events and never for time.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A test that hears nothing for this long has failed; a correct one never waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// One end of a socket pair that carries bytes and words.
#[derive(Debug)]
pub struct Line(UnixStream);

impl Line {
    /// Both ends.
    pub fn pair() -> (Line, Line) {
        let (a, b) = UnixStream::pair().unwrap();
        (Self::over(a), Self::over(b))
    }

    pub fn over(stream: impl Into<OwnedFd>) -> Self {
        let stream = UnixStream::from(stream.into());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    pub fn number(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub fn say(&self, byte: u8) {
        (&self.0).write_all(&[byte]).unwrap();
    }

    pub fn hear(&self) -> u8 {
        let mut byte = [0];
        (&self.0)
            .read_exact(&mut byte)
            .expect("the other end answers");
        byte[0]
    }

    fn read(&self) -> std::io::Result<usize> {
        loop {
            match (&self.0).read(&mut [0]) {
                // Stopped and continued: that ends a read with a time-out.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Waits until the other end says something or is gone.
    pub fn wait(&self) {
        let _ = self.read();
    }

    /// Waits for exactly this byte.
    #[track_caller]
    pub fn expect(&self, byte: u8) {
        let heard = self.hear();
        assert_eq!(char::from(heard), char::from(byte));
    }

    pub fn say_word(&self, word: u64) {
        (&self.0).write_all(&word.to_ne_bytes()).unwrap();
    }

    pub fn hear_word(&self) -> u64 {
        let mut word = [0; 8];
        (&self.0)
            .read_exact(&mut word)
            .expect("the other end answers");
        u64::from_ne_bytes(word)
    }

    /// Lets the other end hear the end, whoever has copies of this one.
    pub fn hang_up(&self) {
        self.0.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Waits until no process has the other end any more.
    pub fn hear_the_end(&self) {
        match self.read() {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("not the end of the line: {other:?}"),
        }
    }
}

impl From<Line> for OwnedFd {
    fn from(line: Line) -> Self {
        line.0.into()
    }
}
