//! Creating a segment. Nobody can open half of one, whenever the creator is killed: the file gets
//! its name last.

use crate::attachment::{Attachment, Opened};
use crate::backing::{self, Unnamed};
use crate::error::{Error, Result};
use crate::fence::Fences;
use crate::gate::{self, Gate, Purpose};
use crate::header::{
    self, FLAG_ASYMMETRIC, FLAG_UNLINK_LAST, Header, MAGIC, MOST_HANDLES, MOST_HEAP, MOST_OBJECTS,
    MOST_PARTICIPANTS,
};
use crate::open::{SegmentOptions, open_regular};
use crate::place::Place;
use crate::segment::Segment;
use crate::survey::{State, state_of_file};
use bytemuck::Zeroable;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How a new segment is to be. Made by [`Segment::builder`].
///
/// ```
/// use ipc_core::{Place, Segment};
/// let segment = Segment::builder(Place::memfd("example"))
///     .size(64 * 1024)
///     .participants(8)
///     .label("an example")
///     .create()?;
/// assert_eq!(segment.participants()?.len(), 1);
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SegmentBuilder {
    place: Place,
    size: usize,
    participants: u32,
    handles: Option<u32>,
    objects: u32,
    mode: u32,
    label: String,
    unlink_when_last_leaves: bool,
    replace_dead: bool,
}

