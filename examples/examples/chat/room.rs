//! The room in shared memory: who is where, and an inbox for each place.

use examples::Failure;
use ipc_core::{Address, Place, Segment};
use ipc_queue::mpmc::{PopError, PushError, Queue, Receiver, Sender};
use ipc_sync::{Array, WriteError};
use std::time::Duration;

/// Places for clients.
pub const PLACES: usize = 16;
/// Lines that wait for a client at most.
const INBOX: usize = 64;
const HANDLES: u32 = 512;
/// In the roster, for a free place.
pub const NOBODY: u32 = 0;

/// A line for a client. Places are used again: who it is for is written on it.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Line {
    to: u32,
    len: u32,
    text: [u8; Line::LONGEST],
}

impl Line {
    pub const LONGEST: usize = 1016;

    /// What is too long is cut off.
    fn new(to: u32, text: &[u8]) -> Self {
        let len = text.len().min(Self::LONGEST);
        let mut line = Line {
            to,
            len: len as u32,
            text: [0; Self::LONGEST],
        };
        line.text[..len].copy_from_slice(&text[..len]);
        line
    }

    /// Its text, if it is for this client.
    pub fn text_for(&self, member: u32) -> Option<&[u8]> {
        (self.to == member).then(|| &self.text[..(self.len as usize).min(Self::LONGEST)])
    }
}

pub struct Room {
    segment: Segment,
    /// Which client is at each place.
    roster: Array<u32>,
    /// All inboxes, to put lines into.
    inboxes: Vec<Sender<Line>>,
}

fn inbox(place: usize) -> String {
    format!("inbox {place}")
}

impl Room {
    pub fn create() -> Result<Self, Failure> {
        let size = PLACES * Queue::<Line>::size_for(INBOX, HANDLES)?;
        let segment = Segment::builder(Place::memfd("chat"))
            .size(size + Array::<u32>::size_for(PLACES))
            .handles(HANDLES)
            .create()?;
        Array::create_in(&segment, "roster", PLACES, |_| NOBODY)?;
        for place in 0..PLACES {
            Queue::<Line>::create_in(&segment, &inbox(place), INBOX)?;
        }
        Self::enter(segment)
    }

    pub fn open(address: impl Into<Address>) -> Result<Self, Failure> {
        Self::enter(Segment::open(address)?)
    }

    fn enter(segment: Segment) -> Result<Self, Failure> {
        let mut inboxes = Vec::new();
        for place in 0..PLACES {
            inboxes.push(Queue::open_in(&segment, &inbox(place))?.sender()?);
        }
        Ok(Self {
            roster: Array::open_in(&segment, "roster")?,
            inboxes,
            segment,
        })
    }

    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    pub fn inbox(&self, place: usize) -> Result<Receiver<Line>, Failure> {
        Ok(Queue::open_in(&self.segment, &inbox(place))?.receiver()?)
    }

    pub fn who_is_at(&self, place: usize) -> Result<u32, Failure> {
        Ok(self.roster.get(place)?)
    }

    pub fn seat(&self, place: usize, member: u32) -> Result<(), Failure> {
        Ok(self.roster.set(place, member)?)
    }

    /// Frees the place, and empties its inbox.
    pub fn free(&self, place: usize) -> Result<(), Failure> {
        self.seat(place, NOBODY)?;
        let mut left = self.inbox(place)?;
        loop {
            match left.try_pop() {
                Ok(_) => {}
                Err(PopError::Empty) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Puts a line into an inbox. Never waits: whose inbox is full loses the place.
    pub fn tell(&mut self, place: usize, member: u32, text: &[u8]) -> Result<(), Failure> {
        match self.inboxes[place].try_push(Line::new(member, text)) {
            Err(PushError::Full) => Ok(self.expel(place, member)?),
            told => Ok(told?),
        }
    }

    /// Tells everybody but this one.
    pub fn tell_others(&mut self, member: u32, text: &[u8]) -> Result<(), Failure> {
        for place in 0..PLACES {
            let other = self.who_is_at(place)?;
            if other != NOBODY && other != member {
                self.tell(place, other, text)?;
            }
        }
        Ok(())
    }

    /// Takes the place away, if it is still this client's. The server does the rest.
    fn expel(&self, place: usize, member: u32) -> Result<(), WriteError> {
        let expelled = |who| (who == member).then_some(NOBODY);
        self.roster
            .try_update(place, Duration::MAX, expelled)
            .map(drop)
    }
}
