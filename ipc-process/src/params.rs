//! Parameters of a worker: bytes written once, sealed, and shared by mapping.

use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use memmap2::{Mmap, MmapOptions};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::{Error, Result};

/// Bytes for workers, in a memory file sealed against any change.
///
/// They are written once; every worker that gets them maps the same pages, so
/// that 256 MiB for eight workers take 256 MiB. A clone shares them too. The
/// memory is freed when the last holder, in any process, is gone.
///
/// ```
/// use std::io::Write;
/// use ipc_process::Params;
///
/// let params = Params::from_writer("table", |file| {
///     for n in 0..1000u64 {
///         file.write_all(&n.to_ne_bytes())?;
///     }
///     Ok(())
/// })?;
/// assert_eq!(params.as_slice().len(), 8000);
/// # Ok::<(), ipc_process::Error>(())
/// ```
#[derive(Clone)]
pub struct Params(Arc<Inner>);

struct Inner {
    label: String,
    file: File,
    /// `None` when there are no bytes: nothing can be mapped.
    map: Option<Mmap>,
}

/// All that a `&[u8]` on the file needs: no byte changes, no byte goes, and no
/// one takes these promises back.
const SEALS: SealFlag = SealFlag::F_SEAL_WRITE
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_SEAL);

impl Params {
    /// Copies `bytes` into a new sealed memory file.
    ///
    /// # Errors
    /// [`Error::Params`] if there is not enough memory, or no free descriptor.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        Self::from_writer("params", |file| file.write_all(bytes))
    }

    /// Lets `write` fill a new memory file, then seals it; for bytes that should
    /// not be built in memory first. The parameters are the whole file,
    /// wherever `write` leaves its position.
    ///
    /// `label` is the file's name in errors and in `/proc/<pid>/maps`, at most
    /// 249 bytes without NUL.
    ///
    /// # Errors
    /// [`Error::Params`] with the error of `write`, or if there is not enough
    /// memory, no free descriptor, a bad label, or a shared mapping of the file that
    /// `write` has left behind, which rules out the seal.
    pub fn from_writer(
        label: &str,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<Self> {
        let fill = || -> io::Result<File> {
            let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
            let mut file = File::from(memfd_create(CString::new(label)?.as_c_str(), flags)?);
            write(&mut file)?;
            fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))?;
            Ok(file)
        };
        let file = fill().map_err(|source| Error::Params {
            label: label.to_owned(),
            source,
        })?;
        Self::from_sealed(label, file)
    }

    /// Maps a file that came from elsewhere, after checking its seals.
    pub(crate) fn from_sealed(label: &str, file: File) -> Result<Self> {
        let seals = fcntl(&file, FcntlArg::F_GET_SEALS).map(SealFlag::from_bits_retain);
        // A file that knows no seals (EINVAL) is as unsealed as one without any.
        if !seals.is_ok_and(|seals| seals.contains(SEALS)) {
            return Err(Error::NotSealed {
                label: label.to_owned(),
            });
        }
        let map = map_sealed(&file).map_err(|source| Error::Params {
            label: label.to_owned(),
            source,
        })?;
        Ok(Self(Arc::new(Inner {
            label: label.to_owned(),
            file,
            map,
        })))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.0.map.as_deref().unwrap_or_default()
    }
}

fn map_sealed(file: &File) -> io::Result<Option<Mmap>> {
    let len = file.metadata()?.len();
    if len == 0 {
        return Ok(None);
    }
    let len = usize::try_from(len).map_err(io::Error::other)?;
    // A private mapping: kernels before 6.7 refuse shared ones of a file sealed
    // against writing. Nothing is ever copied, as nothing is ever written.
    //
    // SAFETY: a map is sound while no one changes or truncates the file. The
    // only caller has checked F_SEAL_WRITE, _SHRINK and _GROW, which the kernel
    // enforces for every holder in every process, and F_SEAL_SEAL keeps them.
    let map = unsafe { MmapOptions::new().len(len).map_copy_read_only(file)? };
    Ok(Some(map))
}

