//! A segment has a name only once it is complete, with all its space; a failed or killed creation
//! leaves nothing.

#![cfg(not(loom))]

mod common;

use common::toy;
use ipc_core::{Error, Place, Segment, clean_in};
use ipc_process::{Process, Worker, run_if_worker, test_name};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};
use test_kit::forked::Forked;
use test_kit::scratch::{Scratch, ShmName, descriptors, names_in};
use test_kit::solo::{
    alone, at_start, finish, race, racer, scratch_of, skip, spin_for, start_line,
};

const SIZE: usize = 1 << 20;

#[test]
fn the_space_is_allocated() {
    let scratch = Scratch::new();
    let path = scratch.join("segment");
    for size in [1, 100_000, SIZE] {
        let named = Segment::create(&path, size).unwrap();
        let found = path.metadata().unwrap();
        assert_eq!(found.len(), named.len());
        assert!(found.len() >= size as u64);
        assert!(found.blocks() * 512 >= found.len(), "{found:?}");
        Segment::unlink(&path).unwrap();

        let unnamed = Segment::create(Place::memfd("space"), size).unwrap();
        let found = std::fs::File::from(unnamed.descriptor().unwrap())
            .metadata()
            .unwrap();
        assert!(found.blocks() * 512 >= found.len(), "{found:?}");
    }
}

#[test]
fn the_mode_is_the_one_asked_for_whatever_the_umask() {
    alone(test_name!(), |scratch| {
        for umask in [0o000, 0o022, 0o777] {
            nix::sys::stat::umask(Mode::from_bits(umask).unwrap());
            for (asked, expected) in [(None, 0o600), (Some(0o640), 0o640), (Some(0o666), 0o666)] {
                for place in [Place::from(scratch.join("segment")), Place::memfd("mode")] {
                    let mut builder = Segment::builder(place.clone()).size(128);
                    if let Some(mode) = asked {
                        builder = builder.mode(mode);
                    }
                    let segment = builder.create().unwrap();
                    let file = std::fs::File::from(segment.descriptor().unwrap());
                    let found = file.metadata().unwrap().permissions().mode();
                    assert_eq!(found & 0o7777, expected, "{place}, umask {umask:o}");
                    assert_eq!(segment.is_private(), expected & 0o022 == 0);
                    Segment::unlink(place).unwrap();
                }
            }
        }
    });
}

#[test]
fn no_symbolic_link_is_followed() {
    let scratch = Scratch::new();
    let link = scratch.join("link");
    symlink(scratch.join("target"), &link).unwrap();
    let error = Segment::create(&link, 128).unwrap_err();
    assert!(matches!(error, Error::NotRegular { .. }), "{error}");
    assert_eq!(names_in(scratch.path()), ["link"]);
}

#[test]
fn what_exists_is_not_overwritten() {
    let scratch = Scratch::new();
    let path = scratch.join("segment");
    let first = Segment::create(&path, 128).unwrap();
    for replace in [false, true] {
        let error = Segment::builder(&path)
            .replace_dead(replace)
            .create()
            .unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error}");
    }
    drop(first);
    // Nobody uses it any more, but everybody left in order: it is kept.
    let error = Segment::builder(&path)
        .replace_dead(true)
        .create()
        .unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");

    let foreign = scratch.join("foreign");
    std::fs::write(&foreign, "something else").unwrap();
    let error = Segment::builder(&foreign)
        .replace_dead(true)
        .create()
        .unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&foreign).unwrap(), "something else");
    assert_eq!(names_in(scratch.path()), ["foreign", "segment"]);
}

#[test]
fn a_missing_directory_is_named() {
    let scratch = Scratch::new();
    let error = Segment::create(scratch.join("nowhere").join("segment"), 128).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(error.to_string().contains("directory"), "{error}");
    assert!(names_in(scratch.path()).is_empty());
}

#[test]
fn a_file_in_place_of_the_directory_is_an_error() {
    let scratch = Scratch::new();
    std::fs::write(scratch.join("file"), "").unwrap();
    let path = scratch.join("file").join("segment");
    assert!(matches!(
        Segment::create(&path, 128).unwrap_err(),
        Error::Os { .. }
    ));
    assert!(matches!(
        Segment::open(&path).unwrap_err(),
        Error::Os { .. }
    ));
}

#[test]
fn an_error_of_the_first_contents_leaves_nothing() {
    let scratch = Scratch::new();
    let refuse = |_: &Segment| -> ipc_core::Result<()> {
        Err(Error::InvalidName {
            name: "mine".to_owned(),
            reason: "of the caller",
        })
    };
    for place in [
        Place::from(scratch.join("segment")),
        Place::memfd("refused"),
    ] {
        for last in [false, true] {
            let builder = Segment::builder(place.clone()).unlink_when_last_leaves(last);
            let error = builder.create_with(refuse).unwrap_err();
            assert!(error.to_string().contains("of the caller"), "{error}");
            let error = builder.open_or_create_with(refuse).unwrap_err();
            assert!(error.to_string().contains("of the caller"), "{error}");
            assert!(names_in(scratch.path()).is_empty());
        }
    }
}

