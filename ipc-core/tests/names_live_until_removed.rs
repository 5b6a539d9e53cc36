//! A named segment lives until it is unlinked, or until the last one leaves if that was asked for;
//! never is somebody left attached to a file that lost its name by somebody else's leaving.

#![cfg(not(loom))]

mod common;

use common::toy;
use ipc_core::{Error, Life, Place, Segment};
use ipc_process::{Process, Worker, run_if_worker, test_name};
use nix::sys::signal::{Signal, raise};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use test_kit::forked::Forked;
use test_kit::patience::PATIENCE;
use test_kit::scratch::{Scratch, ShmName, names_in};
use test_kit::solo::{alone, at_start, finish, race, racer, scratch_of, start_line};

/// Leaves a segment as a killed process does.
fn die_attached(path: &Path, last: bool) {
    let builder = Segment::builder(path)
        .size(4096)
        .unlink_when_last_leaves(last);
    Forked::run(|| {
        std::mem::forget(builder.create_with(toy::fill).unwrap());
        0
    })
    .join()
    .unwrap();
}

#[test]
fn a_name_lives_until_it_is_unlinked_and_users_go_on() {
    let name = ShmName::new();
    let builder = Segment::builder(name.0.as_str()).size(4096);
    let (segment, ()) = builder.create_with(toy::fill).unwrap();
    let uuid = segment.uuid();
    drop(segment);
    let segment = Segment::open(name.0.as_str()).unwrap();
    assert_eq!(segment.uuid(), uuid);
    toy::check_filled(&segment);

    Segment::unlink(name.0.as_str()).unwrap();
    assert!(!name.exists());
    assert!(matches!(
        Segment::open(name.0.as_str()),
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        Segment::unlink(name.0.as_str()),
        Err(Error::NotFound { .. })
    ));
    toy::check_filled(&segment);
    segment
        .create_object("more", &toy::spec(8), |_| Ok(()))
        .unwrap();
    assert_eq!(segment.participants().unwrap().len(), 1);

    // The name is free for another, which this one does not remove.
    let another = builder.unlink_when_last_leaves(true).create().unwrap();
    assert_ne!(another.uuid(), uuid);
    drop(segment);
    assert!(name.exists());
    drop(another);
    assert!(!name.exists());
}

#[test]
fn unlinking_works_on_damaged_segments() {
    let scratch = Scratch::new();
    std::fs::write(scratch.join("damaged"), "not a segment").unwrap();
    Segment::unlink(scratch.join("damaged")).unwrap();
    assert!(names_in(scratch.path()).is_empty());
    Segment::unlink(Place::memfd("nothing to remove")).unwrap();
}

#[test]
fn the_name_is_found_again_after_a_change_of_directory() {
    alone(test_name!(), |scratch| {
        std::env::set_current_dir(scratch).unwrap();
        let builder = Segment::builder(Path::new("relative")).unlink_when_last_leaves(true);
        let segment = builder.create().unwrap();
        std::env::set_current_dir("/").unwrap();
        assert_eq!(names_in(scratch), ["relative"]);
        drop(segment);
        assert!(names_in(scratch).is_empty());
    });
}

#[test]
fn the_last_to_leave_removes_the_name_when_several_leave_at_once() {
    let test = test_name!();
    run_if_worker(
        test,
        &[("leaver", &|worker: &mut Worker| {
            let segment = Segment::open(scratch_of(worker).join("segment"))?;
            at_start(worker);
            drop(segment);
            Ok(())
        })],
    );
    let scratch = Scratch::new();
    let path = scratch.join("segment");
    for _ in 0..10 {
        let builder = Segment::builder(&path)
            .size(128)
            .unlink_when_last_leaves(true);
        let segment = builder.create().unwrap();
        let (hold, go) = start_line();
        let leavers: Vec<_> = (0..5)
            .map(|i| racer(test, "leaver", i, scratch.path(), &hold))
            .collect();
        while segment.participants().unwrap().len() < 6 {
            std::thread::yield_now();
        }
        drop((hold, go));
        drop(segment);
        finish(leavers);
        assert!(names_in(scratch.path()).is_empty());
    }
}

/// Whether the name leads to the file of this segment.
fn leads_to(path: &Path, segment: &Segment) -> bool {
    let ours = std::fs::File::from(segment.descriptor().unwrap())
        .metadata()
        .unwrap();
    path.metadata()
        .is_ok_and(|found| (found.dev(), found.ino()) == (ours.dev(), ours.ino()))
}

