//! An event that nobody contends for: ours beside raw_sync's, which has a process-shared mutex and
//! condition variable.

use std::error::Error;

use criterion::Criterion;
use ipc_core::{Place, Segment};
use ipc_sync::{Event, Reset};
use raw_sync::Timeout;
use raw_sync::events::{Event as RawEvent, EventImpl, EventInit, EventState};

/// Private memory with room for raw_sync's event.
#[repr(align(128))]
struct Room([u8; 256]);

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("event");

    let segment = Segment::create(Place::memfd("bench"), 1 << 16)?;
    let ours = Event::create_in(&segment, "event", Reset::Auto)?;
    let mut room = Box::new(Room([0; 256]));
    let memory = room.0.as_mut_ptr();
    let needed = RawEvent::size_of(Some(memory));
    if needed > room.0.len() {
        return Err(format!("raw_sync's event needs {needed} bytes").into());
    }
    // SAFETY: the memory is aligned, large enough as just seen, and outlives the event, which is
    // declared after it.
    let (raw, _): (Box<dyn EventImpl>, usize) = unsafe { RawEvent::new(memory, true)? };

    group.bench_function("ours set and wait", |bencher| {
        bencher.iter(|| {
            ours.set().expect("no fork");
            ours.wait().expect("it is set");
        });
    });
    group.bench_function("raw_sync set and wait", |bencher| {
        bencher.iter(|| {
            raw.set(EventState::Signaled).expect("it can be set");
            raw.wait(Timeout::Infinite).expect("it is set");
        });
    });
    group.bench_function("ours set when set", |bencher| {
        bencher.iter(|| ours.set().expect("no fork"));
    });
    group.bench_function("raw_sync set when set", |bencher| {
        bencher.iter(|| raw.set(EventState::Signaled).expect("it can be set"));
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
