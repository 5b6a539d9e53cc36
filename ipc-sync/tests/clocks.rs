//! Waits go by the clock that nobody sets, and no time stands in shared memory: the time of day is
//! never asked for, and processes whose clocks differ by a day use the same objects.

mod common;

use common::PATIENCE;
use ipc_core::{Place, Segment, Wait};
use ipc_process::test_name;
use ipc_sync::{
    Barrier, Condvar, CountingSemaphore, Event, Latch, LockError, Mutex, Once, Reset, RwLock,
    Semaphore,
};
use nix::sched::{CloneFlags, unshare};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use std::time::{Duration, Instant};
use test_kit::forked::Forked;
use test_kit::solo::{alone, skip};

/// A time that is to pass. Several slices.
const SHORT: Duration = Duration::from_millis(35);

struct All {
    event: Event,
    mutex: Mutex<u64>,
    free: Mutex<u64>,
    condvar: Condvar,
    rwlock: RwLock<u64>,
    semaphore: Semaphore,
    counting: CountingSemaphore,
    latch: Latch,
    barrier: Barrier,
    once: Once,
}

fn segment() -> Segment {
    Segment::builder(Place::memfd("clocks"))
        .handles(64)
        .size(256 << 10)
        .create()
        .unwrap()
}

impl All {
    fn create(segment: &Segment) -> Self {
        Self {
            event: Event::create_in(segment, "event", Reset::Manual).unwrap(),
            mutex: Mutex::create_in(segment, "mutex", 0).unwrap(),
            free: Mutex::create_in(segment, "free", 0).unwrap(),
            condvar: Condvar::create_in(segment, "condvar").unwrap(),
            rwlock: RwLock::create_in(segment, "rwlock", 0).unwrap(),
            semaphore: Semaphore::create_in(segment, "semaphore", 1).unwrap(),
            counting: CountingSemaphore::create_in(segment, "counting", 0).unwrap(),
            latch: Latch::create_in(segment, "latch", 1).unwrap(),
            barrier: Barrier::create_in(segment, "barrier", 2).unwrap(),
            once: Once::create_in(segment, "once").unwrap(),
        }
    }

    fn open(segment: &Segment) -> Self {
        let mut all = Self {
            event: Event::open_in(segment, "event").unwrap(),
            mutex: Mutex::open_in(segment, "mutex").unwrap(),
            free: Mutex::open_in(segment, "free").unwrap(),
            condvar: Condvar::open_in(segment, "condvar").unwrap(),
            rwlock: RwLock::open_in(segment, "rwlock").unwrap(),
            semaphore: Semaphore::open_in(segment, "semaphore").unwrap(),
            counting: CountingSemaphore::open_in(segment, "counting").unwrap(),
            latch: Latch::open_in(segment, "latch").unwrap(),
            barrier: Barrier::open_in(segment, "barrier").unwrap(),
            once: Once::open_in(segment, "once").unwrap(),
        };
        all.mutex.set_wait(Wait::Park);
        all.event.set_wait(Wait::Park);
        all
    }

    /// Everything that can be held is, as long as `then` runs.
    fn held(&self, then: impl FnOnce()) {
        let (_mutex, _rwlock) = (self.mutex.lock().unwrap(), self.rwlock.write().unwrap());
        let _permit = self.semaphore.acquire().unwrap();
        self.once.call_once(then).unwrap();
    }

    /// Waits for each in turn, until the time is up.
    fn wait_in_vain(&self) {
        let in_vain = |name: &str, wait: &dyn Fn() -> bool| {
            let start = Instant::now();
            assert!(wait(), "{name}");
            let took = start.elapsed();
            assert!((SHORT..PATIENCE).contains(&took), "{name}: {took:?}");
        };
        in_vain("event", &|| self.event.wait_timeout(SHORT).is_err());
        in_vain("mutex", &|| self.mutex.lock_timeout(SHORT).is_err());
        in_vain("condvar", &|| {
            let guard = self.free.lock().unwrap();
            let (_, waited) = self.condvar.wait_timeout(guard, SHORT).unwrap();
            waited == ipc_sync::Waited::TimedOut
        });
        in_vain("reader", &|| self.rwlock.read_timeout(SHORT).is_err());
        in_vain("writer", &|| self.rwlock.write_timeout(SHORT).is_err());
        in_vain("semaphore", &|| {
            self.semaphore.acquire_timeout(SHORT).is_err()
        });
        in_vain("counting", &|| self.counting.wait_timeout(SHORT).is_err());
        in_vain("latch", &|| self.latch.wait_timeout(SHORT).is_err());
        in_vain("barrier", &|| {
            self.barrier.join().unwrap().wait_timeout(SHORT).is_err()
        });
        in_vain("once", &|| {
            self.once.call_once_timeout(SHORT, || ()).is_err()
        });
    }
}

