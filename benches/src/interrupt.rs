//! SIGINT and SIGTERM end a run in order: the runner killed, the scratch directory removed.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::failure::Failure;

static ASKED: AtomicBool = AtomicBool::new(false);

extern "C" fn remember(_signal: libc::c_int) {
    ASKED.store(true, Ordering::Relaxed);
}

/// Makes SIGINT and SIGTERM end the measurement in progress instead of the process.
///
/// # Errors
/// [`Failure::System`] if the handlers cannot be set.
pub fn install() -> Result<(), Failure> {
    // Without SA_RESTART, so that the wait for a report returns and looks.
    let action = SigAction::new(
        SigHandler::Handler(remember),
        SaFlags::empty(),
        SigSet::empty(),
    );
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler stores to an atomic and does nothing else, which is allowed at any
        // point of the program.
        unsafe { sigaction(signal, &action) }.map_err(Failure::errno("set a signal handler"))?;
    }
    Ok(())
}

/// Whether one of the signals has come since [`install`].
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
