//! In-place access to the next slot.
//!
//! The references that these guards give point into shared memory. They are valid as long as the
//! other participants follow the protocol: a slot between `tail` and `head + capacity` belongs to
//! the producer, one between `head` and `tail` to the consumer. A program of the same user that
//! writes there regardless makes them racy; segments that other users can write to are refused.

use super::consumer::Consumer;
use super::producer::Producer;
use ipc_core::Payload;
use std::ops::{Deref, DerefMut};

/// The next free slot, to be filled in place. Holds whatever an earlier message left there.
///
/// [`commit`](Self::commit) makes it a message; dropping the guard cancels, and so does the
/// process's death.
#[derive(Debug)]
#[must_use = "dropping the guard cancels the message; call commit"]
pub struct WriteGuard<'a, T: Payload> {
    producer: &'a mut Producer<T>,
}

impl<'a, T: Payload> WriteGuard<'a, T> {
    pub(super) fn new(producer: &'a mut Producer<T>) -> Self {
        Self { producer }
    }

    /// Makes the slot's contents a message. Wait-free. In a forked child, which has no slot, it
    /// does nothing.
    pub fn commit(self) {
        if self.producer.writer.attachment.is_mine() {
            self.producer.writer.publish(1);
        }
    }
}

impl<T: Payload> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot is in the mapping and aligned (`SharedSlots::slot`); any bytes are a
        // `T`; it belongs to the producer, which is borrowed mutably.
        unsafe {
            self.producer
                .slots
                .slot(self.producer.writer.tail.next)
                .as_ref()
        }
    }
}

impl<T: Payload> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; the guard is borrowed mutably.
        unsafe {
            self.producer
                .slots
                .slot(self.producer.writer.tail.next)
                .as_mut()
        }
    }
}

/// The next message, in place.
///
/// [`release`](Self::release) takes it out of the ring; dropping the guard leaves it there, and so
/// does the process's death.
#[derive(Debug)]
#[must_use = "dropping the guard leaves the message in the ring; call release"]
pub struct ReadGuard<'a, T: Payload> {
    consumer: &'a mut Consumer<T>,
}

impl<'a, T: Payload> ReadGuard<'a, T> {
    pub(super) fn new(consumer: &'a mut Consumer<T>) -> Self {
        Self { consumer }
    }

    /// Takes the message out of the ring. Wait-free. In a forked child, which has no message, it
    /// does nothing.
    pub fn release(self) {
        if self.consumer.reader.attachment.is_mine() {
            self.consumer.reader.give_back(1);
        }
    }
}

impl<T: Payload> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot is in the mapping and aligned (`SharedSlots::slot`); any bytes are a
        // `T`; it belongs to the consumer, which is borrowed.
        unsafe {
            self.consumer
                .slots
                .slot(self.consumer.reader.head.next)
                .as_ref()
        }
    }
}
