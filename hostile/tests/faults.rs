//! Faults of the system, each with its outcome. (Full file systems, limits on file sizes and
//! address space, other users, pid and time namespaces, reused process ids and forks have their
//! tests in the crates that deal with them.)

use ipc_core::{Error, Place, Segment};
use ipc_process::{ExitStatusKind, Process, Worker, run_if_worker, test_name};
use ipc_queue::channel::{Channel, RecvError};
use ipc_queue::mpmc;
use ipc_queue::spsc::{PopError, PushError, Ring};
use ipc_sync::{
    AcquireError, Array, Barrier, BarrierError, Condvar, CountingSemaphore, Event, EventError,
    Latch, LockError, Mutex, OnceCell, Reset, RwLock, RwLockError, Semaphore, WaitError, Waited,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, killpg, sigaction};
use nix::unistd::Pid;
use std::fmt::Debug;
use std::fs::File;
use std::io::{PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

/// A process that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(100);
const SHORT: Duration = Duration::from_millis(30);

/// Runs `body` in a process that does nothing else.
fn alone(test: &'static str, body: fn()) {
    run_if_worker(
        test,
        &[("alone", &|_: &mut Worker| {
            body();
            Ok(())
        })],
    );
    let mut process = Process::builder(test, "alone")
        .under_test(test)
        .spawn()
        .unwrap();
    let exit = process.join_timeout(PATIENCE).unwrap();
    exit.expect("the process hangs").into_result().unwrap();
}

/// A name in `/dev/shm` that goes when the test ends, however it does.
struct Name(String);

impl Name {
    fn new(what: &str) -> Self {
        Self(format!("ipc-hostile-{what}-{}", std::process::id()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = Segment::unlink(&*self.0);
    }
}

/// Waits until the other end of the pipe called "go" is closed.
fn wait_to_go(worker: &mut Worker) {
    let mut go = PipeReader::from(worker.take_fd("go").unwrap());
    assert_eq!(go.read(&mut [0]).unwrap(), 0);
}

#[test]
fn who_touches_what_was_truncated_dies_of_sigbus_and_nobody_else() {
    run_if_worker(
        test_name!(),
        &[("touch", &|worker| {
            let name = std::str::from_utf8(worker.params())?.to_owned();
            let segment = Segment::open(name)?;
            let array = Array::<u64>::open_in(&segment, "long")?;
            Event::open_in(&segment, "ready")?.set()?;
            wait_to_go(worker);
            std::hint::black_box(array.to_vec()?);
            Ok(())
        })],
    );
    let name = Name::new("truncated");
    let segment = Segment::create(&*name.0, 1 << 20).unwrap();
    let ready = Event::create_in(&segment, "ready", Reset::Manual).unwrap();
    Array::create_in(&segment, "long", 50_000, |at| at as u64).unwrap();
    let (go, hold) = std::io::pipe().unwrap();
    let mut worker = Process::builder(test_name!(), "touch")
        .params(name.0.as_bytes())
        .fd("go", &go)
        .under_test(test_name!())
        .spawn()
        .unwrap();
    ready.wait_timeout(PATIENCE).unwrap();
    let objects = segment.objects().unwrap();
    let kept = objects.iter().find(|it| it.name == "long").unwrap().offset + 4096;
    let path = format!("/dev/shm/{}", name.0);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(kept).unwrap();
    drop(hold);
    let exit = worker.join_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(exit.status, ExitStatusKind::Signal(libc::SIGBUS), "{exit}");
    // What is left goes on, the dead one among it; nobody else comes.
    segment.recover().unwrap();
    assert_eq!(segment.participants().unwrap().len(), 1);
    ready.reset().unwrap();
    let error = Segment::open(&*name.0).unwrap_err();
    assert!(matches!(error, Error::WrongLength { .. }), "{error}");
}

#[test]
fn a_memory_file_cannot_be_truncated() {
    let segment = Segment::create(Place::memfd("sealed"), 4096).unwrap();
    let file = File::from(segment.descriptor().unwrap());
    for len in [0, segment.len() - 1, segment.len() + 1] {
        let error = file.set_len(len).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    }
}

extern "C" fn nothing(_: libc::c_int) {}

/// From now on this process gets thousands of signals a second, whose handler interrupts whatever
/// is under way.
fn storm() {
    let action = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGALRM, &action) }.unwrap();
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: 300,
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: the timer is initialised; nobody asks for the one before.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
    assert_eq!(set, 0);
}

/// It says that the time is up, and not before it is.
#[track_caller]
fn times_out<T, E: Debug>(wait: impl FnOnce() -> Result<T, E>, is_late: impl FnOnce(&E) -> bool) {
    let start = Instant::now();
    match wait() {
        Ok(_) => panic!("there was nothing to wait for"),
        Err(error) => assert!(is_late(&error), "{error:?}"),
    }
    assert!(start.elapsed() >= SHORT, "after {:?}", start.elapsed());
}

#[test]
fn no_wait_is_cut_short_or_prolonged_by_a_storm_of_signals() {
    fn in_a_storm() {
        let segment = Segment::create(Place::memfd("storm"), 1 << 18).unwrap();
        let mutex = Mutex::create_in(&segment, "mutex", 0_u64).unwrap();
        let lock = RwLock::create_in(&segment, "rwlock", 0_u64).unwrap();
        let condvar = Condvar::create_in(&segment, "condvar").unwrap();
        let once = OnceCell::<u64>::create_in(&segment, "once").unwrap();
        let semaphore = Semaphore::create_in(&segment, "semaphore", 1).unwrap();
        let posts = CountingSemaphore::create_in(&segment, "posts", 0).unwrap();
        let latch = Latch::create_in(&segment, "latch", 1).unwrap();
        let event = Event::create_in(&segment, "event", Reset::Auto).unwrap();
        let barrier = Barrier::create_in(&segment, "barrier", 2).unwrap();
        let ring = Ring::<u64>::create_in(&segment, "ring", 1).unwrap();
        let queue = mpmc::Queue::<u64>::create_in(&segment, "queue", 1).unwrap();
        let channel = Channel::create_in(&segment, "channel", 64, 8).unwrap();
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let (mut sender, mut receiver) = (queue.sender().unwrap(), queue.receiver().unwrap());
        let (mut end, _other) = (channel.first().unwrap(), channel.second().unwrap());
        let mut party = barrier.join().unwrap();
        let _other = barrier.join().unwrap();
        storm();

        // Somebody else has what can be had.
        std::thread::scope(|scope| {
            let (is_held, held) = std::sync::mpsc::channel();
            let (done, is_done) = std::sync::mpsc::channel::<()>();
            let others = [mutex.clone()];
            let (lock, once, semaphore) = (&lock, &once, &semaphore);
            scope.spawn(move || {
                let [mutex] = &others;
                let _mutex = mutex.lock().unwrap();
                let _write = lock.write().unwrap();
                let _permit = semaphore.acquire().unwrap();
                let value = || {
                    is_held.send(()).unwrap();
                    let _ = is_done.recv();
                    7
                };
                assert_eq!(once.get_or_init(value).unwrap(), 7);
            });
            held.recv().unwrap();
            let late = |error: &LockError<'_, u64>| matches!(error, LockError::TimedOut);
            times_out(|| mutex.lock_timeout(SHORT), late);
            let late = |error: &RwLockError| matches!(error, RwLockError::TimedOut);
            times_out(|| lock.read_timeout(SHORT), late);
            let late = |error: &AcquireError| matches!(error, AcquireError::TimedOut);
            times_out(|| semaphore.acquire_timeout(SHORT), late);
            let late = |error: &ipc_sync::OnceError| matches!(error, ipc_sync::OnceError::TimedOut);
            times_out(|| once.get_or_init_timeout(SHORT, || 0), late);
            drop(done);
        });

        let late = |error: &WaitError| matches!(error, WaitError::TimedOut);
        times_out(|| posts.wait_timeout(SHORT), late);
        times_out(|| latch.wait_timeout(SHORT), late);
        times_out(
            || event.wait_timeout(SHORT),
            |it| matches!(it, EventError::TimedOut),
        );
        times_out(
            || party.wait_timeout(SHORT),
            |it| matches!(it, BarrierError::TimedOut),
        );
        times_out(
            || rx.pop_timeout(SHORT),
            |it| matches!(it, PopError::TimedOut),
        );
        tx.push(1).unwrap();
        times_out(
            || tx.push_timeout(2, SHORT),
            |it| matches!(it, PushError::TimedOut),
        );
        times_out(
            || receiver.pop_timeout(SHORT),
            |it| matches!(it, mpmc::PopError::TimedOut),
        );
        sender.push(1).unwrap();
        times_out(
            || sender.push_timeout(2, SHORT),
            |it| matches!(it, mpmc::PushError::TimedOut),
        );
        times_out(
            || end.recv_into_timeout(&mut [0; 8], SHORT),
            |it| matches!(it, RecvError::TimedOut),
        );
        let start = Instant::now();
        let guard = mutex.lock().unwrap();
        let (guard, waited) = condvar.wait_timeout(guard, SHORT).unwrap();
        // Waking for nothing is allowed, and a signal is no notification.
        assert_eq!(waited, Waited::TimedOut);
        assert!(start.elapsed() >= SHORT);
        drop(guard);

        // And who is woken goes on.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                times_out(
                    || latch.wait_timeout(SHORT),
                    |it| matches!(it, WaitError::TimedOut),
                );
                latch.count_down(1).unwrap();
                event.set().unwrap();
                posts.post(1).unwrap();
            });
            latch.wait().unwrap();
            event.wait().unwrap();
            posts.wait().unwrap();
        });
    }
    alone(test_name!(), in_a_storm);
}