#[test]
fn a_full_file_system_is_an_error_and_not_a_signal() {
    alone(test_name!(), |scratch| {
        if let Err(error) = mount_tmpfs(scratch, "size=256k,nr_inodes=16") {
            return skip(&format!(
                "a file system of our own cannot be mounted here ({error})"
            ));
        }
        let path = scratch.join("segment");
        let before = descriptors();
        let error = Segment::create(&path, SIZE).unwrap_err();
        assert!(
            matches!(error, Error::NoSpace { bytes, .. } if bytes >= SIZE as u64),
            "{error}"
        );
        assert!(names_in(scratch).is_empty());
        assert_eq!(descriptors(), before);

        // All the room is there again, and can be used to the last byte.
        let segment = Segment::create(&path, 200 * 1024).unwrap();
        let error = Segment::create(scratch.join("second"), 200 * 1024).unwrap_err();
        assert!(matches!(error, Error::NoSpace { .. }), "{error}");
        let object = segment
            .create_object("all", &toy::spec(200 * 1024), |_| Ok(()))
            .unwrap();
        for offset in (0..200 * 1024).step_by(4096) {
            toy::set_word(&object, offset, offset);
        }
        assert_eq!(names_in(scratch), ["segment"]);

        // No file can be made at all.
        for i in 0.. {
            if std::fs::write(scratch.join(format!("filler-{i}")), "").is_err() {
                break;
            }
        }
        let error = Segment::create(scratch.join("third"), 1).unwrap_err();
        assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    });
}

/// Puts a small file system over a directory, for this process only.
fn mount_tmpfs(at: &Path, options: &str) -> nix::Result<()> {
    use nix::mount::{MsFlags, mount};
    let nothing = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(
        nothing,
        "/",
        nothing,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        nothing,
    )?;
    mount(nothing, at, Some("tmpfs"), MsFlags::empty(), Some(options))
}

#[test]
fn the_limit_on_file_sizes_is_an_error_and_not_a_signal() {
    alone(test_name!(), |scratch| {
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, 64 * 1024, hard).unwrap();
        for place in [Place::from(scratch.join("segment")), Place::memfd("limit")] {
            let error = Segment::create(place.clone(), SIZE).unwrap_err();
            assert!(
                matches!(error, Error::FileSizeLimit { limit: 65_536, .. }),
                "{error}"
            );
            assert!(names_in(scratch).is_empty());
            Segment::create(place.clone(), 16 * 1024).unwrap();
            Segment::unlink(place).unwrap();
        }
    });
}

#[test]
fn a_stream_of_signals_does_not_hold_up_the_allocation() {
    alone(test_name!(), |scratch| {
        extern "C" fn nothing(_: libc::c_int) {}
        // SAFETY: the handler does nothing; without SA_RESTART system calls are interrupted.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as *const () as usize;
            assert_eq!(
                libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()),
                0
            );
        }
        // SAFETY: takes nothing.
        let here = unsafe { libc::pthread_self() };
        // Sent to this thread: one for the process would go to another of its threads.
        std::thread::spawn(move || {
            loop {
                // SAFETY: that thread is the last one of this process to end.
                unsafe { libc::pthread_kill(here, libc::SIGALRM) };
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let segment = Segment::create(scratch.join("large"), 128 << 20).unwrap();
        assert!(scratch.join("large").metadata().unwrap().blocks() * 512 >= segment.len());
        Segment::create(Place::memfd("large"), 128 << 20).unwrap();
    });
}

#[test]
fn an_address_space_that_is_full_is_an_error_and_leaves_nothing() {
    alone(test_name!(), |scratch| {
        let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
        let existing = scratch.join("existing");
        drop(Segment::create(&existing, 64 << 20).unwrap());
        let before = descriptors();
        setrlimit(Resource::RLIMIT_AS, pages * 4096 + (16 << 20), hard).unwrap();
        for error in [
            Segment::create(scratch.join("segment"), 64 << 20).unwrap_err(),
            Segment::create(Place::memfd("mapping"), 64 << 20).unwrap_err(),
            Segment::open(&existing).unwrap_err(),
        ] {
            assert!(
                matches!(
                    error,
                    Error::Os {
                        action: "mapping",
                        ..
                    }
                ),
                "{error}"
            );
        }
        assert_eq!(descriptors(), before);
        assert_eq!(names_in(scratch), ["existing"]);
    });
}

/// Creates and removes the segment again and again, until killed.
fn create_and_unlink(path: &Path) -> i32 {
    loop {
        let builder = Segment::builder(path).size(64 * 1024).replace_dead(true);
        drop(builder.create_with(toy::fill).unwrap());
        Segment::unlink(path).unwrap();
    }
}

#[test]
fn a_killed_creator_leaves_nothing_or_a_whole_segment() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        let (mut nothing, mut whole) = (0, 0);
        // The children do not touch what the parent has: there is nothing.
        for micros in 0..500_u64 {
            let child = Forked::run(|| create_and_unlink(&path));
            spin_for(Duration::from_micros(micros * 4));
            child.kill();
            let names = names_in(scratch);
            if names.is_empty() {
                nothing += 1;
                continue;
            }
            assert_eq!(names, ["segment"], "after {micros}");
            toy::check_filled(&Segment::open(&path).unwrap());
            Segment::unlink(&path).unwrap();
            whole += 1;
        }
        eprintln!("{nothing} kills left nothing, {whole} a whole segment");
        assert_eq!(nothing + whole, 500);
    });
}

