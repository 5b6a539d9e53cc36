//! A process that ends, or stops, before a chosen one of its steps.
//!
//! A *step* is what others can see or feel: an access to the shared mapping, reading ones too, and
//! a system call. A kill between two instructions looks to all others like one before the next
//! step, so a kill before each step is one at each instruction.
//!
//! The process does it to itself, so it works in forked children and in workers of a harness, and
//! where tracing is forbidden: the mapping is made inaccessible and system calls are dispatched to
//! a handler (`PR_SET_SYSCALL_USER_DISPATCH`, Linux 5.11). One instruction at a time then runs with
//! everything open.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// A step that is never reached: to count them.
pub const NEVER: u64 = u64::MAX;

/// The processor's trap flag.
const TRAP: libc::greg_t = 0x100;
/// Length of the instruction `syscall`.
const SYSCALL: libc::greg_t = 2;
/// Values of the byte that the kernel looks at before each system call.
const ALLOW: u8 = 0;
const DISPATCH: u8 = 1;

// What the handlers work with: one thread steps.
static CALLS: AtomicU8 = AtomicU8::new(ALLOW);
static STEPS: AtomicU64 = AtomicU64::new(0);
static LAST: AtomicU64 = AtomicU64::new(NEVER);
static SIGNAL: AtomicI32 = AtomicI32::new(0);
const MOST: usize = 8;
/// What each step was: the code's address and the data's (none for a call), mixed.
static TRACE: [AtomicU64; 4096] = [const { AtomicU64::new(0) }; 4096];
static MAPPINGS: [AtomicUsize; 2 * MOST] = [const { AtomicUsize::new(0) }; 2 * MOST];

/// Does `work`, and just before its step `at` (from 0) sends this process `signal`: SIGKILL, or
/// SIGSTOP, after which it goes on at full speed when it is continued. Returns how many steps there
/// were up to then.
///
/// The steps are those on mappings of files whose path contains `file`. `work` blocks no signals
/// and starts no threads. No other thread of this process uses the mappings meanwhile.
pub fn run_to<R>(file: &str, at: u64, signal: Signal, work: impl FnOnce() -> R) -> (R, u64) {
    find_mappings(file);
    for (signal, handler) in [
        (Signal::SIGSEGV, on_access as extern "C" fn(_, _, _)),
        (Signal::SIGSYS, on_call),
        (Signal::SIGTRAP, after),
    ] {
        let handler = SigHandler::SigAction(handler);
        let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
        // SAFETY: the handlers use atomics and system calls only.
        unsafe { sigaction(signal, &action) }.unwrap();
    }
    STEPS.store(0, Relaxed);
    LAST.store(at, Relaxed);
    SIGNAL.store(signal as i32, Relaxed);
    dispatch_calls();
    protect(libc::PROT_NONE);
    CALLS.store(DISPATCH, Relaxed);
    let result = work();
    CALLS.store(ALLOW, Relaxed);
    protect(libc::PROT_READ | libc::PROT_WRITE);
    (result, STEPS.load(Relaxed))
}

/// The steps of the last [`run_to`] that are worth a try each: of those that repeat one another, as
/// in a loop that polls, the first and the last.
pub fn steps_to_try() -> Vec<u64> {
    let count = (STEPS.load(Relaxed) as usize).min(TRACE.len());
    let what = |at: usize| TRACE[at].load(Relaxed);
    let is_inside = |at: usize| {
        at > 0 && at + 1 < count && what(at - 1) == what(at) && what(at) == what(at + 1)
    };
    let steps = (0..count).filter(|&at| !is_inside(at));
    steps.map(|at| at as u64).collect()
}

fn find_mappings(file: &str) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(file)) {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        for (at, address) in [(2 * found, start), (2 * found + 1, end)] {
            let address = usize::from_str_radix(address, 16).unwrap();
            MAPPINGS[at].store(address, Relaxed);
        }
        found += 1;
    }
    assert!((1..=MOST).contains(&found), "{found} mappings of {file}");
    (2 * found..2 * MOST).for_each(|at| MAPPINGS[at].store(0, Relaxed));
}

fn mappings() -> impl Iterator<Item = (usize, usize)> {
    let bounds = MAPPINGS.chunks_exact(2);
    let bounds = bounds.map(|it| (it[0].load(Relaxed), it[1].load(Relaxed)));
    bounds.take_while(|&(start, _)| start != 0)
}

/// Makes the kernel look at `CALLS` before all system calls but the one that ends a handler.
fn dispatch_calls() {
    const SET: libc::c_int = 59; // PR_SET_SYSCALL_USER_DISPATCH
    const ON: libc::c_ulong = 1;
    // The kernel's `struct sigaction`: handler, flags, restorer, mask.
    let mut action = [0usize; 4];
    // SAFETY: asks what the handler of SIGTRAP is: 32 bytes, with a mask of 8.
    let asked = unsafe {
        let none = std::ptr::null::<c_void>();
        libc::syscall(libc::SYS_rt_sigaction, libc::SIGTRAP, none, &mut action, 8)
    };
    assert_eq!(asked, 0);
    let [_, _, restorer, _] = action;
    // A move of 7 bytes, and the call.
    const RESTORER: libc::c_ulong = 16;
    // SAFETY: the byte is a static's.
    let set = unsafe { libc::prctl(SET, ON, restorer, RESTORER, CALLS.as_ptr()) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

fn protect(rights: i32) {
    for (start, end) in mappings() {
        let address = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: a shared mapping of the file, which this thread alone uses, and not within an
        // instruction. (A panic cannot leave a signal handler.)
        unsafe {
            if libc::mprotect(address, end - start, rights) != 0 {
                libc::abort();
            }
        }
    }
}

/// One is about to happen: lets the next instruction do it. The last one is not followed by others.
fn step(context: &mut libc::ucontext_t, address: usize) {
    let number = STEPS.fetch_add(1, Relaxed);
    if let Some(trace) = TRACE.get(number as usize) {
        let code = context.uc_mcontext.gregs[libc::REG_RIP as usize].cast_unsigned();
        trace.store(code.rotate_left(32) ^ address as u64, Relaxed);
    }
    protect(libc::PROT_READ | libc::PROT_WRITE);
    if number == LAST.load(Relaxed) {
        // SAFETY: a system call on plain numbers.
        unsafe { libc::kill(libc::getpid(), SIGNAL.load(Relaxed)) };
        return;
    }
    context.uc_mcontext.gregs[libc::REG_EFL as usize] |= TRAP;
}

/// An instruction is about to access the mapping.
extern "C" fn on_access(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    let was_stepping = CALLS.swap(ALLOW, Relaxed) == DISPATCH;
    // SAFETY: the kernel's arguments of a handler of a fault.
    let (address, context) = unsafe {
        (
            (*info).si_addr().addr(),
            &mut *context.cast::<libc::ucontext_t>(),
        )
    };
    if was_stepping && mappings().any(|(start, end)| (start..end).contains(&address)) {
        step(context, address);
    } else {
        // The work's own fault. This time it ends the process.
        // SAFETY: the default action.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// A system call was about to happen.
extern "C" fn on_call(_: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
    CALLS.store(ALLOW, Relaxed);
    // SAFETY: the kernel's argument of a handler.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    // The registers are as they were, but for this.
    context.uc_mcontext.gregs[libc::REG_RIP as usize] -= SYSCALL;
    step(context, 0);
}

/// It has happened.
extern "C" fn after(_: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's argument of a handler.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    context.uc_mcontext.gregs[libc::REG_EFL as usize] &= !TRAP;
    protect(libc::PROT_NONE);
    CALLS.store(DISPATCH, Relaxed);
}