#[test]
fn newcomers_never_end_in_a_segment_that_leavers_remove() {
    let test = test_name!();
    run_if_worker(
        test,
        &[("comer", &|worker: &mut Worker| {
            let path = scratch_of(worker).join("segment");
            let builder = Segment::builder(&path)
                .size(4096)
                .unlink_when_last_leaves(true);
            at_start(worker);
            for _ in 0..300 {
                let segment = builder.open_or_create_with(toy::fill)?;
                toy::check_filled(&segment);
                assert!(
                    leads_to(&path, &segment),
                    "attached to a file without a name"
                );
                drop(segment);
                // The other way in: never creates.
                match Segment::open(&path) {
                    Ok(segment) => assert!(leads_to(&path, &segment), "an orphan"),
                    Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        })],
    );
    let scratch = Scratch::new();
    race(test, "comer", 5, scratch.path());
    assert!(names_in(scratch.path()).is_empty());
}

#[test]
fn a_descriptor_kept_open_elsewhere_is_no_participant() {
    let scratch = Scratch::new();
    let builder = Segment::builder(scratch.join("segment")).unlink_when_last_leaves(true);
    let segment = builder.create().unwrap();
    let _descriptor = segment.descriptor().unwrap();
    let _mapped = std::fs::File::open(scratch.join("segment")).unwrap();
    drop(segment);
    assert!(names_in(scratch.path()).is_empty());
}

#[test]
fn a_clone_is_the_same_participant() {
    let scratch = Scratch::new();
    let builder = Segment::builder(scratch.join("segment")).unlink_when_last_leaves(true);
    let segment = builder.create().unwrap();
    let object = segment
        .create_object("object", &toy::spec(8), |_| Ok(()))
        .unwrap();
    let clone = segment.clone();
    assert_eq!(segment.participants().unwrap().len(), 1);
    drop((segment, clone));
    // The object still needs it.
    assert_eq!(names_in(scratch.path()), ["segment"]);
    toy::set_word(&object, 0, 1);
    drop(object);
    assert!(names_in(scratch.path()).is_empty());
}

#[test]
fn creating_over_a_dead_one_names_both_ways_out_and_both_work() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        die_attached(&path, false);
        let error = Segment::create(&path, 4096).unwrap_err();
        assert!(matches!(error, Error::ExistsDead { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("Segment::open"), "{message}");
        assert!(message.contains("replace_dead"), "{message}");
        assert!(message.contains("/segment\""), "{message}");

        // The first way: go on with it.
        let segment = Segment::builder(&path).open_or_create().unwrap();
        toy::check_filled(&segment);
        let dead = |segment: &Segment| {
            let all = segment.participants().unwrap();
            all.iter().filter(|one| one.life == Life::Dead).count()
        };
        assert_eq!(dead(&segment), 1);
        assert_eq!(segment.recover().unwrap().swept, 1);
        assert_eq!(dead(&segment), 0);
        // Now it is in use, and cannot be replaced.
        let replace = Segment::builder(&path).size(8192).replace_dead(true);
        assert!(matches!(replace.create(), Err(Error::Exists { .. })));
        drop(segment);
        Segment::unlink(&path).unwrap();

        // The second way: start afresh.
        die_attached(&path, false);
        let segment = replace.create().unwrap();
        assert!(segment.objects().unwrap().is_empty());
        assert_eq!(names_in(scratch), ["segment"]);
    });
}

#[test]
fn one_dead_of_two_is_not_a_dead_segment() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        die_attached(&path, false);
        let _living = Segment::open(&path).unwrap();
        let error = Segment::builder(&path)
            .replace_dead(true)
            .create()
            .unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error}");
        toy::check_filled(&Segment::open(&path).unwrap());
    });
}