#[test]
fn what_a_killed_creator_leaves_is_cleaned_away() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        for micros in 0..200_u64 {
            // This one never drops anything: a whole segment it leaves is dead.
            let child = Forked::run(|| {
                loop {
                    let builder = Segment::builder(&path).size(4096).participants(2);
                    std::mem::forget(builder.create_with(toy::fill).unwrap());
                    Segment::unlink(&path).unwrap();
                }
            });
            spin_for(Duration::from_micros(micros * 5));
            child.kill();
            let left = names_in(scratch).len();
            assert_eq!(clean_in(scratch).unwrap().len(), left);
            assert!(names_in(scratch).is_empty(), "after {micros}");
        }
    });
}

#[test]
fn nobody_opens_half_a_segment() {
    let test = test_name!();
    run_if_worker(
        test,
        &[
            ("creator", &|worker: &mut Worker| {
                let scratch = scratch_of(worker);
                let path = scratch.join("segment");
                at_start(worker);
                for round in 0..400 {
                    let builder = Segment::builder(&path).size(16 * 1024);
                    let Ok((segment, ())) = builder.create_with(toy::fill) else {
                        continue; // The other creator's stands there.
                    };
                    // Every now and then it stays until somebody has come, so that the openers
                    // certainly find some.
                    let deadline = Instant::now() + Duration::from_secs(20);
                    while round % 20 == 0 && segment.participants().unwrap().len() < 2 {
                        assert!(Instant::now() < deadline, "nobody comes");
                        std::thread::yield_now();
                    }
                    Segment::unlink(&path).unwrap();
                }
                Ok(())
            }),
            ("opener", &|worker: &mut Worker| {
                let scratch = scratch_of(worker);
                at_start(worker);
                let mut opened = 0_u64;
                while !scratch.join("stop").exists() {
                    match Segment::open(scratch.join("segment")) {
                        Ok(segment) => {
                            toy::check_filled(&segment);
                            opened += 1;
                        }
                        Err(Error::NotFound { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(worker.set_result(&opened.to_ne_bytes())?)
            }),
        ],
    );
    let scratch = Scratch::new();
    let (hold, go) = start_line();
    let start = |role, i| -> Process { racer(test, role, i, scratch.path(), &hold) };
    let creators = vec![start("creator", 0), start("creator", 1)];
    let openers = vec![start("opener", 0), start("opener", 1)];
    drop(hold);
    drop(go);
    finish(creators);
    assert!(names_in(scratch.path()).is_empty());
    std::fs::write(scratch.join("stop"), "").unwrap();
    let opened: u64 = finish(openers)
        .into_iter()
        .map(|count| u64::from_ne_bytes(count.try_into().unwrap()))
        .sum();
    assert!(opened > 0);
}

#[test]
fn of_eight_processes_that_open_or_create_one_creates_and_all_share_it() {
    let test = test_name!();
    run_if_worker(
        test,
        &[("racer", &|worker: &mut Worker| {
            let name = scratch_of(worker).to_str().unwrap().to_owned();
            at_start(worker);
            let mut filled = 0_u8;
            let segment = Segment::builder(name)
                .size(4096)
                .open_or_create_with(|segment| {
                    filled = 1;
                    toy::fill(segment)
                })?;
            toy::check_filled(&segment);
            assert!(segment.objects()?.len() == 1);
            Ok(worker.set_result(&segment.uuid())?)
        })],
    );
    for _ in 0..5 {
        let name = ShmName::new();
        let uuids = race(test, "racer", 8, Path::new(&name.0));
        assert!(uuids.iter().all(|uuid| *uuid == uuids[0]), "{uuids:x?}");
        assert_eq!(uuids[0], Segment::open(name.0.as_str()).unwrap().uuid());
        Segment::unlink(name.0.as_str()).unwrap();
    }
}

#[test]
fn of_eight_processes_that_create_exactly_one_succeeds() {
    let test = test_name!();
    run_if_worker(
        test,
        &[("racer", &|worker: &mut Worker| {
            let path = scratch_of(worker).join("segment");
            at_start(worker);
            let result = match Segment::builder(path).size(4096).create_with(toy::fill) {
                Ok(_) => b"won",
                Err(Error::Exists { .. }) => b"not",
                Err(error) => return Err(error.into()),
            };
            Ok(worker.set_result(result)?)
        })],
    );
    for _ in 0..5 {
        let scratch = Scratch::new();
        let results = race(test, "racer", 8, scratch.path());
        assert_eq!(results.iter().filter(|result| *result == b"won").count(), 1);
        assert_eq!(names_in(scratch.path()), ["segment"]);
    }
}
