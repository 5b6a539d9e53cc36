//! What holds also where the kernel or the file system can do less: no unnamed files, no `/proc`,
//! no allocation, allocation that signals interrupt.

#![cfg(not(loom))]

mod common;

use common::seccomp::{When, refuse};
use common::toy;
use ipc_core::{Error, Place, Segment, clean_in, leftovers_in};
use ipc_process::test_name;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};
use test_kit::forked::Forked;
use test_kit::scratch::{descriptors, names_in};
use test_kit::solo::{alone, skip, spin_for};

fn no_unnamed_files() {
    let flag = (libc::O_TMPFILE & !libc::O_DIRECTORY) as u32;
    refuse(libc::SYS_openat, 2, When::Bits(flag), libc::EOPNOTSUPP);
}

#[test]
fn creation_without_unnamed_files_leaves_no_temporary_name() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        no_unnamed_files();
        let before = descriptors();
        let start = Instant::now();
        for last in [false, true] {
            let builder = Segment::builder(&path)
                .size(4096)
                .unlink_when_last_leaves(last);
            let (segment, ()) = builder
                .create_with(|segment| {
                    let names = names_in(scratch);
                    assert!(matches!(&names[..], [one] if one.starts_with(".ipc-new-")));
                    // Being created is not being left over.
                    assert!(leftovers_in(scratch).unwrap().is_empty());
                    toy::fill(segment)
                })
                .unwrap();
            assert_eq!(names_in(scratch), ["segment"]);
            toy::check_filled(&Segment::open(&path).unwrap());
            builder.create().unwrap_err();
            assert_eq!(names_in(scratch), ["segment"]);
            drop(segment);
            let _ = Segment::unlink(&path);

            let failed = builder.create_with(|segment| {
                segment.open_object("none", &toy::TOY, &toy::spec(1).element)
            });
            assert!(matches!(failed, Err(Error::ObjectNotFound { .. })));
            assert!(names_in(scratch).is_empty());
        }
        Segment::create(&path, 1 << 46).unwrap_err();
        assert!(names_in(scratch).is_empty());
        assert_eq!(descriptors(), before);
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "it waited for itself"
        );
    });
}

#[test]
fn interrupted_creations_are_cleaned_away_and_running_ones_are_not() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("segment");
        no_unnamed_files();
        let mut interrupted = 0;
        for micros in 0..300_u64 {
            let child = Forked::run(|| {
                loop {
                    let builder = Segment::builder(&path)
                        .size(4096)
                        .unlink_when_last_leaves(true);
                    let _ = builder.create_with(toy::fill).unwrap();
                }
            });
            // Somebody who cleans meanwhile takes nothing away from the living.
            spin_for(Duration::from_micros(micros * 3));
            clean_in(scratch).unwrap();
            child.kill();
            interrupted += usize::from(names_in(scratch).iter().any(|name| name != "segment"));
            clean_in(scratch).unwrap();
            assert!(names_in(scratch).is_empty(), "{:?}", names_in(scratch));
        }
        eprintln!("{interrupted} creations were interrupted under a temporary name");
    });
}

#[test]
fn temporary_names_are_removed_at_every_stage() {
    alone(test_name!(), |scratch| {
        let temporary = scratch.join(".ipc-new-00000000000000000000000000000000");
        // Empty, as right after it was made.
        std::fs::write(&temporary, "").unwrap();
        assert_eq!(leftovers_in(scratch).unwrap().len(), 1);
        assert_eq!(clean_in(scratch).unwrap()[0].path, temporary);
        assert!(names_in(scratch).is_empty());

        // Complete, and never attached to: nobody will.
        let path = scratch.join("segment");
        drop(Segment::create(&path, 4096).unwrap());
        std::fs::rename(&path, &temporary).unwrap();
        assert_eq!(clean_in(scratch).unwrap().len(), 1);
        assert!(names_in(scratch).is_empty());

        // Published already, and in use: only the temporary name goes.
        let segment = Segment::create(&path, 4096).unwrap();
        std::fs::hard_link(&path, &temporary).unwrap();
        assert_eq!(clean_in(scratch).unwrap()[0].path, temporary);
        assert_eq!(names_in(scratch), ["segment"]);
        drop(segment);

        // Other hidden files are nobody's business.
        std::fs::write(scratch.join(".ipc-old"), "").unwrap();
        assert!(clean_in(scratch).unwrap().is_empty());
    });
}

