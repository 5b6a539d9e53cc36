//! What can go wrong, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::ExitStatusKind;

/// An error of this crate.
///
/// The cause given by the operating system, where there is one, is the
/// [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The worker could not be started.
    #[error("cannot start worker `{name}` from `{}`; check that the program exists and may be executed, and the limits on processes and descriptors", program.display())]
    Spawn {
        /// Name of the worker.
        name: String,
        /// The program that was to be executed.
        program: PathBuf,
        /// Cause.
        source: io::Error,
    },

    /// This process is itself a worker that has not yet reached its own
    /// [`run_if_worker`](crate::run_if_worker). Starting a worker here would
    /// repeat itself in that worker, without end.
    #[error(
        "worker `{name}` of scope `{scope}` tried to start a worker before running its own role; call run_if_worker(\"{scope}\", ..) first thing in main or in the test"
    )]
    NotYetWorker {
        /// Name of the worker that this process is.
        name: String,
        /// Scope whose `run_if_worker` was never called.
        scope: String,
    },

    /// This process ignores SIGCHLD (or has set SA_NOCLDWAIT): its children
    /// vanish without a trace, so that no worker could be joined, nor signalled
    /// for certain.
    #[error(
        "cannot start worker `{name}` while this process ignores SIGCHLD; restore its default action"
    )]
    ChildrenIgnored {
        /// Name of the worker.
        name: String,
    },

    /// This process is itself a worker that was started with
    /// [`Builder::no_children`](crate::Builder::no_children).
    #[error(
        "worker `{parent}` may start no workers, and so not `{name}`; start it elsewhere, or `{parent}` without Builder::no_children"
    )]
    ChildrenForbidden {
        /// Name of the worker that was to be started.
        name: String,
        /// Name of the worker that this process is.
        parent: String,
    },

    /// A descriptor to pass could not be duplicated.
    #[error(
        "cannot duplicate descriptor `{key}` for worker `{name}`; check that it is open, and the limit on open descriptors"
    )]
    Descriptor {
        /// Name of the worker.
        name: String,
        /// Key of the descriptor.
        key: String,
        /// Cause.
        source: io::Error,
    },

    /// Two descriptors were given the same key.
    #[error(
        "worker `{name}` was given two descriptors with the key `{key}`; give each its own key"
    )]
    DuplicateKey {
        /// Name of the worker.
        name: String,
        /// The key used twice.
        key: String,
    },

    /// A worker asked for a descriptor that it was not given, or has taken
    /// already.
    #[error(
        "worker `{name}` has no descriptor `{key}` (it has: {available}); pass it with Builder::fd, and take it only once"
    )]
    NoDescriptor {
        /// Name of the worker.
        name: String,
        /// The key asked for.
        key: String,
        /// The keys it has, separated by commas.
        available: String,
    },

    /// Parameters could not be written, sealed or mapped.
    #[error(
        "cannot prepare the parameters `{label}`; check the memory left, and that no writable mapping of their file remains"
    )]
    Params {
        /// Label of the parameters.
        label: String,
        /// Cause.
        source: io::Error,
    },

    /// A file of parameters is not sealed against change, so that it cannot be
    /// read as a slice.
    #[error(
        "the parameters `{label}` are not sealed against change; create them with Params::new or Params::from_writer"
    )]
    NotSealed {
        /// Label of the parameters.
        label: String,
    },

    /// The worker's result could not be written or read.
    #[error(
        "cannot transfer the result of worker `{name}`; check the memory left, and that both programs were built with the same version of this crate"
    )]
    Report {
        /// Name of the worker.
        name: String,
        /// Cause.
        source: io::Error,
    },

    /// What this process was told about its work as a worker is unusable.
    #[error(
        "cannot become worker `{name}`: its descriptors or environment are not as its parent set them; start workers with Process::builder only"
    )]
    Assignment {
        /// Name of the worker.
        name: String,
        /// Cause.
        source: io::Error,
    },

    /// Waiting for a worker failed.
    #[error("cannot wait for worker `{name}`; it may still be running")]
    Wait {
        /// Name of the worker.
        name: String,
        /// Cause.
        source: io::Error,
    },

    /// The worker has ended, but its exit status was collected by someone else.
    #[error(
        "the exit status of worker `{name}` is lost; do not ignore SIGCHLD, nor wait for children of any pid, in this process"
    )]
    StatusLost {
        /// Name of the worker.
        name: String,
    },

    /// A signal could not be sent.
    #[error(
        "cannot send signal {signal} to worker `{name}`; check that this process may signal it"
    )]
    Signal {
        /// Name of the worker.
        name: String,
        /// Number of the signal.
        signal: i32,
        /// Cause.
        source: io::Error,
    },

    /// The worker has ended, so that it cannot be stopped.
    #[error("worker `{name}` has ended and cannot be stopped; join it")]
    Ended {
        /// Name of the worker.
        name: String,
    },

    /// The worker ended without success; see [`Exit::into_result`](crate::Exit::into_result).
    #[error("worker `{name}` failed ({status}){}{reason}", if reason.is_empty() { "" } else { ": " })]
    Failed {
        /// Name of the worker.
        name: String,
        /// How it ended.
        status: ExitStatusKind,
        /// Its panic or error message; empty if it left none.
        reason: String,
    },
}

/// Result with the [`Error`] of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
