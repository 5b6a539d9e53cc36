//! Other users: what they may not open is refused, and what they own only on request.

#![cfg(not(loom))]

mod common;

use common::toy;
use ipc_core::{Error, Segment, clean_in, leftovers_in};
use ipc_process::{Process, Role, Worker, run_if_worker, test_name};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use test_kit::forked::Forked;
use test_kit::patience::PATIENCE;
use test_kit::scratch::{Scratch, descriptors, names_in};
use test_kit::solo::{scratch_of, skip};

const NOBODY: u32 = 65_534;

/// Runs `role` as another user in a directory that everybody may write to. `sticky`: as `/dev/shm`
/// is, where nobody may remove what is somebody else's.
fn as_nobody(test: &'static str, scratch: &Scratch, sticky: bool) -> Option<()> {
    if !Uid::effective().is_root() {
        skip("only root can become another user");
        return None;
    }
    let mode = if sticky { 0o1777 } else { 0o777 };
    std::fs::set_permissions(scratch.path(), PermissionsExt::from_mode(mode)).unwrap();
    let mut worker = Process::builder(test, "nobody")
        .params(scratch.path().as_os_str().as_bytes())
        .under_test(test)
        .spawn()
        .unwrap();
    let exit = worker.join_timeout(PATIENCE).unwrap().expect("it hangs");
    exit.into_result().unwrap();
    Some(())
}

/// In the worker.
fn nobody(test: &'static str, body: impl Fn(&Path)) {
    let role: Role<'_> = &|worker: &mut Worker| {
        setgroups(&[])?;
        let gid = Gid::from_raw(NOBODY);
        setresgid(gid, gid, gid)?;
        let uid = Uid::from_raw(NOBODY);
        setresuid(uid, uid, uid)?;
        body(&scratch_of(worker));
        Ok(())
    };
    run_if_worker(test, &[("nobody", role)]);
}

#[test]
fn a_private_segment_cannot_be_opened_or_replaced_by_another_user() {
    let test = test_name!();
    nobody(test, |scratch| {
        let path = scratch.join("private");
        let before = descriptors();
        for error in [
            Segment::open(&path).unwrap_err(),
            Segment::options()
                .allow_other_owner(true)
                .open(&path)
                .unwrap_err(),
            Segment::open_or_create(&path, 128).unwrap_err(),
            Segment::create(&path, 128).unwrap_err(),
            Segment::builder(&path)
                .replace_dead(true)
                .create()
                .unwrap_err(),
            Segment::unlink(&path).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Permission { .. }), "{error}");
            assert!(error.to_string().contains("/private\""), "{error}");
        }
        // Reading alone is not enough.
        let error = Segment::open(scratch.join("readable")).unwrap_err();
        assert!(matches!(error, Error::Permission { .. }), "{error}");
        assert_eq!(descriptors(), before);
        assert_eq!(names_in(scratch), ["private", "readable"]);
    });
    let scratch = Scratch::new();
    let segment = Segment::create(scratch.join("private"), 128).unwrap();
    let _readable = Segment::builder(scratch.join("readable"))
        .mode(0o644)
        .create()
        .unwrap();
    if as_nobody(test, &scratch, true).is_some() {
        assert_eq!(segment.participants().unwrap().len(), 1);
    }
}