/// The waits for a time of a traced process, or what it did that it should not.
fn trace(child: &Forked) -> Result<u32, String> {
    let options = ptrace::Options::PTRACE_O_TRACESYSGOOD;
    ptrace::setoptions(child.pid(), options).map_err(|error| error.to_string())?;
    let is_real = |clock: u64| clock == libc::CLOCK_REALTIME as u64;
    let mut waits = 0;
    loop {
        ptrace::syscall(child.pid(), None).map_err(|error| error.to_string())?;
        match waitpid(child.pid(), None).map_err(|error| error.to_string())? {
            WaitStatus::Exited(_, 0) => return Ok(waits),
            WaitStatus::PtraceSyscall(_) => {}
            other => return Err(format!("{other:?}")),
        }
        let info = ptrace::syscall_info(child.pid()).map_err(|error| error.to_string())?;
        if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
            continue;
        }
        // SAFETY: the kernel says that it filled this one.
        let libc::__c_anonymous_ptrace_syscall_info_entry { nr, args } = unsafe { info.u.entry };
        let asked = match nr as libc::c_long {
            libc::SYS_futex if args[3] != 0 && args[1] & 0x7f != libc::FUTEX_WAKE as u64 => {
                waits += 1;
                args[1] & libc::FUTEX_CLOCK_REALTIME as u64 != 0
            }
            libc::SYS_clock_gettime | libc::SYS_clock_nanosleep => is_real(args[0]),
            libc::SYS_clock_settime
            | libc::SYS_settimeofday
            | libc::SYS_gettimeofday
            | libc::SYS_adjtimex => true,
            _ => false,
        };
        if asked {
            return Err(format!("call {nr} with {args:?}"));
        }
    }
}

#[test]
fn no_wait_asks_for_the_time_of_day() {
    alone(test_name!(), |_| {
        let segment = segment();
        let all = All::create(&segment);
        let descriptor = segment.descriptor().unwrap();
        all.held(|| {
            let child = Forked::run(|| {
                let all = All::open(&Segment::open(descriptor).unwrap());
                if ptrace::traceme().is_err() {
                    return 1;
                }
                raise(Signal::SIGSTOP).unwrap();
                all.wait_in_vain();
                0
            });
            match waitpid(child.pid(), None).unwrap() {
                WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
                WaitStatus::Exited(_, 1) => return skip("this process may not trace"),
                other => panic!("{other:?}"),
            }
            let waits = trace(&child).unwrap();
            std::mem::forget(child);
            // Each of the ten slept several slices.
            assert!(waits > 20, "{waits}");
        });
    });
}

/// Runs `body` in a child whose clock is a day ahead. `None` if the system does not let us.
fn a_day_ahead(body: impl FnOnce() -> i32) -> Option<Forked> {
    let refused = 77;
    let (mut told, tell) = std::io::pipe().unwrap();
    let house = Forked::run(move || {
        // For its children.
        let day = "monotonic 86400 0\nboottime 86400 0\n";
        if unshare(CloneFlags::from_bits_retain(libc::CLONE_NEWTIME)).is_err()
            || std::fs::write("/proc/self/timens_offsets", day).is_err()
        {
            return refused;
        }
        let inhabitant = Forked::run(body);
        std::io::Write::write_all(&mut &tell, b"x").unwrap();
        drop(tell);
        inhabitant.join().unwrap_or(99)
    });
    if std::io::Read::read_exact(&mut told, &mut [0]).is_err() {
        assert_eq!(house.join().unwrap(), refused);
        eprintln!("skipped: no time namespace");
        return None;
    }
    Some(house)
}

#[test]
fn clocks_a_day_apart_do_not_matter() {
    alone(test_name!(), |_| {
        let segment = segment();
        let all = All::create(&segment);
        // Waits end in time there while we hold everything.
        let descriptor = segment.descriptor().unwrap();
        let before = Instant::now();
        all.held(|| {
            let there = a_day_ahead(|| {
                let day = Duration::from_secs(86_400);
                assert!(before.elapsed() > day, "the clock is the same");
                All::open(&Segment::open(descriptor).unwrap()).wait_in_vain();
                0
            });
            assert_eq!(there.map_or(0, |it| it.join().unwrap()), 0);
        });
        // And here while they are held there; and who waits for ever is woken from there.
        let segment = self::segment();
        let all = All::create(&segment);
        let descriptor = segment.descriptor().unwrap();
        let Some(there) = a_day_ahead(|| {
            let all = All::open(&Segment::open(descriptor).unwrap());
            all.held(|| {
                all.free.set(1).unwrap();
                all.event.wait().unwrap();
            });
            all.latch.count_down(1).unwrap();
            let guard = all.mutex.lock().unwrap();
            all.free.set(2).unwrap();
            all.counting.wait().unwrap();
            drop(guard);
            0
        }) else {
            return;
        };
        common::until("all is held", || all.free.get().unwrap() == 1);
        let timed_out = all.mutex.lock_timeout(SHORT);
        assert!(matches!(timed_out, Err(LockError::TimedOut)));
        assert!(all.rwlock.read_timeout(SHORT).is_err());
        assert!(all.semaphore.acquire_timeout(SHORT).is_err());
        assert!(all.once.call_once_timeout(SHORT, || ()).is_err());
        all.event.set().unwrap();
        all.latch.wait().unwrap();
        // Killed there while it holds the mutex.
        common::until("it is held again", || all.free.get().unwrap() == 2);
        there.kill();
        let start = Instant::now();
        assert!(matches!(all.mutex.lock(), Err(LockError::OwnerDied(_))));
        assert!(start.elapsed() < PATIENCE);
    });
}
