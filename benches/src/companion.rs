//! A process on the other CPU that answers when the runner looks how far apart the two are.

use std::io::{self, PipeWriter, Read, Write};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::cpu;
use crate::distance::Distance;
use crate::failure::Failure;
use crate::fork;
use crate::shared::Shared;

/// The process; asleep between two looks. It ends with this value.
pub struct Companion {
    process: Pid,
    distance: Shared<Distance>,
    orders: PipeWriter,
}

impl Companion {
    /// Forks it and binds it to `cpu`. The caller has one thread.
    ///
    /// # Errors
    /// [`Failure::Threads`], [`Failure::System`].
    pub fn fork(cpu: usize) -> Result<Self, Failure> {
        let distance = Shared::<Distance>::new()?;
        let (mut to_do, orders) = io::pipe().map_err(Failure::system("make a pipe"))?;
        let process = fork::spawn(|| {
            if cpu::pin(cpu).is_err() {
                return 1;
            }
            while to_do.read_exact(&mut [0]).is_ok() {
                distance.answer();
            }
            0
        })?;
        Ok(Self {
            process,
            distance,
            orders,
        })
    }

    /// As [`Distance::look`], of the CPU that the caller is bound to.
    ///
    /// # Errors
    /// [`Failure::System`] if the process has ended.
    pub fn look(&self) -> Result<f64, Failure> {
        (&self.orders)
            .write_all(&[1])
            .map_err(Failure::system("ask for the distance of the CPUs"))?;
        Ok(self.distance.look())
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        // It holds an end of the pipe that it waits on, so that closing ours would not end it.
        let _ = kill(self.process, Signal::SIGKILL);
        let _ = waitpid(self.process, None);
    }
}
