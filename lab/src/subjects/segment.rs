//! Segments: creating, opening, leaving; and creating and opening objects.

use super::common::{Message, check_clean, door, enter, message};
use super::scratch::Scratch;
use crate::case::Case;
use crate::run::Runnable;
use crate::subject::{Outcome, Said, Subject};
use ipc_core::{Error, Place, Segment, SegmentBuilder};
use ipc_sync::Value;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What the victim does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// With a first object.
    Create,
    /// By name.
    Open,
    /// By descriptor.
    Attach,
    Detach,
    /// The last one leaves, and takes the name with it.
    DetachLast,
    CreateObject,
    OpenObject,
}

struct OnSegment(Act);

pub fn all() -> Vec<Box<dyn Runnable>> {
    use Act::*;
    [
        Create,
        Open,
        Attach,
        Detach,
        DetachLast,
        CreateObject,
        OpenObject,
    ]
    .map(|act| Box::new(OnSegment(act)) as Box<dyn Runnable>)
    .into()
}

type Object = Value<Message>;

const OBJECTS: u32 = 3;
const HANDLES: u32 = super::common::HANDLES;

fn builder(place: impl Into<Place>) -> SegmentBuilder {
    Segment::builder(place)
        .participants(4)
        .handles(HANDLES)
        .objects(OBJECTS)
        .size(OBJECTS as usize * Object::size())
}

fn create_object(segment: &Segment) -> ipc_core::Result<Object> {
    Value::create_in(segment, "object", message(7))
}

