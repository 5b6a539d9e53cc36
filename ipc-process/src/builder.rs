//! What a worker is started with.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::assignment::{Assignment, Offspring, Received, VARIABLE, received};
use crate::launcher::{Children, ParentDeath, children, launch};
use crate::worker::has_role_begun;
use crate::{Error, ParamsSource, Process, Result, report};

/// Collects what a worker is started with; from [`Process::builder`].
///
/// Nothing happens before [`spawn`](Builder::spawn), which also reports what
/// went wrong in the calls before it.
#[derive(Debug)]
#[must_use = "a worker is started by `spawn`"]
pub struct Builder {
    scope: String,
    role: String,
    name: String,
    program: Option<PathBuf>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    params: Option<ParamsSource>,
    fds: Vec<(String, std::io::Result<OwnedFd>)>,
    stdin: Stdio,
    stdout: Option<Stdio>,
    stderr: Stdio,
    under_test: bool,
    parent_death: ParentDeath,
    offspring: Offspring,
}

impl Builder {
    pub(crate) fn new(scope: &str, role: &str) -> Self {
        Self {
            scope: scope.to_owned(),
            role: role.to_owned(),
            name: role.to_owned(),
            program: None,
            args: Vec::new(),
            env: Vec::new(),
            params: None,
            fds: Vec::new(),
            stdin: Stdio::null(),
            stdout: None,
            stderr: Stdio::inherit(),
            under_test: false,
            parent_death: ParentDeath::Kills,
            offspring: Offspring::Allowed,
        }
    }

    /// Names the worker, for errors, [`Exit`](crate::Exit), and `ps -o comm`
    /// (its first 15 bytes). By default the role.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Gives it parameters, which it reads in [`Worker::params`](crate::Worker::params):
    /// bytes, copied once, or [`Params`](crate::Params), shared. By default none,
    /// that is, zero bytes. The last call counts.
    pub fn params(mut self, params: impl Into<ParamsSource>) -> Self {
        self.params = Some(params.into());
        self
    }

    /// Gives it a duplicate of a descriptor, which it finds under `key` with
    /// [`Worker::fd`](crate::Worker::fd) or [`Worker::take_fd`](crate::Worker::take_fd).
    /// Each key can be given once.
    ///
    /// The duplicate in this process is closed when `spawn` returns. A descriptor
    /// passed by value is closed here, one passed by reference stays open: where
    /// the worker's death must show as an end of file, pass the worker's end of a
    /// pipe by value.
    pub fn fd(mut self, key: impl Into<String>, fd: impl AsFd) -> Self {
        self.fds.push((key.into(), fd.as_fd().try_clone_to_owned()));
        self
    }

    /// Appends command-line arguments. By default there are none: the worker
    /// does not see the parent's.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable, in addition to those that it inherits.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Executes this program instead of the current one. It must call
    /// [`run_if_worker`](crate::run_if_worker) with the scope and role, and be
    /// built with the same version of this crate. A name without a slash is
    /// looked up in `PATH`.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Makes the worker of a test: passes the arguments by which the test
    /// harness runs only the test `test_name`, which must begin with
    /// [`run_if_worker`](crate::run_if_worker). Give it
    /// [`test_name!()`](crate::test_name).
    ///
    /// Standard output goes to `/dev/null` then, unless set otherwise, as the
    /// harness of the worker writes there too; print to standard error.
    pub fn under_test(mut self, test_name: &str) -> Self {
        self.under_test = true;
        self.args([
            test_name,
            "--exact",
            "--nocapture",
            "--test-threads=1",
            "--include-ignored",
        ])
    }

