//! Making the file behind a segment: unnamed and with all its space until it is complete.

use crate::error::{Error, Result};
use crate::gate::{Gate, Purpose};
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
    /// The name it has meanwhile, where unnamed files cannot be made or cannot be given a name.
    temporary: Option<TemporaryName>,
}

/// Files with this beginning are creations under way, or ones that were interrupted.
pub(crate) const TEMPORARY_PREFIX: &str = ".ipc-new-";

struct TemporaryName {
    path: PathBuf,
    /// Held by whoever is creating: a temporary name whose gate is free is nobody's.
    _gate: Gate,
}

impl Drop for TemporaryName {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
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
            // Not a byte, or not a single file more.
            nix::Error::ENOSPC | nix::Error::EDQUOT => no_space(place, bytes),
            source => Error::os(place, "creating", source.into()),
        };
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_TMPFILE;
        let made = match nix::fcntl::open(directory, flags, PRIVATE).map(File::from) {
            Ok(file) if own_path(&file).exists() => Self {
                file,
                temporary: None,
            },
            // Without /proc the file could never be named.
            Ok(_) | Err(nix::Error::EOPNOTSUPP | nix::Error::EISDIR | nix::Error::EINVAL) => {
                Self::create_with_name(directory, place, failed)?
            }
            Err(error) => return Err(failed(error)),
        };
        allocate(&made.file, place, bytes)?;
        let mode = Mode::from_bits_truncate(mode as libc::mode_t);
        nix::sys::stat::fchmod(&made.file, mode).map_err(failed)?;
        Ok(made)
    }

    fn create_with_name(
        directory: &Path,
        place: &str,
        failed: impl Fn(nix::Error) -> Error,
    ) -> Result<Self> {
        loop {
            let name = format!("{TEMPORARY_PREFIX}{:032x}", u128::from_ne_bytes(random()));
            let path = directory.join(name);
            let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_CREAT | OFlag::O_EXCL;
            let file = File::from(nix::fcntl::open(&path, flags, PRIVATE).map_err(&failed)?);
            let gate = Gate::hold(&file, Some(&path), place, Purpose::Attach);
            let still_named = crate::liveness::identity(&file)
                .is_ok_and(|identity| crate::gate::leads_to(&path, identity));
            match gate {
                // Cleaned away by somebody before we were at the gate.
                _ if !still_named => continue,
                Ok(gate) => {
                    return Ok(Self {
                        file,
                        temporary: Some(TemporaryName { path, _gate: gate }),
                    });
                }
                Err(error) => {
                    let _ = std::fs::remove_file(&path);
                    return Err(error);
                }
            }
        }
    }

    pub(crate) fn temporary_name(&self) -> Option<PathBuf> {
        self.temporary.as_ref().map(|name| name.path.clone())
    }

    /// Gives the file its name, if that is still free. From here on others can open it.
    pub(crate) fn publish(&self, path: &Path) -> io::Result<()> {
        match &self.temporary {
            Some(temporary) => std::fs::hard_link(&temporary.path, path),
            None => {
                nix::unistd::linkat(
                    nix::fcntl::AT_FDCWD,
                    &own_path(&self.file),
                    nix::fcntl::AT_FDCWD,
                    path,
                    nix::fcntl::AtFlags::AT_SYMLINK_FOLLOW,
                )?;
                Ok(())
            }
        }
    }
}

/// Until the file is complete.
const PRIVATE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

fn own_path(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
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
        return Err(no_space(place, bytes));
    }
    let (mut done, mut step) = (0, bytes);
    while done < bytes {
        step = step.min(bytes - done);
        let (Ok(at), Ok(len)) = (libc::off_t::try_from(done), libc::off_t::try_from(step)) else {
            return Err(no_space(place, bytes));
        };
        match nix::fcntl::fallocate(file, FallocateFlags::empty(), at, len) {
            Ok(()) => done += step,
            // The kernel undoes a step that a signal interrupts. Under a profiler's timer only
            // shorter ones ever end.
            Err(nix::Error::EINTR) => step = (step / 2).max(SHORTEST_STEP),
            Err(nix::Error::ENOSPC | nix::Error::EDQUOT | nix::Error::EFBIG) => {
                return Err(no_space(place, bytes));
            }
            Err(nix::Error::EOPNOTSUPP) => {
                return write_zeros(file, bytes).map_err(|source| match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        no_space(place, bytes)
                    }
                    _ => Error::os(place, "allocating", source),
                });
            }
            Err(error) => return Err(Error::os(place, "allocating", error.into())),
        }
    }
    Ok(())
}

const SHORTEST_STEP: u64 = 4096;

fn no_space(place: &str, bytes: u64) -> Error {
    Error::NoSpace {
        place: place.to_owned(),
        bytes,
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
