//! Giving back what the dead held.
//!
//! Any number of processes may sweep at once, and each may be killed or stopped at any point:
//! every step is a compare-and-swap on a word that still names the dead. An entry of the
//! participant table becomes free only after somebody made one complete pass over everything that
//! can name its dead holder. A pass that meets a kind of object which this program does not know
//! is not complete: the entry waits for a program that knows it.

use crate::attachment::Attachment;
use crate::directory::Directory;
use crate::error::Result;
use crate::object::{Kind, Object};
use crate::owner::{self, OwnerId};
use crate::participant;
use crate::segment::Segment;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A participant that died, while it is being swept.
#[derive(Debug)]
pub struct Departed<'a> {
    attachment: &'a Attachment,
    entry: u32,
    ticket: u64,
    owners: Vec<OwnerId>,
}

impl Departed<'_> {
    /// The ids under which it held things.
    pub fn owners(&self) -> &[OwnerId] {
        &self.owners
    }

    /// Whether the full id in a word is one of its.
    pub fn owned(&self, id: OwnerId) -> bool {
        self.owners.contains(&id)
    }

    /// Whether the dead's entry has not been reused since. A word that holds only a part of an id
    /// must be read first, then this asked, and then be changed by a CAS from exactly what was
    /// read.
    pub fn is_current(&self) -> bool {
        participant::is_still_dead(self.attachment, self.entry, self.ticket)
    }
}

/// What a look at all participants found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Dead participants whose belongings were given back in full.
    pub swept: u32,
    /// Dead participants that may still hold something in objects of kinds which this program
    /// does not know.
    pub waiting: u32,
}

/// Looks at all participants and sweeps those that have died.
pub(crate) fn sweep_all(attachment: &Arc<Attachment>) -> Result<Recovery> {
    let dead = attachment.with_judge(|asking| participant::find_dead(attachment, asking))?;
    let mut recovery = Recovery::default();
    for (entry, ticket) in dead {
        if sweep_one(attachment, entry, ticket)? {
            recovery.swept += 1;
        } else {
            recovery.waiting += 1;
        }
    }
    Ok(recovery)
}

/// One complete pass for one dead participant. Returns whether it was complete.
fn sweep_one(attachment: &Arc<Attachment>, entry: u32, ticket: u64) -> Result<bool> {
    let departed = Departed {
        attachment,
        entry,
        ticket,
        owners: owner::all_of(attachment, entry),
    };
    if crate::planted!(BuriedFirst) {
        participant::bury(attachment, entry, ticket);
    }
    if !departed.is_current() {
        // Another sweeper finished, and the ids just listed may be those of a new participant.
        return Ok(true);
    }
    let directory = Directory::of(attachment);
    directory.sweep(ticket)?;
    // Without an id it can have held nothing in any object.
    if !departed.owners.is_empty() {
        let mut complete = true;
        for info in directory.list()? {
            match Kind::find(&info.kind) {
                Some(kind) => {
                    let object = Object::new(Segment::from_attachment(attachment), info);
                    (kind.sweep)(&object, &departed)?;
                }
                None => complete = false,
            }
        }
        if !complete {
            return Ok(false);
        }
        for &id in &departed.owners {
            if !crate::planted!(HandlesNotSwept) {
                owner::release(attachment, id, entry);
            }
        }
    }
    if participant::bury(attachment, entry, ticket) {
        attachment.vitals().sweeps.fetch_add(1, Ordering::Relaxed);
    }
    Ok(true)
}
