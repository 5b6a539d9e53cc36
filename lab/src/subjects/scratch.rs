//! A directory in /dev/shm for segments with names.

use crate::play::LABEL;
use std::path::{Path, PathBuf};

/// The directory of the calling process. Removed with its contents when dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new one, empty.
    pub fn new() -> Self {
        let path = path_of(std::process::id());
        // One who had the same number may have been killed.
        remove_of(std::process::id());
        std::fs::create_dir(&path).expect("nobody else has this number");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove_of(std::process::id());
    }
}

/// Where the directory of a process is.
pub fn path_of(process: u32) -> PathBuf {
    Path::new("/dev/shm").join(format!("{LABEL}-{process}"))
}

/// Removes what a process left that cannot do it any more.
pub fn remove_of(process: u32) {
    // Most have none.
    let _ = std::fs::remove_dir_all(path_of(process));
}
