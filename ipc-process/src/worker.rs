//! The worker's side: from the start of its program to its exit.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::assignment::{Assignment, Received, VARIABLE, received};
use crate::exit::{CODE_ERROR, CODE_PANIC, CODE_REFUSED};
use crate::report::{Progress, Report};
use crate::{Error, Params, Result, last_panic};

/// What a role returns. An error becomes [`Exit::error`](crate::Exit::error).
pub type WorkResult = std::result::Result<(), Box<dyn StdError + Send + Sync>>;

/// The work of a worker.
pub type Role<'a> = &'a dyn Fn(&mut Worker) -> WorkResult;

/// The worker process, given to its role.
///
/// When its parent dies, the kernel kills the worker, unless it was started with
/// [`outlive_parent`](crate::Builder::outlive_parent).
#[derive(Debug)]
pub struct Worker {
    name: String,
    role: String,
    parent_pid: u32,
    params: Option<Params>,
    fds: BTreeMap<String, OwnedFd>,
    report: Report,
}

impl Worker {
    /// Its name, from [`Builder::name`](crate::Builder::name).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its role.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Process id of the process that started it. If the worker outlives that
    /// process, the system may give this number to another.
    pub fn parent_pid(&self) -> u32 {
        self.parent_pid
    }

    /// Its parameters, from [`Builder::params`](crate::Builder::params); empty
    /// if none were given. They are not copied: this is a map of the parent's
    /// sealed memory file, which nobody can change.
    pub fn params(&self) -> &[u8] {
        self.params.as_ref().map_or(&[], Params::as_slice)
    }

    /// The same as a value of its own, which does not borrow the worker; `None` if none were
    /// given.
    pub fn shared_params(&self) -> Option<Params> {
        self.params.clone()
    }

    /// The descriptor given under `key`. It is open for as long as the worker is
    /// not dropped or the descriptor taken, and closed on exec.
    ///
    /// # Errors
    /// [`Error::NoDescriptor`] if there is none, or it was taken.
    pub fn fd(&self, key: &str) -> Result<BorrowedFd<'_>> {
        self.fds
            .get(key)
            .map(AsFd::as_fd)
            .ok_or_else(|| self.no_descriptor(key))
    }

    /// The descriptor given under `key`, to own; once. It is closed on exec.
    ///
    /// # Errors
    /// [`Error::NoDescriptor`] if there is none, or it was taken.
    pub fn take_fd(&mut self, key: &str) -> Result<OwnedFd> {
        self.fds.remove(key).ok_or_else(|| self.no_descriptor(key))
    }

    /// Leaves `bytes` as the result, in place of an earlier one. They are copied
    /// before this returns, and reach the parent in
    /// [`Exit::result`](crate::Exit::result) even if the worker fails or is
    /// killed afterwards. Killed within this call, it leaves an empty result.
    ///
    /// # Errors
    /// [`Error::Report`] if there is not enough memory; the result is empty then.
    pub fn set_result(&mut self, bytes: &[u8]) -> Result<()> {
        self.report
            .set_result(bytes)
            .map_err(|source| Error::Report {
                name: self.name.clone(),
                source,
            })
    }

    fn no_descriptor(&self, key: &str) -> Error {
        let keys: Vec<_> = self.fds.keys().map(String::as_str).collect();
        Error::NoDescriptor {
            name: self.name.clone(),
            key: key.to_owned(),
            available: match keys.is_empty() {
                true => "none".to_owned(),
                false => keys.join(", "),
            },
        }
    }
}

