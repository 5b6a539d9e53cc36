//! One process's attachment to one segment: the mapping, the descriptor for questions, the proof
//! of life and the participant entry. Everything else holds a counted reference to it.

use crate::error::{Error, Result};
use crate::fence::Fences;
use crate::fork::BirthPage;
use crate::header::{Header, Layout, Vitals};
use crate::liveness::{self, Identity, LifeLock};
use crate::participant;
use crate::shared::SharedLayout;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The attachment of this process to a segment. Shared by all handles; ends with the last of them.
pub struct Attachment {
    map: ManuallyDrop<memmap2::MmapRaw>,
    /// The descriptor through which others' locks are looked at. Replaced if somebody closed it.
    asking: Mutex<ManuallyDrop<OwnedFd>>,
    identity: Identity,
    place: String,
    path: Option<PathBuf>,
    header: Header,
    layout: Layout,
    birth: BirthPage,
    life: ManuallyDrop<LifeLock>,
    /// Set once the table has us.
    entry: OnceLock<u32>,
    private: bool,
    last_look: AtomicU64,
}

/// A file that was opened and checked, on its way to an attachment.
pub(crate) struct Opened {
    pub file: File,
    pub header: Header,
    pub place: String,
    /// The name it has, or will have.
    pub path: Option<PathBuf>,
    /// The name that it has meanwhile, if it has another.
    pub temporary: Option<PathBuf>,
    /// Whether no other user can write to it.
    pub private: bool,
}

impl Attachment {
    /// Maps the file and becomes a participant.
    pub(crate) fn new(opened: Opened) -> Result<Arc<Self>> {
        let Opened {
            file,
            header,
            place,
            path,
            temporary,
            private,
        } = opened;
        let failed = |action| {
            let place = place.clone();
            move |source| Error::os(&place, action, source)
        };
        if header.fences() == Fences::Asymmetric {
            crate::fence::register().map_err(|source| Error::NoMembarrier {
                place: place.clone(),
                source,
            })?;
        }
        let identity = liveness::identity(&file).map_err(failed("examining"))?;
        let map = memmap2::MmapOptions::new()
            .len(header.total as usize)
            .map_raw(&file)
            .map_err(failed("mapping"))?;
        map.advise(memmap2::Advice::DontFork)
            .map_err(failed("keeping forked children out of"))?;
        let birth = BirthPage::new().map_err(failed("marking this process as owner of"))?;

        let layout = header.layout();
        let ticket = participant::draw_ticket(&map, &layout, &place)?;
        let life = LifeLock::take(&file, temporary.as_deref().or(path.as_deref()), ticket)
            .map_err(|error| match error.raw_os_error() {
                // A ticket is handed out once: its byte cannot be taken.
                Some(libc::EAGAIN | libc::EACCES) => Error::Corrupted {
                    place: place.clone(),
                    what: "its counter of participants was set back",
                },
                _ => failed("locking the life byte of")(error),
            })?;
        let attachment = Arc::new(Self {
            map: ManuallyDrop::new(map),
            asking: Mutex::new(ManuallyDrop::new(file.into())),
            identity,
            place,
            path,
            layout,
            header,
            birth,
            life: ManuallyDrop::new(life),
            entry: OnceLock::new(),
            private,
            last_look: AtomicU64::new(0),
        });
        let entry = participant::join(&attachment)?;
        attachment.entry.get_or_init(|| entry);
        Ok(attachment)
    }

