//! The directory under many creators at once, some of which are killed or stopped: no name twice,
//! no byte twice, no byte lost.

#![cfg(not(loom))]

mod common;

use common::toy::{TOY, set_word, spec, word};
use ipc_core::{Error, Object, ObjectInfo, Segment, TypeTag};
use ipc_process::{Worker, run_if_worker, test_name};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, waitpid};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use test_kit::forked::Forked;
use test_kit::scratch::Scratch;
use test_kit::solo::{alone, at_start, finish, race, racer, scratch_of, spin_for, start_line};

const RACERS: usize = 8;

/// Waits until all racers have come as often as this one.
struct Line {
    count: Object,
    times: u64,
}

impl Line {
    fn open(segment: &Segment) -> Self {
        let count = segment
            .open_object("line", &TOY, &TypeTag::of::<u64>())
            .unwrap();
        Self { count, times: 0 }
    }

    fn meet(&mut self) {
        let count = self.count.structure::<AtomicU64>(0).unwrap();
        count.fetch_add(1, Ordering::AcqRel);
        self.times += 1;
        let deadline = Instant::now() + Duration::from_secs(30);
        // A poll: what is tested here is what a wait would be built on.
        while count.load(Ordering::Acquire) < self.times * RACERS as u64 {
            assert!(Instant::now() < deadline, "a racer is missing");
            std::thread::yield_now();
        }
    }
}

/// No name twice, and no byte in two objects.
#[track_caller]
fn check(segment: &Segment) -> Vec<ObjectInfo> {
    let mut objects = segment.objects().unwrap();
    let names: HashSet<_> = objects.iter().map(|info| &info.name).collect();
    assert_eq!(names.len(), objects.len(), "a name is there twice");
    objects.sort_by_key(|info| info.offset);
    for pair in objects.windows(2) {
        assert!(
            pair[0].offset + pair[0].len <= pair[1].offset,
            "{pair:?} overlap"
        );
    }
    objects
}