/// Becomes the worker, if this process was started as one of `scope`: runs its
/// role and exits the process. Otherwise returns at once.
///
/// Call it before anything else in `main`, or at the start of a test: what
/// stands before it runs in every worker too. It must come before the program
/// starts threads that use the C library's `getenv`, as it changes the
/// environment.
///
/// `scope` tells apart the parts of a program that have workers. In a worker of
/// another scope this returns, so that several can be called in turn.
///
/// The process exits as [`Exit`](crate::Exit) says; its `main` does not go on.
/// Within a role, this returns at once.
pub fn run_if_worker(scope: &str, roles: &[(&str, Role<'_>)]) {
    let assignment = match received() {
        Received::Nothing => return,
        Received::Assignment(assignment) if assignment.scope != scope => return,
        Received::Assignment(assignment) => assignment,
        Received::Unreadable(text) => refuse(&format!(
            "the environment variable {VARIABLE} is set to `{text}`, which no parent would set; unset it"
        )),
    };
    if ROLE_BEGUN.swap(true, Ordering::Relaxed) {
        return;
    }
    // SAFETY: no other thread may read the environment behind std's back
    // meanwhile. The caller calls this before it starts threads, as documented;
    // that of the test harness does not use the C library's getenv.
    unsafe { std::env::remove_var(VARIABLE) };

    // The executed path ends in `exe`, which says nothing in a process list. A
    // kernel without this file only leaves it at that.
    let _ = std::fs::write("/proc/self/comm", &assignment.name);

    let mut worker = match claim(assignment) {
        Ok(worker) => worker,
        Err(error) => refuse(&chain(&error)),
    };
    let Some((_, role)) = roles.iter().find(|(name, _)| *name == assignment.role) else {
        let known: Vec<_> = roles.iter().map(|(name, _)| *name).collect();
        let message = format!(
            "worker `{}`: scope `{scope}` has no role `{}`; it has: {}",
            assignment.name,
            assignment.role,
            known.join(", ")
        );
        // Should this fail, the message below still tells.
        let _ = worker.report.finish(Progress::Refused, &message);
        refuse(&message);
    };

    last_panic::record();
    let (progress, message, code) = match catch_unwind(AssertUnwindSafe(|| role(&mut worker))) {
        Ok(Ok(())) => (Progress::Succeeded, String::new(), 0),
        Ok(Err(error)) => (Progress::Failed, chain(error.as_ref()), CODE_ERROR),
        Err(payload) => (
            Progress::Panicked,
            last_panic::describe(payload.as_ref()),
            CODE_PANIC,
        ),
    };
    match worker.report.finish(progress, &message) {
        Ok(()) => std::process::exit(code),
        Err(error) => refuse(&format!(
            "worker `{}` cannot report its end: {error}; it was: {message}",
            worker.name
        )),
    }
}

/// The scope, if this process was started as a worker, of whichever scope;
/// before, in and after [`run_if_worker`].
pub fn worker_scope() -> Option<String> {
    match received() {
        Received::Assignment(assignment) => Some(assignment.scope.clone()),
        Received::Nothing | Received::Unreadable(_) => None,
    }
}

/// Set once, by the one thread that becomes the worker. It guards no data, so
/// relaxed ordering is enough.
static ROLE_BEGUN: AtomicBool = AtomicBool::new(false);

pub(crate) fn has_role_begun() -> bool {
    ROLE_BEGUN.load(Ordering::Relaxed)
}

/// Takes over the descriptors; called once, by the holder of [`ROLE_BEGUN`].
fn claim(assignment: &Assignment) -> Result<Worker> {
    let file = adopt(assignment, assignment.report)?.into();
    let report = Report::start(file).map_err(|source| Error::Report {
        name: assignment.name.clone(),
        source,
    })?;
    let mut worker = Worker {
        name: assignment.name.clone(),
        role: assignment.role.clone(),
        parent_pid: assignment.parent_pid,
        params: None,
        fds: BTreeMap::new(),
        report,
    };
    let inherited = || -> Result<_> {
        let params = assignment
            .params
            .map(|fd| Params::from_sealed("params", File::from(adopt(assignment, fd)?)))
            .transpose()?;
        let fds = assignment
            .fds
            .iter()
            .map(|(key, fd)| Ok((key.clone(), adopt(assignment, *fd)?)))
            .collect::<Result<_>>()?;
        Ok((params, fds))
    };
    match inherited() {
        Ok((params, fds)) => {
            worker.params = params;
            worker.fds = fds;
            Ok(worker)
        }
        Err(error) => {
            // Should this fail, the caller still prints the error.
            let _ = worker.report.finish(Progress::Refused, &chain(&error));
            Err(error)
        }
    }
}

fn adopt(assignment: &Assignment, fd: RawFd) -> Result<OwnedFd> {
    let open = (fd > libc::STDERR_FILENO)
        .then_some(fd)
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
        .and_then(|fd| {
            // SAFETY: only its number is used, for a call that checks whether
            // it is open.
            let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
            fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
            // SAFETY: it is open, as the call above succeeded. It has no other
            // owner: the parent opened it for this purpose, gave each number
            // once, and this process claims its assignment once.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        });
    open.map_err(|source| assignment.error(source))
}

fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

fn refuse(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(CODE_REFUSED);
}
