//! Making and finding rings: what is refused, and what lies beside what.

mod common;

use common::{ShmName, unnamed};
use ipc_core::{Error, Place, Segment};
use ipc_process::{Process, Worker, run_if_worker, test_name};
use ipc_queue::spsc::{OpenError, PopError, PushError, Ring};
use ipc_sync::{Event, Reset};
use std::io::{PipeReader, Read};
use std::time::Duration;

#[test]
fn impossible_capacities_are_refused() {
    for capacity in [0, usize::MAX, usize::MAX / 2 + 1, (1 << 40) + 1] {
        let error = Ring::<u64>::create(Place::memfd("test"), capacity).unwrap_err();
        assert!(
            matches!(error, Error::OutOfRange { asked, .. } if asked == capacity as u128),
            "{capacity}: {error}"
        );
        assert!(Ring::<u64>::size_for(capacity).is_err());
        assert!(Ring::<()>::create(Place::memfd("test"), capacity).is_err());
        assert!(Ring::<[u8; 1 << 20]>::size_for(capacity).is_err());
    }
    // Possible as a number, but not on this machine.
    let error = Ring::<[u8; 1 << 16]>::create(Place::memfd("test"), 1 << 30).unwrap_err();
    assert!(
        matches!(error, Error::NoSpace { .. } | Error::OutOfRange { .. }),
        "{error}"
    );
    let error = Ring::<u64>::create(Place::memfd("test"), 1 << 40).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
}

#[test]
fn the_size_for_a_ring_is_what_it_takes() {
    for capacity in [1, 2, 3, 100, 1000] {
        let size = Ring::<[u8; 12]>::size_for(capacity).unwrap();
        let segment = Segment::create(Place::memfd("test"), 2 * size).unwrap();
        Ring::<[u8; 12]>::create_in(&segment, "a", capacity).unwrap();
        Ring::<[u8; 12]>::create_in(&segment, "b", capacity).unwrap();
        let error = Ring::<u8>::create_in(&segment, "c", 1).unwrap_err();
        assert!(matches!(error, Error::SegmentFull { .. }), "{error}");
    }
}