/// Creates objects until none can be; the number of objects and their sizes must then be all that
/// the segment has room for.
#[track_caller]
fn check_no_room_is_lost(segment: &Segment, len: u64, wanted: usize) {
    for i in 0.. {
        match segment.create_object(&format!("filler {i}"), &spec(len), |_| Ok(())) {
            Ok(object) => {
                assert!((0..len).step_by(8).all(|offset| word(&object, offset) == 0));
            }
            Err(Error::ObjectsFull { .. } | Error::SegmentFull { .. }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(check(segment).len(), wanted);
}

#[test]
fn of_many_creators_of_one_name_exactly_one_wins() {
    const ROUNDS: u32 = 60;
    let test = test_name!();
    run_if_worker(
        test,
        &[("racer", &|worker: &mut Worker| {
            let segment = Segment::open(scratch_of(worker).join("segment"))?;
            let mut line = Line::open(&segment);
            at_start(worker);
            let mut won = Vec::new();
            for round in 0..ROUNDS {
                line.meet();
                let me = u64::from(std::process::id());
                let created = segment.create_object(&format!("{round}"), &spec(384), |object| {
                    set_word(object, 0, me);
                    Ok(())
                });
                won.push(match created {
                    Ok(object) => {
                        assert_eq!(word(&object, 0), me);
                        1
                    }
                    // Never that there is no room: there is for exactly one of each.
                    Err(Error::ObjectExists { .. }) => 0,
                    Err(error) => return Err(error.into()),
                });
            }
            Ok(worker.set_result(&won)?)
        })],
    );
    let scratch = Scratch::new();
    let segment = Segment::builder(scratch.join("segment"))
        .objects(ROUNDS + 1)
        .size(128 + ROUNDS as usize * 384)
        .create()
        .unwrap();
    segment.create_object("line", &spec(8), |_| Ok(())).unwrap();
    let won = race(test, "racer", RACERS, scratch.path());
    for round in 0..ROUNDS as usize {
        let winners: u32 = won.iter().map(|won| u32::from(won[round])).sum();
        assert_eq!(winners, 1, "round {round}");
    }
    assert_eq!(check(&segment).len(), ROUNDS as usize + 1);
}

#[test]
fn many_creators_of_different_names_fill_the_segment_to_the_last_byte() {
    let test = test_name!();
    run_if_worker(
        test,
        &[("racer", &|worker: &mut Worker| {
            let segment = Segment::open(scratch_of(worker).join("segment"))?;
            at_start(worker);
            let me = u64::from(std::process::id());
            let mut mine = Vec::new();
            for i in 0.. {
                match segment.create_object(&format!("{me} {i}"), &spec(256), |_| Ok(())) {
                    Ok(object) => mine.push(object),
                    Err(Error::ObjectsFull { .. } | Error::SegmentFull { .. }) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            // What one writes, no other object shows.
            for object in &mine {
                (0..256)
                    .step_by(8)
                    .for_each(|offset| set_word(object, offset, me));
            }
            for object in &mine {
                assert!((0..256).step_by(8).all(|offset| word(object, offset) == me));
            }
            Ok(())
        })],
    );
    // Once the heap ends first, once the entries.
    for (objects, heap, wanted) in [(300, 200, 200), (200, 300, 200)] {
        let scratch = Scratch::new();
        let segment = Segment::builder(scratch.join("segment"))
            .objects(objects)
            .size(heap * 256)
            .create()
            .unwrap();
        race(test, "racer", RACERS, scratch.path());
        let objects = check(&segment);
        assert_eq!(objects.len(), wanted);
        let bytes: u64 = objects.iter().map(|info| info.len).sum();
        assert_eq!(bytes, wanted as u64 * 256);
    }
}

/// Creates objects of one size for ever; most of them fail at the end and give their room back.
fn create_for_ever(segment: &Segment, scratch: &std::path::Path) -> i32 {
    let me = std::process::id();
    for i in 0_u64.. {
        if scratch.join("stop").exists() {
            break;
        }
        let keep = i % 16 == 15;
        // Some names are contested.
        let name = if i % 4 == 0 {
            format!("contested {}", i % 64)
        } else {
            format!("{me} {i}")
        };
        let created = segment.create_object(&name, &spec(256), |object| {
            for offset in (0..256).step_by(8) {
                assert_eq!(word(object, offset), 0, "used room was not cleared");
                set_word(object, offset, u64::MAX);
            }
            if keep {
                (0..256)
                    .step_by(8)
                    .for_each(|offset| set_word(object, offset, 0));
                Ok(())
            } else {
                Err(Error::InvalidName {
                    name: String::new(),
                    reason: "on purpose",
                })
            }
        });
        match created {
            Ok(_)
            | Err(
                Error::InvalidName { .. }
                | Error::ObjectExists { .. }
                | Error::ObjectsFull { .. }
                | Error::SegmentFull { .. },
            ) => {}
            Err(error) => panic!("{error}"),
        }
    }
    0
}

#[test]
fn killed_creators_lose_no_room_and_make_no_name_twice() {
    const OBJECTS: u32 = 400;
    let test = test_name!();
    run_if_worker(
        test,
        &[
            ("victims", &|worker: &mut Worker| {
                let scratch = scratch_of(worker);
                at_start(worker);
                let segment = Segment::open(scratch.join("segment"))?;
                for round in 0..300_u64 {
                    let child = Forked::run(|| {
                        let segment = Segment::open(scratch.join("segment")).unwrap();
                        create_for_ever(&segment, &scratch)
                    });
                    spin_for(Duration::from_micros(300 + round * 7));
                    child.kill();
                    if round % 8 == 0 {
                        segment.recover()?;
                        check(&segment);
                    }
                }
                std::fs::write(scratch.join("stop"), "")?;
                Ok(())
            }),
            ("creator", &|worker: &mut Worker| {
                let scratch = scratch_of(worker);
                at_start(worker);
                let segment = Segment::open(scratch.join("segment"))?;
                create_for_ever(&segment, &scratch);
                Ok(())
            }),
        ],
    );
    let scratch = Scratch::new();
    // Entries and heap end at the same time.
    let segment = Segment::builder(scratch.join("segment"))
        .objects(OBJECTS)
        .size(OBJECTS as usize * 256)
        .create()
        .unwrap();
    let (hold, go) = start_line();
    let start = |role, i| racer(test, role, i, scratch.path(), &hold);
    let workers = vec![start("victims", 0), start("creator", 0)];
    drop((hold, go));
    finish(workers);
    segment.recover().unwrap();
    eprintln!(
        "{} objects were made by the killed and the others",
        check(&segment).len()
    );
    check_no_room_is_lost(&segment, 256, OBJECTS as usize);
}

#[test]
fn a_stopped_creator_keeps_its_room_and_holds_up_nobody() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        let builder = Segment::builder(&path).objects(4).size(1024);
        drop(builder.create().unwrap());
        let stopped = Forked::run(|| {
            let segment = Segment::open(&path).unwrap();
            let created = segment.create_object("stopped", &spec(256), |object| {
                set_word(object, 0, 1);
                raise(Signal::SIGSTOP).unwrap();
                assert_eq!(word(object, 0), 1);
                Ok(())
            });
            assert!(matches!(created, Err(Error::ObjectExists { .. })));
            raise(Signal::SIGSTOP).unwrap();
            0
        });
        let wait = || waitpid(stopped.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
        wait();
        let segment = Segment::open(&path).unwrap();
        assert_eq!(segment.recover().unwrap().swept, 0);
        segment
            .create_object("other", &spec(256), |_| Ok(()))
            .unwrap();
        // Even its name is not kept for it, after a while.
        let same = segment
            .create_object("stopped", &spec(256), |_| Ok(()))
            .unwrap();
        set_word(&same, 0, 2);
        kill(stopped.pid(), Signal::SIGCONT).unwrap();
        wait();
        assert_eq!(word(&same, 0), 2);
        // Its room has come back, and all the rest is there.
        check_no_room_is_lost(&segment, 256, 4);
        stopped.kill();
    });
}

#[test]
fn whoever_needs_the_room_of_the_dead_takes_it() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        let segment = Segment::builder(&path)
            .objects(1)
            .size(1024)
            .create()
            .unwrap();
        for _ in 0..5 {
            // Each needs the room of the one before.
            let child = Forked::run(|| {
                let segment = Segment::open(&path).unwrap();
                let _ = segment.create_object("object", &spec(1024), |object| {
                    set_word(object, 0, 1);
                    raise(Signal::SIGKILL).unwrap();
                    Ok(())
                });
                1
            });
            assert_eq!(child.join(), Err(Signal::SIGKILL));
        }
        // Nobody called `recover`.
        let start = Instant::now();
        let object = segment
            .create_object("object", &spec(1024), |_| Ok(()))
            .unwrap();
        assert_eq!(word(&object, 0), 0);
        assert!(
            start.elapsed() < Duration::from_millis(500),
            "it waited for the dead"
        );
    });
}

