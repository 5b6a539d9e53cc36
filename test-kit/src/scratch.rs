//! A directory of its own for each test, so that what is left behind shows, and is removed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory in `/dev/shm`, removed with all its contents when dropped.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new one, empty.
    #[allow(clippy::new_without_default, reason = "one that makes a directory")]
    pub fn new() -> Self {
        let path = Path::new("/dev/shm").join(unique_name());
        std::fs::create_dir(&path).unwrap();
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of this name in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A name that no other test of any run uses.
pub fn unique_name() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("ipc-test-{}-{count}", std::process::id())
}

/// A name in `/dev/shm`, removed when dropped.
pub struct ShmName(pub String);

impl ShmName {
    /// A new one, which nothing has yet.
    #[allow(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Self {
        Self(unique_name())
    }

    /// Whether there is such a file.
    pub fn exists(&self) -> bool {
        Path::new("/dev/shm")
            .join(&self.0)
            .symlink_metadata()
            .is_ok()
    }
}

impl Drop for ShmName {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(Path::new("/dev/shm").join(&self.0));
    }
}

/// The names in a directory, sorted.
pub fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The open descriptors of this process. Only meaningful where nothing else runs in it.
pub fn descriptors() -> Vec<String> {
    let mut open: Vec<_> = names_in(Path::new("/proc/self/fd"))
        .into_iter()
        .filter_map(|fd| {
            let leads_to = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
            // The listing itself has one.
            (!leads_to.starts_with(format!("/proc/{}/fd", std::process::id())))
                .then(|| format!("{fd} -> {}", leads_to.display()))
        })
        .collect();
    open.sort();
    open
}
