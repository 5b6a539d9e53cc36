//! The thread that starts all workers, and what happens between fork and exec.
//!
//! The kernel sends a parent-death signal when the *thread* that forked ends,
//! not the process. A worker started by a short-lived thread would die with it.
//! So one thread, which ends only with the process, forks them all.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{sched_getaffinity, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpid, getppid};

/// What becomes of a worker when its parent dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParentDeath {
    Kills,
    Spares,
}

/// Starts `command` with the descriptors `inherited`, under their numbers.
pub(crate) fn launch(
    mut command: Command,
    inherited: Vec<OwnedFd>,
    parent_death: ParentDeath,
) -> io::Result<Child> {
    let parent = getpid();
    // Affinity belongs to a thread. The worker is to get the caller's, not the
    // launcher's. It cannot be read beyond 1024 processors; then it stays as it is.
    let affinity = sched_getaffinity(Pid::from_raw(0)).ok();

    let prepare = move || {
        if parent_death == ParentDeath::Kills {
            set_pdeathsig(Signal::SIGKILL)?;
            // The parent may have died before the line above: then no signal
            // will come, but the worker has another parent by now.
            if getppid() != parent {
                // SAFETY: _exit ends the process without running anything of it.
                unsafe { libc::_exit(0) }
            }
        }
        if let Some(cpus) = &affinity {
            sched_setaffinity(Pid::from_raw(0), cpus)?;
        }
        for fd in &inherited {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        reset_signals()
    };
    // SAFETY: `prepare` runs in the child of a process with other threads, so
    // it may only do what is async-signal-safe: it makes bare system calls,
    // allocates nothing, takes no lock, and its errors are plain numbers. The
    // descriptors are open, as the closure owns them.
    unsafe { command.pre_exec(prepare) };

    let (reply, replied) = sync_channel(1);
    let order = Order { command, reply };
    launcher()?.send(order).map_err(|_| launcher_gone())?;
    replied.recv().map_err(|_| launcher_gone())?
}

/// What the kernel does with children of this process that end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Children {
    AreKeptUntilReaped,
    Vanish,
}

pub(crate) fn children() -> Children {
    // SAFETY: a sigaction of zeros is a value: default action, no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: `action` is writable, and nothing is set.
    unsafe { libc::sigaction(libc::SIGCHLD, std::ptr::null(), &mut action) };
    match action.sa_sigaction == libc::SIG_IGN || action.sa_flags & libc::SA_NOCLDWAIT != 0 {
        true => Children::Vanish,
        false => Children::AreKeptUntilReaped,
    }
}

/// Leaves the worker with no blocked signal, and with the default action for
/// all that had a handler and for those that must work in it: SIGTERM, by which
/// it is terminated, and SIGPIPE, as any program expects (Rust's runtime ignores
/// it again). Others that are ignored stay so, as nohup(1) wants it.
fn reset_signals() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: a sigaction of zeros is a value: default action, no flags.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: `action` is writable. A signal that the C library keeps for
        // itself gives an error and leaves it as it is, at the default.
        unsafe { libc::sigaction(signal, std::ptr::null(), &mut action) };
        let wanted = matches!(signal, libc::SIGTERM | libc::SIGPIPE);
        if action.sa_sigaction != libc::SIG_IGN || wanted {
            action.sa_sigaction = libc::SIG_DFL;
            action.sa_flags = 0;
            // SAFETY: `action` is a valid action. exec would reset handlers too,
            // but they must be gone before the signals are let in below, lest
            // the parent's handler runs here. Errors are those of SIGKILL,
            // SIGSTOP and the C library's own, which have no handler of ours.
            unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) };
        }
    }
    Ok(SigSet::empty().thread_set_mask()?)
}

struct Order {
    command: Command,
    reply: SyncSender<io::Result<Child>>,
}

struct Launcher {
    /// The process that it is a thread of: a child by fork inherits this
    /// record, but not the thread.
    owner: Pid,
    orders: Sender<Order>,
}

fn launcher() -> io::Result<Sender<Order>> {
    static LAUNCHER: Mutex<Option<Launcher>> = Mutex::new(None);
    let mut launcher = LAUNCHER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = launcher.as_ref().filter(|l| l.owner == getpid()) {
        return Ok(running.orders.clone());
    }
    let (orders, received) = channel();
    thread::Builder::new()
        .name("worker-launcher".to_owned())
        .spawn(move || serve(received))?;
    *launcher = Some(Launcher {
        owner: getpid(),
        orders: orders.clone(),
    });
    Ok(orders)
}

fn serve(orders: Receiver<Order>) {
    // The program's signal handlers are to run on its own threads. Should this
    // fail, they run here too, which they must bear with anyway.
    let _ = SigSet::all().thread_block();
    // One sender is kept in a static, so this loop ends with the process.
    for Order { mut command, reply } in orders {
        let child = command.spawn();
        // It owns the duplicates of the worker's descriptors. The caller may
        // count on them being closed: the worker's end is what keeps a pipe open.
        drop(command);
        // The caller waits for the reply; it cannot have gone.
        let _ = reply.send(child);
    }
}

fn launcher_gone() -> io::Error {
    io::Error::other("the thread that starts workers has ended")
}
