//! Leftovers are listed and cleaned away; what may still be of use to anybody is not.

#![cfg(not(loom))]

mod common;

use common::toy;
use ipc_core::{Error, Segment, clean, clean_in, leftovers, leftovers_in};
use ipc_process::{Process, Worker, run_if_worker, test_name};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, waitpid};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};
use test_kit::forked::Forked;
use test_kit::scratch::{Scratch, ShmName, names_in};
use test_kit::solo::{alone, at_start, finish, racer, scratch_of, skip, start_line};

fn die_with(builder: ipc_core::SegmentBuilder) {
    Forked::run(|| {
        std::mem::forget(builder.create_with(toy::fill).unwrap());
        0
    })
    .join()
    .unwrap();
}

#[test]
fn only_the_surely_dead_are_listed_and_cleaned_away() {
    alone(test_name!(), |scratch| {
        let builder = |name: &str| Segment::builder(scratch.join(name)).size(4096).label(name);
        let _live = builder("live").create().unwrap();
        drop(builder("idle").create().unwrap());
        std::fs::write(scratch.join("foreign"), "no segment").unwrap();
        std::fs::create_dir(scratch.join("directory")).unwrap();
        symlink("dead", scratch.join("link")).unwrap();
        nix::unistd::mkfifo(&scratch.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        die_with(builder("dead"));
        die_with(builder("dead, to be the last").unlink_when_last_leaves(true));
        // One died, one lives.
        die_with(builder("half dead"));
        let _half = Segment::open(scratch.join("half dead")).unwrap();
        // One died, the other swept it and left in order: kept on purpose.
        die_with(builder("swept"));
        Segment::open(scratch.join("swept"))
            .unwrap()
            .recover()
            .unwrap();
        // One died, the other left in order without a look at it.
        die_with(builder("unswept"));
        drop(Segment::open(scratch.join("unswept")).unwrap());
        // Damaged: nothing can be said.
        die_with(builder("damaged header"));
        flip(&scratch.join("damaged header"), 100);
        die_with(builder("damaged table"));
        flip(&scratch.join("damaged table"), 512);
        // Stopped is not dead.
        let stopped = Forked::run(|| {
            let _segment = builder("stopped").create().unwrap();
            raise(Signal::SIGSTOP).unwrap();
            0
        });
        waitpid(stopped.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();

        let before = names_in(scratch);
        let found = leftovers_in(scratch).unwrap();
        let names = |found: &[ipc_core::Leftover]| -> Vec<_> {
            found
                .iter()
                .map(|one| one.path.file_name().unwrap().to_str().unwrap().to_owned())
                .collect()
        };
        let dead = ["dead", "dead, to be the last", "unswept"];
        assert_eq!(names(&found), dead);
        assert_eq!(found[0].label, "dead");
        assert_eq!(
            found[0].bytes,
            scratch.join("dead").metadata().unwrap().len()
        );
        assert_ne!(found[0].creator_pid, std::process::id());
        let age = SystemTime::now().duration_since(found[0].created).unwrap();
        assert!(age < Duration::from_secs(3600), "{age:?}");
        assert_eq!(names_in(scratch), before, "listing changed something");

        assert_eq!(names(&clean_in(scratch).unwrap()), dead);
        assert!(clean_in(scratch).unwrap().is_empty());
        let kept: Vec<_> = before
            .into_iter()
            .filter(|name| !dead.contains(&name.as_str()))
            .collect();
        assert_eq!(names_in(scratch), kept);
        kill(stopped.pid(), Signal::SIGCONT).unwrap();
        assert_eq!(stopped.join(), Ok(0));
    });
}

/// Makes the byte at this place impossible.
fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0xFF;
    bytes[at] |= 3;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_last_one_that_dies_between_leaving_and_removing_leaves_a_leftover() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        // A second name stands for one that the last one did not live to remove.
        let builder = Segment::builder(scratch.join("first name")).unlink_when_last_leaves(true);
        let segment = builder.create().unwrap();
        std::fs::hard_link(scratch.join("first name"), &path).unwrap();
        assert!(leftovers_in(scratch).unwrap().is_empty());
        drop(segment);
        assert_eq!(names_in(scratch), ["segment"]);
        assert_eq!(clean_in(scratch).unwrap().len(), 1);
        assert!(names_in(scratch).is_empty());
    });
}

#[test]
fn the_default_directory_is_that_of_names() {
    alone(test_name!(), |_| {
        // Not the real one: there are leftovers in it that are not ours to clean away.
        if let Err(error) = cover_dev_shm() {
            return skip(&format!(
                "a file system of our own cannot be mounted here ({error})"
            ));
        }
        let name = ShmName::new();
        die_with(Segment::builder(name.0.as_str()).size(128).label("default"));
        assert_eq!(leftovers().unwrap().len(), 1);
        let cleaned = clean().unwrap();
        assert_eq!(cleaned.len(), 1);
        assert_eq!(cleaned[0].label, "default");
        assert!(!name.exists());
        assert!(leftovers().unwrap().is_empty());
    });
}

