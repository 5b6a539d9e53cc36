//! Where a mapping does not keep a lock alive (overlayfs), a descriptor does, which forked
//! children close.

#![cfg(not(loom))]

mod common;

use common::line::Line;
use common::peer::attached;
use ipc_core::{Life, Place, Segment};
use ipc_process::{WorkResult, Worker, run_if_worker, test_name};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use test_kit::forked::{Forked, orphan};

/// A mount point that is removed however the test ends. What is mounted there goes with the
/// worker's namespace.
struct MountPoint(PathBuf);

impl MountPoint {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("ipc-core-overlay-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Mounts an overlay in a mount namespace of the calling thread's.
fn overlay_on(point: &Path) -> nix::Result<PathBuf> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&Path>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("tmpfs"), point, Some("tmpfs"), MsFlags::empty(), none)?;
    for name in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir(point.join(name)).unwrap();
    }
    let shown = point.display();
    let options = format!("lowerdir={shown}/lower,upperdir={shown}/upper,workdir={shown}/work");
    let merged = point.join("merged");
    let overlay = Some("overlay");
    mount(overlay, &merged, overlay, MsFlags::empty(), Some(&*options))?;
    Ok(merged)
}

fn lives(segment: &Segment) -> Vec<Life> {
    let all = segment.participants().unwrap();
    all.into_iter().map(|it| it.life).collect()
}

fn on_overlay(worker: &mut Worker) -> WorkResult {
    let point = PathBuf::from(String::from_utf8(worker.params().to_vec())?);
    let (_segment, line) = attached(worker);
    let merged = match overlay_on(&point) {
        Ok(merged) => merged,
        Err(error) => {
            eprintln!("skipped: no overlayfs here: {error}");
            return Ok(());
        }
    };
    let path = merged.join("segment");
    let segment = Segment::builder(Place::Path(path.clone()))
        .size(4096)
        .create()?;
    alive_until_killed_although_a_child_sleeps_on(&segment, &path);
    the_closed_number_is_left_alone(&segment, &path);
    the_parent_is_alive_whatever_a_child_closes(&segment, &path);
    line.say(b'.');
    Ok(())
}

fn alive_until_killed_although_a_child_sleeps_on(segment: &Segment, path: &Path) {
    let (ours, theirs) = Line::pair();
    let child = Forked::run(|| {
        let _segment = Segment::open(path).unwrap();
        orphan(|| {
            theirs.say(b'o');
            theirs.hear_the_end();
            0
        });
        loop {
            std::thread::park();
        }
    });
    drop(theirs);
    ours.expect(b'o');
    assert_eq!(lives(segment), [Life::Alive, Life::Alive]);
    child.kill();
    assert_eq!(lives(segment), [Life::Alive, Life::Dead]);
    assert_eq!(segment.recover().unwrap().swept, 1);
    // The sleeping one has copies of both ends.
    ours.hang_up();
}

fn the_closed_number_is_left_alone(segment: &Segment, path: &Path) {
    let child = Forked::run(|| {
        let segment = Segment::open(path).unwrap();
        // SAFETY: what is closed here is not used again by this child.
        unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
        let files: Vec<_> = (0..64).map(|_| File::open("/dev/null").unwrap()).collect();
        let expected = files[0].metadata().unwrap().rdev();
        let untouched = || {
            files
                .iter()
                .all(|file| file.metadata().is_ok_and(|it| it.rdev() == expected))
        };
        let grandchild = Forked::run(|| if untouched() { 0 } else { 1 });
        assert_eq!(grandchild.join(), Ok(0), "a forked child closes only ours");
        drop(segment);
        assert!(untouched(), "and so does leaving");
        0
    });
    assert_eq!(child.join(), Ok(0));
    // Its lock went with the descriptor: known to the documentation, and nobody is in doubt.
    segment.recover().unwrap();
    assert_eq!(lives(segment), [Life::Alive]);
}

fn the_parent_is_alive_whatever_a_child_closes(segment: &Segment, path: &Path) {
    let second = Segment::open(path).unwrap();
    let held = Some(second);
    let child = Forked::run(|| {
        drop(held.clone());
        // SAFETY: what is closed here is not used again by this child.
        unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
        0
    });
    assert_eq!(child.join(), Ok(0));
    assert_eq!(lives(segment), [Life::Alive, Life::Alive]);
    drop(held);
    assert_eq!(lives(segment), [Life::Alive]);
}

#[test]
fn liveness_on_overlayfs() {
    run_if_worker(test_name!(), &[("overlay", &on_overlay)]);
    let point = MountPoint::new();
    let segment = Segment::create(Place::memfd("unused"), 4096).unwrap();
    let path = point.0.to_str().unwrap().as_bytes();
    let descriptor = segment.descriptor().unwrap();
    common::peer::Peer::start_with(test_name!(), "overlay", descriptor, path).finish();
}
