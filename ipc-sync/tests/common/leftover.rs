//! Segments as the dead left them.

use ipc_core::Segment;
use std::path::Path;

pub fn create(path: &Path) -> Segment {
    Segment::builder(path)
        .objects(2)
        .participants(4)
        .handles(4)
        .size(1024)
        .create()
        .unwrap()
}

/// Opens a segment with these contents, where nobody has a lock: who was attached is dead.
pub fn dead(scratch: &Path, contents: &[u8]) -> Segment {
    let path = scratch.join("dead");
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, contents).unwrap();
    Segment::open(&path).unwrap()
}
