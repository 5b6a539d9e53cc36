//! Somebody beside a crew who is stopped, and stays so while the crew is measured.

use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::failure::Failure;

/// When a bystander is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// There is no bystander.
    Never,
    /// By itself, before the crew comes: see [`stop`].
    BeforeTheCrew,
    /// From outside, at a random moment while the crew is at work.
    AtWork,
}

/// What a bystander does with a channel of type `C`.
pub trait Bystander<C> {
    /// When it is stopped.
    const STOP: Stop;

    /// Does it, until it is stopped. Called in a process of its own. Items that it sends are
    /// [`FOREIGN`](crate::tally::FOREIGN).
    ///
    /// # Errors
    /// Those of the contender.
    fn act(channel: &mut C) -> Result<(), Failure>;
}

/// There is none.
pub enum Nobody {}

impl<C> Bystander<C> for Nobody {
    const STOP: Stop = Stop::Never;

    fn act(_channel: &mut C) -> Result<(), Failure> {
        Ok(())
    }
}

/// Stops the calling process until somebody continues or kills it.
///
/// # Errors
/// [`Failure::System`].
pub fn stop() -> Result<(), Failure> {
    raise(Signal::SIGSTOP).map_err(Failure::errno("stop the bystander"))
}

/// A bystander's process. It is killed when this value goes.
pub struct Process(pub(crate) Pid);

impl Process {
    /// Stops it.
    ///
    /// # Errors
    /// As [`wait_until_stopped`](Self::wait_until_stopped).
    pub fn stop(&self) -> Result<(), Failure> {
        kill(self.0, Signal::SIGSTOP).map_err(Failure::errno("stop the bystander"))?;
        self.wait_until_stopped()
    }

    /// Waits until it is stopped.
    ///
    /// # Errors
    /// [`Failure::Left`] if it ended instead.
    pub fn wait_until_stopped(&self) -> Result<(), Failure> {
        match waitpid(self.0, Some(WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::Stopped(..)) => Ok(()),
            Ok(status) => Err(Failure::Left {
                who: format!("the bystander ({status:?})"),
            }),
            Err(error) => Err(Failure::errno("wait for the bystander")(error)),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}
