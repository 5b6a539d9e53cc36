//! What our primitives cost when nobody else uses them, one call after the other in one thread;
//! beside them the standard library's. (Events have a file of their own.)

use std::error::Error;
use std::hint::black_box;
use std::sync;

use criterion::Criterion;
use ipc_core::{Place, Segment};
use ipc_sync::{
    Array, Barrier, Condvar, CountingSemaphore, Latch, Mutex, Once, OnceCell, RwLock, Semaphore,
    Value,
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result {
    let mut criterion = Criterion::default().configure_from_args();
    let segment = Segment::create(Place::memfd("bench"), 1 << 20)?;
    locks(&mut criterion, &segment)?;
    semaphores(&mut criterion, &segment)?;
    meetings(&mut criterion, &segment)?;
    values(&mut criterion, &segment)?;
    criterion.final_summary();
    Ok(())
}

fn locks(criterion: &mut Criterion, segment: &Segment) -> Result {
    let mut group = criterion.benchmark_group("sync lock");
    let ours = Mutex::create_in(segment, "mutex", 0u64)?;
    group.bench_function("ours lock and add", |bencher| {
        bencher.iter(|| *ours.lock().expect("nobody holds it") += 1);
    });
    group.bench_function("ours update", |bencher| {
        bencher.iter(|| ours.update(|number| *number += 1).expect("nobody holds it"));
    });
    let theirs = sync::Mutex::new(0u64);
    group.bench_function("std lock and add", |bencher| {
        bencher.iter(|| *theirs.lock().expect("nobody holds it") += 1);
    });

    let ours = RwLock::create_in(segment, "rwlock", 0u64)?;
    group.bench_function("ours read", |bencher| {
        bencher.iter(|| *ours.read().expect("nobody writes"));
    });
    group.bench_function("ours write", |bencher| {
        bencher.iter(|| *ours.write().expect("nobody writes") += 1);
    });
    let theirs = sync::RwLock::new(0u64);
    group.bench_function("std read", |bencher| {
        bencher.iter(|| *theirs.read().expect("nobody writes"));
    });
    group.bench_function("std write", |bencher| {
        bencher.iter(|| *theirs.write().expect("nobody writes") += 1);
    });
    group.finish();
    Ok(())
}

fn semaphores(criterion: &mut Criterion, segment: &Segment) -> Result {
    let mut group = criterion.benchmark_group("sync semaphore");
    let permits = Semaphore::create_in(segment, "permits", 8)?;
    group.bench_function("acquire and give back", |bencher| {
        bencher.iter(|| drop(permits.acquire().expect("there is a permit")));
    });
    group.bench_function("acquire 4 and give back", |bencher| {
        bencher.iter(|| drop(permits.acquire_many(4).expect("there are permits")));
    });
    let signals = CountingSemaphore::create_in(segment, "signals", 0)?;
    group.bench_function("post and wait", |bencher| {
        bencher.iter(|| {
            signals.post(1).expect("there is room");
            signals.wait().expect("there is one");
        });
    });
    group.finish();
    Ok(())
}

fn meetings(criterion: &mut Criterion, segment: &Segment) -> Result {
    let mut group = criterion.benchmark_group("sync meeting");
    let condvar = Condvar::create_in(segment, "condvar")?;
    group.bench_function("ours notify nobody", |bencher| {
        bencher.iter(|| condvar.notify_one().expect("no fork"));
    });
    let theirs = sync::Condvar::new();
    group.bench_function("std notify nobody", |bencher| {
        bencher.iter(|| theirs.notify_one());
    });

    let mut party = Barrier::create_in(segment, "barrier", 1)?.join()?;
    group.bench_function("ours barrier of one", |bencher| {
        bencher.iter(|| party.wait().expect("it is not broken"));
    });
    let theirs = sync::Barrier::new(1);
    group.bench_function("std barrier of one", |bencher| {
        bencher.iter(|| theirs.wait());
    });

    let latch = Latch::create_in(segment, "latch", 0)?;
    group.bench_function("ours open latch", |bencher| {
        bencher.iter(|| latch.wait().expect("it is open"));
    });

    let once = Once::create_in(segment, "once")?;
    group.bench_function("ours once, done", |bencher| {
        bencher.iter(|| once.call_once(|| ()).expect("no fork"));
    });
    let theirs = sync::Once::new();
    group.bench_function("std once, done", |bencher| {
        bencher.iter(|| theirs.call_once(|| ()));
    });
    let cell = OnceCell::create_in(segment, "cell")?;
    group.bench_function("ours once cell, there", |bencher| {
        bencher.iter(|| cell.get_or_init(|| 7u64).expect("no fork"));
    });
    group.finish();
    Ok(())
}

fn values(criterion: &mut Criterion, segment: &Segment) -> Result {
    let mut group = criterion.benchmark_group("sync value");
    let number = Value::create_in(segment, "number", 0u64)?;
    group.bench_function("number get", |bencher| {
        bencher.iter(|| number.get().expect("no fork"));
    });
    group.bench_function("number set", |bencher| {
        bencher.iter(|| number.set(black_box(7)).expect("no fork"));
    });
    group.bench_function("number add", |bencher| {
        bencher.iter(|| number.fetch_add(1).expect("no fork"));
    });
    let large = Value::create_in(segment, "large", [0u64; 32])?;
    group.bench_function("256 bytes get", |bencher| {
        bencher.iter(|| large.get().expect("no fork"));
    });
    group.bench_function("256 bytes set", |bencher| {
        bencher.iter(|| large.set(black_box([7; 32])).expect("nobody writes"));
    });
    let array = Array::create_in(segment, "array", 64, |_| 0u64)?;
    group.bench_function("array get", |bencher| {
        bencher.iter(|| array.get(black_box(7)).expect("it is long enough"));
    });
    group.finish();
    Ok(())
}