#[test]
fn a_segment_that_another_user_may_write_to_is_refused_unless_asked_for() {
    let test = test_name!();
    nobody(test, |scratch| {
        let path = scratch.join("shared");
        let descriptor = || {
            let file = std::fs::File::options().read(true).write(true).open(&path);
            std::os::fd::OwnedFd::from(file.unwrap())
        };
        let before = descriptors();
        for error in [
            Segment::open(&path).unwrap_err(),
            Segment::open(descriptor()).unwrap_err(),
            Segment::open_or_create(&path, 128).unwrap_err(),
        ] {
            assert!(
                matches!(
                    error,
                    Error::ForeignOwner {
                        owner: 0,
                        ours: NOBODY,
                        ..
                    }
                ),
                "{error}"
            );
            assert!(error.to_string().contains("allow_other_owner"), "{error}");
        }
        assert_eq!(descriptors(), before);
        for segment in &[
            Segment::options()
                .allow_other_owner(true)
                .open(&path)
                .unwrap(),
            Segment::options()
                .allow_other_owner(true)
                .open(descriptor())
                .unwrap(),
        ] {
            toy::check_filled(segment);
            assert!(!segment.is_private());
            assert_eq!(segment.participants().unwrap().len(), 3);
        }
    });
    let scratch = Scratch::new();
    let builder = Segment::builder(scratch.join("shared"))
        .mode(0o666)
        .size(4096);
    let (segment, ()) = builder.create_with(toy::fill).unwrap();
    assert!(!segment.is_private());
    if as_nobody(test, &scratch, true).is_some() {
        assert_eq!(segment.participants().unwrap().len(), 1);
    }
}

#[test]
fn root_does_not_open_another_users_segment_by_accident() {
    let test = test_name!();
    nobody(test, |scratch| {
        drop(Segment::create(scratch.join("theirs"), 128).unwrap());
    });
    let scratch = Scratch::new();
    if as_nobody(test, &scratch, true).is_none() {
        return;
    }
    let path = scratch.join("theirs");
    let error = Segment::open(&path).unwrap_err();
    assert!(
        matches!(
            error,
            Error::ForeignOwner {
                owner: NOBODY,
                ours: 0,
                ..
            }
        ),
        "{error}"
    );
    let segment = Segment::options()
        .allow_other_owner(true)
        .open(&path)
        .unwrap();
    // Its owner can write to it at any time.
    assert!(!segment.is_private());
}

#[test]
fn a_directory_without_the_right_to_write_is_an_error_that_leaves_nothing() {
    let test = test_name!();
    nobody(test, |scratch| {
        let path = scratch.join("closed").join("segment");
        let error = Segment::create(&path, 128).unwrap_err();
        assert!(matches!(error, Error::Permission { .. }), "{error}");
        let path = scratch.join("shut").join("segment");
        for error in [
            Segment::create(&path, 128).unwrap_err(),
            Segment::open(&path).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Permission { .. }), "{error}");
        }
    });
    let scratch = Scratch::new();
    for (name, mode) in [("closed", 0o755), ("shut", 0o700)] {
        std::fs::create_dir(scratch.join(name)).unwrap();
        std::fs::set_permissions(scratch.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    if as_nobody(test, &scratch, true).is_some() {
        assert!(names_in(&scratch.join("closed")).is_empty());
    }
}

#[test]
fn only_ones_own_leftovers_are_cleaned_away() {
    let test = test_name!();
    nobody(test, |scratch| {
        // Root's may be written to, and the directory too.
        assert!(leftovers_in(scratch).unwrap().is_empty());
        assert!(clean_in(scratch).unwrap().is_empty());
        let error = Segment::builder(scratch.join("dead")).create().unwrap_err();
        assert!(matches!(error, Error::ExistsDead { .. }), "{error}");
        std::mem::forget(Segment::create(scratch.join("theirs"), 128).unwrap());
    });
    let scratch = Scratch::new();
    let path = scratch.join("dead");
    Forked::run(|| {
        std::mem::forget(
            Segment::builder(&path)
                .size(128)
                .mode(0o666)
                .create()
                .unwrap(),
        );
        0
    })
    .join()
    .unwrap();
    if as_nobody(test, &scratch, false).is_none() {
        return;
    }
    // Root could, and still does not.
    let cleaned: Vec<_> = clean_in(scratch.path()).unwrap();
    assert_eq!(cleaned.len(), 1);
    assert_eq!(cleaned[0].path, path);
    assert_eq!(names_in(scratch.path()), ["theirs"]);
}