impl SegmentBuilder {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            size: 1 << 20,
            participants: 64,
            handles: None,
            objects: 64,
            mode: 0o600,
            label: String::new(),
            unlink_when_last_leaves: false,
            replace_dead: false,
        }
    }

    /// Room for objects, in bytes; each object takes a multiple of 128. From 1 to 2^46, rounded up
    /// to a multiple of 128. Default: 1 MiB.
    pub fn size(mut self, bytes: usize) -> Self {
        self.size = bytes;
        self
    }

    /// How many processes can be attached at once, from 1 to 4096. Default: 64. More cost 64 bytes
    /// each, and about 3 ns for each that is attached whenever the dead are looked for.
    pub fn participants(mut self, count: u32) -> Self {
        self.participants = count;
        self
    }

    /// How many handles (queue roles, locks) all participants can have together, from 1 to 65,535.
    /// Default: 16 for each participant. More cost 8 bytes each.
    pub fn handles(mut self, count: u32) -> Self {
        self.handles = Some(count);
        self
    }

    /// How many objects there can be, from 1 to 4096. Default: 64. More cost 256 bytes each.
    pub fn objects(mut self, count: u32) -> Self {
        self.objects = count;
        self
    }

    /// The file's permission bits, not reduced by the umask: `0o600`, with any of the bits `0o066`
    /// for others. Default: `0o600`. If others may write, in-place access is refused (see the
    /// crate's safety chapter). Others need both reading and writing to open the segment.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// A text for people who list segments; up to 63 bytes are kept.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Removes the name when the last participant leaves. Without this, a named segment lives
    /// until [`Segment::unlink`]. If the last one is killed, the name stays for
    /// [`clean`](crate::clean).
    pub fn unlink_when_last_leaves(mut self, unlink: bool) -> Self {
        self.unlink_when_last_leaves = unlink;
        self
    }

    /// If a segment of this name exists and everybody who used it has died, discards it with its
    /// contents instead of failing with [`Error::ExistsDead`].
    pub fn replace_dead(mut self, replace: bool) -> Self {
        self.replace_dead = replace;
        self
    }

    /// Creates the segment and attaches to it.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::ExistsDead`], [`Error::NoSpace`], [`Error::OutOfRange`],
    /// [`Error::InvalidMode`] and others; nothing is left behind.
    pub fn create(&self) -> Result<Segment> {
        self.create_with(|_| Ok(())).map(|(segment, ())| segment)
    }

    /// Creates the segment together with its first contents: others can open it only once `fill`
    /// has returned.
    ///
    /// # Errors
    /// As [`create`](Self::create), and what `fill` returns.
    pub fn create_with<R>(&self, fill: impl FnOnce(&Segment) -> Result<R>) -> Result<(Segment, R)> {
        let header = self.header()?;
        let shown = self.place.to_string();
        let Some(path) = self.place.path()? else {
            let Place::Memfd(label) = &self.place else {
                unreachable!("only a memfd has no path");
            };
            let file = backing::memfd(label, &shown, header.total, self.mode)?;
            write_header(&file, &header, &shown)?;
            backing::seal(&file, &shown)?;
            let segment = self.attach(file, header, shown, None, None)?;
            let filled = fill(&segment)?;
            return Ok((segment, filled));
        };
        if path.symlink_metadata().is_ok() {
            self.make_way(&path, &shown)?;
        }
        let unnamed = Unnamed::create(&path, &shown, header.total, self.mode)?;
        write_header(&unnamed.file, &header, &shown)?;
        let file = unnamed
            .file
            .try_clone()
            .map_err(|source| Error::os(&shown, "duplicating the descriptor of", source))?;
        let temporary = unnamed.temporary_name();
        let segment = self.attach(file, header, shown.clone(), Some(path.clone()), temporary)?;
        let filled = fill(&segment)?;
        loop {
            match unnamed.publish(&path) {
                Ok(()) => {
                    // The first descriptor does not know the name.
                    if let Ok(named) = open_regular(&path, &shown) {
                        segment.attachment().ask_through(named);
                    }
                    return Ok((segment, filled));
                }
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                    self.make_way(&path, &shown)?;
                }
                Err(error) => return Err(self.unnameable(&shown, header.total, error)),
            }
        }
    }

    /// Opens the segment if it exists, else creates it. What exists is used as it is: size and
    /// limits of this builder are for creation only.
    ///
    /// # Errors
    /// Those of [`Segment::open`] and [`create`](Self::create).
    pub fn open_or_create(&self) -> Result<Segment> {
        self.open_or_create_with(|_| Ok(()))
    }

    /// As [`open_or_create`](Self::open_or_create); `fill` makes the first contents if the segment
    /// is created here.
    ///
    /// # Errors
    /// Those of [`Segment::open`] and [`create_with`](Self::create_with).
    pub fn open_or_create_with(
        &self,
        mut fill: impl FnMut(&Segment) -> Result<()>,
    ) -> Result<Segment> {
        if let Place::Memfd(_) = self.place {
            return self.create_with(fill).map(|(segment, ())| segment);
        }
        loop {
            match SegmentOptions::default().open(self.place.clone()) {
                Err(Error::NotFound { .. }) => {}
                opened => return opened,
            }
            match self.create_with(&mut fill) {
                Ok((segment, ())) => return Ok(segment),
                // Somebody else was faster: open theirs.
                Err(Error::Exists { .. } | Error::ExistsDead { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn attach(
        &self,
        file: File,
        header: Header,
        place: String,
        path: Option<PathBuf>,
        temporary: Option<PathBuf>,
    ) -> Result<Segment> {
        let attachment = Attachment::new(Opened {
            file,
            header,
            place,
            path,
            temporary,
            private: self.mode & 0o022 == 0,
        })?;
        Ok(Segment::from_attachment(&attachment))
    }

    fn unnameable(&self, place: &str, bytes: u64, source: io::Error) -> Error {
        match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => Error::NoSpace {
                place: place.to_owned(),
                bytes,
            },
            // The directory was removed. It is not the segment that is missing.
            Some(libc::ENOENT) => Error::Os {
                place: place.to_owned(),
                action: "naming",
                source,
            },
            _ => Error::os(place, "naming", source),
        }
    }

    /// The name is taken: by what? Removes it if it is dead and that was asked for.
    fn make_way(&self, path: &Path, place: &str) -> Result<()> {
        let file = match open_regular(path, place) {
            Err(Error::NotFound { .. }) => return Ok(()),
            opened => opened?,
        };
        let exists = || Error::Exists {
            place: place.to_owned(),
        };
        if state_of_file(&file, place).map_err(|_| exists())? != State::Dead {
            return Err(exists());
        }
        if !self.replace_dead {
            return Err(Error::ExistsDead {
                place: place.to_owned(),
            });
        }
        let _gate = Gate::hold(&file, Some(path), place, Purpose::Remove)?;
        // Somebody may have taken it over before we had the gate.
        if state_of_file(&file, place)? != State::Dead {
            return Err(exists());
        }
        crate::liveness::identity(&file)
            .and_then(|identity| gate::unlink(path, identity))
            .map_err(|source| Error::os(place, "removing", source))
    }

    fn header(&self) -> Result<Header> {
        let range = |what, asked: u128, least: u128, most: u128| {
            if (least..=most).contains(&asked) {
                Ok(())
            } else {
                Err(Error::OutOfRange {
                    what,
                    asked,
                    least,
                    most,
                })
            }
        };
        let handles = self
            .handles
            .unwrap_or(self.participants.saturating_mul(16).clamp(1, MOST_HANDLES));
        range("a segment's size", self.size as u128, 1, MOST_HEAP.into())?;
        let heap = (self.size as u64).next_multiple_of(header::GRAIN);
        range(
            "the number of participants",
            self.participants.into(),
            1,
            MOST_PARTICIPANTS.into(),
        )?;
        range(
            "the number of handles",
            handles.into(),
            1,
            MOST_HANDLES.into(),
        )?;
        range(
            "the number of objects",
            self.objects.into(),
            1,
            MOST_OBJECTS.into(),
        )?;
        if self.mode & !0o666 != 0 || self.mode & 0o600 != 0o600 {
            return Err(Error::InvalidMode { mode: self.mode });
        }
        let mut flags = 0;
        if Fences::available() == Fences::Asymmetric {
            flags |= FLAG_ASYMMETRIC;
        }
        if self.unlink_when_last_leaves {
            flags |= FLAG_UNLINK_LAST;
        }
        let mut header = Header {
            magic: MAGIC,
            architecture: Header::our_architecture(),
            version: header::VERSION,
            heap,
            uuid: backing::random(),
            participants: self.participants,
            handles,
            objects: self.objects,
            flags,
            creator_pid: std::process::id(),
            created_unix_seconds: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            label: crate::text::encode(&self.label),
            ..Header::zeroed()
        };
        header.total = header.layout().total;
        range(
            "a segment's whole length",
            header.total.into(),
            1,
            isize::MAX as u128,
        )?;
        Ok(header.sealed())
    }
}

fn write_header(file: &File, header: &Header, place: &str) -> Result<()> {
    file.write_all_at(bytemuck::bytes_of(header), 0)
        .map_err(|source| Error::os(place, "writing", source))
}
