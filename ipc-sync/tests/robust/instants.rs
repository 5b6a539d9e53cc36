//! All that a kill at any instant of some work could leave in a segment.

use super::Scratch;
use ipc_core::Segment;
use test_kit::stepped::contents_after_each_change;

/// Runs `work` step by step in a process that opens a segment made by `create`, and calls `check`
/// with a copy of that segment as each step that changed it has left it: all who were attached are
/// dead there. Returns how many such states there were; `None` if this process may not trace.
pub fn at_every_instant<C, P>(
    create: impl FnOnce(&Segment) -> C,
    prepare: impl FnOnce(&Segment) -> P,
    work: impl FnOnce(P),
    mut check: impl FnMut(&Segment),
) -> Option<usize> {
    let scratch = Scratch::new();
    let path = scratch.join("segment");
    let segment = Segment::builder(path.as_path())
        .participants(4)
        .handles(16)
        .size(16 << 10)
        .create()
        .unwrap();
    let created = create(&segment);
    let prepare = || prepare(&Segment::open(path.as_path()).unwrap());
    let states = contents_after_each_change(&path, prepare, work)?;
    drop((created, segment));
    for contents in &states {
        let dead = scratch.join("dead");
        std::fs::write(&dead, contents).unwrap();
        check(&Segment::open(dead.as_path()).unwrap());
        std::fs::remove_file(&dead).unwrap();
    }
    Some(states.len())
}