impl AsFd for Params {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.file.as_fd()
    }
}

impl std::ops::Deref for Params {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Params {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Params")
            .field("label", &self.0.label)
            .field("len", &self.as_slice().len())
            .finish_non_exhaustive()
    }
}

/// What [`Builder::params`](crate::Builder::params) takes: [`Params`], shared,
/// or bytes, copied once into new ones.
#[derive(Debug)]
pub struct ParamsSource(pub(crate) Result<Params>);

impl ParamsSource {
    /// The parameters, to be given to several workers.
    ///
    /// # Errors
    /// What went wrong when they were made; see [`Params::new`].
    pub fn into_params(self) -> Result<Params> {
        self.0
    }
}

impl From<Params> for ParamsSource {
    fn from(params: Params) -> Self {
        Self(Ok(params))
    }
}

impl From<&Params> for ParamsSource {
    fn from(params: &Params) -> Self {
        Self(Ok(params.clone()))
    }
}

macro_rules! params_from_bytes {
    ($([$($generics:tt)*] $bytes:ty),* $(,)?) => {$(
        impl<$($generics)*> From<$bytes> for ParamsSource {
            fn from(bytes: $bytes) -> Self {
                Self(Params::new(bytes.as_ref()))
            }
        }
    )*};
}

params_from_bytes!(
    [] &[u8], [const N: usize] &[u8; N], [const N: usize] [u8; N],
    [] Vec<u8>, [] &Vec<u8>, [] &str, [] String, [] &String,
);

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_written_file_cannot_change_any_more() {
        let mut kept = None;
        let params = Params::from_writer("kept", |file| {
            file.write_all(b"before")?;
            kept = Some(file.try_clone()?);
            Ok(())
        })
        .unwrap();
        let kept = kept.unwrap();
        assert!(kept.write_all_at(b"after", 0).is_err());
        assert!(kept.set_len(0).is_err());
        assert!(kept.set_len(100).is_err());
        assert_eq!(params.as_slice(), b"before");
    }

    #[test]
    fn a_writable_mapping_left_behind_rules_out_the_seal() {
        let mut map = None;
        let error = Params::from_writer("mapped", |file| {
            file.write_all(b"bytes")?;
            // SAFETY: no one truncates the file while this test maps it.
            map = Some(unsafe { MmapOptions::new().map_mut(&*file)? });
            Ok(())
        })
        .unwrap_err();
        assert!(
            matches!(&error, Error::Params { label, source }
            if label == "mapped" && source.kind() == io::ErrorKind::ResourceBusy),
            "{error:?}"
        );
    }

    #[test]
    fn only_a_sealed_file_is_read_as_a_slice() {
        let unsealed = File::from(memfd_create(c"open", MFdFlags::MFD_ALLOW_SEALING).unwrap());
        let error = Params::from_sealed("open", unsealed).unwrap_err();
        assert!(matches!(error, Error::NotSealed { .. }), "{error:?}");

        let partly = File::from(memfd_create(c"partly", MFdFlags::MFD_ALLOW_SEALING).unwrap());
        fcntl(&partly, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE)).unwrap();
        let error = Params::from_sealed("partly", partly).unwrap_err();
        assert!(matches!(error, Error::NotSealed { .. }), "{error:?}");
    }

    #[test]
    fn errors_of_the_writer_come_out_with_the_label() {
        let error = Params::from_writer("table", |_| Err(io::Error::other("no"))).unwrap_err();
        assert!(error.to_string().contains("`table`"));
        let error = Params::from_writer("nul\0", |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Params { .. }));
    }

    #[test]
    fn clones_share_the_bytes() {
        let params = Params::new(b"shared").unwrap();
        let clone = params.clone();
        assert_eq!(params.as_slice().as_ptr(), clone.as_slice().as_ptr());
        assert_eq!(Params::new(b"").unwrap().as_slice(), b"");
    }
}
