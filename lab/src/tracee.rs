//! A victim under ptrace.

use crate::marker;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::mem::offset_of;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How the victim came to stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// At the instruction that was asked for.
    There,
    /// At the end of the operation, without having come there.
    AtEnd,
}

/// A child that stands still at the beginning of its operation. Killed and reaped when dropped.
#[derive(Debug)]
pub struct Tracee {
    pid: Option<Pid>,
}

/// The debug registers: an address to stop at, the end, and which of them count.
const TARGET: usize = offset_of!(libc::user, u_debugreg);
const END: usize = TARGET + 8;
const CONTROL: usize = TARGET + 7 * 8;
/// Both, for execution.
const BOTH: i64 = 0b101;

impl Tracee {
    /// Forks. The child runs `body`, which calls [`marker::begin`], and ends with 0, or 101 if
    /// it panics. The calling process has one thread, and the child dies with it.
    ///
    /// # Errors
    /// How the child ended before it came to its operation.
    pub fn start(body: impl FnOnce()) -> Result<Self, String> {
        // SAFETY: the process has one thread, so the child may do everything.
        match unsafe { fork() }.expect("fork") {
            ForkResult::Child => {
                // SAFETY: an integer option of the calling process.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                ptrace::traceme().expect("a process may be traced by its parent");
                let code = i32::from(catch_unwind(AssertUnwindSafe(body)).is_err()) * 101;
                // SAFETY: ends the process without running anything of the parent's.
                unsafe { libc::_exit(code) }
            }
            ForkResult::Parent { child } => {
                let tracee = Self { pid: Some(child) };
                match waitpid(child, None).expect("a child") {
                    WaitStatus::Stopped(_, Signal::SIGTRAP) => Ok(tracee),
                    other => Err(tracee.lost(other)),
                }
            }
        }
    }

    fn pid(&self) -> Pid {
        self.pid.expect("not reaped yet")
    }

    fn lost(mut self, status: WaitStatus) -> String {
        if matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
            self.pid = None;
        }
        format!("the victim came to {status:?}")
    }

    fn wait(&self) -> Result<(), String> {
        match waitpid(self.pid(), None).expect("a child") {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => Ok(()),
            other => Err(format!("in its operation the victim came to {other:?}")),
        }
    }

    /// Its registers.
    pub fn registers(&self) -> libc::user_regs_struct {
        ptrace::getregs(self.pid()).expect("it stands still")
    }

    /// Its process id.
    pub fn id(&self) -> i32 {
        self.pid().as_raw()
    }

    /// Lets it do one instruction.
    ///
    /// # Errors
    /// What else it came to.
    pub fn step(&self) -> Result<(), String> {
        ptrace::step(self.pid(), None).expect("it stands still");
        self.wait()
    }

    /// Lets it run until it has come to this address for the `nth` time, from 1, or to the end.
    ///
    /// # Errors
    /// What else it came to.
    pub fn run_to(&self, address: u64, nth: u64) -> Result<Stand, String> {
        let set = |register: usize, value: i64| {
            let register = std::ptr::without_provenance_mut(register);
            ptrace::write_user(self.pid(), register, value).expect("a debug register");
        };
        let end = marker::end_address();
        set(TARGET, address.cast_signed());
        set(END, end.cast_signed());
        set(CONTROL, BOTH);
        let mut hits = 0;
        loop {
            ptrace::cont(self.pid(), None).expect("it stands still");
            self.wait()?;
            match self.registers().rip {
                at if at == address => hits += 1,
                at if at == end => return Ok(Stand::AtEnd),
                at => return Err(format!("the victim stands at {at:#x}")),
            }
            if hits == nth {
                set(CONTROL, 0);
                return Ok(Stand::There);
            }
        }
    }

    /// Kills it where it is, and waits until it is gone.
    pub fn kill(mut self) {
        let pid = self.pid.take().expect("not reaped yet");
        end(pid);
    }

    /// From now on it is an ordinary child that has been stopped.
    ///
    /// # Errors
    /// What else it came to.
    pub fn stop(mut self) -> Result<Stopped, String> {
        let pid = self.pid.take().expect("not reaped yet");
        let stopped = Stopped { pid: Some(pid) };
        ptrace::detach(pid, Signal::SIGSTOP).expect("it stands still");
        match waitpid(pid, Some(WaitPidFlag::WUNTRACED)).expect("a child") {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => Ok(stopped),
            other => Err(format!("the victim was to stop and came to {other:?}")),
        }
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        if let Some(pid) = self.pid.take() {
            end(pid);
        }
    }
}

/// A child that was stopped. Killed and reaped when dropped.
#[derive(Debug)]
pub struct Stopped {
    pid: Option<Pid>,
}

impl Stopped {
    /// Lets it go on and waits for its end.
    ///
    /// # Errors
    /// An end that is not in order.
    pub fn go_on(mut self) -> Result<(), String> {
        let pid = self.pid.take().expect("not reaped yet");
        kill(pid, Signal::SIGCONT).expect("a child");
        match waitpid(pid, None).expect("a child") {
            WaitStatus::Exited(_, 0) => Ok(()),
            other => Err(format!("continued, the victim came to {other:?}")),
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(pid) = self.pid.take() {
            end(pid);
        }
    }
}

fn end(pid: Pid) {
    // Of one that has ended already this is nothing.
    let _ = kill(pid, Signal::SIGKILL);
    while let Ok(status) = waitpid(pid, None) {
        if matches!(status, WaitStatus::Signaled(..) | WaitStatus::Exited(..)) {
            break;
        }
    }
}