#[test]
fn whoever_finds_the_room_taken_for_the_same_object_is_told_that_it_exists() {
    let test = test_name!();
    run_if_worker(
        test,
        &[("second", &|worker: &mut Worker| {
            let segment = Segment::open(scratch_of(worker).join("segment"))?;
            drop(worker.take_fd("start")?);
            match segment.create_object("object", &spec(1024), |_| Ok(())) {
                Err(Error::ObjectExists { .. }) => Ok(()),
                Err(error) => Err(error.into()),
                Ok(_) => Err("created twice".into()),
            }
        })],
    );
    for objects in [1, 8] {
        let scratch = Scratch::new();
        let builder = Segment::builder(scratch.join("segment"))
            .objects(objects)
            .size(1024);
        let segment = builder.create().unwrap();
        let mut second = Vec::new();
        segment
            .create_object("object", &spec(1024), |_| {
                // The worker's end is closed when it is about to create.
                let (theirs, mut ours) = std::io::pipe().unwrap();
                second.push(racer(test, "second", 0, scratch.path(), &theirs));
                drop(theirs);
                use std::io::Write;
                while ours.write(&[0]).is_ok() {
                    spin_for(Duration::from_micros(100));
                }
                // Only makes it likely that it meets us here; the outcome is the same otherwise.
                spin_for(Duration::from_millis(20));
                Ok(())
            })
            .unwrap();
        finish(second);
        assert_eq!(check(&segment).len(), 1);
    }
}