/// Whether the object is there; then it is whole.
fn has_object(segment: &Segment) -> bool {
    match Object::open_in(segment, "object") {
        Ok(object) => {
            assert_eq!(
                object.get().expect("a sound segment"),
                message(7),
                "half an object"
            );
            true
        }
        Err(Error::ObjectNotFound { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Takes the room that is left; and all of it is there.
fn check_room(segment: &Segment) {
    let there = segment.objects().expect("a sound segment").len();
    for number in there..OBJECTS as usize {
        let name = format!("filler {number}");
        let object = Value::create_in(segment, &name, message(1)).expect("some room is missing");
        assert_eq!(object.get().expect("a sound segment"), message(1));
    }
    let mut objects = segment.objects().expect("a sound segment");
    objects.sort_by_key(|it| it.offset);
    assert_eq!(objects.len(), OBJECTS as usize);
    let overlap = objects
        .windows(2)
        .any(|it| it[0].offset + it[0].len > it[1].offset);
    assert!(!overlap, "{objects:?}");
}

struct Others {
    scratch: Scratch,
    path: PathBuf,
    segment: Option<Segment>,
    /// Whether they have created the segment, or the object.
    created: bool,
}

struct Victim {
    path: PathBuf,
    door: Option<OwnedFd>,
    segment: Option<Segment>,
}

impl OnSegment {
    /// Opens what is there, and creates it if there is none. Gives whether it was created, or
    /// nothing if somebody stands still in the way.
    fn open_or_create(&self, path: &Path) -> Option<(Segment, bool)> {
        match Segment::open(path) {
            Ok(segment) => return Some((segment, false)),
            Err(Error::NotFound { .. }) => {}
            Err(Error::Busy { .. }) => return None,
            Err(error) => panic!("{error}"),
        }
        match builder(path).create_with(create_object) {
            Ok((segment, _)) => Some((segment, true)),
            Err(Error::Busy { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Subject for OnSegment {
    type Others = Others;
    type Victim = Victim;

    fn name(&self) -> String {
        format!("segment: {:?}", self.0)
    }

    fn scene(&self) -> (Others, OwnedFd) {
        let scratch = Scratch::new();
        let path = scratch.path().join("segment");
        let make = || {
            builder(path.as_path())
                .unlink_when_last_leaves(true)
                .create()
                .expect("a segment")
        };
        let segment = (self.0 != Act::Create && self.0 != Act::DetachLast).then(make);
        if self.0 == Act::OpenObject {
            create_object(segment.as_ref().expect("made")).expect("room");
        }
        let nothing = || File::open("/dev/null").expect("a device").into();
        let door = segment.as_ref().map_or_else(nothing, door);
        (
            Others {
                scratch,
                path,
                segment,
                created: false,
            },
            door,
        )
    }

    fn enter(&self, door: OwnedFd) -> Victim {
        // Where those who set the scene have put it.
        // SAFETY: asks for a number.
        let parent = unsafe { libc::getppid() };
        let path = super::scratch::path_of(parent as u32).join("segment");
        let is_in = !matches!(
            self.0,
            Act::Create | Act::Open | Act::Attach | Act::DetachLast
        );
        let segment = is_in.then(|| enter(door.try_clone().expect("a descriptor")));
        let last = || {
            builder(path.as_path())
                .unlink_when_last_leaves(true)
                .create()
                .expect("a segment")
        };
        let segment = segment.or_else(|| (self.0 == Act::DetachLast).then(last));
        Victim {
            path,
            door: Some(door),
            segment,
        }
    }

    /// Whether it created something.
    fn operate(&self, victim: &mut Victim) -> Said {
        let segment = victim.segment.as_ref();
        let created = match self.0 {
            Act::Create => match builder(victim.path.as_path()).create_with(create_object) {
                Ok((segment, object)) => {
                    drop(object);
                    victim.segment = Some(segment);
                    true
                }
                Err(Error::Exists { .. }) => false,
                Err(error) => panic!("{error}"),
            },
            Act::Open => {
                victim.segment = Some(Segment::open(victim.path.as_path()).expect("it is there"));
                false
            }
            Act::Attach => {
                let door = victim.door.take().expect("not used yet");
                victim.segment = Some(Segment::open(door).expect("it is there"));
                false
            }
            Act::Detach | Act::DetachLast => {
                victim.segment = None;
                false
            }
            Act::CreateObject => match create_object(segment.expect("it is in")) {
                Ok(_) => true,
                Err(Error::ObjectExists { .. }) => false,
                Err(error) => panic!("{error}"),
            },
            Act::OpenObject => {
                assert!(has_object(segment.expect("it is in")), "it is there");
                false
            }
        };
        [u64::from(created), 0, 0, 0]
    }

    fn go_on(&self, others: &mut Others, case: &mut Case) {
        match &others.segment {
            None => {
                // While it is stopped, every other time: else its own never comes about.
                if (case.is_kill() || case.turn(2) == 0)
                    && let Some((segment, created)) = self.open_or_create(&others.path)
                {
                    others.created = created;
                    others.segment = Some(segment);
                }
                case.went_on();
            }
            Some(segment) => {
                segment.recover().expect("recovery");
                case.went_on();
                let listed = segment.participants().expect("a list").len();
                assert!(listed <= 2, "{listed} participants");
                // Of one that is stopped in the middle of it the others wait for a second.
                if self.0 == Act::CreateObject && (case.is_kill() || case.turn(31) == 0) {
                    match create_object(segment) {
                        Ok(object) => {
                            assert_eq!(object.get().expect("a sound segment"), message(7));
                            others.created = true;
                        }
                        Err(Error::ObjectExists { .. }) => assert!(has_object(segment)),
                        // Somebody stands still in the middle of it.
                        Err(Error::Busy { .. }) if !case.is_kill() => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }

    fn settle(&self, others: Others, said: Option<Said>, _: &Case) -> Outcome {
        let Others {
            scratch,
            path,
            segment,
            created,
        } = others;
        let (segment, created) = match segment {
            Some(segment) => (segment, created),
            None => self
                .open_or_create(&path)
                .expect("nobody stands in the way"),
        };
        segment.recover().expect("recovery");
        let makes = matches!(self.0, Act::Create | Act::CreateObject);
        if makes || self.0 == Act::OpenObject {
            assert!(has_object(&segment), "it was created");
        }
        if let Some([its, ..]) = said
            && makes
        {
            assert!((its == 1) != created, "one has created it, and one only");
        }
        check_room(&segment);
        check_clean(&segment);
        drop(segment);
        // What a creator left under another name is for whoever cleans up.
        ipc_core::clean_in(scratch.path()).expect("a directory");
        let _ = Segment::unlink(path.as_path());
        let left: Vec<_> = std::fs::read_dir(scratch.path())
            .expect("a directory")
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        match (self.0, created) {
            (Act::DetachLast, true) => Outcome::new(1, "it is gone"),
            (Act::DetachLast, false) => Outcome::new(0, "it was there"),
            (_, true) => Outcome::new(0, "another created it"),
            (_, false) if makes => Outcome::new(1, "it was created"),
            _ => Outcome::new(0, "all have left"),
        }
    }
}