#[test]
fn of_several_that_replace_a_dead_one_at_once_one_succeeds() {
    let test = test_name!();
    run_if_worker(
        test,
        &[
            ("dies", &|worker: &mut Worker| {
                let segment = Segment::create(scratch_of(worker).join("segment"), 128)?;
                std::mem::forget(segment);
                Ok(())
            }),
            ("replacer", &|worker: &mut Worker| {
                let path = scratch_of(worker).join("segment");
                at_start(worker);
                match Segment::builder(&path)
                    .size(4096)
                    .replace_dead(true)
                    .create_with(toy::fill)
                {
                    Ok((segment, ())) => {
                        assert!(leads_to(&path, &segment));
                        worker.set_result(b"won")?;
                        // Stays until all have tried.
                        while !scratch_of(worker).join("stop").exists() {
                            std::thread::yield_now();
                        }
                        assert!(leads_to(&path, &segment));
                    }
                    Err(Error::Exists { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
                Ok(())
            }),
        ],
    );
    for _ in 0..5 {
        let scratch = Scratch::new();
        let mut dies = Process::builder(test, "dies")
            .params(scratch.path().as_os_str().as_bytes())
            .under_test(test)
            .spawn()
            .unwrap();
        dies.join().unwrap().into_result().unwrap();
        let (hold, go) = start_line();
        let mut racers: Vec<_> = (0..6)
            .map(|i| racer(test, "replacer", i, scratch.path(), &hold))
            .collect();
        drop((hold, go));
        // All but the winner end by themselves.
        for _ in 0..5 {
            let ended = ipc_process::join_any(&mut racers, Some(PATIENCE))
                .unwrap()
                .unwrap();
            let exit = racers.swap_remove(ended).join().unwrap();
            assert!(exit.into_result().unwrap().is_empty());
        }
        std::fs::write(scratch.join("stop"), "").unwrap();
        assert_eq!(finish(racers), [b"won"]);
    }
}

#[test]
fn a_stopped_participant_is_not_dead() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        let builder = Segment::builder(&path).unlink_when_last_leaves(true);
        let child = Forked::run(|| {
            let segment = builder.create().unwrap();
            raise(Signal::SIGSTOP).unwrap();
            drop(segment);
            0
        });
        let stopped = nix::sys::wait::WaitPidFlag::WUNTRACED;
        nix::sys::wait::waitpid(child.pid(), Some(stopped)).unwrap();
        let error = Segment::builder(&path)
            .replace_dead(true)
            .create()
            .unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error}");
        let segment = Segment::open(&path).unwrap();
        assert!(
            segment
                .participants()
                .unwrap()
                .iter()
                .all(|one| one.life == Life::Alive)
        );
        drop(segment);
        // It was not the last one.
        assert_eq!(names_in(scratch), ["segment"]);
        nix::sys::signal::kill(child.pid(), Signal::SIGCONT).unwrap();
        assert_eq!(child.join(), Ok(0));
        assert!(names_in(scratch).is_empty());
    });
}

#[test]
fn a_full_table_of_dead_has_room_again() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        let builder = Segment::builder(&path).participants(2);
        drop(builder.create().unwrap());
        for _ in 0..5 {
            Forked::run(|| {
                std::mem::forget(Segment::open(&path).unwrap());
                0
            })
            .join()
            .unwrap();
        }
        let _first = Segment::open(&path).unwrap();
        let _second = Segment::open(&path).unwrap();
        let error = Segment::open(&path).unwrap_err();
        assert!(
            matches!(
                error,
                Error::ParticipantsFull {
                    limit: 2,
                    dead: 0,
                    ..
                }
            ),
            "{error}"
        );
    });
}

#[test]
fn who_attaches_while_somebody_is_about_to_replace_the_dead_is_spared() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        die_attached(&path, false);
        // Nobody can remove the name while somebody comes.
        let gate = std::fs::File::options()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let at_the_gate = libc::flock {
            l_type: libc::F_RDLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: (1 << 62) - 1,
            l_len: 1,
            l_pid: 0,
        };
        nix::fcntl::fcntl(&gate, nix::fcntl::FcntlArg::F_OFD_SETLK(&at_the_gate)).unwrap();
        let replacer = Forked::run(
            || match Segment::builder(&path).replace_dead(true).create() {
                Err(Error::Exists { .. }) => 0,
                _ => 1,
            },
        );
        // Only makes it likely that it has found the segment dead; the outcome is the same
        // otherwise.
        test_kit::solo::spin_for(std::time::Duration::from_millis(50));
        let segment = Segment::open(&path).unwrap();
        // The child has the descriptor too.
        let gone = libc::flock {
            l_type: libc::F_UNLCK as libc::c_short,
            ..at_the_gate
        };
        nix::fcntl::fcntl(&gate, nix::fcntl::FcntlArg::F_OFD_SETLK(&gone)).unwrap();
        assert_eq!(replacer.join(), Ok(0));
        assert!(leads_to(&path, &segment));
    });
}

#[test]
fn who_is_stopped_at_the_gate_is_waited_for_a_second_and_named() {
    let scratch = Scratch::new();
    let path = scratch.join("segment");
    drop(Segment::create(&path, 128).unwrap());
    let gate = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let removing = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: (1 << 62) - 1,
        l_len: 1,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&gate, nix::fcntl::FcntlArg::F_OFD_SETLK(&removing)).unwrap();
    let error = Segment::open(&path).unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    assert!(error.to_string().contains("/segment\""), "{error}");
    drop(gate);
    Segment::open(&path).unwrap();
}
