//! The segment of a chaos run: an object of each kind.

use super::ledger::PERMITS;
use crate::subject::Failure;
use ipc_core::{Place, Segment};
use ipc_queue::channel::Channel;
use ipc_queue::mpmc;
use ipc_queue::spsc::Ring;
use ipc_queue::spsc::bytes::ByteRing;
use ipc_sync::{
    Array, Barrier, Condvar, CountingSemaphore, Event, Mutex, Reset, RwLock, Semaphore, Value,
};

pub(crate) const RECORD: usize = 300;
pub(crate) const MESSAGE: usize = 600;
pub(crate) const PARTIES: u32 = 2;
pub(crate) const ELEMENTS: usize = 4;

/// What the mutex and the lock protect.
pub(crate) type Counts = [u64; 8];

/// Objects that are done with after use, two each epoch, and the rest.
const OBJECTS: u32 = 4096;

pub(crate) fn create() -> Result<Segment, Failure> {
    let segment = Segment::builder(Place::memfd("chaos"))
        .size(4 << 20)
        .participants(32)
        .handles(400)
        .objects(OBJECTS)
        .create()?;
    Ring::<[u64; 2]>::create_in(&segment, "ring", 13)?;
    ByteRing::create_in(&segment, "bytes", 2048, RECORD)?;
    ByteRing::create_in(&segment, "values", 2048, RECORD)?;
    mpmc::Queue::<[u64; 3]>::create_in(&segment, "queue", 20)?;
    mpmc::bytes::Queue::create_in(&segment, "messages", 12, MESSAGE)?;
    Channel::create_in(&segment, "channel", 2048, RECORD)?;
    Mutex::create_in(&segment, "mutex", Counts::default())?;
    RwLock::create_in(&segment, "rwlock", Counts::default())?;
    Condvar::create_in(&segment, "condvar")?;
    Mutex::create_in(&segment, "stock", [0_u64; 2])?;
    Semaphore::create_in(&segment, "semaphore", PERMITS as u32)?;
    CountingSemaphore::create_in(&segment, "posts", 0)?;
    Barrier::create_in(&segment, "barrier", PARTIES)?;
    Event::create_in(&segment, "event", Reset::Auto)?;
    Value::create_in(&segment, "large", Counts::default())?;
    Value::create_in(&segment, "word", 0_u64)?;
    Array::create_in(&segment, "array", ELEMENTS, |_| [0_u64; 2])?;
    Ok(segment)
}

/// What a position or a number leads to, and nothing else does.
pub(crate) fn mixed(number: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&number.to_ne_bytes())
}

/// The bytes that belong to a number, at least 8 and at most this many.
pub(crate) fn bytes_of(number: u64, most: usize) -> Vec<u8> {
    let mixed = mixed(number);
    let len = 8 + (mixed % (most as u64 - 7)) as usize;
    let mut bytes = number.to_ne_bytes().to_vec();
    bytes.resize(len, mixed as u8);
    bytes
}

/// The number that bytes belong to, if they are whole.
pub(crate) fn number_of(bytes: &[u8], most: usize) -> Option<u64> {
    let number = u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?);
    (bytes == bytes_of(number, most)).then_some(number)
}