#[test]
fn another_type_kind_or_name_is_refused() {
    let segment = Segment::create(Place::memfd("test"), 1 << 16).unwrap();
    Ring::<u64>::create_in(&segment, "numbers", 4).unwrap();
    Event::create_in(&segment, "event", Reset::Manual).unwrap();

    let error = Ring::<i64>::open_in(&segment, "numbers").unwrap_err();
    assert!(
        matches!(&error, Error::WrongType { found, expected, .. }
            if found.name == "u64" && expected.name == "i64"),
        "{error}"
    );
    assert!(error.to_string().contains("numbers"), "{error}");
    let error = Ring::<[u8; 8]>::open_in(&segment, "numbers").unwrap_err();
    assert!(matches!(error, Error::WrongType { .. }), "{error}");
    let error = Ring::<u64>::open_in(&segment, "event").unwrap_err();
    assert!(
        matches!(&error, Error::WrongKind { found, .. } if found == "event"),
        "{error}"
    );
    let error = Event::open_in(&segment, "numbers").unwrap_err();
    assert!(matches!(error, Error::WrongKind { .. }), "{error}");
    let error = Ring::<u64>::open_in(&segment, "letters").unwrap_err();
    assert!(
        matches!(&error, Error::ObjectNotFound { present, .. } if present.contains("numbers")),
        "{error}"
    );
    let error = Ring::<u64>::create_in(&segment, "numbers", 4).unwrap_err();
    assert!(matches!(error, Error::ObjectExists { .. }), "{error}");
    let error = Ring::<u64>::open(segment.descriptor().unwrap()).unwrap_err();
    assert!(matches!(error, Error::ObjectNotFound { .. }), "{error}");
    let name = ShmName::new();
    let error = Ring::<u64>::open(name.0.as_str()).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[test]
fn a_type_can_have_another_name() {
    let ring = Ring::<u64>::options()
        .type_name("price")
        .create(Place::memfd("test"), 4)
        .unwrap();
    let descriptor = || ring.segment().descriptor().unwrap();
    assert!(Ring::<u64>::open(descriptor()).is_err());
    Ring::<i64>::options()
        .type_name("price")
        .open(descriptor())
        .unwrap();
    let error = Ring::<u32>::options()
        .type_name("price")
        .open(descriptor())
        .unwrap_err();
    assert!(matches!(error, Error::WrongType { .. }), "{error}");
}

#[test]
fn references_into_memory_that_others_can_write_are_refused() {
    for mode in [0o666, 0o620, 0o602] {
        let (_, ring) = Segment::builder(Place::memfd("test"))
            .mode(mode)
            .create_with(|segment| Ring::<u64>::create_in(segment, "ring", 4))
            .unwrap();
        let opened = Ring::<u64>::open(ring.segment().descriptor().unwrap()).unwrap();
        for ring in [ring, opened] {
            let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
            let timeout = Duration::ZERO;
            assert!(matches!(tx.try_reserve(), Err(PushError::NotPrivate)));
            assert!(matches!(tx.reserve(), Err(PushError::NotPrivate)));
            assert!(matches!(
                tx.reserve_timeout(timeout),
                Err(PushError::NotPrivate)
            ));
            tx.push(5).unwrap();
            assert!(matches!(rx.try_peek(), Err(PopError::NotPrivate)));
            assert!(matches!(rx.peek(), Err(PopError::NotPrivate)));
            assert!(matches!(
                rx.peek_timeout(timeout),
                Err(PopError::NotPrivate)
            ));
            assert_eq!(rx.pop().unwrap(), Some(5));
        }
    }
}

#[test]
fn two_rings_and_an_event_live_in_one_segment() {
    const SCOPE: &str = "two-rings";
    run_if_worker(
        SCOPE,
        &[("answer", &|worker: &mut Worker| {
            let segment = Segment::open(worker.take_fd("segment")?)?;
            let mut questions = Ring::<u64>::open_in(&segment, "questions")?.consumer()?;
            let mut answers = Ring::<[u8; 12]>::open_in(&segment, "answers")?.producer()?;
            Event::open_in(&segment, "ready")?.set()?;
            while let Some(question) = questions.pop()? {
                answers.push([question as u8; 12])?;
            }
            Ok(answers.close()?)
        })],
    );
    let segment = Segment::create(Place::memfd("test"), 1 << 16).unwrap();
    let questions = Ring::<u64>::create_in(&segment, "questions", 3).unwrap();
    let answers = Ring::<[u8; 12]>::create_in(&segment, "answers", 5).unwrap();
    let ready = Event::create_in(&segment, "ready", Reset::Manual).unwrap();
    let mut worker = Process::builder(SCOPE, "answer")
        .under_test(test_name!())
        .fd("segment", segment.descriptor().unwrap())
        .spawn()
        .unwrap();
    ready.wait().unwrap();
    let (mut tx, mut rx) = (questions.producer().unwrap(), answers.consumer().unwrap());
    for i in 0..10_000u64 {
        tx.push(i).unwrap();
        assert_eq!(rx.pop().unwrap(), Some([i as u8; 12]));
    }
    tx.close().unwrap();
    assert_eq!(rx.pop().unwrap(), None);
    worker.join().unwrap().into_result().unwrap();
    // The rings are separate: the end of one is not that of the other.
    assert!(matches!(questions.producer(), Err(OpenError::Ended { .. })));
    assert!(matches!(answers.producer(), Err(OpenError::Ended { .. })));
}

#[test]
fn of_many_that_open_or_create_all_have_the_same_ring() {
    const SCOPE: &str = "open-or-create";
    run_if_worker(
        SCOPE,
        &[("race", &|worker: &mut Worker| {
            let name = String::from_utf8(worker.params().to_vec())?;
            let mut start = PipeReader::from(worker.take_fd("start")?);
            assert_eq!(start.read(&mut [0])?, 0);
            // Different capacities: the first one's counts.
            let wanted = 1 + std::process::id() as usize % 100;
            let ring = Ring::<u64>::open_or_create(name.as_str(), wanted)?;
            let mut seen = ring.segment().uuid().to_vec();
            seen.extend((ring.capacity() as u64).to_ne_bytes());
            // The others may still be about to open it.
            std::mem::forget(ring);
            Ok(worker.set_result(&seen)?)
        })],
    );
    for _ in 0..5 {
        let name = ShmName::new();
        let (hold, go) = std::io::pipe().unwrap();
        let workers: Vec<_> = (0..6)
            .map(|_| {
                Process::builder(SCOPE, "race")
                    .under_test(test_name!())
                    .params(name.0.as_bytes())
                    .fd("start", &hold)
                    .spawn()
                    .unwrap()
            })
            .collect();
        drop((hold, go));
        let seen: Vec<_> = workers
            .into_iter()
            .map(|mut worker| worker.join().unwrap().into_result().unwrap())
            .collect();
        assert!(seen.iter().all(|it| *it == seen[0]), "{seen:?}");
        assert!(name.exists());
        Ring::<u64>::open(name.0.as_str()).unwrap();
    }
}

#[test]
fn a_full_file_system_is_an_error_and_leaves_nothing() {
    const SCOPE: &str = "full";
    run_if_worker(SCOPE, &[("fill", &|worker: &mut Worker| fill(worker))]);
    let mut worker = Process::builder(SCOPE, "fill")
        .under_test(test_name!())
        .spawn()
        .unwrap();
    let said = worker.join().unwrap().into_result().unwrap();
    if said != b"done" {
        eprintln!("skipped: {}", String::from_utf8_lossy(&said));
    }
}

/// Creates rings in a `/dev/shm` of 4 MiB that only this process sees.
fn fill(worker: &mut Worker) -> ipc_process::WorkResult {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    // A worker has one thread more than unshare allows for a user namespace; a mount namespace
    // can be had with privilege only.
    let none = None::<&str>;
    let mounted = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
        .and_then(|()| {
            let size = Some("size=4m");
            mount(
                Some("tmpfs"),
                "/dev/shm",
                Some("tmpfs"),
                MsFlags::empty(),
                size,
            )
        });
    if let Err(error) = mounted {
        let why = format!("no mount namespace to be had: {error}");
        return Ok(worker.set_result(why.as_bytes())?);
    }
    let _first = Ring::<u64>::create("first", 1 << 18)?;
    let error = Ring::<u64>::create("second", 1 << 18).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    let error = Ring::<u64>::open_or_create("second", 1 << 18).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    let left: Vec<_> = std::fs::read_dir("/dev/shm")?
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["first"]);
    // What is there works, to its last page.
    let ring = Ring::<u64>::open("first")?;
    let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
    let all: Vec<u64> = (0..1 << 18).collect();
    assert_eq!(tx.try_push_slice(&all)?, all.len());
    let mut into = vec![0; all.len()];
    assert_eq!(rx.try_pop_slice(&mut into)?, Some(all.len()));
    assert!(into == all);
    drop((tx, rx));
    Segment::unlink("first")?;
    Ok(worker.set_result(b"done")?)
}

#[test]
fn an_unnamed_ring_has_no_name() {
    let ring = unnamed::<u64>(1);
    assert!(ring.segment().place().contains("memfd"));
    assert_eq!(ring.segment().participants().unwrap().len(), 1);
}