#[test]
fn a_segment_can_be_made_and_opened_without_proc() {
    alone(test_name!(), |scratch| {
        if let Err(error) = unmount_proc() {
            return skip(&format!("/proc cannot be unmounted here ({error})"));
        }
        assert!(!Path::new("/proc/self").exists());
        let path = scratch.join("segment");
        let builder = Segment::builder(&path)
            .size(4096)
            .unlink_when_last_leaves(true);
        let (segment, ()) = builder.create_with(toy::fill).unwrap();
        assert_eq!(names_in(scratch), ["segment"]);
        let other = builder.open_or_create().unwrap();
        assert_eq!(other.participants().unwrap().len(), 2);
        toy::check_filled(&other);
        drop((segment, other));
        assert!(names_in(scratch).is_empty());

        // A memfd has no path to be found by.
        let error = Segment::create(Place::memfd("proc"), 4096).unwrap_err();
        assert!(error.to_string().contains("/proc"), "{error}");
    });
}

fn unmount_proc() -> nix::Result<()> {
    let nothing = None::<&str>;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    mount(
        nothing,
        "/",
        nothing,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        nothing,
    )?;
    umount2("/proc", MntFlags::MNT_DETACH)
}

#[test]
fn an_allocation_that_signals_interrupt_goes_on_in_shorter_steps() {
    alone(test_name!(), |scratch| {
        refuse(libc::SYS_fallocate, 3, When::Above(64 * 1024), libc::EINTR);
        let path = scratch.join("segment");
        for place in [Place::from(&path), Place::memfd("steps")] {
            let segment = Segment::create(place, (5 << 20) + 1).unwrap();
            let file = std::fs::File::from(segment.descriptor().unwrap())
                .metadata()
                .unwrap();
            assert_eq!(file.len(), segment.len());
            assert!(file.blocks() * 512 >= segment.len());
        }
    });
}

#[test]
fn space_is_written_where_it_cannot_be_allocated() {
    alone(test_name!(), |scratch| {
        refuse(libc::SYS_fallocate, 3, When::Above(0), libc::EOPNOTSUPP);
        for place in [
            Place::from(scratch.join("segment")),
            Place::memfd("written"),
        ] {
            let (segment, ()) = Segment::builder(place)
                .size(1_000_000)
                .create_with(toy::fill)
                .unwrap();
            let file = std::fs::File::from(segment.descriptor().unwrap())
                .metadata()
                .unwrap();
            assert_eq!(file.len(), segment.len());
            assert!(file.blocks() * 512 >= segment.len());
            toy::check_filled(&Segment::open(segment.descriptor().unwrap()).unwrap());
        }
    });
}

#[test]
fn a_kernel_without_membarrier_makes_symmetric_segments_and_refuses_others_by_name() {
    alone(test_name!(), |scratch| {
        let path = scratch.join("asymmetric");
        let asymmetric = Segment::create(&path, 4096).unwrap();
        let is_asymmetric = asymmetric.attachment().fences() == ipc_core::Fences::Asymmetric;
        refuse(libc::SYS_membarrier, 2, When::Bits(0), libc::ENOSYS);
        let symmetric = Segment::create(scratch.join("symmetric"), 4096).unwrap();
        assert_eq!(symmetric.attachment().fences(), ipc_core::Fences::Symmetric);
        Segment::open(scratch.join("symmetric")).unwrap();
        if is_asymmetric {
            let error = Segment::open(&path).unwrap_err();
            assert!(matches!(error, Error::NoMembarrier { .. }), "{error}");
            assert!(error.to_string().contains("seccomp"), "{error}");
        } else {
            skip("this kernel has no membarrier to be taken away");
        }
    });
}

#[test]
fn an_overlay_file_system_will_do() {
    alone(test_name!(), |scratch| {
        let merged = match mount_overlay(scratch) {
            Ok(merged) => merged,
            Err(error) => return skip(&format!("no overlay can be mounted here ({error})")),
        };
        let path = merged.join("segment");
        let builder = Segment::builder(&path)
            .size(4096)
            .unlink_when_last_leaves(true);
        let (segment, ()) = builder.create_with(toy::fill).unwrap();
        assert_eq!(names_in(&merged), ["segment"]);
        let other = Segment::open(&path).unwrap();
        toy::check_filled(&other);
        assert_eq!(other.participants().unwrap().len(), 2);
        assert!(clean_in(&merged).unwrap().is_empty());
        drop((segment, other));
        assert!(names_in(&merged).is_empty());

        Forked::run(|| {
            std::mem::forget(builder.create().unwrap());
            0
        })
        .join()
        .unwrap();
        assert!(matches!(builder.create(), Err(Error::ExistsDead { .. })));
        assert_eq!(clean_in(&merged).unwrap().len(), 1);
        assert!(names_in(&merged).is_empty());
    });
}

fn mount_overlay(scratch: &Path) -> nix::Result<std::path::PathBuf> {
    let nothing = None::<&str>;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    mount(
        nothing,
        "/",
        nothing,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        nothing,
    )?;
    let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(|name| {
        let path = scratch.join(name);
        std::fs::create_dir(&path).unwrap();
        path
    });
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    let flags = MsFlags::empty();
    mount(
        Some("overlay"),
        &merged,
        Some("overlay"),
        flags,
        Some(options.as_str()),
    )?;
    Ok(merged)
}