#[test]
fn a_process_group_that_is_stopped_and_continued_loses_nothing() {
    const MEMBERS: usize = 3;
    const ROUNDS: u64 = 3_000;
    run_if_worker(
        test_name!(),
        &[("member", &|worker| {
            let leader = i32::from_ne_bytes(worker.params().try_into()?);
            nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(leader))?;
            let segment = Segment::open(worker.take_fd("segment")?)?;
            let mutex = Mutex::<[u64; 2]>::open_in(&segment, "mutex")?;
            let permits = Semaphore::open_in(&segment, "permits")?;
            let queue = mpmc::Queue::<u64>::open_in(&segment, "queue")?;
            let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
            Latch::open_in(&segment, "there")?.count_down(1)?;
            for round in 0..ROUNDS {
                mutex.update(|[first, second]| {
                    *first += 1;
                    *second += 1;
                })?;
                let permit = permits.acquire()?;
                tx.push(round)?;
                rx.pop()?.ok_or("the stream has ended")?;
                drop(permit);
            }
            Ok(())
        })],
    );
    let segment = Segment::create(Place::memfd("group"), 1 << 18).unwrap();
    let mutex = Mutex::create_in(&segment, "mutex", [0_u64; 2]).unwrap();
    let permits = Semaphore::create_in(&segment, "permits", 2).unwrap();
    let there = Latch::create_in(&segment, "there", MEMBERS as u32).unwrap();
    let queue = mpmc::Queue::<u64>::create_in(&segment, "queue", 4).unwrap();
    let file = segment.descriptor().unwrap();
    let mut members = Vec::<Process>::new();
    for _ in 0..MEMBERS {
        let leader = members.first().map_or(0, |it| it.pid() as i32);
        let member = Process::builder(test_name!(), "member")
            .params(leader.to_ne_bytes())
            .fd("segment", &file)
            .under_test(test_name!());
        members.push(member.spawn().unwrap());
        // The next one is to find the group of the first.
        while there.count().unwrap() as usize > MEMBERS - members.len() {
            std::thread::yield_now();
        }
    }
    let group = Pid::from_raw(members[0].pid() as i32);
    let mut refused = 0;
    for _ in 0..30 {
        if killpg(group, Signal::SIGSTOP).is_err() {
            break;
        }
        // Stopped is not dead: whatever they hold they keep, and the others' times are kept.
        let start = Instant::now();
        match mutex.lock_timeout(SHORT / 10) {
            Ok(value) => assert_eq!(value[0], value[1]),
            Err(LockError::TimedOut) => {
                assert!(start.elapsed() >= SHORT / 10);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(segment.recover().unwrap().swept, 0);
        killpg(group, Signal::SIGCONT).unwrap();
        std::thread::yield_now();
    }
    eprintln!("the mutex was held by somebody stopped {refused} times");
    for mut member in members {
        let exit = member.join_timeout(PATIENCE).unwrap();
        exit.expect("a member hangs").into_result().unwrap();
    }
    assert_eq!(mutex.get().unwrap(), [MEMBERS as u64 * ROUNDS; 2]);
    assert_eq!(permits.available().unwrap(), 2);
    assert!(queue.is_empty().unwrap());
}

#[test]
fn what_a_process_holds_comes_back_when_it_executes_another_program() {
    run_if_worker(
        test_name!(),
        &[("executor", &|worker| {
            let segment = Segment::open(worker.take_fd("segment")?)?;
            let mutex = Mutex::<u64>::open_in(&segment, "mutex")?;
            let semaphore = Semaphore::open_in(&segment, "semaphore")?;
            let queue = mpmc::Queue::<u64>::open_in(&segment, "queue")?;
            let ring = Ring::<u64>::open_in(&segment, "ring")?;
            let _guard = mutex.lock().map_err(|it| it.to_string())?;
            let _permits = semaphore.acquire_many(2)?;
            let mut rx = queue.receiver()?;
            let _message = rx.take()?;
            let _tx = ring.producer()?;
            Event::open_in(&segment, "ready")?.set()?;
            Err(std::process::Command::new("sleep")
                .arg("1000")
                .exec()
                .into())
        })],
    );
    let segment = Segment::create(Place::memfd("exec"), 1 << 18).unwrap();
    let mutex = Mutex::create_in(&segment, "mutex", 0_u64).unwrap();
    let semaphore = Semaphore::create_in(&segment, "semaphore", 3).unwrap();
    let queue = mpmc::Queue::<u64>::create_in(&segment, "queue", 4).unwrap();
    let ring = Ring::<u64>::create_in(&segment, "ring", 4).unwrap();
    let ready = Event::create_in(&segment, "ready", Reset::Manual).unwrap();
    queue.sender().unwrap().push(7).unwrap();
    let file = segment.descriptor().unwrap();
    let mut executor = Process::builder(test_name!(), "executor")
        .fd("segment", &file)
        .under_test(test_name!())
        .spawn()
        .unwrap();
    ready.wait_timeout(PATIENCE).unwrap();
    let Err(LockError::OwnerDied(guard)) = mutex.lock_timeout(PATIENCE) else {
        panic!("the mutex is not known to have lost its owner");
    };
    drop(guard.repaired());
    drop(semaphore.acquire_many_timeout(3, PATIENCE).unwrap());
    let mut rx = queue.receiver().unwrap();
    let message = rx.take_timeout(PATIENCE).unwrap().unwrap();
    assert!(*message == 7 && message.is_redelivered());
    drop(ring.producer().unwrap());
    assert!(executor.is_alive(), "it is to sleep for long");
}

#[test]
fn without_a_free_descriptor_everything_that_is_open_goes_on() {
    fn without_descriptors() {
        let segment = Segment::create(Place::memfd("limit"), 1 << 18).unwrap();
        let mutex = Mutex::create_in(&segment, "mutex", 0_u64).unwrap();
        let event = Event::create_in(&segment, "event", Reset::Auto).unwrap();
        let queue = mpmc::Queue::<u64>::create_in(&segment, "queue", 4).unwrap();
        let file = segment.descriptor().unwrap();
        let again = file.try_clone().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
        assert!(File::open("/dev/null").is_err());

        let error = Segment::open(again).unwrap_err();
        assert!(matches!(error, Error::Os { .. }), "{error}");
        mutex.update(|it| *it += 1).unwrap();
        times_out(
            || event.wait_timeout(SHORT),
            |it| matches!(it, EventError::TimedOut),
        );
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        tx.push(1).unwrap();
        assert_eq!(rx.pop().unwrap(), Some(1));
        times_out(
            || rx.pop_timeout(SHORT),
            |it| matches!(it, mpmc::PopError::TimedOut),
        );
        Mutex::<u64>::open_in(&segment, "mutex").unwrap();
        Latch::create_in(&segment, "latch", 1).unwrap();
        segment.recover().unwrap();
        assert_eq!(segment.participants().unwrap().len(), 1);

        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        // The refused one took nothing.
        let other = Segment::open(file).unwrap();
        assert_eq!(other.participants().unwrap().len(), 2);
        assert_eq!(
            Mutex::<u64>::open_in(&other, "mutex")
                .unwrap()
                .get()
                .unwrap(),
            1
        );
    }
    alone(test_name!(), without_descriptors);
}
