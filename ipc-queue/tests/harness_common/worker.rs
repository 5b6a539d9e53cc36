//! What workers do in tests.

use std::io::Write;
use std::time::Duration;

/// The role that this process was started for, before `run` has made it a worker: the name of the
/// role is in the variable that its parent set. Injecting faults there is the only use of this.
pub fn role_before_run() -> Option<&'static str> {
    let assignment = std::env::var("IPC_PROCESS_WORKER").ok()?;
    let mut fields = assignment.split(';');
    match fields.nth(2)? {
        "producer" => Some("producer"),
        "consumer" => Some("consumer"),
        other => panic!("a role of no harness: {other}"),
    }
}

/// One line to whoever reads this family's standard error; in one piece, as others write too.
pub fn say(line: &str) {
    std::io::stderr()
        .write_all(format!("@{line}\n").as_bytes())
        .unwrap();
}

/// Until a signal ends this process.
pub fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

pub fn kill_me(signal: libc::c_int) {
    // SAFETY: a system call on plain numbers.
    unsafe { libc::kill(libc::getpid(), signal) };
}

/// Kills this process after a time, wherever it is then.
pub fn die_after(time: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(time);
        kill_me(libc::SIGKILL);
    });
}
