//! The event behind `raw_sync`'s traits: in unaligned memory of the caller's, between processes.

mod common;

use common::PATIENCE;
use ipc_sync::RawEvent;
use raw_sync::Timeout;
use raw_sync::events::{EventImpl, EventInit, EventState};
use std::time::{Duration, Instant};
use test_kit::forked::Forked;

/// Memory that forked children share.
struct Memory {
    at: *mut u8,
}

const LEN: usize = 4096;

impl Memory {
    fn new() -> Self {
        // SAFETY: a new mapping of our own.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                LEN,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(at, libc::MAP_FAILED);
        Self { at: at.cast() }
    }

    fn byte(&self, offset: usize) -> *mut u8 {
        // SAFETY: the tests stay within the mapping.
        unsafe { self.at.add(offset) }
    }

    fn make(&self, offset: usize, auto: bool) -> Box<dyn EventImpl> {
        // SAFETY: there is room, and the mapping outlives the handles of a test.
        let (event, used) = unsafe { RawEvent::new(self.byte(offset), auto) }.unwrap();
        assert_eq!(used, RawEvent::size_of(Some(self.byte(offset))));
        assert!(used <= RawEvent::size_of(None));
        event
    }

    fn find(&self, offset: usize) -> Result<Box<dyn EventImpl>, Box<dyn std::error::Error>> {
        // SAFETY: as in `make`.
        unsafe { RawEvent::from_existing(self.byte(offset)) }.map(|(event, _)| event)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping made above.
        unsafe { libc::munmap(self.at.cast(), LEN) };
    }
}

fn now(event: &dyn EventImpl) -> bool {
    event.wait(Timeout::Val(Duration::ZERO)).is_ok()
}

#[test]
fn it_does_what_an_event_does_at_any_address() {
    for offset in [0, 1, 2, 3, 64, 127] {
        let memory = Memory::new();
        for auto in [false, true] {
            let event = memory.make(offset, auto);
            let same = memory.find(offset).unwrap();
            assert!(!now(&*same));
            event.set(EventState::Signaled).unwrap();
            assert!(now(&*same));
            assert_eq!(now(&*same), !auto);
            event.set(EventState::Signaled).unwrap();
            event.set(EventState::Clear).unwrap();
            assert!(!now(&*same));
            let start = Instant::now();
            let timeout = Duration::from_millis(20);
            assert!(same.wait(Timeout::Val(timeout)).is_err());
            assert!(start.elapsed() >= timeout);
            event.set(EventState::Signaled).unwrap();
            same.wait(Timeout::Val(Duration::MAX)).unwrap();
        }
        // It wrote nothing beyond its bytes.
        let end = offset + RawEvent::size_of(Some(memory.byte(offset)));
        // SAFETY: within the mapping; nobody writes.
        let others = (0..offset)
            .chain(end..LEN)
            .map(|at| unsafe { *memory.byte(at) });
        assert_eq!(others.filter(|&it| it != 0).count(), 0);
    }
}

#[test]
fn where_no_event_is_none_is_found() {
    let memory = Memory::new();
    assert!(memory.find(0).is_err());
    memory.make(0, true);
    assert!(memory.find(0).is_ok());
    // SAFETY: within the mapping; nobody else is there.
    unsafe { *memory.byte(1) ^= 1 };
    assert!(memory.find(0).is_err());
}

/// Where `raw_sync`'s own event hangs: it has a mutex, and the dead keep it.
#[test]
fn processes_killed_again_and_again_leave_nothing() {
    let memory = Memory::new();
    let (there, back) = (memory.make(0, true), memory.make(64, true));
    let other = |killed: bool| {
        let memory = &memory;
        Forked::run(move || {
            let (there, back) = (memory.find(0).unwrap(), memory.find(64).unwrap());
            while there.wait(Timeout::Infinite).is_ok() {
                back.set(EventState::Signaled).unwrap();
                if killed {
                    // SAFETY: no memory is involved.
                    unsafe { libc::raise(libc::SIGKILL) };
                }
            }
            0
        })
    };
    for round in 0..30 {
        let child = other(true);
        there.set(EventState::Signaled).unwrap();
        back.wait(Timeout::Val(PATIENCE)).unwrap();
        assert!(child.join().is_err(), "killed in round {round}");
        // One that is killed while it sleeps, and one that is not killed.
        other(false).kill();
        there.set(EventState::Clear).unwrap();
        let child = other(false);
        for _ in 0..100 {
            there.set(EventState::Signaled).unwrap();
            back.wait(Timeout::Val(PATIENCE)).unwrap();
        }
        child.kill();
        assert!(!now(&*there) && !now(&*back));
    }
}