fn cover_dev_shm() -> nix::Result<()> {
    use nix::mount::{MsFlags, mount};
    let nothing = None::<&str>;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    mount(
        nothing,
        "/",
        nothing,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        nothing,
    )?;
    mount(
        nothing,
        "/dev/shm",
        Some("tmpfs"),
        MsFlags::empty(),
        nothing,
    )
}

#[test]
fn a_missing_directory_is_an_error() {
    let scratch = Scratch::new();
    assert!(matches!(
        leftovers_in(scratch.join("none")),
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        clean_in(scratch.join("none")),
        Err(Error::NotFound { .. })
    ));
}

#[test]
fn cleaning_never_takes_the_name_of_somebody_who_comes() {
    let test = test_name!();
    run_if_worker(
        test,
        &[
            // Leaves dead segments behind, one after the other.
            ("dies", &|worker: &mut Worker| {
                let scratch = scratch_of(worker);
                for _ in 0..150 {
                    let child = Forked::run(|| {
                        let path = scratch.join("segment");
                        // Its own, or the one that stands there: it dies in it.
                        let segment = Segment::builder(path)
                            .size(4096)
                            .open_or_create_with(toy::fill);
                        std::mem::forget(segment.unwrap());
                        0
                    });
                    assert_eq!(child.join(), Ok(0));
                }
                std::fs::write(scratch.join("stop"), "")?;
                Ok(())
            }),
            ("comer", &|worker: &mut Worker| {
                let scratch = scratch_of(worker);
                let path = scratch.join("segment");
                at_start(worker);
                while !scratch.join("stop").exists() {
                    match Segment::open(&path) {
                        Ok(segment) => {
                            let ours = std::fs::File::from(segment.descriptor()?).metadata()?.ino();
                            let named = path.metadata().map(|found| found.ino()).ok();
                            assert_eq!(named, Some(ours), "an orphan");
                            toy::check_filled(&segment);
                        }
                        Err(Error::NotFound { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(())
            }),
            // Clears away the dead in the other way.
            ("replacer", &|worker: &mut Worker| {
                let scratch = scratch_of(worker);
                let path = scratch.join("segment");
                let builder = Segment::builder(&path).size(4096).replace_dead(true);
                at_start(worker);
                while !scratch.join("stop").exists() {
                    match builder.create_with(toy::fill) {
                        Ok((segment, ())) => {
                            let ours = std::fs::File::from(segment.descriptor()?).metadata()?.ino();
                            let named = path.metadata().map(|found| found.ino()).ok();
                            assert_eq!(named, Some(ours), "an orphan");
                        }
                        Err(Error::Exists { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(())
            }),
            ("cleaner", &|worker: &mut Worker| {
                let scratch = scratch_of(worker);
                at_start(worker);
                let mut cleaned = 0_u64;
                while !scratch.join("stop").exists() {
                    cleaned += clean_in(&scratch)?.len() as u64;
                }
                Ok(worker.set_result(&cleaned.to_ne_bytes())?)
            }),
        ],
    );
    let scratch = Scratch::new();
    let (hold, go) = start_line();
    let start = |role, i| racer(test, role, i, scratch.path(), &hold);
    let others = vec![
        start("comer", 0),
        start("comer", 1),
        start("cleaner", 0),
        start("replacer", 1),
    ];
    drop((hold, go));
    let dies = Process::builder(test, "dies")
        .params(scratch.path().as_os_str().as_bytes())
        .under_test(test)
        .spawn()
        .unwrap();
    finish(vec![dies]);
    finish(others);
    clean_in(scratch.path()).unwrap();
    std::fs::remove_file(scratch.join("stop")).unwrap();
    let left = names_in(scratch.path());
    assert!(left.is_empty() || left == ["segment"], "{left:?}");
}

#[test]
fn leaving_in_order_is_never_taken_for_death() {
    let test = test_name!();
    run_if_worker(
        test,
        &[("guest", &|worker: &mut Worker| {
            let path = scratch_of(worker).join("segment");
            at_start(worker);
            for _ in 0..400 {
                // About as long outside as inside.
                let segment = Segment::open(&path)?;
                assert_eq!(segment.participants()?.len(), 1);
            }
            Ok(())
        })],
    );
    let scratch = Scratch::new();
    let path = scratch.join("segment");
    // A large table takes long to be looked through.
    let builder = Segment::builder(&path).size(128).participants(4096);
    let uuid = builder.create().unwrap().uuid();
    let (hold, go) = start_line();
    let mut guest = racer(test, "guest", 0, scratch.path(), &hold);
    drop((hold, go));
    while guest.is_alive() {
        let found = leftovers_in(scratch.path()).unwrap();
        assert!(found.is_empty(), "{found:?}");
        for replace in [false, true] {
            let error = builder.clone().replace_dead(replace).create().unwrap_err();
            assert!(matches!(error, Error::Exists { .. }), "{error}");
        }
        assert!(clean_in(scratch.path()).unwrap().is_empty());
    }
    finish(vec![guest]);
    assert_eq!(Segment::open(&path).unwrap().uuid(), uuid);
}