    /// Its standard input, by default `/dev/null`.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Its standard output, by default that of this process (but see
    /// [`under_test`](Builder::under_test)). The other end of a
    /// [`Stdio::piped`] is [`Process::take_stdout`].
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Its standard error, by default that of this process. The other end of a
    /// [`Stdio::piped`] is [`Process::take_stderr`].
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stderr = stderr.into();
        self
    }

    /// Lets the worker live on when this process dies. By default the kernel
    /// kills it then (SIGKILL), however this process dies.
    ///
    /// Dropping the [`Process`] kills it all the same; see [`Process::detach`].
    pub fn outlive_parent(mut self) -> Self {
        self.parent_death = ParentDeath::Spares;
        self
    }

    /// Lets the worker start no workers: its calls of [`spawn`](Builder::spawn) fail with
    /// [`Error::ChildrenForbidden`], as those of a daemonic process of Python's do.
    ///
    /// It is a rule of this crate: [`std::process::Command`] and fork(2) do not
    /// ask it. The system has none to put in its place; it limits processes by user, not by parent.
    pub fn no_children(mut self) -> Self {
        self.offspring = Offspring::Forbidden;
        self
    }

    /// Starts the worker. Blocks until its program is being executed; whether
    /// it reaches its role shows in its [`Exit`](crate::Exit).
    ///
    /// The worker may run on the processors that the calling thread may run on.
    /// No signal is blocked in it, and SIGTERM and SIGPIPE have their
    /// default action at its start (Rust's runtime then ignores SIGPIPE). What else belongs to a thread (niceness, scheduling
    /// policy, namespaces) it gets from the first thread that ever called
    /// `spawn`, see the [crate documentation](crate#how-it-works).
    ///
    /// # Errors
    /// [`Error::Spawn`] if the program is missing or a limit is reached;
    /// [`Error::Params`], [`Error::Descriptor`] and [`Error::DuplicateKey`] from
    /// the calls before; [`Error::Report`] if there is no descriptor or memory
    /// for the result; [`Error::ChildrenIgnored`] if this process ignores SIGCHLD;
    /// [`Error::NotYetWorker`] in a worker that has not yet
    /// begun its own role; [`Error::ChildrenForbidden`] in one that may start none. No process is left behind by any of them.
    pub fn spawn(self) -> Result<Process> {
        let name = self.name;
        if let Received::Assignment(own) = received() {
            if !has_role_begun() {
                return Err(Error::NotYetWorker {
                    name: own.name.clone(),
                    scope: own.scope.clone(),
                });
            }
            if own.offspring == Offspring::Forbidden {
                return Err(Error::ChildrenForbidden {
                    name,
                    parent: own.name.clone(),
                });
            }
        }
        if children() == Children::Vanish {
            return Err(Error::ChildrenIgnored { name });
        }

        let to_report = |source| Error::Report {
            name: name.clone(),
            source,
        };
        let report = report::create().map_err(to_report)?;
        // A descriptor below 3 would collide with the worker's standard streams;
        // duplicates are never that low.
        let report_end = report.as_fd().try_clone_to_owned().map_err(to_report)?;
        let mut assignment = Assignment {
            scope: self.scope,
            role: self.role,
            name,
            parent_pid: std::process::id(),
            offspring: self.offspring,
            report: report_end.as_raw_fd(),
            params: None,
            fds: Vec::new(),
        };
        let mut inherited = vec![report_end];
        let to_descriptor = |name: &str, key: &str, source| Error::Descriptor {
            name: name.to_owned(),
            key: key.to_owned(),
            source,
        };
        if let Some(ParamsSource(params)) = self.params {
            let fd = params?
                .as_fd()
                .try_clone_to_owned()
                .map_err(|source| to_descriptor(&assignment.name, "params", source))?;
            assignment.params = Some(fd.as_raw_fd());
            inherited.push(fd);
        }
        let mut keys = HashSet::new();
        for (key, fd) in self.fds {
            let fd = fd.map_err(|source| to_descriptor(&assignment.name, &key, source))?;
            if !keys.insert(key.clone()) {
                return Err(Error::DuplicateKey {
                    name: assignment.name,
                    key,
                });
            }
            assignment.fds.push((key, fd.as_raw_fd()));
            inherited.push(fd);
        }

        let (program, argv0) = match self.program {
            Some(program) => (program, None),
            // In the child, this link still means the very file that this
            // process runs, even if a rebuild has replaced or removed it.
            None => ("/proc/self/exe".into(), std::env::args_os().next()),
        };
        let mut command = Command::new(&program);
        if let Some(argv0) = argv0 {
            command.arg0(argv0);
        }
        let stdout = self.stdout.unwrap_or_else(|| match self.under_test {
            true => Stdio::null(),
            false => Stdio::inherit(),
        });
        command
            .args(self.args)
            .envs(self.env)
            .env(VARIABLE, assignment.encode())
            .stdin(self.stdin)
            .stdout(stdout)
            .stderr(self.stderr);

        let to_spawn = |source| Error::Spawn {
            name: assignment.name.clone(),
            program: program.clone(),
            source,
        };
        let child = launch(command, inherited, self.parent_death).map_err(to_spawn)?;
        Process::adopt(child, &assignment, report).map_err(to_spawn)
    }
}
