//! A program that runs a harness: this test again, in a process that is no worker, so that it can
//! be sent signals, be killed, and be looked at alone.

use super::{PATIENCE, pidfd};
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const SCENE: &str = "HARNESS_TEST_SCENE";

/// In the driver and its workers: what they are to play.
pub fn scene() -> Option<String> {
    std::env::var(SCENE).ok()
}

/// The driver, which leads a process group of its own. Dropping it kills it.
pub struct Driver {
    child: Child,
    said: Receiver<String>,
    heard: Vec<String>,
}

/// How a family ended: who is no child of the test cannot be waited for otherwise.
#[derive(Debug)]
pub struct End {
    pub signal: Option<i32>,
    pub code: Option<i32>,
    /// What nobody has heard.
    pub said: Vec<String>,
}

impl Driver {
    pub fn start(test: &str, scene: &str) -> Self {
        // Tests that a script runs in the background begin with SIGINT ignored, as the driver would.
        // SAFETY: the default action runs no code of ours.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(SCENE, scene)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (say, said) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Nobody listens after a failed test.
                let _ = say.send(line);
            }
        });
        Self {
            child,
            said,
            heard: Vec::new(),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The rest of a line that begins with `@` and this; each line is heard once.
    pub fn hear(&mut self, start: &str) -> String {
        let rest_of = |line: &String| {
            let rest = line.strip_prefix('@')?.strip_prefix(start)?;
            Some(rest.trim().to_owned())
        };
        if let Some(at) = self.heard.iter().position(|line| rest_of(line).is_some()) {
            return rest_of(&self.heard.remove(at)).unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(line) => match rest_of(&line) {
                    Some(rest) => return rest,
                    None => self.heard.push(line),
                },
                Err(error) => panic!("{error} before @{start}; heard {:#?}", self.heard),
            }
        }
    }

    /// The processes of the workers, who say `@worker <pid>` at their very start; those that have
    /// ended may be left out.
    pub fn workers(&mut self) -> Vec<(u32, OwnedFd)> {
        (0..2)
            .map(|_| self.hear("worker ").parse().unwrap())
            .filter_map(|pid| Some((pid, pidfd(pid)?)))
            .collect()
    }

    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: a system call on plain numbers. The number is still our child's: not reaped.
        assert_eq!(unsafe { libc::kill(self.pid() as i32, signal) }, 0);
    }

    /// As the terminal does it: to the workers too.
    pub fn signal_group(&self, signal: libc::c_int) {
        // SAFETY: as above; the driver leads the group.
        assert_eq!(unsafe { libc::kill(-(self.pid() as i32), signal) }, 0);
    }

    /// Waits until the driver and everybody who inherited its standard error has ended.
    pub fn end(mut self, limit: Duration) -> End {
        let deadline = Instant::now() + limit;
        let mut said = std::mem::take(&mut self.heard);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("somebody of the family still lives; heard {said:#?}")
                }
            }
        }
        let status = self.child.wait().unwrap();
        End {
            signal: status.signal(),
            code: status.code(),
            said,
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