    /// The name or path, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn ticket(&self) -> u64 {
        self.life.ticket()
    }

    /// The index of our entry. Only handles ask, and they come after joining.
    pub(crate) fn entry(&self) -> u32 {
        self.entry.get().copied().unwrap_or(participant::NO_ENTRY)
    }

    /// Whether no other user can write to the segment's file.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// How store-load races are ordered in this segment.
    #[inline(always)]
    pub fn fences(&self) -> Fences {
        self.header.fences()
    }

    /// Whether this is still the process that attached, and not a forked child of it.
    #[inline(always)]
    pub fn is_mine(&self) -> bool {
        self.birth.is_mine()
    }

    /// An error in a forked child, which has no mapping.
    #[inline(always)]
    pub fn check_fork(&self) -> Result<()> {
        if self.is_mine() {
            Ok(())
        } else {
            Err(self.forked())
        }
    }

    #[cold]
    fn forked(&self) -> Error {
        Error::Forked {
            place: self.place.clone(),
        }
    }

    pub(crate) fn corrupted(&self, what: &'static str) -> Error {
        Error::Corrupted {
            place: self.place.clone(),
            what,
        }
    }

    /// A pointer into the mapping, if the range lies in it and is aligned.
    pub(crate) fn pointer(&self, offset: u64, len: u64, align: usize) -> Option<NonNull<u8>> {
        let end = offset.checked_add(len)?;
        if end > self.header.total || !offset.is_multiple_of(align as u64) {
            return None;
        }
        // SAFETY: offset + len <= total, the length of the mapping.
        let at = unsafe { self.map.as_mut_ptr().add(offset as usize) };
        NonNull::new(at)
    }

    /// A structure of the fixed part of the segment (tables, vitals).
    ///
    /// `offset` comes from the checked layout; a bad one would be a mistake in this crate.
    pub(crate) fn fixed<T: SharedLayout>(&self, offset: u64) -> &T {
        let at = self
            .pointer(offset, size_of::<T>() as u64, align_of::<T>())
            .expect("the checked layout lies within the mapping");
        // SAFETY: in bounds and aligned; `T` is made of atomics; the mapping lives as long as
        // `self`, and callers have checked that this is not a forked child.
        unsafe { at.cast::<T>().as_ref() }
    }

    pub(crate) fn vitals(&self) -> &Vitals {
        self.fixed(self.layout.vitals)
    }

    /// Runs `ask` with a descriptor that is certainly one of the segment's file, and only if our
    /// own lock shows through it: otherwise we would take the living for dead.
    pub(crate) fn with_judge<R>(&self, ask: impl FnOnce(BorrowedFd<'_>) -> Result<R>) -> Result<R> {
        self.check_fork()?;
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if liveness::identity(&**asking).ok() != Some(self.identity) {
            let again = self.open_again().map_err(|source| Error::DescriptorLost {
                place: self.place.clone(),
                source,
            })?;
            // The old number is closed, or somebody else's by now: it must not be closed by us.
            let lost = ManuallyDrop::into_inner(std::mem::replace(
                &mut *asking,
                ManuallyDrop::new(again.into()),
            ));
            let _ = lost.into_raw_fd();
        }
        match liveness::is_alive(&**asking, self.ticket()) {
            Ok(true) => ask(asking.as_fd()),
            Ok(false) => Err(Error::LifeLockLost {
                place: self.place.clone(),
            }),
            Err(source) => Err(Error::os(&self.place, "asking for the locks of", source)),
        }
    }

    /// Asks through this descriptor of the segment's file from now on, and hands it on: one that
    /// was opened by the name, so that whoever gets it can find the name.
    pub(crate) fn ask_through(&self, file: File) {
        if liveness::identity(&file).ok() == Some(self.identity) {
            let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
            **asking = file.into();
        }
    }

    /// The segment's file, opened anew after somebody closed our descriptor.
    fn open_again(&self) -> std::io::Result<File> {
        let by_path = self.path.as_deref().map(open_plain);
        let file = match by_path {
            Some(Ok(file)) if liveness::identity(&file).ok() == Some(self.identity) => file,
            // Unlinked meanwhile, or a memfd: the kernel lets privileged processes open what they
            // have mapped.
            _ => {
                let start = self.map.as_ptr().addr();
                let end = start + (self.header.total as usize);
                open_plain(Path::new(&format!(
                    "/proc/self/map_files/{start:x}-{end:x}"
                )))?
            }
        };
        if liveness::identity(&file)? != self.identity {
            return Err(std::io::Error::other("another file was found in its place"));
        }
        Ok(file)
    }

    /// A duplicate of the segment's descriptor.
    pub(crate) fn duplicate(&self) -> Result<OwnedFd> {
        self.with_judge(|fd| {
            fd.try_clone_to_owned()
                .map_err(|source| Error::os(&self.place, "duplicating the descriptor of", source))
        })
    }

    /// Whether `interval` has passed since the last time that this returned true.
    pub(crate) fn look_is_due(&self, interval: std::time::Duration) -> bool {
        let now = crate::deadline::now();
        let last = self.last_look.load(Relaxed);
        now.saturating_sub(last) >= interval.as_nanos() as u64
            && self
                .last_look
                .compare_exchange(last, now, Relaxed, Relaxed)
                .is_ok()
    }
}

fn open_plain(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: the fields are not used after this function.
        let life = unsafe { ManuallyDrop::take(&mut self.life) };
        if !self.is_mine() {
            // A forked child: the mapping is not here (unmapping its addresses could hit something
            // else by now), and the lock and the descriptor's number are the parent's business.
            life.abandon();
            return;
        }
        if self.entry.get().is_some() {
            crate::gate::leave(self);
        }
        drop(life);
        let asking = self
            .asking
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if liveness::identity(&**asking).ok() == Some(self.identity) {
            // SAFETY: not used again; and it is still our file, not somebody else's number.
            unsafe { ManuallyDrop::drop(asking) };
        }
        // SAFETY: nobody refers to the mapping any more: all references hold the `Arc`.
        unsafe { ManuallyDrop::drop(&mut self.map) };
    }
}

impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attachment")
            .field("place", &self.place)
            .field("entry", &self.entry)
            .field(
                "descriptor",
                // Not `lock`: in a forked child it may be locked for ever.
                &self.asking.try_lock().map(|fd| fd.as_raw_fd()).ok(),
            )
            .finish_non_exhaustive()
    }
}
