//! A process that may have little memory, and asks for much: the kernel refuses it, or kills it.

use ipc_core::{Place, Segment};
use ipc_process::{ExitStatusKind, Process, run_if_worker, test_name};
use ipc_queue::mpmc::Queue;
use ipc_sync::{LockError, Mutex};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use test_kit::patience::PATIENCE;
use test_kit::scratch::{Scratch, names_in};

const LITTLE: usize = 16 << 20;
const MUCH: usize = 64 << 20;

/// A control group below that of this process, removed when dropped. Nobody may be in it then.
struct Group(PathBuf);

impl Group {
    /// With so many bytes of memory for all processes in it.
    fn of_memory(bytes: usize) -> io::Result<Self> {
        let mine = fs::read_to_string("/proc/self/cgroup")?;
        let of_memory = |line: &str| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let (root, limit) = match controllers {
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                "" => ("/sys/fs/cgroup", "memory.max"),
                _ => return None,
            };
            let parent = Path::new(root).join(path.trim_start_matches('/'));
            parent.join(limit).exists().then_some((parent, limit))
        };
        let (parent, limit) = mine
            .lines()
            .find_map(of_memory)
            .ok_or(io::ErrorKind::NotFound)?;
        let path = parent.join(format!("ipc-test-{}", std::process::id()));
        fs::create_dir(&path)?;
        let group = Self(path);
        fs::write(group.0.join(limit), bytes.to_string())?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn who_is_killed_for_lack_of_memory_leaves_what_any_other_dead_one_does() {
    run_if_worker(
        test_name!(),
        &[("greedy", &|worker| {
            let segment = Segment::open(worker.take_fd("segment")?)?;
            let params = String::from_utf8(worker.params().to_vec())?;
            let (group, path) = params.split_once('\n').ok_or("two lines")?;
            let mutex = Mutex::<u64>::open_in(&segment, "mutex")?;
            let mut rx = Queue::<u64>::open_in(&segment, "queue")?.receiver()?;
            fs::write(group, std::process::id().to_string())?;
            let held = mutex.lock().map_err(|error| error.to_string())?;
            let taken = rx.try_take()?;
            let error = Segment::create(Path::new(path), MUCH)
                .err()
                .ok_or("it has got it")?;
            drop((held, taken));
            Err(error.into())
        })],
    );
    let group = match Group::of_memory(LITTLE) {
        Ok(group) => group,
        Err(error) => return eprintln!("skipped: no control group can be made: {error}"),
    };
    let segment = Segment::create(Place::memfd("low memory"), 1 << 20).unwrap();
    let mutex = Mutex::create_in(&segment, "mutex", 7u64).unwrap();
    let queue = Queue::<u64>::create_in(&segment, "queue", 4).unwrap();
    queue.sender().unwrap().push(8).unwrap();
    let scratch = Scratch::new();
    let path = scratch.join("much");
    let processes = group.0.join("cgroup.procs");
    let mut greedy = Process::builder(test_name!(), "greedy")
        .params(format!("{}\n{}", processes.display(), path.display()))
        .fd("segment", segment.descriptor().unwrap())
        .under_test(test_name!())
        .spawn()
        .unwrap();
    let exit = greedy.join_timeout(PATIENCE).unwrap().expect("it ends");
    eprintln!("{exit}");
    let was_killed = exit.status == ExitStatusKind::Signal(libc::SIGKILL);
    assert!(
        was_killed || exit.status == ExitStatusKind::Code(1),
        "{exit}"
    );
    // A segment is there when it is complete.
    assert!(Segment::open(path.as_path()).is_err());
    ipc_core::clean_in(scratch.path()).unwrap();
    assert!(names_in(scratch.path()).is_empty());
    // And the others go on.
    match mutex.lock_timeout(PATIENCE) {
        Err(LockError::OwnerDied(guard)) if was_killed => assert_eq!(*guard.repaired(), 7),
        Ok(guard) if !was_killed => assert_eq!(*guard, 7),
        other => panic!("{other:?}"),
    }
    let again = queue
        .receiver()
        .unwrap()
        .take_timeout(PATIENCE)
        .unwrap()
        .map(|it| *it);
    assert_eq!(again, Some(8));
}
