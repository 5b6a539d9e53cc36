//! A segment as its users see it.

use crate::attachment::Attachment;
use crate::builder::SegmentBuilder;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::object::{Object, ObjectInfo, ObjectSpec};
use crate::open::SegmentOptions;
use crate::owner::{self, Holder, Owner, OwnerId};
use crate::participant::{self, Participant};
use crate::place::{Address, Place};
use crate::sweep::{self, Recovery};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// A region of memory shared between processes, with a directory of named, typed objects.
///
/// The value is this process's attachment: cloning it is cheap and gives another reference to the
/// same attachment, which ends with the last clone and the last handle of an object. Opening a
/// segment twice makes two attachments, which count as two participants.
///
/// In a forked child every call fails with [`Error::Forked`], and dropping does nothing: open the
/// segment again there. References into the mapping that were borrowed before the fork must not be
/// used in the child: the memory is not there, and an access ends it with SIGSEGV.
#[derive(Clone, Debug)]
pub struct Segment {
    attachment: Arc<Attachment>,
}

impl Segment {
    pub(crate) fn from_attachment(attachment: &Arc<Attachment>) -> Self {
        Self {
            attachment: attachment.clone(),
        }
    }

    /// The attachment behind all handles, for the code of object kinds.
    pub fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }

    /// Settings for a new segment.
    pub fn builder(place: impl Into<Place>) -> SegmentBuilder {
        SegmentBuilder::new(place.into())
    }

    /// Settings for opening, where the defaults do not do.
    pub fn options() -> SegmentOptions {
        SegmentOptions::default()
    }

    /// Creates a segment with the default settings and room for `size` bytes of objects.
    ///
    /// # Errors
    /// See [`SegmentBuilder::create`].
    pub fn create(place: impl Into<Place>, size: usize) -> Result<Self> {
        Self::builder(place).size(size).create()
    }

    /// Opens a segment by name (`&str`, in `/dev/shm`), by path (`&Path`) or by descriptor
    /// (`OwnedFd`), and attaches to it. Never blocks for longer than a second, and that only if
    /// another process was stopped while removing the segment.
    ///
    /// What participants held that have died meanwhile is given back as soon as somebody needs it;
    /// call [`recover`](Self::recover) to have it done now.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NotRegular`], [`Error::NotASegment`],
    /// [`Error::WrongVersion`], [`Error::WrongArchitecture`], [`Error::WrongLength`] or
    /// [`Error::Corrupted`] if there is something else; [`Error::ForeignOwner`],
    /// [`Error::Permission`]; [`Error::ParticipantsFull`]. Nothing was changed then.
    pub fn open(address: impl Into<Address>) -> Result<Self> {
        SegmentOptions::default().open(address)
    }

    /// Opens the segment, or creates it with the default settings if there is none. See
    /// [`SegmentBuilder::open_or_create`] for the rest.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(place: impl Into<Place>, size: usize) -> Result<Self> {
        Self::builder(place).size(size).open_or_create()
    }

    /// Removes the name. Whoever is attached goes on undisturbed; the memory is freed when the
    /// last one leaves. Works on damaged segments too.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotRegular`], [`Error::Permission`].
    pub fn unlink(place: impl Into<Place>) -> Result<()> {
        let place = place.into();
        let shown = place.to_string();
        let Some(path) = place.path()? else {
            return Ok(());
        };
        let failed = |source| Error::os(&shown, "removing", source);
        let found = std::fs::symlink_metadata(&path).map_err(failed)?;
        if !found.is_file() {
            return Err(Error::NotRegular {
                place: shown,
                found: "no regular file",
            });
        }
        std::fs::remove_file(&path).map_err(failed)
    }

    /// The name or path, as messages show it.
    pub fn place(&self) -> &str {
        self.attachment.place()
    }

    /// The label given at creation.
    pub fn label(&self) -> String {
        self.attachment.header().label()
    }

    /// The segment's identity: 16 random bytes made at its creation.
    pub fn uuid(&self) -> [u8; 16] {
        self.attachment.header().uuid
    }

    /// The length of the whole segment in bytes.
    pub fn len(&self) -> u64 {
        self.attachment.header().total
    }

    /// Never: a segment has at least its header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether no other user can write to the segment. In-place access is allowed only then.
    pub fn is_private(&self) -> bool {
        self.attachment.is_private()
    }

    /// How many processes can be attached at once.
    pub fn participant_limit(&self) -> u32 {
        self.attachment.header().participants
    }

    /// How many handles all participants can have together.
    pub fn handle_limit(&self) -> u32 {
        self.attachment.header().handles
    }

    /// A duplicate of the segment's descriptor, to be handed to another process (which opens it
    /// with [`open`](Self::open)). It has close-on-exec set.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::DescriptorLost`]; [`Error::Os`] if the process has no
    /// descriptor left.
    pub fn descriptor(&self) -> Result<OwnedFd> {
        self.attachment.duplicate()
    }

    /// Everybody who is attached, and who died and is not swept everywhere yet.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::DescriptorLost`] or [`Error::LifeLockLost`] if nothing certain
    /// can be said.
    pub fn participants(&self) -> Result<Vec<Participant>> {
        self.attachment
            .with_judge(|asking| participant::list(&self.attachment, asking))
    }

    /// Looks whether participants have died and gives back what they held. Every blocking call
    /// does this by itself while it waits; nobody needs to call it.
    ///
    /// Lock-free: several processes may do it at once, and one that is stopped or killed meanwhile
    /// hinders nobody.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::DescriptorLost`] or [`Error::LifeLockLost`] if nothing certain
    /// can be said about the others; [`Error::Corrupted`].
    pub fn recover(&self) -> Result<Recovery> {
        self.attachment.check_fork()?;
        sweep::sweep_all(&self.attachment)
    }

    /// As [`recover`](Self::recover), but does nothing if this process has done it within
    /// `interval`. For the polling paths of object kinds.
    ///
    /// # Errors
    /// As [`recover`](Self::recover).
    pub fn recover_if_due(&self, interval: Duration) -> Result<Recovery> {
        self.attachment.check_fork()?;
        if self.attachment.look_is_due(interval) {
            sweep::sweep_all(&self.attachment)
        } else {
            Ok(Recovery::default())
        }
    }

    /// Takes an owner id: the name under which a handle holds things. For the code of object
    /// kinds.
    ///
    /// # Errors
    /// [`Error::HandlesFull`]; [`Error::Forked`].
    pub fn owner(&self) -> Result<Owner> {
        owner::take(&self.attachment)
    }

    /// Whose an owner id is, and whether that process lives. For the code of object kinds.
    ///
    /// # Errors
    /// [`Error::Corrupted`] for an id that cannot exist; those of
    /// [`participants`](Self::participants).
    pub fn holder(&self, id: OwnerId) -> Result<Holder> {
        owner::holder(&self.attachment, id)
    }

    /// All objects, in no particular order, whatever their kinds and types.
    ///
    /// # Errors
    /// [`Error::Forked`]; [`Error::Corrupted`].
    pub fn objects(&self) -> Result<Vec<ObjectInfo>> {
        self.attachment.check_fork()?;
        Directory::of(&self.attachment).list()
    }

    /// Creates an object: `init` is run on its zeroed memory before anybody can find it. For the
    /// code of object kinds.
    ///
    /// Lock-free: a process that is stopped or killed meanwhile hinders nobody, and the room it
    /// took is used again once it is swept.
    ///
    /// # Errors
    /// [`Error::ObjectExists`], [`Error::ObjectsFull`], [`Error::SegmentFull`],
    /// [`Error::InvalidName`], [`Error::Forked`], and what `init` returns.
    pub fn create_object(
        &self,
        name: &str,
        spec: &ObjectSpec,
        init: impl FnOnce(&Object) -> Result<()>,
    ) -> Result<Object> {
        self.attachment.check_fork()?;
        spec.kind.register();
        let info = Directory::of(&self.attachment)
            .create(name, spec, |info| init(&Object::new(self.clone(), info)))?;
        Ok(Object::new(self.clone(), info))
    }

    /// Opens an object, whose kind and element type must be those of `spec`; its length and
    /// configuration are what they are. For the code of object kinds.
    ///
    /// # Errors
    /// [`Error::ObjectNotFound`], [`Error::WrongKind`], [`Error::WrongType`],
    /// [`Error::Corrupted`], [`Error::Forked`].
    pub fn open_object(
        &self,
        name: &str,
        kind: &'static crate::Kind,
        element: &crate::TypeTag,
    ) -> Result<Object> {
        self.attachment.check_fork()?;
        kind.register();
        let directory = Directory::of(&self.attachment);
        let info = directory.find(name)?.ok_or_else(|| Error::ObjectNotFound {
            place: self.place().to_owned(),
            object: name.to_owned(),
            present: directory.names(),
        })?;
        if info.kind != kind.name {
            return Err(Error::WrongKind {
                place: self.place().to_owned(),
                object: name.to_owned(),
                found: info.kind,
                expected: kind.name.to_owned(),
            });
        }
        if info.element != *element {
            return Err(Error::WrongType {
                place: self.place().to_owned(),
                object: name.to_owned(),
                found: Box::new(info.element),
                expected: Box::new(element.clone()),
            });
        }
        Ok(Object::new(self.clone(), info))
    }
}
