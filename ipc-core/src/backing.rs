//! Making the file behind a segment: unnamed and with all its space until it is complete.

use crate::error::{Error, Result};
use nix::fcntl::{FallocateFlags, OFlag, SealFlag};
use nix::sys::memfd::MFdFlags;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// A new file on its way to a name.
pub(crate) struct Unnamed {
    pub file: File,
    /// The name it has meanwhile, on file systems that cannot make unnamed files.
    temporary: Option<TemporaryName>,
}

/// Files with this beginning are creations that were interrupted.
pub(crate) const TEMPORARY_PREFIX: &str = ".ipc-new-";

struct TemporaryName(PathBuf);

impl Drop for TemporaryName {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Unnamed {
    /// A file of `bytes` zeros in the directory of `path`, without a name.
    pub(crate) fn create(path: &Path, place: &str, bytes: u64, mode: u32) -> Result<Self> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let failed = |source: nix::Error| match source {
            nix::Error::ENOENT => Error::Os {
                place: directory.display().to_string(),
                action: "opening the directory",
                source: source.into(),
            },
            source => Error::os(place, "creating", source.into()),
        };
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let private = Mode::S_IRUSR | Mode::S_IWUSR;
        let made = match nix::fcntl::open(directory, flags | OFlag::O_TMPFILE, private) {
            Ok(file) => Self {
                file: file.into(),
                temporary: None,
            },
            Err(nix::Error::EOPNOTSUPP | nix::Error::EISDIR | nix::Error::EINVAL) => {
                let name = format!("{TEMPORARY_PREFIX}{:032x}", u128::from_ne_bytes(random()));
                let path = directory.join(name);
                let flags = flags | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
                let file = nix::fcntl::open(&path, flags, private).map_err(failed)?;
                Self {
                    file: file.into(),
                    temporary: Some(TemporaryName(path)),
                }
            }
            Err(error) => return Err(failed(error)),
        };
        allocate(&made.file, place, bytes)?;
        let mode = Mode::from_bits_truncate(mode as libc::mode_t);
        nix::sys::stat::fchmod(&made.file, mode).map_err(failed)?;
        Ok(made)
    }

    /// Gives the file its name, if that is still free. From here on others can open it.
    pub(crate) fn publish(&self, path: &Path) -> io::Result<()> {
        match &self.temporary {
            Some(TemporaryName(temporary)) => std::fs::hard_link(temporary, path),
            None => {
                let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                nix::unistd::linkat(
                    nix::fcntl::AT_FDCWD,
                    unnamed.as_str(),
                    nix::fcntl::AT_FDCWD,
                    path,
                    nix::fcntl::AtFlags::AT_SYMLINK_FOLLOW,
                )?;
                Ok(())
            }
        }
    }
}

/// A memory file of `bytes` zeros, not yet sealed.
pub(crate) fn memfd(label: &str, place: &str, bytes: u64, mode: u32) -> Result<File> {
    let failed = |source: nix::Error| Error::os(place, "creating", source.into());
    let label = crate::text::decode(&crate::text::encode::<64>(&label.replace('\0', "")));
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // Not executable, for good. Older kernels do not know the flag.
    let no_exec = MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
    let file = match nix::sys::memfd::memfd_create(label.as_str(), flags | no_exec) {
        Err(nix::Error::EINVAL) => nix::sys::memfd::memfd_create(label.as_str(), flags),
        made => made,
    };
    let file = File::from(file.map_err(failed)?);
    allocate(&file, place, bytes)?;
    let mode = Mode::from_bits_truncate(mode as libc::mode_t);
    nix::sys::stat::fchmod(&file, mode).map_err(failed)?;
    Ok(file)
}

/// Seals a memory file against changes of its size and against further seals.
pub(crate) fn seal(file: &File, place: &str) -> Result<()> {
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_ADD_SEALS(seals))
        .map(drop)
        .map_err(|source| Error::os(place, "sealing", source.into()))
}

/// Gives the file all its space now: a page that the file system could not provide later would be
/// a SIGBUS in whoever touches it.
fn allocate(file: &File, place: &str, bytes: u64) -> Result<()> {
    let no_space = || Error::NoSpace {
        place: place.to_owned(),
        bytes,
    };
    // Beyond this limit the kernel answers with a signal, not with an error.
    if let Ok((limit, _)) = getrlimit(Resource::RLIMIT_FSIZE)
        && bytes > limit
    {
        return Err(Error::FileSizeLimit {
            place: place.to_owned(),
            bytes,
            limit,
        });
    }
    if bytes > memory_in_all() && is_in_memory(file) {
        return Err(no_space());
    }
    loop {
        let len = libc::off_t::try_from(bytes).map_err(|_| no_space())?;
        return match nix::fcntl::fallocate(file, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            Err(nix::Error::EINTR) => continue,
            Err(nix::Error::ENOSPC | nix::Error::EDQUOT | nix::Error::EFBIG) => Err(no_space()),
            Err(nix::Error::EOPNOTSUPP) => write_zeros(file, bytes).map_err(|source| {
                if source.kind() == io::ErrorKind::StorageFull {
                    no_space()
                } else {
                    Error::os(place, "allocating", source)
                }
            }),
            Err(error) => Err(Error::os(place, "allocating", error.into())),
        };
    }
}

fn write_zeros(mut file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(zeros.len() as u64);
        file.write_all(&zeros[..now as usize])?;
        left -= now;
    }
    Ok(())
}

/// Memory and swap of the machine: a memory file larger than that would end in the OOM killer.
fn memory_in_all() -> u64 {
    nix::sys::sysinfo::sysinfo().map_or(u64::MAX, |info| info.ram_total() + info.swap_total())
}

fn is_in_memory(file: &File) -> bool {
    nix::sys::statfs::fstatfs(file)
        .is_ok_and(|found| found.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC)
}

/// Sixteen bytes that nobody else has.
pub(crate) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // SAFETY: the buffer is ours and as long as said. 16 bytes are never delivered in part.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got != bytes.len() as isize {
        // No such call, or a sandbox: time and process id are good enough against accidents.
        let mix = u128::from(crate::deadline::now()) << 64 | u128::from(std::process::id());
        bytes = mix.to_ne_bytes();
    }
    bytes
}
