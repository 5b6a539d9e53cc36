//! Worker processes that are attached to the test's segment.

use super::line::Line;
use ipc_core::Segment;
use ipc_process::{Process, Worker};
use std::os::fd::{AsFd, OwnedFd};

/// A worker and the line to it. Killed and reaped on drop.
pub struct Peer {
    pub line: Line,
    pub process: Process,
}

impl Peer {
    /// Starts a worker of the test (whose name is the scope too) with the segment's descriptor.
    pub fn start(test: &str, role: &str, segment: &Segment) -> Self {
        Self::start_with(test, role, segment.descriptor().unwrap(), &[])
    }

    /// The same with parameters and any descriptor in place of the segment's.
    pub fn start_with(test: &str, role: &str, descriptor: impl AsFd, params: &[u8]) -> Self {
        let (line, theirs) = Line::pair();
        let process = Process::builder(test, role)
            .under_test(test)
            .params(params)
            .fd("segment", descriptor)
            .fd("line", OwnedFd::from(theirs))
            .spawn()
            .unwrap();
        Self { line, process }
    }

    /// Kills it and waits until the kernel has taken away everything it had.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        let exit = self.process.join().unwrap();
        // Else it had ended by itself.
        assert_eq!(
            exit.status,
            ipc_process::ExitStatusKind::Signal(9),
            "{exit}"
        );
    }

    /// Waits for its end in order.
    #[track_caller]
    pub fn finish(&mut self) {
        let exit = self.process.join().unwrap();
        assert!(exit.success(), "{exit}");
    }
}

/// What a role was started with.
pub fn descriptor_and_line(worker: &mut Worker) -> (OwnedFd, Line) {
    let line = Line::over(worker.take_fd("line").unwrap());
    (worker.take_fd("segment").unwrap(), line)
}

/// The same, attached.
pub fn attached(worker: &mut Worker) -> (Segment, Line) {
    let (descriptor, line) = descriptor_and_line(worker);
    (Segment::open(descriptor).unwrap(), line)
}

/// A role: attaches, says `a`, and leaves when it is spoken to.
pub fn attach(worker: &mut Worker) -> ipc_process::WorkResult {
    let (segment, line) = attached(worker);
    line.say(b'a');
    line.wait();
    drop(segment);
    Ok(())
}
